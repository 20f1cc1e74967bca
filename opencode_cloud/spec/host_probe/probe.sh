#!/bin/sh
# probe.sh STACK PORT [SOCKET]: looks at the machine that it runs on, and prints what it
# finds as lines of `occ: NAME VALUE`. Changes nothing, and needs nothing but a POSIX shell:
# what a machine cannot tell is left out.
#
# STACK: of the deployment. PORT: that it is to answer at. SOCKET: of the Docker engine;
# none: the first that answers of those that engines have.
set -u

say() { printf 'occ: %s %s\n' "$1" "$2"; }
first_line() { printf '%s\n' "$1" | sed -n '/./{p;q;}'; }

# Nothing that hangs shall keep the rest from being told.
briefly() {
    if command -v timeout >/dev/null; then timeout 10 "$@"; else "$@"; fi
}

look_at_system() {
    (
        ID='' ID_LIKE='' VERSION_ID='' PRETTY_NAME=''
        # shellcheck disable=SC1091 # the other machine's
        if [ -r /etc/os-release ]; then . /etc/os-release; fi
        say os-id "$ID"
        say os-like "$ID_LIKE"
        say os-version "$VERSION_ID"
        say os-name "${PRETTY_NAME:-$(uname -s)}"
    )
    say system "$(uname -s)"
    say kernel "$(uname -r)"
    say machine "$(uname -m)"
    if [ -r /proc/meminfo ]; then
        say memory-kib "$(awk '/^MemTotal:/ { print $2 }' /proc/meminfo)"
        say memory-available-kib "$(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo)"
    fi
}

look_at_user() {
    user=$(id -un)
    uid=$(id -u)
    say user "$user"
    say uid "$uid"
    say groups "$(id -Gn)"
    # As the next login has them.
    say groups-of-next-login "$(id -Gn "$user")"
    if [ "$uid" = 0 ]; then
        say root itself
    elif briefly sudo -n true 2>/dev/null; then
        say root sudo
    fi
}

look_at_services() {
    if [ ! -d /run/systemd/system ]; then return; fi
    say system-state "$(briefly systemctl is-system-running 2>/dev/null)"
    say docker-enabled "$(briefly systemctl is-enabled docker.service 2>/dev/null)"
    say docker-active "$(briefly systemctl is-active docker.service 2>/dev/null)"
    XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/run/user/$uid}
    export XDG_RUNTIME_DIR
    say user-manager "$(briefly systemctl --user is-system-running 2>/dev/null)"
    say user-docker-enabled "$(briefly systemctl --user is-enabled docker.service 2>/dev/null)"
    if [ -e "/var/lib/systemd/linger/$user" ]; then say linger yes; fi
    if [ -e /run/cloud-init/enabled ] && [ ! -e /run/cloud-init/result.json ]; then
        say cloud-init running
    fi
}

engine() { briefly docker -H "unix://$socket" "$@"; }

look_at_docker() {
    if command -v dockerd >/dev/null; then say dockerd yes; fi
    if ! command -v docker >/dev/null; then return; fi
    for socket in ${wanted:-/var/run/docker.sock "/run/user/$uid/docker.sock"}; do
        if ! answer=$(engine version --format '{{.Server.Version}}' 2>&1); then
            if [ -e "$socket" ]; then say docker-failure "$socket $(first_line "$answer")"; fi
            continue
        fi
        say docker-socket "$socket"
        say docker-info "$(engine info --format "$info")"
        place=$(engine info --format '{{.DockerRootDir}}')
        say port-container "$(engine ps --filter "publish=$port" --format '{{.Names}}')"
        say deployment "$(engine ps --all --filter "label=org.opencode-cloud.stack=$stack" \
            --format '{{.Status}}')"
        return
    done
}

look_at_disk() {
    # What is not made yet is made on the disk of the folder above.
    until [ -e "$place" ]; do place=$(dirname "$place"); done
    say disk "$place"
    say disk-free-kib "$(df -Pk "$place" | awk 'NR == 2 { print $4 }')"
    say inodes-free "$(df -Pi "$place" 2>/dev/null | awk 'NR == 2 && $2 > 0 { print $4 }')"
}

look_at_port() {
    listening=0A
    number=$(printf '%04X' "$port")
    for table in /proc/net/tcp /proc/net/tcp6; do
        if [ -r "$table" ] && awk -v end=":$number\$" -v state="$listening" \
            '$4 == state && $2 ~ end { found = 1 } END { exit !found }' "$table"; then
            say port-taken yes
            return
        fi
    done
}

main() {
    stack=$1 port=$2 wanted=${3:-}
    say clock "$(date +%s)"
    # As Docker's own client finds it over SSH.
    say docker-command "$(command -v docker)"
    PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
    place=/var/lib/docker
    info='{"version":{{json .ServerVersion}},"driver":{{json .Driver}},"folder":{{json .DockerRootDir}},'
    info=$info'"cgroup":{{json .CgroupVersion}},"security":{{json .SecurityOptions}},'
    info=$info'"memory":{{json .MemoryLimit}},"cpu":{{json .CPUCfsQuota}},"pids":{{json .PidsLimit}}}'
    look_at_system
    look_at_user
    look_at_services
    look_at_docker
    look_at_disk
    look_at_port
    say end "$stack"
}

# The script may itself come by standard input.
main "$@" </dev/null
