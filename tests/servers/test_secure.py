"""Unbound streams to dnstapd over TLS, with and without a certificate of its own, and so does CoreDNS; and
dnstapd connects to CoreDNS, which listens, with and without TLS. The servers answer by themselves.
"""
import os
import shutil
import socket
import subprocess
import tempfile
import time

import pytest

import certificates
import harness
from servers import COREDNS

# One after the other: they use the same ports.
pytestmark = pytest.mark.xdist_group("secure")
QUERIES = 200
NAME = "collector.example.net"


class RunningServer:
    """A server that runs while it is used, in a folder of its own."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)
        self.keeper.cleanup()


class Resolver(RunningServer):
    """Unbound on 127.0.0.1, with a zone of its own."""

    def __init__(self, collector, tls):
        self.keeper = tempfile.TemporaryDirectory()
        self.port = 5300
        conf = os.path.join(self.keeper.name, "unbound.conf")
        with open(conf, "w") as file:
            file.write(f"""
server:
  interface: 127.0.0.1@{self.port}
  username: ""
  chroot: ""
  directory: "{self.keeper.name}"
  pidfile: ""
  use-syslog: no
  logfile: ""
  num-threads: 1
  module-config: "iterator"
  local-zone: "example.test." static
  local-data: "www.example.test. A 192.0.2.1"
remote-control:
  control-enable: no
dnstap:
  dnstap-enable: yes
  dnstap-ip: "127.0.0.1@{collector.tcp[1]}"
  {tls}
  dnstap-send-identity: yes
  dnstap-identity: "resolver1"
  dnstap-log-client-query-messages: yes
  dnstap-log-client-response-messages: yes
""")
        self.log = os.path.join(self.keeper.name, "log")
        self.process = subprocess.Popen([shutil.which("unbound"), "-d", "-p", "-c", conf],
                                        stdin=subprocess.DEVNULL,
                                        stderr=open(self.log, "wb"))
        ask(self.port, 1, "probe.example.test.")


def ask(port, times, name="www.example.test."):
    """Asks over UDP until there is an answer, so often."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.5)
        sock.connect(("127.0.0.1", port))
        for number in range(times):
            for attempt in range(40):
                try:
                    sock.send(harness.dns(name, ident=number))
                    assert sock.recv(4096)[:2] == number.to_bytes(2, "big")
                    break
                except (TimeoutError, ConnectionRefusedError):
                    time.sleep(0.1)
            else:
                raise AssertionError("the server does not answer")


AUTHORITY = certificates.Authority()
SERVER = AUTHORITY.sign("collector", f"DNS:{NAME}")
CLIENT = AUTHORITY.sign("resolver1", "DNS:resolver1.example.net")
TRUSTING = f'dnstap-tls: yes\n  dnstap-tls-server-name: "{NAME}"\n  dnstap-tls-cert-bundle: "{AUTHORITY.ca}"'
CERTIFIED = (f'{TRUSTING}\n  dnstap-tls-client-key-file: "{CLIENT[1]}"\n'
             f'  dnstap-tls-client-cert-file: "{CLIENT[0]}"')


def collector(more="", server=SERVER):
    return harness.Daemon(inputs=False, extra=f"""
[input.tcp-socket]
enable = true
local-port = 0
tls-support = true
tls-server-cert = "{server[0]}"
tls-server-key = "{server[1]}"
{more}
""")


MUTUAL = f'tls-client-ca = "{AUTHORITY.ca}"'


def streams(more, tls):
    """All that Unbound sends arrives."""
    with collector(more) as it, Resolver(it, tls) as resolver:
        key = 'dnstapd_connections{input="tcp-socket"}'
        it.wait(lambda: it.metrics()[key] == 1, 10, it.log)
        ask(resolver.port, QUERIES)
        it.wait(lambda: it.metrics()['dnstapd_received_total{input="tcp-socket"}'] == 2 * QUERIES + 2, 10,
                it.log)
        records = [record for record in it.records() if record["qname"] == "www.example.test."]
        wanted = {"CLIENT_QUERY": QUERIES, "CLIENT_RESPONSE": QUERIES}
        got = {kind: sum(record["message"] == kind for record in records) for kind in wanted}
        assert got == wanted, got
        assert {record["identity"] for record in records} == {"resolver1"}
        it.check_accounts()
        assert " WARN " not in it.log(), it.log()


def refused(more, tls, metric):
    """Unbound tries, and nothing comes of it."""
    with collector(more) as it, Resolver(it, tls):
        it.wait(lambda: it.metrics().get(metric, 0) >= 1, 15, it.log)
        assert it.metrics()['dnstapd_received_total{input="tcp-socket"}'] == 0


def test_unbound_over_tls():
    streams("", TRUSTING)


def test_unbound_with_a_certificate():
    streams(MUTUAL, CERTIFIED)


