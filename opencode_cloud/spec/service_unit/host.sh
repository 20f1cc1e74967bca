#!/bin/sh
# What is done with a service unit on its host: host.sh check|prepare|install|remove|start|stop|show
# Each can be done again. Removing a unit, and changing one, leaves the container running.
set -eu
# Assigned before this; the last three for check, prepare and install alone.
name=${name:?} label=${label:?} mode=${mode:-} unit=${unit:-} agent=${agent:-}

user=$(id -un)
state=$HOME/.local/state/opencode-cloud

fail() {
    printf '%s\n' "$1" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif ! sudo -n true 2> /dev/null; then
        fail "The unit of boot_mode system is root's, and $user may not become root here without a password. \
Use boot_mode user, or have $user allowed: sudo visudo"
    else
        sudo -n "$@"
    fi
}

# --- systemd: MODE is user or system ---

# by MODE COMMAND...: runs a command with the rights that the units of the mode need.
by() {
    by_mode=$1
    shift
    if [ "$by_mode" = system ]; then as_root "$@"; else "$@"; fi
}

systemd() {
    systemd_mode=$1
    shift
    if [ "$systemd_mode" = user ]; then
        XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/run/user/$(id -u)} systemctl --user "$@"
    else
        as_root systemctl "$@"
    fi
}

file_of() {
    if [ "$1" = user ]; then
        echo "$HOME/.config/systemd/user/$name.service"
    else
        echo "/etc/systemd/system/$name.service"
    fi
}

# The modes in which there is a unit: none, one, or by somebody's mistake both.
modes() {
    for each in user system; do
        if [ -e "$(file_of "$each")" ]; then echo "$each"; fi
    done
}

lingers() {
    [ -e "/var/lib/systemd/linger/$user" ]
}

# Without it, a user's units start when the user signs in, and end with the last session.
linger() {
    if ! lingers; then
        loginctl enable-linger 2> /dev/null || sudo -n loginctl enable-linger "$user" 2> /dev/null ||
            fail "A unit of $user would run only while $user is signed in to $(uname -n), and $user may not change \
that. Have an administrator do it: sudo loginctl enable-linger $user"
        mkdir -p "$state"
        : > "$state/lingers"
    fi
    tries=0
    until [ -S "/run/user/$(id -u)/systemd/private" ]; do
        tries=$((tries + 1))
        if [ "$tries" -gt 100 ]; then
            fail "The systemd of $user does not start on $(uname -n): systemctl status user@$(id -u) says why."
        fi
        sleep 0.1
    done
}

linger_no_more() {
    if [ ! -e "$state/lingers" ]; then return; fi
    for other in "$HOME"/.config/systemd/user/opencode-cloud-service-*.service; do
        if [ -e "$other" ]; then return; fi
    done
    loginctl disable-linger 2> /dev/null || sudo -n loginctl disable-linger "$user"
    rm "$state/lingers"
}

# Without its file, a unit has no command that stops the container.
detach() {
    by "$1" rm "$(file_of "$1")"
    systemd "$1" daemon-reload
    systemd "$1" stop "$name.service" 2> /dev/null || true
    systemd "$1" reset-failed "$name.service" 2> /dev/null || true
}

# Sees that there can be a unit, as far as that shows without a change.
systemd_check() {
    if [ ! -d /run/systemd/system ]; then
        fail "$(uname -n) does not run systemd, and so can have no service unit. Docker itself can restart the \
deployment: occ uninstall --unit"
    fi
    path=$(printf '%s\n' "$unit" | sed -n 's/^Environment=PATH=//p' | sed "s|%h|$HOME|g")
    if ! PATH=$path command -v docker > /dev/null; then
        fail "There is no docker command on $(uname -n) in $path. Install it: sudo apt-get install docker-cli"
    fi
    if [ "$mode" = system ]; then as_root true; fi
}

# Sees the rest too: whether a user may linger, only shows when it is tried.
systemd_prepare() {
    systemd_check
    if [ "$mode" = user ]; then linger; fi
}

