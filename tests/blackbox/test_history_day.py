#!/usr/bin/env python3
"""The log of a day of a home and of a storm beside what the text output of the same run says, line by line;
filters beside a walk over that; and the series beside the sums."""
import calendar
import collections
import http.client
import ipaddress
import json
import os
import random
import re
import socket
import struct
import subprocess
import time

import pytest
from harness import EMULATOR, TOP, Daemon, Sender, dns, message, temporary_folder
from test_packets import udp

TCPDUMP = os.environ.get("TCPDUMP", os.path.join(TOP, "target/tcpdump"))
FIELDS = [
    "timestamp", "identity", "message", "rcode", "query-ip", "query-port", "family", "protocol", "length",
    "qname", "rrtype", "latency"
]
BEGIN = 1_790_000_000
TYPES = {1: "A", 28: "AAAA", 65: "HTTPS", 12: "PTR"}
NOWHERE = b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\0\0\0\0"


class Home:
    """A day of a home from a seed: pages ask for several names at once, clients ask again when nothing comes,
    ports and latencies are random. `frames` in the order in which a server sends them; `blocked` has the
    ports of what was kept back."""

    def __init__(self, seed, pages):
        self.chance, self.messages, self.ports, self.blocked = random.Random(seed), [], set(), set()
        self.truth = []
        self.names = [
            f"{host}.site-{number}.{tld}." for number in range(300)
            for host, tld in [(["www", "Api", "cdn", "img"][number % 4],
                               ["com", "org", "co.uk", "example"][number % 3])]
        ]
        self.weights = [1 / (place + 1) for place in range(len(self.names))]
        self.clients = [socket.inet_aton(f"192.168.1.{number}") for number in range(10, 26)]
        self.clients += [ipaddress.ip_address(f"fd00::{number}").packed for number in range(4)]
        for _ in range(pages):
            self.page(BEGIN + self.chance.random() * 86_400)
        # At the end one comes that has all that waited too long be given up.
        self.ask(BEGIN + 86_400 + 200, self.clients[0], "end.example.", 1)
        self.frames = [frame for _, _, frame in sorted(self.messages)]

    def page(self, at):
        client = self.chance.choice(self.clients)
        for name in self.chance.choices(self.names, self.weights, k=self.chance.randint(1, 10)):
            at += self.chance.expovariate(20)
            for qtype in ((1, 28, 65) if self.chance.random() < 0.3 else
                          (self.chance.choice([1, 1, 1, 28, 65, 12]), )):
                self.ask(at, client, name, qtype)

    def ask(self, at, client, name, qtype):
        while (port := self.chance.randrange(1024, 65536)) in self.ports and len(self.ports) < 60_000:
            pass
        self.ports.add(port)
        ident, chance = self.chance.randrange(65536), self.chance.random()
        keys = dict(identity=b"router", address=client, port=port, family=1 if len(client) == 4 else 2,
                    protocol=self.chance.choices([1, 2, 3], [20, 1, 1])[0])
        latency = self.chance.lognormvariate(2.5, 1.5) / 1000 if chance < 0.97 else None
        retries = [at] + [at + 2 ** turn for turn in range(1, 4) if latency is None or latency > 2 ** turn]
        for asked in retries[:3]:
            self.add(asked, 5, dns(name, qtype, ident), keys)
        self.truth.append((int(at * 1000), client, name, TYPES[qtype], "unanswered"))
        if latency is None or latency > 50:
            return
        rcode = self.chance.choices([0, 3, 2, 5], [80, 12, 2, 1])[0]
        answer = bytearray(dns(name, qtype, ident, flags=0x8180 | rcode))
        if qtype == 1 and rcode == 0 and self.chance.random() < 0.15:
            answer[7] = 1
            answer += NOWHERE
            self.blocked.add(port)
        status = "blocked" if port in self.blocked else {0: "answered", 3: "nxdomain"}.get(rcode, "error")
        self.truth[-1] = (*self.truth[-1][:-1], status)
        self.add(at + latency, 6, bytes(answer), keys, at)

    def add(self, at, kind, payload, keys, asked=None):
        frame = message(kind, payload, when=parts(at), asked=asked and parts(asked), **keys)
        self.messages.append((at, len(self.messages), frame))


class Wire(Home):
    """The same as packets beside a resolver, which has the first address of each network."""

    def add(self, at, kind, payload, keys, asked=None):
        address = str(ipaddress.ip_address(keys["address"]))
        ends = [(address, keys["port"]), ("fd00::ffff" if ":" in address else "192.168.1.1", 53)]
        packet = udp(*(ends if kind == 5 else ends[::-1]), payload)
        self.messages.append((at, len(self.messages), (int(at * 1000) * 1_000_000, packet)))


def parts(at):
    """To the millisecond, as most clocks of routers."""
    return int(at), int(at * 1000) % 1000 * 1_000_000


