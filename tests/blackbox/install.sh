#!/usr/bin/env bash
# Installs the Python packages that black-box tests compare with, into target/python.
#
#   tests/blackbox/install.sh
#
# Does nothing when they are there.
set -eu
cd "$(dirname "$0")/../.."
packages="maxminddb==3.2.0 mmdb_writer==0.2.7 pyte==0.8.2"
stamp=target/python/packages
[ "$(cat "$stamp" 2>/dev/null)" = "$packages" ] && exit 0
echo "installing into target/python: $packages"
python3 -m venv target/python
# shellcheck disable=SC2086 # a list of words
target/python/bin/pip install --quiet --disable-pip-version-check $packages
echo "$packages" >"$stamp"
