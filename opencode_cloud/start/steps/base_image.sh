#!/bin/sh
# Makes a small Debian as a tar archive: base_image.sh SUITE ARCHIVE
#
# Run as root. The same packages and the same trimming as Debian's official slim
# image, so that what is built on the one can be built on the other.
set -eu
suite=$1 archive=$2

# Not /tmp: it may be mounted nodev or noexec, where debootstrap cannot work.
work=$(mktemp -d /var/tmp/opencode-cloud-base.XXXXXX)
trap 'rm -rf --one-file-system "$work"' EXIT
trap 'exit 130' HUP INT TERM
root=$work/root

debootstrap --variant=minbase --force-check-gpg "$suite" "$root"

# debootstrap lists the release alone: its updates and security fixes have suites
# of their own, on the mirror that it chose.
mirror=$(sed -n 's/^deb \([^ ]*\) .*/\1/p' "$root/etc/apt/sources.list")
cat >"$root/etc/apt/sources.list" <<SOURCES
deb $mirror $suite main
deb $mirror $suite-updates main
deb $mirror-security $suite-security main
SOURCES

# What the official slim image leaves out, now and in what is installed later.
cat >"$root/etc/dpkg/dpkg.cfg.d/docker" <<'EXCLUDES'
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/groff/*
path-exclude /usr/share/info/*
path-exclude /usr/share/linda/*
path-exclude /usr/share/lintian/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/man/*
EXCLUDES
find "$root/usr/share/doc" -type f ! -name copyright -delete
for unneeded in groff info linda lintian locale man; do
    rm -rf "$root/usr/share/${unneeded:?}"
done
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/* \
    "$root"/var/cache/debconf/*-old "$root/etc/machine-id"

tar -C "$root" --sort=name --numeric-owner -cf "$archive" .
chmod 644 "$archive"
