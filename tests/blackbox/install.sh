#!/usr/bin/env bash
# Installs what black-box tests compare with: Python packages (tests/python), syslog-ng into
# target/syslog-ng, and tcpdump into target/tcpdump.
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
    cd ../..
fi
if [ ! -x target/tcpdump/usr/bin/tcpdump ]; then
    echo "unpacking into target/tcpdump"
    mkdir -p target/tcpdump
    cd target/tcpdump
    apt-get download -qq -o APT::Sandbox::User=root tcpdump libpcap0.8
    for package in *.deb; do dpkg -x "$package" .; done
fi
