#!/usr/bin/env bash
# Installs what the tests of the dashboard need: Chromium and tools, by Debian package name.
#
#   tests/browser/install.sh
#
# Does nothing when they are there. Needs root for the packages.
set -eu
"$(dirname "$0")/../debian" chromium fonts-dejavu-core libnss3-tools openssl
