#!/usr/bin/env python3
"""Upstream servers and alarms: what /upstreams, /alarms and the metrics say of scripted scenes."""
import struct

from harness import Daemon, Sender, dns, field, message

CLIENT_QUERY, CLIENT_RESPONSE, FORWARDER_QUERY, FORWARDER_RESPONSE = 5, 6, 7, 8
NOW = 1700000000
SERVER = field(5, bytes([203, 0, 113, 53])) + field(7, 53)


def send(daemon, *messages):
    sender = Sender(daemon.unix)
    sender.send(*messages)
    sender.stop()
    daemon.settle()


def upstream(kind, number, when, rcode=0):
    payload = dns(f"n{number}.example.com.", ident=number, flags=0x8180 | rcode if kind % 2 == 0 else 0x0100)
    return message(kind, payload, when=when, address=bytes([198, 51, 100, 7]), more=SERVER)


def kinds(daemon):
    return [(alarm["kind"], alarm["subject"], alarm["count"]) for alarm in daemon.json("/alarms")["alarms"]]


def client(kind, name, number=1, when=NOW, flags=None, answer=b""):
    payload = bytearray(dns(name, ident=number, flags=flags or (0x8180 if kind % 2 == 0 else 0x0100)) + answer)
    payload[7] = 1 if answer else 0
    return message(kind, bytes(payload), when=(when, 0))


def test_upstreams():
    with Daemon(fmt=None) as daemon:
        messages = []
        for number in range(100):
            messages.append(upstream(FORWARDER_QUERY, number, (NOW, 0)))
            if number < 90:
                messages.append(upstream(FORWARDER_RESPONSE, number, (NOW, 50_000_000), {0: 2, 1: 5}.get(number, 0)))
        # A minute and more later by the messages' time: ten were never answered.
        messages.append(upstream(FORWARDER_QUERY, 1000, (NOW + 100, 0)))
        messages.append(upstream(FORWARDER_RESPONSE, 1000, (NOW + 100, 50_000_000)))
        send(daemon, *messages)
        daemon.wait(lambda: daemon.json("/upstreams")["upstreams"][0]["timeouts"] == 10, why=lambda: daemon.json("/upstreams"))
        (server,) = daemon.json("/upstreams")["upstreams"]
        assert list(server) == ["server", "port", "stream", "queries", "responses", "timeouts", "servfail", "refused",
                                "latency-p50", "latency-p95", "latency-p99"]
        assert (server["server"], server["port"], server["stream"]) == ("203.0.113.53", 53, "lb1")
        assert [server[key] for key in ("queries", "responses", "servfail", "refused")] == [101, 91, 1, 1]
        assert abs(server["latency-p95"] / 0.05 - 1) < 0.063, server
        metrics = daemon.metrics()
        for name, value in (("queries", 101), ("responses", 91), ("timeouts", 10), ("servfail", 1), ("refused", 1)):
            assert metrics[f'dnstap_upstream_{name}_total{{server="203.0.113.53"}}'] == value
        assert 0.047 < metrics['dnstap_upstream_latency_seconds{server="203.0.113.53",quantile="0.99"}'] < 0.054


def test_a_slow_upstream():
    with Daemon(fmt=None, extra="[health.slow-upstream]\nthreshold = 0.5") as daemon:
        send(daemon, *(one for number in range(30) for one in (upstream(FORWARDER_QUERY, number, (NOW, 0)),
                                                                upstream(FORWARDER_RESPONSE, number, (NOW, 800_000_000)))))
        daemon.wait(lambda: kinds(daemon), why=lambda: "no alarm")
        ((kind, subject, count),) = kinds(daemon)
        assert (kind, subject) == ("slow-upstream", "203.0.113.53") and 750 <= count <= 850


def test_random_subdomains_and_tunnels():
    with Daemon(fmt=None) as daemon:
        benign = [client(CLIENT_QUERY, f"www.site{number % 150}.example{number % 300}.org.") for number in range(2000)]
        send(daemon, *benign)
        assert kinds(daemon) == []
        send(daemon, *(client(CLIENT_QUERY, f"x{number}.victim.net.") for number in range(400)))
        (alarm,) = daemon.json("/alarms")["alarms"]
        assert (alarm["kind"], alarm["subject"]) == ("random-subdomains", "victim.net."), alarm
        assert alarm["first"] == "2023-11-14T22:13:20.000000+00:00" and "victim.net." in alarm["text"]
        send(daemon, *(client(CLIENT_QUERY, f"{'%02x' % number * 30}.{'%02x' % number * 30}.t.exit.com.", when=NOW + number * 60)
                       for number in range(60)))
        assert [(kind, subject) for kind, subject, _ in kinds(daemon)] == [("tunnel", "exit.com."), ("random-subdomains", "victim.net.")]
        assert daemon.metrics()['dnstapd_alarms_total{kind="tunnel"}'] == 1


def test_rebinding():
    record = lambda address: b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + bytes(address)
    with Daemon(fmt=None) as daemon:
        send(daemon, client(CLIENT_RESPONSE, "nas.lan.", answer=record([192, 168, 1, 2])),
             client(CLIENT_RESPONSE, "www.example.com.", answer=record([192, 0, 2, 1])),
             client(CLIENT_RESPONSE, "ads.example.com.", answer=record([0, 0, 0, 0])))
        assert kinds(daemon) == []
        send(daemon, client(CLIENT_RESPONSE, "evil.example.com.", answer=record([192, 168, 1, 1])))
        assert kinds(daemon) == [("rebinding", "evil.example.com.", 1)]


def test_bursts_and_new_devices():
    extra = "[health.nxdomain-burst]\nthreshold = 50\n[health.new-device]\nenable = true"
    with Daemon(fmt=None, extra=extra) as daemon:
        send(daemon, *(client(CLIENT_RESPONSE, f"n{number}.example.com.", flags=0x8183) for number in range(120)))
        assert kinds(daemon) == [("nxdomain-burst", "lb1", 50)]
        send(daemon, *[client(CLIENT_QUERY, "www.example.com.")] * 3)
        assert kinds(daemon)[0] == ("new-device", "192.0.2.10", 1) and len(kinds(daemon)) == 2


def test_off():
    with Daemon(fmt=None, extra="[health]\nenable = false") as daemon:
        send(daemon, upstream(FORWARDER_QUERY, 1, (NOW, 0)))
        assert daemon.json("/upstreams") == {"upstreams": []} and daemon.json("/alarms") == {"alarms": []}
        assert not any(key.startswith("dnstap_upstream") for key in daemon.metrics())
