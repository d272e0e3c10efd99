"""Comparisons: the program's records against `oracle` and dnstap-ldns, its counters and metrics against the
records."""
import collections
import os
import subprocess

import ldns
import oracle
import tee

KEYS = ("identity", "qname", "rrtype", "query-ip", "message", "family", "protocol", "query-port",
        "response-ip", "response-port",
        "type", "length", "timestamp", "rcode", "id", "flags")
SHOWN = ("identity", "qname", "rrtype", "query-ip", "message", "family", "protocol", "query-port",
         "response-ip", "response-port",
         "type", "timestamp", "rcode", "id", "flags")


def order(record):
    return tuple(str(record[key])
                 for key in ("timestamp", "message", "id", "qname", "query-port", "response-port", "length"))


def same(got, expected, keys, where):
    """Two lists of records, field by field; the first differences are the message."""
    assert len(got) == len(expected), f"{where}: {len(got)} records for {len(expected)}"
    wrong = [f"{where}: record {number}: {key} is {one[key]!r}, not {other[key]!r} ({order(other)})"
             for number, (one, other) in enumerate(zip(got, expected)) for key in keys
             if one[key] != other[key]]
    assert not wrong, f"{len(wrong)} differences\n" + "\n".join(wrong[:8])


def records(got, connections):
    """The program's records are those of the frames that went through the tee: in order on each
    connection."""
    expected = [[oracle.parse(frame) for frame in frames] for frames in connections]
    flat = [record for records in expected for record in records]
    if len([records for records in expected if records]) > 1:
        got, flat = sorted(got, key=order), sorted(flat, key=order)
    same(got, flat, KEYS, "oracle")
    latencies(got, flat, ordered=len(connections) == 1)
    return flat


def latencies(got, expected, ordered):
    """Latency: from the query time in the response, else from the matching query before it, to the
    microsecond."""
    waiting, compared = {}, 0
    for one, other in zip(got, expected):
        kind = other["message"].partition("_")[0]
        key = (other["identity"], kind, other["query-ip"], other["query-port"], other["id"],
               other["qname"].lower())
        if other["type"] == "query":
            waiting[key] = other["time-ns"]
            assert one["latency"] == "-", one
            continue
        asked = other["query-time-ns"]
        if asked is None and not ordered:
            continue
        if asked is None:
            asked = waiting.pop(key, None)
        took = None if asked is None else other["time-ns"] - asked
        if took is None or not 0 <= took <= 60_000_000_000:
            assert one["latency"] == "-", (one, took)
        else:
            assert one["latency"] != "-" and abs(one["latency"] * 1e9 - took) <= 1000, (one, took)
            compared += 1
    return compared


def with_ldns(connections, got, folder):
    """dnstap-ldns reads the same from a copy of the stream: counts by type, and each field that it shows."""
    read, quiet, undone = [], [], []
    for number, frames in enumerate(connections):
        pairs = [ldns.known(frame) for frame in frames]
        path = os.path.join(folder, f"ldns.{number}")
        tee.capture(path, [frame for frame, _ in pairs])
        read += ldns.verbose(path)
        quiet += ldns.quiet(path)
        undone += [changed for _, changed in pairs]
        # On what dnstap-ldns knows, the very bytes of the stream are counted.
        if not any("message" in changed for _, changed in pairs):
            tee.capture(path, frames)
            assert len(ldns.quiet(path)) == len(frames)
    flat = [oracle.parse(frame) for frames in connections for frame in frames]
    assert len(read) == len(quiet) == len(flat), (f"dnstap-ldns reads {len(read)} and {len(quiet)} records, "
                                                  f"the oracle {len(flat)}")
    for one, short, other, changed in zip(read, quiet, flat, undone):
        assert short["length"] == other["length"] and short["timestamp"] == other["timestamp"], (short, other)
        assert "message" in changed or short["message"] == one["message"], (short, one)
        one["length"] = short["length"]
        for key in changed:
            one[key] = other[key]
    # dnstap-ldns against the program's own records: paired by place where there is one connection, else in
    # the order of time.
    if len([frames for frames in connections if frames]) > 1:
        places = sorted(range(len(flat)), key=lambda place: order(flat[place]))
        read = [read[place] for place in places]
        got = sorted(got, key=order)
    assert len(got) == len(read), f"dnstap-ldns reads {len(read)} records, not {len(got)}"
    compared = 0
    for one, record in zip(read, got):
        # A question that dnstap-ldns cannot parse it does not show; the oracle's word stands alone there.
        keys = [key for key in (*SHOWN, "length") if key in one]
        seen = dict(record, qname=ldns.labels(record["qname"]), flags=set(record["flags"].split()))
        same([seen], [dict(one, **{key: one.get(key, "-") for key in ("qname", "id")})], keys, "dnstap-ldns")
        compared += len(keys)
    by_type = collections.Counter(record["message"] for record in got)
    assert by_type == collections.Counter(record["message"] for record in read), by_type
    shown = sum("qname" in one for one in read)
    assert shown >= 0.9 * len([record for record in got
                               if record["length"]]), f"dnstap-ldns shows {shown} questions of {len(got)}"
    return by_type, compared


