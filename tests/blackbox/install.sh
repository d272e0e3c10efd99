#!/usr/bin/env bash
# Installs what black-box tests compare with: Python packages into target/python, syslog-ng into target/syslog-ng.
#
#   tests/blackbox/install.sh
#
# Does nothing when they are there. syslog-ng is unpacked, as Debian does not install it beside rsyslog.
set -eu
cd "$(dirname "$0")/../.."
packages="maxminddb==3.2.0 mmdb_writer==0.2.7 pyte==0.8.2 dnstap-dashboard==0.2.0 jsonschema==4.26.0 openapi-spec-validator==0.9.0 grafana-foundation-sdk==1769699998!10.1.0"
stamp=target/python/packages
if [ "$(cat "$stamp" 2>/dev/null)" != "$packages" ]; then
    echo "installing into target/python: $packages"
    python3 -m venv target/python
    # shellcheck disable=SC2086 # a list of words
    target/python/bin/python -m pip install --quiet --disable-pip-version-check $packages
    echo "$packages" >"$stamp"
fi
if [ ! -x target/syslog-ng/usr/sbin/syslog-ng ]; then
    echo "unpacking into target/syslog-ng"
    mkdir -p target/syslog-ng
    (cd target/syslog-ng && apt-get download -qq -o APT::Sandbox::User=root syslog-ng-core && dpkg -x syslog-ng-core_*.deb .)
fi
