#!/usr/bin/env python3
"""A network of the tests' own: a namespace with nothing but loopback, and addresses meant for documentation.

    tests/servers/network.py COMMAND...     runs a command inside; needs root

Every server has an IPv4 and an IPv6 address and listens on port 53 there; clients ask from addresses of the
same kinds (RFC 5737, RFC 3849). Nothing leaves the machine, whatever a server is asked.
"""
import os
import subprocess
import sys

MARK = "DNSTAPD_TEST_NETWORK"
CLIENTS4 = ["192.0.2.10", "198.51.100.7", "198.51.100.23", "203.0.113.25", "203.0.113.88"]
CLIENTS6 = ["2001:db8::10", "2001:db8:0:7::23", "2001:db8:beef::1"]
# The name server of what is broken: the servers are told never to ask it, so that questions there end in
# SERVFAIL at once.
NOBODY = "192.0.2.254"
SERVERS = {"origin": 53, "bind": 61, "unbound": 62, "dnsdist": 63, "recursor": 64, "nsd": 65, "knot": 66,
           "coredns": 67, "watched": 68}


def address4(server):
    return f"192.0.2.{SERVERS[server]}"


def address6(server):
    return f"2001:db8::{SERVERS[server]}"


def check(runner):
    """For suites that belong inside: says how to get there."""
    with open("/proc/net/dev") as devices:
        alone = sum(":" in line for line in devices) == 1
    assert MARK in os.environ and alone, f"this needs a network of its own: {runner}"


def enter(command):
    """Runs a command inside. In a process namespace as well: whatever it leaves behind ends with it."""
    if os.geteuid() != 0:
        sys.exit("this needs root: a network namespace, and servers on port 53")
    inside = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable, __file__,
              *command]
    os.execvpe(inside[0], inside, dict(os.environ, **{MARK: "1"}))


def run(command):
    """What `enter` runs inside: loopback and its addresses, then the command."""
    ip = lambda *words: subprocess.run(["ip", *words], check=True)
    ip("link", "set", "lo", "up")
    for address in [*CLIENTS4, *map(address4, SERVERS)]:
        ip("address", "replace", f"{address}/32", "dev", "lo")
    for address in [*CLIENTS6, *map(address6, SERVERS)]:
        ip("address", "replace", f"{address}/128", "dev", "lo", "nodad")
    os.execvp(command[0], command)


if __name__ == "__main__":
    (run if MARK in os.environ else enter)(sys.argv[1:])