def tally(expected):
    """The counters that records amount to, by the names of the web API."""
    counts = collections.Counter()
    for record in expected:
        way = record["type"]
        counts[way] += 1
        counts[f"{way}/bytes"] += record["length"]
        for key in ("protocol", "family", "rcode", "rrtype"):
            counts[f"{way}/{record[key].lower()}"] += 1
    return counts


def with_counters(daemon, expected, identity):
    """/counters, of all streams and of the one, says what the records amount to."""
    counts = tally(expected)
    names = sorted(name for name in counts if not name.endswith("/-"))
    assert daemon.json("/streams") == {"streams": [identity]}, daemon.json("/streams")
    for stream in ("", f"&stream={identity}"):
        for at in range(0, len(names), 10):
            some = names[at:at + 10]
            counters = daemon.json("/counters?more=" + ",".join(some) + stream)["counters"]
            for name in some:
                assert counters[name] == counts[name], (f"/counters {name}{stream}: {counters[name]}, not "
                                                        f"{counts[name]}")
        # Distinct numbers are estimates: 3 % or 1 off at most here.
        # Who asks upstream is no client: `statistics.clients-of`.
        of_clients = ("CLIENT", "AUTH", "UPDATE", "STUB", "TOOL")
        for name, values in (("clients", {record["query-ip"] for record in expected
                                          if record["query-ip"] not in ("-", "::", "0.0.0.0")
                                          and record["message"].split("_")[0] in of_clients}),
                             ("domains", {record["qname"].lower() for record in expected
                                          if record["qname"] != "-"})):
            assert abs(counters[name] - len(values)) <= max(1, 0.03 * len(values)), (
                name, counters[name], len(values))
    return len(names)


def with_metrics(daemon, expected, identity, transport):
    """/metrics says the same; a Prometheus parser reads it; the accounts of the daemon add up."""
    counts, metrics = tally(expected), daemon.check_accounts()
    pairs = {"dnstap_queries": "query", "dnstap_responses": "response",
             "dnstap_queries_bytes_total": "query/bytes",
             "dnstap_responses_bytes_total": "response/bytes", "dnstap_queries_udp": "query/udp",
             "dnstap_queries_tcp": "query/tcp",
             "dnstap_response_udp": "response/udp", "dnstap_response_tcp": "response/tcp",
             "dnstap_queries_inet": "query/inet",
             "dnstap_queries_inet6": "query/inet6", "dnstap_response_inet": "response/inet",
             "dnstap_response_inet6": "response/inet6",
             "dnstap_queries_a": "query/a", "dnstap_queries_aaaa": "query/aaaa",
             "dnstap_queries_srv": "query/srv",
             "dnstap_responses_noerror": "response/noerror", "dnstap_responses_nxdomain": "response/nxdomain",
             "dnstap_responses_servfail": "response/servfail", "dnstap_responses_refused": "response/refused"}
    for family, name in pairs.items():
        for label in ("", f'{{identity="{identity}"}}'):
            assert metrics[family
                           + label] == counts[name], (f"/metrics {family}{label}: {metrics[family + label]}, "
                                                      f"not {counts[name]}")
    which = "unix-socket" if transport == "unix" else "tcp-socket"
    frames = [value for key, value in metrics.items() if key.startswith("dnstapd_frames_total{")
              and which in key]
    assert frames == [len(expected)], (frames, len(expected))
    wrong = {key: value for key, value in metrics.items()
             if value and key.startswith(("dnstapd_rejected_total", "dnstapd_output_dropped_total",
                                          "dnstapd_malformed_total"))}
    assert not wrong, wrong
    _, text = daemon.request("/metrics")
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True,
                          timeout=30)
    # Status 3 is about the style of names, which are those that dashboards know; 1 is a parse error.
    assert done.returncode in (0, 3), (done.returncode, done.stderr[:500])
    assert "error while linting" not in done.stderr, (done.returncode, done.stderr[:500])
    return len(pairs)
