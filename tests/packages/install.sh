#!/usr/bin/env bash
# Makes a small Debian with systemd, in which packages are installed.
#
#   tests/packages/install.sh
#
# It is unpacked to a folder outside the checkout, once; tests write to a layer above it. Needs root and
# debootstrap.
set -eu -o pipefail
cache=${XDG_CACHE_HOME:-$HOME/.cache}/dnstapd-tests/packages

[ -e "$cache/debian" ] && exit 0
echo "fetching a Debian into $cache"
rm -rf "$cache/debian.new"
mkdir -p "$cache"
debootstrap --variant=minbase --include=systemd,systemd-sysv,procps bookworm "$cache/debian.new" >"$cache/log" ||
    { tail "$cache/log" >&2; exit 1; }
rm -f "$cache"/debian.new/var/cache/apt/archives/*.deb
mv "$cache/debian.new" "$cache/debian"