systemd_install() {
    systemd_prepare
    for each in $(modes); do
        if [ "$each" != "$mode" ]; then systemd_remove_one "$each"; fi
    done
    file=$(file_of "$mode")
    if ! printf '%s' "$unit" | cmp -s - "$file"; then
        if [ -e "$file" ]; then detach "$mode"; fi
        by "$mode" mkdir -p "${file%/*}"
        printf '%s' "$unit" | by "$mode" tee "$file" > /dev/null
        by "$mode" chmod 644 "$file"
        systemd "$mode" daemon-reload
    fi
    systemd_start "$mode"
}

systemd_remove_one() {
    systemd "$1" disable --quiet "$name.service"
    detach "$1"
    if [ "$1" = user ]; then linger_no_more; fi
}

systemd_remove() {
    for each in $(modes); do systemd_remove_one "$each"; done
}

systemd_start() {
    if [ "$1" = user ]; then linger; fi
    systemd "$1" enable --quiet "$name.service"
    systemd "$1" reset-failed "$name.service" 2> /dev/null || true
    systemd "$1" start "$name.service"
}

# Stopped by hand, it stays so when the machine starts.
systemd_stop() {
    systemd "$1" disable --quiet "$name.service"
    systemd "$1" stop "$name.service"
}

systemd_show() {
    echo "mode=$1"
    echo "file=$(file_of "$1")"
    if [ "$1" = system ]; then
        systemctl show "$name.service" --property="$asked"
        return
    fi
    if lingers; then echo linger=yes; else echo linger=no; fi
    systemd user show "$name.service" --property="$asked"
}
asked=ActiveState,SubState,UnitFileState,NRestarts,ExecMainStatus

# --- launchd ---

agent_file() {
    echo "$HOME/Library/LaunchAgents/$label.plist"
}

domain=gui/$(id -u)

launchd_check() {
    if ! launchctl print "$domain" > /dev/null 2>&1; then
        fail "An agent runs while $user is signed in to $(uname -n), and $user is not."
    fi
}

launchd_prepare() {
    launchd_check
}

launchd_install() {
    launchd_check
    file=$(agent_file)
    if ! printf '%s' "$agent" | cmp -s - "$file"; then
        launchctl bootout "$domain/$label" 2> /dev/null || true
        mkdir -p "${file%/*}"
        printf '%s' "$agent" > "$file"
    fi
    launchd_start
}

launchd_start() {
    launchctl enable "$domain/$label"
    if ! launchctl print "$domain/$label" > /dev/null 2>&1; then
        launchctl bootstrap "$domain" "$(agent_file)"
    fi
    launchctl kickstart "$domain/$label"
}

launchd_stop() {
    launchctl disable "$domain/$label"
    launchctl bootout "$domain/$label" 2> /dev/null || true
}

launchd_remove() {
    launchctl bootout "$domain/$label" 2> /dev/null || true
    rm -f "$(agent_file)"
}

launchd_show() {
    echo mode=user
    echo "file=$(agent_file)"
    if launchctl print "$domain/$label" > /dev/null 2>&1; then
        echo ActiveState=active
    else
        echo ActiveState=inactive
    fi
    if launchctl print-disabled "$domain" | grep -q "\"$label\" => \(true\|disabled\)"; then
        echo UnitFileState=disabled
    else
        echo UnitFileState=enabled
    fi
}

# --- which of them ---

# The files are looked for before systemd is: asking for what is not there takes no time.
verb=$1
# Nothing that is called shall read the rest of the script.
exec < /dev/null
case $(uname -s) in
    Darwin)
        case $verb in
            check | prepare | install | remove) "launchd_$verb" ;;
            *) if [ -e "$(agent_file)" ]; then "launchd_$verb"; fi ;;
        esac
        ;;
    *)
        case $verb in
            check | prepare | install | remove) "systemd_$verb" ;;
            *) for each in $(modes); do "systemd_$verb" "$each"; done ;;
        esac
        ;;
esac
