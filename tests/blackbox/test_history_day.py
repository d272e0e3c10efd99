#!/usr/bin/env python3
"""The log of a day of a home and of a storm beside what the text output of the same run says, line by line; filters beside a walk
over that; and the series beside the sums."""
import calendar
import ipaddress
import json
import random
import socket
import time

from harness import EMULATOR, Daemon, Sender, dns, message

FIELDS = ["timestamp", "identity", "message", "rcode", "query-ip", "query-port", "family", "protocol", "length",
          "qname", "rrtype", "latency"]
BEGIN = 1_790_000_000
TYPES = {1: "A", 28: "AAAA", 65: "HTTPS", 12: "PTR"}
NOWHERE = b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\0\0\0\0"


class Home:
    """A day of a home from a seed: pages ask for several names at once, clients ask again when nothing comes, ports and latencies
    are random. `frames` in the order in which a server sends them; `blocked` has the ports of what was kept back."""

    def __init__(self, seed, pages):
        self.chance, self.messages, self.ports, self.blocked = random.Random(seed), [], set(), set()
        self.names = [f"{host}.site-{number}.{tld}." for number in range(300)
                      for host, tld in [(["www", "Api", "cdn", "img"][number % 4], ["com", "org", "co.uk", "example"][number % 3])]]
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
            for qtype in ((1, 28, 65) if self.chance.random() < 0.3 else (self.chance.choice([1, 1, 1, 28, 65, 12]),)):
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
            self.add(asked, message(5, dns(name, qtype, ident), when=parts(asked), **keys))
        if latency is None or latency > 50:
            return
        rcode = self.chance.choices([0, 3, 2, 5], [80, 12, 2, 1])[0]
        answer = bytearray(dns(name, qtype, ident, flags=0x8180 | rcode))
        if qtype == 1 and rcode == 0 and self.chance.random() < 0.15:
            answer[7] = 1
            answer += NOWHERE
            self.blocked.add(port)
        self.add(at + latency, message(6, bytes(answer), when=parts(at + latency), asked=parts(at), **keys))

    def add(self, at, frame):
        self.messages.append((at, len(self.messages), frame))


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
            record = {name: line[name] for name in ("timestamp", "identity", "qname", "rrtype", "query-ip", "family", "protocol")}
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
    return [json.loads(line) for line in daemon.request(f"/log?format=ndjson&limit=0{filters}")[1].splitlines()]


def agrees(record, expected):
    latency = expected["latency"]
    return all(record[key] == expected[key] for key in ("identity", "qname", "rrtype", "query-ip", "family", "protocol", "message",
                                                       "rcode", "status")) \
        and abs(moment(record["timestamp"]) - expected["at"]) < 0.0011 \
        and (record["latency"] == "-" if latency is None else abs(record["latency"] - latency) <= 0.063 * latency + 1e-5)


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
            "client": [("192.168.1.12", lambda row: row["query-ip"] == "192.168.1.12"), ("fd00::/64", lambda row: ":" in row["query-ip"]),
                       ("192.168.1.10,192.168.1.16/30", lambda row: row["query-ip"][10:] in ("10", "16", "17", "18", "19"))],
            "name": [("com", lambda row: below("com", row)), ("WWW.site-0.com.", lambda row: below("www.site-0.com", row)),
                     ("*api*,site-2.co.uk", lambda row: "api" in row["qname"].lower() or below("site-2.co.uk", row))],
            "type": [("AAAA", lambda row: row["rrtype"] == "AAAA"), ("https,ptr", lambda row: row["rrtype"] in ("HTTPS", "PTR"))],
            "rcode": [("NXDOMAIN", lambda row: row["rcode"] == "NXDOMAIN"), ("servfail,refused", lambda row: row["rcode"] in ("SERVFAIL", "REFUSED"))],
            "status": [("blocked", lambda row: row["status"] == "blocked"), ("unanswered,pending", lambda row: row["status"] in ("unanswered", "pending"))],
            "protocol": [("TCP,DOT", lambda row: row["protocol"] in ("TCP", "DOT"))],
            "message": [("CLIENT", lambda row: True), ("CLIENT_QUERY", lambda row: row["message"] == "CLIENT_QUERY")],
            "stream": [("router", lambda row: True), ("nobody", lambda row: False)],
            "since": [(stamp(since), lambda row: row["at"] >= since)], "until": [(stamp(until), lambda row: row["at"] <= until)],
        }
        every = [[(kind, *term)] for kind, terms in kinds.items() for term in terms]
        some = [[(kind, *chance.choice(kinds[kind])) for kind in chance.sample(sorted(kinds), chance.randint(2, 4))] for _ in range(40)]
        found = 0
        for terms in every + some:
            query = "".join(f"&{kind}={value}" for kind, value, _ in terms)
            wanted = [line for line in expected if all(test(line) for _, _, test in terms)][::-1]
            rows = whole(daemon, query)
            assert len(rows) == len(wanted) and all(map(agrees, rows, wanted)), (query, len(rows), len(wanted))
            found += len(rows)
        # A latency is its class, so its filter is one over the log.
        assert whole(daemon, "&min-latency=0.05")[::-1] == [row for row in records if row["latency"] != "-" and row["latency"] >= 0.05]
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
            sender.send(*(message(5 + part, dns(f"{number:08}.{'a' * 47}.com.", ident=number % 65536, flags=0x8180 if part else 0x0100),
                                  when=(BEGIN + number // 100, number % 100 * 10_000_000), port=number % 60_000 + 1024)
                          for number in range(start, start + 500) for part in (0, 1)))
            daemon.settle()
        expected = joined(daemon.lines(), ())
        records = whole(daemon)[::-1]
        metrics = daemon.metrics()
        assert len(expected) == names and len(records) >= min(8_000, names)
        assert metrics['dnstapd_evicted_total{table="history"}'] == names - len(records)
        assert all(map(agrees, records, expected[-len(records):]))
        return f"the last {len(records)} of {names}"
