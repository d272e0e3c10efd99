#!/bin/sh
# The feed's CI runs this on a router with the package: test.sh PACKAGE VERSION. The version is compared by
# test-version.sh.
# shellcheck shell=dash
[ "$1" = dnstapd ] || exit 0
set -e

# What the package configures is right, and every file is where it belongs.
/etc/init.d/dnstapd check
[ -s /etc/capabilities/dnstapd.json ]
grep -qx /etc/dnstapd/ /lib/upgrade/keep.d/dnstapd

# It runs, serves, and stops.
cat >/tmp/dnstapd-test.toml <<END
[web-api]
local-port = 18080
password = "of a test"
api-key = ""
[input.unix-socket]
enable = true
path = "/tmp/dnstapd-test.sock"
END
/usr/sbin/dnstapd --config /tmp/dnstapd-test.toml >/dev/null &
daemon=$!
tries=0
until [ "$(/usr/sbin/dnstapd top --config /tmp/dnstapd-test.toml --get /ready 2>/dev/null)" = ok ]; do
	tries=$((tries + 1))
	[ "$tries" -lt 30 ] && kill -0 "$daemon"
	sleep 1
done
[ -S /tmp/dnstapd-test.sock ]
kill "$daemon"
wait "$daemon"
rm -f /tmp/dnstapd-test.toml /tmp/dnstapd-test.sock
