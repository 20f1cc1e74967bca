"""What the probe prints of a good host."""

TEXT = """\
Welcome to box! occ: clock 1
occ: clock 1795541057
occ: docker-command /usr/bin/docker
occ: os-id debian
occ: os-like 
occ: os-version 13
occ: os-name Debian GNU/Linux 13 (trixie)
occ: system Linux
occ: kernel 6.12.1
occ: machine x86_64
occ: memory-kib 8000000
occ: memory-available-kib 6000000
occ: user ada
occ: uid 1000
occ: groups ada docker
occ: groups-of-next-login ada docker
occ: root sudo
occ: system-state running
occ: docker-enabled enabled
occ: docker-active active
occ: user-manager running
occ: user-docker-enabled not-found
occ: dockerd yes
occ: docker-socket /var/run/docker.sock
occ: docker-info {"version":"26.1.5+dfsg1","driver":"overlay2","folder":"/var/lib/docker",\
"cgroup":"2","security":["name=seccomp"],"memory":true,"cpu":true,"pids":true}
occ: port-container 
occ: deployment 
occ: disk /var/lib/docker
occ: disk-free-kib 40000000
occ: inodes-free 1000000
occ: end box
"""  # noqa: W291 - as printf leaves it


def without(*names: str, text: str = TEXT) -> str:
    lines = text.splitlines(keepends=True)
    return "".join(each for each in lines if each.split()[1] not in names)
