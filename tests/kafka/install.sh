#!/usr/bin/env bash
# Installs what tests/kafka needs: Java, Maven and kcat by Debian package name, Apache Kafka by Maven (pom.xml).
#
#   tests/kafka/install.sh
#
# What is there already is skipped. Needs root for the packages. No service is started: the tests run the broker themselves.
set -eu -o pipefail
cd "$(dirname "$0")"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/dnstapd-tests/kafka

missing=""
for package in openjdk-17-jre-headless maven kcat openssl iproute2; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q "ok installed" || missing="$missing $package"
done
# Any Java from 17 on will do.
command -v java >/dev/null && missing=${missing/ openjdk-17-jre-headless/}
command -v mvn >/dev/null && missing=${missing/ maven/}
if [ -n "$missing" ]; then
    echo "installing:$missing"
    # shellcheck disable=SC2086 # a list of words
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi

if ! cmp -s pom.xml "$cache/pom.xml"; then
    echo "fetching Apache Kafka"
    rm -rf "${cache:?}/lib"
    mkdir -p "$cache"
    mvn -B -q -f pom.xml dependency:copy-dependencies -DoutputDirectory="$cache/lib"
    cp pom.xml "$cache/pom.xml"
fi
