#!/usr/bin/env bash
# Installs what tests/servers needs: the DNS servers and tools by Debian package name, and CoreDNS from its Go module.
#
#   tests/servers/install.sh
#
# What is there already is skipped. Needs root. No service is started: the tests run the servers themselves.
set -u -o pipefail

# The last CoreDNS that the tests ran with. It wants a newer Go than Debian 12 has: `go` fetches it (GOTOOLCHAIN) when it can.
coredns_version=v1.14.6
bin=${XDG_CACHE_HOME:-$HOME/.cache}/dnstapd-tests/bin

missing=""
for package in bind9 bind9-dnsutils unbound dnsdist pdns-recursor nsd knot knot-module-dnstap \
    fstrm-bin dnstap-ldns dnsperf socat iproute2 openssl prometheus; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q "ok installed" || missing="$missing $package"
done

if [ -n "$missing" ]; then
    echo "installing:$missing"
    guard=/usr/sbin/policy-rc.d
    guarded=no
    if [ ! -e "$guard" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$guard" && chmod 755 "$guard" && guarded=yes
    fi
    # shellcheck disable=SC2086 # a list of words
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
    status=$?
    [ "$guarded" = yes ] && rm -f "$guard"
    [ "$status" = 0 ] || exit 1
fi

[ -x "$bin/coredns" ] && exit 0

# The command that builds CoreDNS: a Go of 1.21 or later can fetch the one it needs, an older one cannot.
go_command() {
    local candidate minor
    for candidate in go /usr/local/go/bin/go /usr/lib/go-1.2?/bin/go; do
        minor=$("$candidate" env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
        [ -n "$minor" ] && [ "$minor" -ge 21 ] && echo "$candidate" && return 0
    done
    return 1
}

go=$(go_command) || {
    newest=$(apt-cache search --names-only '^golang-1\.2[1-9]-go$' | sort | tail -n 1 | cut -d ' ' -f 1)
    if [ -z "$newest" ]; then
        echo "CoreDNS needs Go 1.21 or later: no package golang-1.2x-go (Debian 12 has it in bookworm-backports)" >&2
        exit 1
    fi
    echo "installing: $newest"
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$newest" >/dev/null || exit 1
    go=$(go_command) || exit 1
}
echo "building CoreDNS $coredns_version with $("$go" env GOVERSION)"
mkdir -p "$bin"
cd / && GOTOOLCHAIN=${GOTOOLCHAIN:-auto} GOBIN=$bin "$go" install "github.com/coredns/coredns@$coredns_version"
