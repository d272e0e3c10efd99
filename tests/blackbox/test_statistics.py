#!/usr/bin/env python3
"""What is counted, of whom, and for how long: clients, streams, pairs, and the conventional metrics."""
import re
import time

import harness
from harness import Daemon, Sender, dns, message

CLIENT_QUERY, CLIENT_RESPONSE, RESOLVER_QUERY, FORWARDER_QUERY, FORWARDER_RESPONSE = 5, 6, 3, 7, 8
ROUTER = bytes([198, 51, 100, 7])


def send(daemon, *messages):
    sender = Sender(daemon.unix)
    sender.send(*messages)
    sender.stop()
    daemon.settle()


def test_the_router_is_no_client():
    """Ten questions of one client, each asked on: one client, and no table has the router."""
    messages = []
    for number in range(10):
        payload = {
            response: dns(f"n{number}.example.com.", ident=number, flags=0x8180 if response else 0x0100)
            for response in (False, True)
        }
        messages += [message(CLIENT_QUERY, payload[False]),
                     message(FORWARDER_QUERY, payload[False], address=ROUTER),
                     message(FORWARDER_RESPONSE, payload[True], address=ROUTER),
                     message(CLIENT_RESPONSE, payload[True])]
    with Daemon(fmt=None) as daemon:
        send(daemon, *messages)
        counters = daemon.json("/counters?more=upstream-only")["counters"]
        assert (counters["clients"], counters["domains"], counters["query"]) == (1, 10, 20), counters
        assert counters["upstream-only"] == 0
        assert daemon.json("/tables")["tables"]["clients"]["hit/ip"] == [["192.0.2.10", 20]]
    with Daemon(extra='[statistics]\nclients-of = ["FORWARDER"]', fmt=None) as daemon:
        send(daemon, *messages)
        assert daemon.json("/tables")["tables"]["clients"]["hit/ip"] == [["198.51.100.7", 20]]


def rates(daemon, *streams):
    """The average rates of some streams, `None` for all together."""
    of = lambda stream: "&stream=" + stream if stream else ""
    return [
        daemon.json("/counters?more=qps-1m,rps-1m,upstream-only" + of(stream))["counters"]
        for stream in streams
    ]


def test_rates_count_clients_or_else_upstreams():
    with Daemon(fmt=None) as daemon:
        send(daemon, *[message(CLIENT_QUERY, identity=b"both")] * 100,
             *[message(RESOLVER_QUERY, identity=b"both")] * 900,
             *[message(RESOLVER_QUERY, identity=b"recursor")] * 500)
        daemon.wait(lambda: rates(daemon, "both")[0]["qps-1m"] > 0)
        everything, both, recursor = rates(daemon, None, "both", "recursor")
        assert (both["upstream-only"], recursor["upstream-only"], everything["upstream-only"]) == (0, 1, 0)
        assert 4.5 < recursor["qps-1m"] / both["qps-1m"] < 5.5, (both, recursor)
        assert everything["qps-1m"] == both["qps-1m"], "the recursor asks for others"


def test_type_and_protocol_tell_exchanges_apart():
    """A browser over DoH asks A, AAAA and HTTPS of one name at once, from one port, all with id 0."""
    at = lambda ms: (1700000000, ms * 1_000_000)
    flags = {CLIENT_QUERY: 0x0100, CLIENT_RESPONSE: 0x8180}
    of = lambda kind, qtype, ms: message(
        kind, dns(qtype=qtype, ident=0, flags=flags[kind]), when=at(ms), protocol=4)
    with Daemon() as daemon:
        send(daemon, of(CLIENT_QUERY, 1, 0), of(CLIENT_QUERY, 28, 1), of(CLIENT_QUERY, 65, 2),
             of(CLIENT_RESPONSE, 1, 20), of(CLIENT_RESPONSE, 65, 32), of(CLIENT_RESPONSE, 28, 181))
        found = [(record["rrtype"], record["latency"])
                 for record in daemon.records()
                 if record["type"] == "response"]
        assert found == [("A", 0.02), ("HTTPS", 0.03), ("AAAA", 0.18)], found


def test_a_clock_that_was_a_day_ahead_leaves_nothing_behind():
    """The table is full of queries stamped a day ahead; those of now are paired all the same, every one."""
    now, flags = 1700000000, {CLIENT_QUERY: 0x0100, CLIENT_RESPONSE: 0x8180}
    of = lambda kind, number, seconds: message(
        kind, dns(f"n{number}.example.com.", ident=number, flags=flags[kind]), when=(seconds, 0))
    with Daemon(extra="[limits]\npairing = 256", fmt=None) as daemon:
        send(daemon, *(of(CLIENT_QUERY, number, now + 86400) for number in range(2000)))
        evicted = daemon.metrics()['dnstapd_evicted_total{table="pairing"}']
        for number in range(200):
            send_of = [of(CLIENT_QUERY, number, now), of(CLIENT_RESPONSE, number, now)]
            sender = Sender(daemon.unix)
            sender.send(*send_of)
            sender.stop()
        daemon.settle()
        metrics = daemon.metrics()
        assert metrics["dnstap_latency_seconds_count"] == 200, metrics["dnstap_latency_seconds_count"]
        assert metrics['dnstapd_evicted_total{table="pairing"}'] == evicted


def streams(daemon):
    return daemon.json("/streams")["streams"]


