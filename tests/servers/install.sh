#!/usr/bin/env bash
# Installs what tests/servers needs: the DNS servers and tools by Debian package name, and CoreDNS, which
# Debian does not have, from its Go module with the plugins that the tests use (coredns/main.go).
#
#   tests/servers/install.sh
#
# What is there already is skipped. Needs root. No service is started: the tests run the servers themselves.
set -u -o pipefail

# A Go release that builds CoreDNS, where there is only an older Go.
go_release=go1.25.1
here=$(cd "$(dirname "$0")" && pwd)
bin=${XDG_CACHE_HOME:-$HOME/.cache}/dnstapd-tests/bin

"$here/../debian" bind9 bind9-dnsutils unbound dnsdist pdns-recursor nsd knot knot-module-dnstap \
    fstrm-bin dnstap-ldns dnsperf socat iproute2 openssl prometheus iodine dns2tcp || exit 1

[ -x "$bin/coredns" ] && "$bin/coredns" -plugins | grep -q prometheus && exit 0

# The Go command to build with: one of 1.21 or later can fetch the release that CoreDNS wants by itself.
go_command() {
    local candidate minor
    for candidate in go /usr/local/go/bin/go /usr/lib/go-1.2?/bin/go; do
        minor=$("$candidate" env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
        [ -n "$minor" ] && [ "$minor" -ge 21 ] && command -v "$candidate" && return 0
    done
    return 1
}

# For a Debian with an older Go (12 has 1.19): that one fetches the newer release as the module it is
# published as.
fetched_go() {
    local folder
    command -v go >/dev/null || {
        "$here/../debian" golang-go >&2 || return 1
    }
    folder=$(cd / && GOFLAGS=-mod=mod go mod download -json \
        "golang.org/toolchain@v0.0.1-$go_release.$(go env GOOS)-$(go env GOARCH)" |
        sed -n 's/^\t"Dir": "\(.*\)",*$/\1/p')
    [ -n "$folder" ] || return 1
    chmod -R u+x "$folder/bin" "$folder/pkg/tool" && echo "$folder/bin/go"
}

go=$(go_command || fetched_go) || {
    echo "CoreDNS needs Go 1.21 or later, or network access to fetch it" >&2
    exit 1
}
echo "building CoreDNS with $("$go" env GOVERSION)"
mkdir -p "$bin"
export GOTOOLCHAIN=${GOTOOLCHAIN:-auto}
cd "$here/coredns" && "$go" build -mod=readonly -o "$bin/coredns" .
