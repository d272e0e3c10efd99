#!/usr/bin/env bash
# Installs what tests/kafka needs: Java, Maven and kcat by Debian package name, Apache Kafka by Maven
# (pom.xml).
#
#   tests/kafka/install.sh
#
# What is there already is skipped. Needs root for the packages. No service is started: the tests run the
# broker themselves.
set -eu -o pipefail
cd "$(dirname "$0")"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/dnstapd-tests/kafka

../debian kcat openssl iproute2
# Any Java from 17 on will do.
command -v java >/dev/null || ../debian openjdk-17-jre-headless
command -v mvn >/dev/null || ../debian maven

if ! cmp -s pom.xml "$cache/pom.xml"; then
    echo "fetching Apache Kafka"
    rm -rf "${cache:?}/lib"
    mkdir -p "$cache"
    mvn -B -q -f pom.xml dependency:copy-dependencies -DoutputDirectory="$cache/lib"
    cp pom.xml "$cache/pom.xml"
fi