def test_invented_identities_take_no_place_for_good():
    """A storm takes what is free, and no more: a reserved place waits, a silent stream makes room, and so
    does a reset."""
    invented = [message(identity=b"invented%d" % number) for number in range(10)]
    config = '[limits]\nstreams = 4\n[statistics]\nstreams = ["ns1"]\nforget-after = 3'
    with Daemon(extra=config, fmt=None) as daemon:
        send(daemon, *invented)
        assert streams(daemon) == ["invented0", "invented1", "invented2", "other"]
        send(daemon, *[message(identity=b"ns1")] * 5, *[message(identity=b"ns2")] * 7)
        assert streams(daemon) == ["ns1", "invented0", "invented1", "invented2", "other"]
        assert daemon.json("/counters?stream=ns1&more=query")["counters"]["query"] == 5
        before = daemon.metrics()
        time.sleep(4.5)
        send(daemon, *[message(identity=b"ns2")] * 7)
        assert "ns2" in streams(daemon) and len(streams(daemon)) == 5, streams(daemon)
        assert daemon.json("/counters?stream=ns2&more=query,clients,domains")["counters"]["query"] == 7
        # What a forgotten stream had counted stays in the sums.
        after = daemon.metrics()
        for name in ("dnstap_queries", "dnstap_queries_udp", "dnstap_queries_a",
                     "dnstap_queries_bytes_total"):
            assert after[name] > before[name], name
        assert after["dnstap_queries"] == before["dnstap_queries"] + 7
        assert daemon.json("/counters?more=query/com")["counters"]["query/com"] == after["dnstap_queries"]
        assert daemon.request("/reset", "DELETE")[0].status == 204
        send(daemon, message(identity=b"ns3"))
        assert "ns3" in streams(daemon), "the streams that are silent since a reset make room at once"


def test_an_identity_that_reads_other():
    with Daemon(extra="[limits]\nstreams = 2", fmt=None) as daemon:
        send(daemon, message(identity=b"other"), message(identity=b"a"), message(identity=b"b"))
        assert streams(daemon) == ["\\111ther", "a", "other"]
        assert daemon.json("/counters?more=query&stream=%5C111ther")["counters"]["query"] == 1
        _, body = daemon.request("/metrics")
        series = [line.rsplit(" ", 1)[0] for line in body.splitlines() if line and line[0] != "#"]
        assert len(series) == len(set(series))


def test_a_table_that_is_not_kept_says_so():
    with Daemon(extra='[limits]\nprofile = "tiny"', fmt=None) as daemon:
        send(daemon, message(identity=b"first"), message(identity=b"second"))
        assert "not-kept" not in daemon.json("/tables") and "not-kept" not in daemon.json(
            "/tables?stream=first")
        document = daemon.json("/tables?stream=second")
        assert document["not-kept"] == "limits.profile" and document["tables"]["clients"]["hit/ip"] == [], (
            document
        )


def test_conventional_metrics():
    with Daemon(extra='[statistics]\nexport-top = 2\ntrack = ["hit/query"]', fmt=None) as daemon:
        send(
            daemon, message(identity=b"a"), message(identity=b"a", protocol=4, payload=dns(qtype=65)),
            message(CLIENT_RESPONSE, identity=b"a", asked=(1600282313, 589000000)),
            message(RESOLVER_QUERY, identity=b"b", protocol=None, payload=dns("x.example.org.", qtype=60000)),
            message(99, identity=b"b"))
        metrics = daemon.metrics()
        found = {key: value for key, value in metrics.items() if key.startswith("dnstapd_messages_total")}
        assert found == {'dnstapd_messages_total{identity="a",message="CLIENT_QUERY",protocol="UDP"}': 1,
                         'dnstapd_messages_total{identity="a",message="CLIENT_QUERY",protocol="DOH"}': 1,
                         'dnstapd_messages_total{identity="a",message="CLIENT_RESPONSE",protocol="UDP"}': 1,
                         'dnstapd_messages_total{identity="b",message="RESOLVER_QUERY",protocol="-"}': 1,
                         'dnstapd_messages_total{identity="b",message="other",protocol="UDP"}': 1}, found
        assert [
            metrics[f'dnstapd_queries_by_type_total{{type="{name}"}}'] for name in ("A", "HTTPS", "TYPE60000")
        ] == [2, 1, 1]
        assert metrics['dnstapd_responses_by_code_total{rcode="NOERROR"}'] == 1
        bounds = re.findall(r'dnstap_latency_seconds_bucket\{le="([^"]+)"\}', "\n".join(metrics))
        assert bounds == "0.0005 0.001 0.002 0.005 0.01 0.02 0.05 0.1 0.2 0.5 1 2 5 +Inf".split()
        assert metrics['dnstap_latency_seconds_bucket{le="0.002"}'] == 0
        assert metrics['dnstap_latency_seconds_bucket{le="0.005"}'] == 1
        assert metrics["dnstap_latency1_10"] == 1
        top = {key: value for key, value in metrics.items() if key.startswith("dnstapd_top{")}
        assert top['dnstapd_top{table="hit/query",name="www.example.com."}'] == 3, top
        assert top['dnstapd_top{table="hit/ip",name="192.0.2.10"}'] == 3, top
        for table in {re.search('table="([^"]+)"', key).group(1) for key in top}:
            assert sum(f'table="{table}"' in key for key in top) <= 2


@harness.natively("it starts the program by way of setarch")
def test_seeds_are_not_those_of_the_memory():
    """With addresses of memory that are the same in every run, two runs still count with different hashes:
    their estimates of 20,000 names differ."""
    def estimate():
        with Daemon(fmt=None, under=("setarch", "-R")) as daemon:
            sender = Sender(daemon.unix)
            for start in range(0, 20_000, 2_000):
                sender.send(*(message(payload=dns(f"n{number}.example.com."))
                              for number in range(start, start + 2_000)))
            sender.stop()
            daemon.settle()
            return daemon.json("/counters?more=domains")["counters"]["domains"]
    estimates = {estimate() for _ in range(3)}
    assert len(estimates) > 1, estimates
