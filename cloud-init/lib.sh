# shellcheck shell=sh
# What the steps share. Each is started by itself, may run again at any time, and ends with
# 0: done, 75: waits for somebody, as its last line says, anything else: failed.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH LC_ALL=C.UTF-8
conf=/etc/opencode-cloud
# shellcheck disable=SC2034 # used by steps
state=/var/lib/opencode-cloud

# value NAME: what machine.conf says. Read, never run: some of it is what people typed in a form.
value() {
    sed -n "s/^$1=//p" "$conf/machine.conf" | head -n 1
}

# fail TEXT: ends the step as failed, with the reason and what to do.
fail() {
    echo "$1" >&2
    exit 1
}

# waits TEXT: ends the step as waiting for somebody.
waits() {
    echo "$1" >&2
    exit 75
}
