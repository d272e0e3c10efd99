#!/usr/bin/env bash
# Installs what black-box tests compare with: Python packages (tests/python), and syslog-ng into
# target/syslog-ng.
#
#   tests/blackbox/install.sh
#
# Does nothing when they are there. syslog-ng is unpacked, as Debian does not install it beside rsyslog.
set -eu
cd "$(dirname "$0")/../.."
tests/python
if [ ! -x target/syslog-ng/usr/sbin/syslog-ng ]; then
    echo "unpacking into target/syslog-ng"
    mkdir -p target/syslog-ng
    cd target/syslog-ng
    apt-get download -qq -o APT::Sandbox::User=root syslog-ng-core
    dpkg -x syslog-ng-core_*.deb .
fi