def moment(timestamp):
    return calendar.timegm(time.strptime(timestamp[:19], "%Y-%m-%dT%H:%M:%S")) + float("0" + timestamp[19:26])


def joined(lines, blocked):
    """What the log should have of the lines of the text output: oldest first."""
    records, waiting = [], {}
    for line in lines:
        line = dict(zip(FIELDS, line.split(" ")))
        key = tuple(line[name] for name in ("query-ip", "query-port", "qname", "rrtype", "protocol"))
        record = waiting.get(key)
        if record is None:
            record = {
                name: line[name]
                for name in ("timestamp", "identity", "qname", "rrtype", "query-ip", "family", "protocol")
            }
            record.update(at=moment(line["timestamp"]), status="pending", latency=None)
            records.append(record)
            waiting[key] = record
        record.update(message=line["message"], rcode=line["rcode"])
        if line["message"].endswith("RESPONSE"):
            del waiting[key]
            record["latency"] = None if line["latency"] == "-" else float(line["latency"])
            status = {"NOERROR": "answered", "NXDOMAIN": "nxdomain"}.get(line["rcode"], "error")
            record["status"] = "blocked" if int(line["query-port"]) in blocked else status
    end = max(record["at"] for record in records)
    for record in records:
        if record["status"] == "pending" and record["at"] <= end - 60:
            record["status"] = "unanswered"
    return records


def whole(daemon, filters=""):
    return [
        json.loads(line) for line in daemon.request(f"/log?format=ndjson&limit=0{filters}")[1].splitlines()
    ]


def agrees(record, expected):
    latency = expected["latency"]
    keys = ("identity", "qname", "rrtype", "query-ip", "family", "protocol", "message", "rcode", "status")
    if any(record[key] != expected[key] for key in keys):
        return False
    if abs(moment(record["timestamp"]) - expected["at"]) >= 0.0011:
        return False
    if latency is None:
        return record["latency"] == "-"
    return abs(record["latency"] - latency) <= 0.063 * latency + 1e-5


def below(name, record):
    return f".{record['qname']}".lower().endswith(f".{name}.")


def test_a_day_of_a_home_is_what_the_text_says():
    home = Home(14, 120 if EMULATOR else 700)
    with Daemon(fmt="text") as daemon:
        sender = Sender(daemon.unix)
        for start in range(0, len(home.frames), 500):
            sender.send(*home.frames[start:start + 500])
        expected = joined(daemon.lines(), home.blocked)
        pending = sum(record["status"] == "pending" for record in expected)
        daemon.wait(lambda: len(daemon.json("/log?status=pending&limit=1000")["log"]) == pending, 20)
        records = whole(daemon)[::-1]
        assert len(records) == len(expected) > (700 if EMULATOR else 5_000)
        wrong = [(record, line) for record, line in zip(records, expected) if not agrees(record, line)]
        assert not wrong, f"{len(wrong)} of {len(records)}: {wrong[:2]}"
        statuses = {record["status"] for record in records}
        assert statuses >= {"answered", "blocked", "nxdomain", "error", "unanswered"}, statuses
        # Filters of all kinds and together, beside a walk over the lines of the text.
        chance = random.Random(7)
        since, until = BEGIN + 20_000, BEGIN + 70_000
        stamp = lambda at: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
        kinds = {
            "client": [("192.168.1.12", lambda row: row["query-ip"] == "192.168.1.12"),
                       ("fd00::/64", lambda row: ":" in row["query-ip"]),
                       ("192.168.1.10,192.168.1.16/30", lambda row: row["query-ip"][10:] in
                        ("10", "16", "17", "18", "19"))],
            "name": [("com", lambda row: below("com", row)),
                     ("WWW.site-0.com.", lambda row: below("www.site-0.com", row)),
                     ("*api*,site-2.co.uk",
                      lambda row: "api" in row["qname"].lower() or below("site-2.co.uk", row))],
            "type": [("AAAA", lambda row: row["rrtype"] == "AAAA"),
                     ("https,ptr", lambda row: row["rrtype"] in ("HTTPS", "PTR"))],
            "rcode": [("NXDOMAIN", lambda row: row["rcode"] == "NXDOMAIN"),
                      ("servfail,refused", lambda row: row["rcode"] in ("SERVFAIL", "REFUSED"))],
            "status": [("blocked", lambda row: row["status"] == "blocked"),
                       ("unanswered,pending", lambda row: row["status"] in ("unanswered", "pending"))],
            "protocol": [("TCP,DOT", lambda row: row["protocol"] in ("TCP", "DOT"))],
            "message": [("CLIENT", lambda row: True),
                        ("CLIENT_QUERY", lambda row: row["message"] == "CLIENT_QUERY")],
            "stream": [("router", lambda row: True), ("nobody", lambda row: False)],
            "since": [(stamp(since), lambda row: row["at"] >= since)],
            "until": [(stamp(until), lambda row: row["at"] <= until)],
        }
        every = [[(kind, *term)] for kind, terms in kinds.items() for term in terms]
        some = [[(kind, *chance.choice(kinds[kind]))
                 for kind in chance.sample(sorted(kinds), chance.randint(2, 4))]
                for _ in range(40)]
        found = 0
        for terms in every + some:
            query = "".join(f"&{kind}={value}" for kind, value, _ in terms)
            wanted = [line for line in expected if all(test(line) for _, _, test in terms)][::-1]
            rows = whole(daemon, query)
            assert len(rows) == len(wanted) and all(map(agrees, rows, wanted)), (query, len(rows),
                                                                                 len(wanted))
            found += len(rows)
        # A latency is its class, so its filter is one over the log.
        assert whole(daemon, "&min-latency=0.05")[::-1] == [
            row for row in records if row["latency"] != "-" and row["latency"] >= 0.05
        ]
        day = daemon.json("/series?period=day")
        lines = [line.split(" ")[2] for line in daemon.lines()]
        assert sum(filter(None, day["queries"])) == lines.count("CLIENT_QUERY")
        assert sum(filter(None, day["responses"])) == lines.count("CLIENT_RESPONSE")
        assert sum(filter(None, day["blocked"])) == len(home.blocked)
        devices = daemon.json("/devices?limit=1000")["devices"]
        assert sum(device["blocked"] for device in devices) == len(home.blocked) and len(devices) == 20
        assert sum(device["queries"] for device in devices) == len(records)
        return f"{len(records)} exchanges, {len(every + some)} filters that found {found}"


