#!/bin/sh
# The feed's CI runs this on a router with the package: test-version.sh PACKAGE VERSION.
# shellcheck shell=dash
[ "$1" = dnstapd ] || exit 0
[ "$(/usr/sbin/dnstapd --version)" = "dnstapd $2" ]
