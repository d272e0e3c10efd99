#!/usr/bin/env bash
# Installs what the tests of the dashboard need: Chromium and tools, by Debian package name, and axe-core,
# which looks for what keeps people out of a page, in target/axe: from the Python package that has it.
#
#   tests/browser/install.sh
#
# Does nothing when they are there. Needs root for the packages.
set -eu
cd "$(dirname "$0")"
../debian chromium fonts-dejavu-core libnss3-tools openssl
axe="axe-playwright-python==0.1.8"
target=../../target/axe
[ "$(cat $target/version 2>/dev/null)" != $axe ] || exit 0
rm -rf $target
../python -m pip download --quiet --disable-pip-version-check --no-deps --dest $target $axe
../python -m zipfile -e $target/*.whl $target
echo $axe >$target/version
