#!/usr/bin/env bash
# Installs what the tests of the dashboard need: Chromium and tools, by Debian package name.
#
#   tests/browser/install.sh
#
# Does nothing when they are there. Needs root for the packages.
set -eu
missing=""
for package in chromium fonts-dejavu-core libnss3-tools openssl; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q "ok installed" || missing="$missing $package"
done
if [ -n "$missing" ]; then
    echo "installing:$missing"
    # shellcheck disable=SC2086 # a list of words
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi
