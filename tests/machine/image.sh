#!/bin/sh
# Makes a Debian as its cloud images are before anything is installed, as a tar
# archive: image.sh SUITE ARCHIVE. Run as root.
#
# It has systemd and sudo, and neither Docker, Python, git nor ca-certificates.
set -eu
suite=$1 archive=$2

work=$(mktemp -d /var/tmp/opencode-cloud-machine.XXXXXX)
trap 'rm -rf --one-file-system "$work"' EXIT
trap 'exit 130' HUP INT TERM
root=$work/root

debootstrap --variant=minbase --force-check-gpg \
    --include=systemd,systemd-sysv,dbus,libpam-systemd,sudo,iproute2,procps "$suite" "$root"
useradd --root "$root" --create-home --shell /bin/bash ada
echo 'ada ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/ada"
: >"$root/etc/machine-id"
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*

# In a container the control groups are mounted read-only, and systemd has to be
# told when they are of the old kind.
cat >"$root/machine-init" <<'INIT'
#!/bin/sh
set -eu
awk '$2 ~ "^/sys/fs/cgroup" { print $2 }' /proc/mounts | while read -r mount; do
    mount -o remount,bind,rw "$mount"
done
mount --make-rshared /
if [ "${1:-}" = without-systemd ]; then
    exec sleep infinity
fi
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    exec /sbin/init
fi
exec /sbin/init systemd.unified_cgroup_hierarchy=0 SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1
INIT
chmod 755 "$root/machine-init"

tar -C "$root" --numeric-owner -cf "$archive" .
