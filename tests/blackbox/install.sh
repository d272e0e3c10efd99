#!/usr/bin/env bash
# Installs what black-box tests compare with: Python packages (tests/python), syslog-ng into
# target/syslog-ng, tcpdump into target/tcpdump, and the fields of the Elastic Common Schema into target/ecs,
# of npm's package @elastic/ecs, where there is npm.
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
    cd ../..
fi
for version in 8.11.5 9.4.0; do
    if [ -e "target/ecs/$version.json" ] || ! { command -v npm && command -v node; } >/dev/null; then continue; fi
    echo "fetching @elastic/ecs $version into target/ecs"
    mkdir -p "target/ecs/$version"
    # Without it one test is left out.
    (cd "target/ecs/$version" && npm pack --silent "@elastic/ecs@$version" >/dev/null && tar -xzf ./*.tgz &&
        node -e 'const all = require("./package/generated/ecs_flat.js").EcsFlat, out = {};
            for (const [name, field] of Object.entries(all)) out[name] = {type: field.type, isList: field.normalize.includes("array"),
                allowed: (field.allowed_values || []).map(value => value.name).concat(field.expected_values || [])};
            console.log(JSON.stringify(out))' >../new.json && mv ../new.json "../$version.json") || true
    rm -rf "target/ecs/$version"
done