def test_a_storm_of_names_is_what_the_text_says():
    names = 2_000 if EMULATOR else 30_000
    with Daemon(fmt="text") as daemon:
        sender = Sender(daemon.unix)
        for start in range(0, names, 500):
            sender.send(*(message(
                5 + part,
                dns(f"{number:08}.{'a' * 47}.com.", ident=number % 65536, flags=0x8180 if part else 0x0100),
                when=(BEGIN + number // 100, number % 100 * 10_000_000),
                port=number % 60_000 + 1024) for number in range(start, start + 500) for part in (0, 1)))
            daemon.settle()
        expected = joined(daemon.lines(), ())
        records = whole(daemon)[::-1]
        metrics = daemon.metrics()
        assert len(expected) == names and len(records) >= min(8_000, names)
        assert metrics['dnstapd_evicted_total{table="history"}'] == names - len(records)
        assert all(map(agrees, records, expected[-len(records):]))
        return f"the last {len(records)} of {names}"


@pytest.mark.skipif(EMULATOR is not None and not os.environ.get("DNSTAPD_FULL"),
                    reason="an emulator is as fast as it is")
def test_any_filter_over_a_full_log_is_quick():
    """The log of the default size, under an emulator that of a router's profile, full: a home's 6,000 names.
    Each filter finds nothing or little, so it goes through all of it."""
    chance = random.Random(3)
    names = [
        f"{['www', 'api', 'cdn'][number % 3]}.host-{number}.example-{number % 700}.com."
        for number in range(6_000)
    ]
    weights, at, frames = [1 / (place + 1) for place in range(len(names))], BEGIN, []
    for name in chance.choices(names, weights, k=20_000):
        at += chance.random() * 1.2
        keys = dict(address=bytes([192, 168, 1, chance.randrange(20)]), port=chance.randrange(1024, 65536))
        qtype, ident, then = chance.choice(
            [1, 1, 28, 65]), chance.randrange(65536), at + chance.lognormvariate(2.5, 1.3) / 1000
        rcode = chance.choices([0, 3, 2], [88, 11, 1])[0]
        frames += [
            message(5, dns(name, qtype, ident), when=parts(at), **keys),
            message(6,
                    dns(name, qtype, ident, flags=0x8180 | rcode),
                    when=parts(then),
                    asked=parts(at),
                    **keys)
        ]
    times_sent = 2 if EMULATOR else 5
    with Daemon(extra='[limits]\nprofile = "small"\n' if EMULATOR else "", fmt=None) as daemon:
        sender = Sender(daemon.unix)
        sender.sock.settimeout(60)
        for _ in range(times_sent):
            for start in range(0, len(frames), 1_000):
                sender.send(*frames[start:start + 1_000])
        daemon.settle()
        evicted = int(daemon.metrics()['dnstapd_evicted_total{table="history"}'])
        assert 0 < evicted <= (30_000 if EMULATOR else 20_000), evicted
        connection, told = http.client.HTTPConnection(*daemon.api), []
        for query in [
                "client=10.0.0.1", "client=nobody", "name=nowhere.example", "name=host-5999.example-399.com",
                "name=*zzz*q*", "name=a*z,b*z,*q.org", "type=TLSA", "rcode=BADVERS", "status=unknown",
                "protocol=DOQ", "message=AUTH", "stream=nobody", "min-latency=900",
                "since=2040-01-01T00:00:00Z", "until=1990-01-01T00:00:00Z",
                "client=192.168.1.0/24&name=*zz*&type=A,AAAA&status=answered"
        ]:
            times = []
            for _ in range(9):
                start = time.perf_counter()
                connection.request("GET", f"/log?{query}", headers={"X-API-Key": "changeme"})
                answer = connection.getresponse()
                answer.read()
                times.append(time.perf_counter() - start)
                assert answer.status == 200, query
            told.append((min(times) * 1000, query))
        # Five milliseconds on a PC with nothing else to do, and 100 on an emulated router.
        assert max(told)[0] < (500 if EMULATOR else 50), told
        return f"{20_000 * times_sent - evicted} exchanges; the slowest: " + ", ".join(
            f"{ms:.1f} ms {query}" for ms, query in sorted(told)[:-4:-1])


def by_script(lines):
    """What a script makes of the lines of tcpdump: a query waits by its client and number for the next
    response to them."""
    found, waiting = [], {}
    for line in lines:
        asks = re.match(r"([\d.]+) IP6? (\S+)\.\d+ > \S+\.53: (\d+)\+ (\w+)\? (\S+) ", line)
        answers = re.match(r"[\d.]+ IP6? \S+\.53 > (\S+)\.\d+: (\d+)\S* (.*)", line)
        if asks:
            at, client, number, rrtype, name = asks.groups()
            if (client, number) in waiting:
                found.append((*waiting[client, number], "unanswered"))
            family = socket.AF_INET6 if ":" in client else socket.AF_INET
            waiting[client, number] = (int(float(at) * 1000 + 0.5), socket.inet_pton(family, client), name,
                                       {"Type65": "HTTPS"}.get(rrtype, rrtype))
        elif answers and (query := waiting.pop(answers.groups()[:2], None)):
            text = answers.group(3)
            if "NXDomain" in text:
                status = "nxdomain"
            elif re.match("ServFail|Refused", text):
                status = "error"
            else:
                status = "blocked" if " A 0.0.0.0" in text else "answered"
            found.append((*query, status))
    return found + [(*query, "unanswered") for query in waiting.values()]


@pytest.mark.skipif(EMULATOR is not None, reason="tcpdump is as fast as it is")
def test_packets_of_a_day_beside_tcpdump_and_a_script():
    """The same capture of packets: how many exchanges are right in every part, and the share that is
    blocked."""
    home = Wire(15, 600)
    truth = collections.Counter(home.truth)
    share = lambda rows: sum(row[4] == "blocked" for row in rows) / len(rows)
    with temporary_folder() as top:
        path = os.path.join(top, "day.pcap")
        with open(path, "wb") as file:
            # Raw IP, to the nanosecond.
            file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 101))
            for at, packet in home.frames:
                file.write(
                    struct.pack("<IIII", *divmod(at, 1_000_000_000), len(packet), len(packet)) + packet)
        os.chmod(path, 0o644)
        libraries = {"LD_LIBRARY_PATH": f"{TCPDUMP}/usr/lib/{os.uname().machine}-linux-gnu"}
        text = subprocess.run(
            [f"{TCPDUMP}/usr/bin/tcpdump", "-Z", "root", "-tt", "-nn", "-r", path, "port 53"],
            env=libraries,
            capture_output=True,
            text=True,
            check=True).stdout
        script = by_script(text.splitlines())
        section = f'[input.file]\nenable = true\npath = "{path}"\nat-end = "stay"\n'
        with Daemon(extra=section, fmt=None, inputs=False) as daemon:
            daemon.settle()
            daemon.wait(lambda: len(daemon.json("/log?status=pending&limit=1000")["log"]) <= 1, 20)
            ours = [(int(moment(row["timestamp"]) * 1000 + 0.5), ipaddress.ip_address(row["query-ip"]).packed,
                     row["qname"], row["rrtype"], row["status"]) for row in whole(daemon)]
    right = lambda rows: sum((collections.Counter(rows) & truth).values())
    told = (
        f"{len(home.truth)} exchanges, {share(home.truth):.2%} blocked; dnstapd: {right(ours)} right of "
        f"{len(ours)}, {share(ours):.2%} blocked; "
        f"tcpdump and a script: {right(script)} right of {len(script)}, {share(script):.2%} blocked")
    assert len(ours) == len(home.truth) and right(ours) >= len(home.truth) - 1, told
    assert share(ours) == share(home.truth), told
    assert len(script) > right(script) and abs(share(script) - share(home.truth)) > 0.001, told
    return told