def test_unbound_without_the_certificate_it_needs():
    refused(MUTUAL, TRUSTING, 'dnstapd_connections_refused_total{input="tcp-socket",reason="tls"}')


def test_unbound_that_expects_another_name():
    refused("", TRUSTING.replace(NAME, "other.example.net"),
            'dnstapd_connections_refused_total{input="tcp-socket",reason="tls"}')


def test_unbound_without_tls():
    refused("", "dnstap-tls: no", 'dnstapd_rejected_total{input="tcp-socket",reason="plaintext"}')


class CoreDns(RunningServer):
    """CoreDNS, with its dnstap to or at an address."""

    def __init__(self, where, options="", **environment):
        self.keeper, self.port = tempfile.TemporaryDirectory(), 5301
        corefile = os.path.join(self.keeper.name, "Corefile")
        with open(corefile, "w") as file:
            file.write(f"""
.:{self.port} {{
  bind 127.0.0.1
  dnstap {where} full {{
    identity edge2
    {options}
  }}
  template IN A example.test {{
    answer "{{{{ .Name }}}} 60 IN A 192.0.2.1"
  }}
}}
""")
        self.process = subprocess.Popen([COREDNS, "-conf", corefile], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, env={**os.environ, **environment})
        ask(self.port, 1, "probe.example.test.")


# CoreDNS 1.14.6 now and then writes two messages into each other and closes when it has many to send to a
# sink that connected (seen in the bytes on the way), so it is asked slowly.
SLOW_QUERIES = 20


def dials(scheme, options="", keys=""):
    """All that CoreDNS sends arrives; and again, after CoreDNS was away."""
    remote = f"""
[input.tcp-client]
enable = true
remote-address = "127.0.0.1"
remote-port = 6900
{keys}
"""
    total = 0
    connected = 'dnstapd_connections{input="tcp-client"}'
    ready = lambda: it.request("/ready", auth=False)[0].status == 200
    with harness.Daemon(inputs=False, extra=remote) as it:
        for _ in range(2):
            with CoreDns(f"listen {scheme}://127.0.0.1:6900", options) as server:
                it.wait(lambda: it.metrics()[connected] == 1 and ready(), 20, it.log)
                for _ in range(SLOW_QUERIES):
                    time.sleep(0.05)
                    ask(server.port, 1)
                total += 2 * SLOW_QUERIES
                it.wait(lambda: it.metrics()['dnstapd_received_total{input="tcp-client"}'] >= total, 10,
                        it.log)
            it.wait(lambda: it.metrics()[connected] == 0 and not ready(), 10, it.log)
        records = [record for record in it.records() if record["qname"] == "www.example.test."]
        assert len(records) == total, len(records)
        assert {record["identity"] for record in records} == {"edge2"}
        it.check_accounts()


def coredns_streams(options, **environment):
    """All that CoreDNS sends arrives, over TLS."""
    server = AUTHORITY.sign("address", "IP:127.0.0.1")
    with collector(server=server) as it, CoreDns(f"tls://127.0.0.1:{it.tcp[1]}", options,
                                                 **environment) as coredns:
        key = 'dnstapd_connections{input="tcp-socket"}'
        it.wait(lambda: it.metrics()[key] == 1, 15, it.log)
        for _ in range(SLOW_QUERIES):
            time.sleep(0.05)
            ask(coredns.port, 1)
        wanted = lambda: sum(record["qname"] == "www.example.test."
                             for record in it.records()) == 2 * SLOW_QUERIES
        it.wait(wanted, 10, it.log)
        assert {record["identity"] for record in it.records()} == {"edge2"}
        it.check_accounts()
        assert " WARN " not in it.log(), it.log()


def test_coredns_over_tls():
    coredns_streams("skipverify")


def test_coredns_over_tls_that_checks_the_certificate():
    coredns_streams("", SSL_CERT_FILE=AUTHORITY.ca)


def test_coredns_over_tls_that_does_not_trust_us():
    with collector() as it, CoreDns(f"tls://127.0.0.1:{it.tcp[1]}"):
        it.wait(lambda: it.metrics().get('dnstapd_connections_refused_total{input="tcp-socket",reason="tls"}',
                                         0) >= 1, 15, it.log)
        assert it.metrics()['dnstapd_received_total{input="tcp-socket"}'] == 0


TLS = f'tls-support = true\ntls-ca = "{AUTHORITY.ca}"\ntls-server-name = "{NAME}"'


def test_coredns_that_listens():
    dials("tcp")


def test_coredns_that_listens_with_tls():
    dials("tls", f"tls {SERVER[0]} {SERVER[1]}", TLS)


def test_coredns_that_wants_a_certificate():
    keys = f'{TLS}\ntls-client-cert = "{CLIENT[0]}"\ntls-client-key = "{CLIENT[1]}"'
    dials("tls", f"tls {SERVER[0]} {SERVER[1]} {AUTHORITY.ca}", keys)
