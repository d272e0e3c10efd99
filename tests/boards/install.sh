#!/usr/bin/env bash
# Installs what tests/boards needs: emulators by Debian package name, kernels and busybox of the boards
# unpacked in a folder.
#
#   tests/boards/install.sh
#
# What is there already is skipped. Needs root for the packages. The foreign packages are fetched with an
# apt configuration of their own: this system's lists and architectures stay as they are.
set -eu -o pipefail
cache=${XDG_CACHE_HOME:-$HOME/.cache}/dnstapd-tests/boards

"$(dirname "$0")/../debian" qemu-system-arm qemu-system-mips cpio openssl python3
[ -e "$cache/complete" ] && exit 0

echo "fetching kernels into $cache"
rm -rf "$cache"
mkdir -p "$cache/apt/lists/partial" "$cache/apt/archives/partial" "$cache/debs"
: >"$cache/apt/status"
cat >"$cache/apt/conf" <<END
APT::Architecture "armhf";
APT::Architectures { "armhf"; "mipsel"; };
APT::Sandbox::User "root";
Acquire::Languages "none";
Dir::State "$cache/apt";
Dir::State::status "$cache/apt/status";
Dir::Cache "$cache/apt";
END
export APT_CONFIG=$cache/apt/conf
# The list of another source may be missing for these architectures; what matters is looked for below.
apt-get update -qq >/dev/null 2>&1 || true

# fetch ARCHITECTURE IMAGE: the kernel that the package IMAGE stands for, and busybox.
fetch() {
    local kernel
    # Without its architecture, which is named for some only.
    kernel=$(apt-cache depends "$2:$1" | sed -n 's/^ *Depends: \(linux-image-[^:]*\).*/\1/p')
    [ -n "$kernel" ] || { echo "no package $2 for $1" >&2; return 1; }
    (cd "$cache/debs" && apt-get download -qq "$kernel:$1" "busybox-static:$1")
    for package in "$cache"/debs/*_"$1".deb; do dpkg -x "$package" "$cache/$1"; done
}
fetch armhf linux-image-armmp
fetch mipsel linux-image-4kc-malta
rm -r "$cache/apt" "$cache/debs"
touch "$cache/complete"
