#!/usr/bin/env python3
"""The log of exchanges beside the text output of the same run, its filters beside a walk over all, and names
of devices."""
import collections
import csv
import io
import itertools
import json
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from harness import EMULATOR, Daemon, Sender, dns, message, natively, temporary_folder

DATA = pathlib.Path(__file__).parent.parent / "data"
CLIENT_QUERY, CLIENT_RESPONSE = 5, 6
FIELDS = [
    "timestamp", "identity", "message", "rcode", "query-ip", "query-port", "family", "protocol", "length",
    "qname", "rrtype", "latency"
]
SHARED = ["identity", "qname", "rrtype", "query-ip", "family", "protocol"]


def replayed(name, extra=""):
    path = DATA / name
    section = f'[input.file]\nenable = true\npath = "{path}"\nat-end = "stay"\n{extra}'
    return Daemon(extra=section, fmt="text", inputs=False)


def lines(daemon):
    return [dict(zip(FIELDS, line.split(" "))) for line in daemon.lines()]


def whole_log(daemon, filters=""):
    """All records, newest first, page by page."""
    records, before = [], ""
    while True:
        page = daemon.json(f"/log?limit=37{filters}{before}")
        records += page["log"]
        if page["next"] is None:
            return records
        before = f"&before={page['next']}"


def seconds(timestamp):
    return float(timestamp[17:26]) + 60 * int(timestamp[14:16]) + 3600 * int(timestamp[11:13])


@pytest.mark.parametrize("capture", sorted(path.name for path in DATA.glob("*.fstrm")))
def test_every_record_agrees_with_the_text_output(capture):
    with replayed(capture) as daemon:
        daemon.settle()
        text = lines(daemon)
        records = whole_log(daemon)
    assert records and text
    unused = list(text)
    for record in reversed(records):
        found = [
            line for line in unused
            if line["message"] == record["message"] and line["rcode"] == record["rcode"] and all(
                line[key] == record[key] for key in SHARED)
        ]
        assert found, record
        is_response = record["message"].endswith("RESPONSE")
        for line in found:
            latency = 0 if line["latency"] == "-" or not is_response else float(line["latency"])
            kept = 0 if record["latency"] == "-" else record["latency"]
            start = seconds(line["timestamp"]) - latency if record["timestamp"] != "-" else 0
            if (abs(kept - latency) <= 0.063 * latency + 0.0011 and (
                    record["timestamp"] == "-" or abs(start - seconds(record["timestamp"])) <= 0.0025)):
                unused.remove(line)
                break
        else:
            raise AssertionError((record, found))
    # What is left are queries, which are one record with their responses.
    assert all(line["message"].endswith("QUERY") for line in unused), unused[:3]
    responses = sum(line["message"].endswith("RESPONSE") for line in text)
    assert responses == sum(record["message"].endswith("RESPONSE") for record in records)


@pytest.mark.parametrize("filters, keeps", [
    ("type=A,AAAA", lambda record: record["rrtype"] in ("A", "AAAA")),
    ("rcode=NXDOMAIN", lambda record: record["rcode"] == "NXDOMAIN"),
    ("status=error,nxdomain", lambda record: record["status"] in ("error", "nxdomain")),
    ("message=CLIENT", lambda record: record["message"].startswith("CLIENT_")),
    ("message=client_query", lambda record: record["message"] == "CLIENT_QUERY"),
    ("protocol=TCP&stream=resolver1", lambda record: record["protocol"] == "TCP"),
    ("name=example.org.", lambda record: f".{record['qname']}".lower().endswith(".example.org.")),
    ("name=*ample.c*", lambda record: "ample.c" in record["qname"].lower()),
    ("client=192.0.2.0/24", lambda record: record["query-ip"].startswith("192.0.2.")),
    ("min-latency=0.0001", lambda record: record["latency"] != "-" and record["latency"] >= 0.0001),
    ("since=2026-11-23T06:12:54.2Z", lambda record: record["timestamp"] >= "2026-11-23T06:12:54.2"),
    ("stream=nobody", lambda record: False),
])
def test_a_filter_is_a_walk_over_all(filters, keeps):
    with replayed("unbound.fstrm") as daemon:
        daemon.settle()
        records = whole_log(daemon)
        assert whole_log(daemon, f"&{filters}") == [record for record in records if keeps(record)]


def test_forms_and_mistakes():
    with replayed("unbound.fstrm") as daemon:
        daemon.settle()
        records = whole_log(daemon)
        ndjson = daemon.request("/log?format=ndjson&limit=0")[1]
        assert [json.loads(line) for line in ndjson.splitlines()] == records
        rows = list(csv.DictReader(io.StringIO(daemon.request("/log?format=csv&limit=0")[1])))
        assert [row["qname"].lstrip("'") for row in rows] == [record["qname"] for record in records]
        for form, kind in [("json", "application/json"), ("ndjson", "application/x-ndjson"),
                           ("csv", "text/csv")]:
            for method in ("GET", "HEAD"):
                answer, _ = daemon.request(f"/log?format={form}", method)
                assert answer.getheader("Content-Type") == f"{kind}; charset=utf-8", (form, method)
        for wrong in [
                "limit=0", "limit=1001", "type=NONSENSE", "since=yesterday", "before=x", "status=late",
                "nothing=1"
        ]:
            assert daemon.request(f"/log?{wrong}")[0].status == 400, wrong
        # A list has commas; what is said twice is a mistake, not its first half.
        for path, name in (("/log?type=A&type=AAAA", "type"), ("/live?client=a&client=b", "client"),
                           ("/pairs?client=a&n=1&n=2", "n"), ("/devices?limit=1&limit=1", "limit")):
            answer, body = daemon.request(path)
            assert answer.status == 400 and f"`{name}` is given more than once" in json.loads(
                body)["error"], body
        assert daemon.request("/series?period=year")[0].status == 400
        day = daemon.json("/series?period=day")
        assert (len(day["queries"]), day["step"]) == (1440, 60) and day["end"] % 60 == 0


def test_kinds_that_differ_are_one_exchange_in_the_log():
    """BIND calls a query AUTH when it does not ask for recursion, and a response when it is authoritative."""
    auth_query, auth_response = 1, 2
    with Daemon(fmt=None) as daemon:
        sender = Sender(daemon.unix)
        for number, (asked, answered) in enumerate([(CLIENT_QUERY, auth_response),
                                                    (auth_query, CLIENT_RESPONSE)]):
            question = dict(port=50_000 + number)
            payload = dns("zone.example.", ident=number)
            sender.send(
                message(asked, payload, when=(1_600_000_000, 0), **question),
                message(answered,
                        payload[:2] + b"\x85\x80" + payload[4:],
                        when=(1_600_000_000, 5_000_000),
                        asked=(1_600_000_000, 0),
                        **question))
        daemon.settle()
        records = whole_log(daemon)
        found = [(record["message"], record["status"], record["latency"] != "-") for record in records]
        assert found == [("CLIENT_RESPONSE", "answered", True), ("AUTH_RESPONSE", "answered", True)], records
        (device,) = daemon.json("/devices")["devices"]
        assert device["queries"] == 2, device
        sender.stop()
        assert daemon.stop() == 0


def test_a_device_is_called_by_its_lease():
    with temporary_folder() as top:
        check_lease(pathlib.Path(top) / "leases")


def check_lease(leases):
    names = f'[names]\nfiles = ["{leases}"]\nneighbours = false\n[names.static]\n"192.0.2.11" = "tv"'
    with Daemon(extra=names, fmt=None) as daemon:
        sender = Sender(daemon.unix)
        sender.send(message(CLIENT_QUERY, dns("a.example.", ident=1, flags=0x0100)))
        daemon.settle()
        assert daemon.json("/log")["log"][0]["status"] == "pending"
        leases.write_text("0 aa:bb:cc:dd:ee:ff 192.0.2.10 phone *\n0.0.0.0 ads.example\n", encoding="ascii")
        sender.send(message(CLIENT_RESPONSE, dns("a.example.", ident=1, flags=0x8180)))
        sender.stop()
        deadline = time.monotonic() + 10
        while daemon.json("/devices")["devices"][0]["name"] is None and time.monotonic() < deadline:
            time.sleep(0.2)
        (device,) = daemon.json("/devices")["devices"]
        assert (device["name"], device["mac"], device["addresses"], device["queries"]) == (
            "phone", "aa:bb:cc:dd:ee:ff", ["192.0.2.10"], 1), device
        (record,) = daemon.json("/log?client=PHONE")["log"]
        assert (record["device"], record["status"]) == ("phone", "answered")
        assert daemon.json("/log?client=tv")["log"] == []
        assert daemon.request("/history", method="DELETE")[0].status == 204
        assert daemon.json("/log")["log"] == [] and daemon.json("/devices")["devices"] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a network of its own")
@natively("the emulator hands on no lists of interfaces and neighbours")
def test_a_mac_joins_addresses_of_a_subnet_alone():
    """A router answers for the world outside with its own MAC: those addresses are devices of their own."""
    setup = (
        "set -e; ip link set lo up; ip link add d0 type veth peer name d1; ip link set d1 up; ip link set d0 "
        "up; "
        "ip addr add 10.9.0.1/24 dev d0; "
        "for a in 10.9.0.5 10.9.0.6 10.8.0.7; do ip neigh replace $a lladdr 02:00:00:00:00:05 dev d0 nud "
        "permanent; done; "
        'exec "$@"')
    with Daemon(extra="[names]\nfiles = []", fmt=None, under=["unshare", "--net", "sh", "-c", setup,
                                                              "sh"]) as daemon:
        sender = Sender(daemon.unix)
        for client in ["10.9.0.5", "10.9.0.6", "10.8.0.7"]:
            sender.send(
                message(CLIENT_QUERY,
                        dns("a.example.", ident=1, flags=0x0100),
                        address=socket.inet_aton(client)))
        sender.stop()
        ask = ("import urllib.request as u; print(u.urlopen(u.Request('http://127.0.0.1:%d/devices', headers="
               "{'X-API-Key': 'changeme'})).read().decode())" % daemon.api[1])
        inside = ["nsenter", "-t", str(daemon.process.pid), "-n", sys.executable, "-c", ask]
        deadline, devices = time.monotonic() + 20, []
        while len(devices) != 2 and time.monotonic() < deadline:
            devices = json.loads(subprocess.check_output(inside))["devices"]
        assert sorted((sorted(device["addresses"]), device["mac"]) for device in devices) == [
            (["10.8.0.7"], None), (["10.9.0.5", "10.9.0.6"], "02:00:00:00:00:05")]


def test_tables_know_devices():
    names = ('[names]\nfiles = []\nneighbours = false\n[names.static]\n"192.0.2.10" = "tv"\n'
             '[statistics]\nclients-of = ["CLIENT"]')
    with Daemon(extra=names, fmt=None) as daemon:
        sender = Sender(daemon.unix)
        queries = [
            message(CLIENT_QUERY, dns("a.example.", ident=number, flags=0x0100)) for number in range(3)
        ]
        sender.send(*queries)
        sender.stop()
        daemon.settle()
        clients = daemon.json("/tables?detail=1&more=hit/device")["tables"]["clients"]
        assert (clients["hit/ip"], clients["hit/ip/names"]) == ([["192.0.2.10", 3]], [["192.0.2.10", "tv"]])
        assert clients["hit/device"] == [["tv", 3]]
        assert clients["hit/device/detail"] == {"errors": [["tv", 0]], "rest": 0}
        assert "hit/device" not in daemon.json("/tables")["tables"]["clients"]
        assert "tv" not in str(daemon.metrics())


def test_metrics_have_devices_where_the_tables_are_asked_for():
    names = (
        '[names]\nfiles = []\nneighbours = false\n[names.static]\n"192.0.2.10" = "the \\"tv\\""\n'
        '"192.0.2.11" = "the \\"tv\\""\n'
        '[statistics]\nexport-top = 2\nclients-of = ["CLIENT"]\ntrack = ["hit/query", "hit/device"]')
    with Daemon(extra=names, fmt=None) as daemon:
        sender = Sender(daemon.unix)
        for number, client in enumerate([10, 10, 10, 12, 12, 13]):
            sender.send(
                message(CLIENT_QUERY, dns("a.example.", ident=number), address=bytes([192, 0, 2, client])))
        daemon.settle()
        top = {key: number for key, number in daemon.metrics().items() if 'table="hit/device"' in key}
        assert top == {r'dnstapd_top{table="hit/device",name="the \"tv\""}': 3,
                       'dnstapd_top{table="hit/device",name="192.0.2.12"}': 2}, top
        assert daemon.json("/tables")["tables"]["clients"]["hit/device"][:2] == [['the "tv"', 3],
                                                                                 ["192.0.2.12", 2]]


def with_one_query(fmt, extra=""):
    """The record of a query from 192.0.2.10, which is called `my tv`."""
    names = f'[names]\nfiles = []\nneighbours = false\n{extra}[names.static]\n"192.0.2.10" = "my tv"'
    with Daemon(extra=names, fmt=fmt) as daemon:
        sender = Sender(daemon.unix)
        sender.send(message(CLIENT_QUERY, dns("a.example.", ident=1, flags=0x0100)))
        sender.stop()
        daemon.settle()
        return daemon.lines()


def test_records_end_in_the_name_of_the_device_if_asked_for():
    assert with_one_query("text", "records = true\n")[0].endswith(" a.example. A - my\\032tv")
    assert with_one_query("json", "records = true\n")[0].endswith(',"latency":"-","device":"my\\\\032tv"}')
    assert with_one_query("yaml", "records = true\n")[-1] == 'device: "my\\\\032tv"'
    assert with_one_query("text")[0].endswith(" a.example. A -")
    # The form of a record stays where clients are hidden, and nobody has a name.
    hidden = 'records = true\n[privacy]\nclient = "mask"\n'
    assert with_one_query("text", hidden)[0].endswith(" 192.0.2.0 50000 INET UDP 27b a.example. A - -")


def test_a_reload_gives_records_their_devices():
    names = '[names]\nfiles = []\nneighbours = false\nrecords = false\n[names.static]\n"192.0.2.10" = "tv"\n'
    with Daemon(extra=names, fmt="text") as daemon:
        def ask(ident):
            sender = Sender(daemon.unix)
            sender.send(message(CLIENT_QUERY, dns("a.example.", ident=ident, flags=0x0100)))
            sender.stop()
            return daemon.lines()[-1]

        assert ask(1).endswith(" A -")
        with open(daemon.config, encoding="utf-8") as file:
            config = file.read()
        daemon.write(config.replace("records = false", "records = true"))
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_for_log("Reloaded; taken over: names")
        assert ask(2).endswith(" A - tv")


def live(daemon, filters="", cursor=None, receive=None):
    """A reader of /live, after its head: socket and what is read so far."""
    sock = socket.socket()
    if receive:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    sock.settimeout(20)
    sock.connect(daemon.api)
    last = f"Last-Event-ID: {cursor}\r\n" if cursor else ""
    sock.sendall(
        f"GET /live?{filters} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: changeme\r\n{last}\r\n".encode())
    head = b""
    while b"\r\n\r\n" not in head:
        part = sock.recv(1)
        assert part, head
        head += part
    return sock, head.decode()


def read_events(sock):
    """One event after the other: kind, cursor, data."""
    text = ""
    while True:
        part = sock.recv(65536)
        assert part, text
        text += part.decode()
        *whole, text = text.split("\n\n")
        for event in whole:
            fields = dict(line.split(": ", 1) for line in event.splitlines() if ": " in line)
            if fields:
                yield fields["event"], fields.get("id"), json.loads(fields["data"])


def events(sock, wanted):
    return list(itertools.islice(read_events(sock), wanted))


def exchanges(names, first=1):
    for number, name in enumerate(names, first):
        yield message(CLIENT_QUERY, dns(name, ident=number, flags=0x0100))
        yield message(CLIENT_RESPONSE, dns(name, ident=number, flags=0x8180))


def test_live_readers_see_exchanges_once_and_go_on_where_they_were():
    with Daemon(fmt=None) as daemon:
        sender = Sender(daemon.unix)
        reader, head = live(daemon, "name=example.org,example.net")
        assert head.startswith("HTTP/1.1 200 ") and "text/event-stream" in head, head
        sender.send(message(CLIENT_QUERY, dns("waits.example.org.", ident=99, flags=0x0100)),
                    *exchanges(["a.example.org.", "b.example.com.", "c.example.net."]))
        first, second = events(reader, 2)
        assert [first[0], first[2]["qname"], first[2]["status"]] == ["record", "a.example.org.",
                                                                     "answered"], first
        assert second[2]["qname"] == "c.example.net.", second
        assert first[2] in daemon.json("/log?name=a.example.org")["log"]
        assert [
            row["qname"]
            for row in daemon.json(f"/log?before={second[1]}&name=example.com,example.org")["log"]
        ][0] == "b.example.com."
        reader.close()
        again, _ = live(daemon, cursor=first[1])
        assert [event[2]["qname"] for event in events(again, 2)] == ["b.example.com.", "c.example.net."]
        # The place of the one that left is free again, and there are four.
        others = [live(daemon)[0] for _ in range(3)]
        assert live(daemon)[1].startswith("HTTP/1.1 503 ")
        assert daemon.request("/live", "HEAD")[0].status == 200
        for wrong in ["limit=3", "type=NONSENSE", f"name={'a' * 3000}"]:
            assert daemon.request(f"/live?{wrong}")[0].status == 400, wrong
        for sock in [again, *others]:
            sock.close()
        sender.stop()


def test_a_reader_that_stands_still_is_told_of_the_gap():
    with Daemon(extra='[history]\nlog = "64K"', fmt=None) as daemon:
        sender = Sender(daemon.unix)
        reader, _ = live(daemon, receive=4096)
        for turn in range(10):
            sender.send(*exchanges([
                f"{'x' * 60}.{'y' * 60}.{number}.example." for number in range(turn * 600, turn * 600 + 600)
            ]))
            daemon.settle()
        seen = missed = 0
        for kind, _, data in read_events(reader):
            seen, missed = (seen + 1, missed) if kind == "record" else (seen, missed + data["missed"])
            if seen + missed >= 6000:
                break
        assert seen + missed == 6000 and missed > 0 and seen > 0, (seen, missed)
        reader.close()
        sender.stop()


def test_a_reader_that_stopped_holds_up_nobody():
    """Four readers at full load, one of which takes nothing: every frame is through at once, and what a
    reader missed is named."""
    rounds, batch = 12, 100 if EMULATOR else 500
    with Daemon(fmt=None) as daemon:
        readers = [live(daemon)[0] for _ in range(3)]
        stopped, _ = live(daemon, receive=2048)
        sums, threads = [[0, 0] for _ in range(4)], []

        def read(sock, numbers):
            for kind, _, data in read_events(sock):
                numbers[kind == "gap"] += 1 if kind == "record" else data["missed"]
                if sum(numbers) >= rounds * batch:
                    return

        for sock, numbers in zip(readers, sums):
            threads.append(threading.Thread(target=read, args=(sock, numbers)))
            threads[-1].start()
        sender, waits = Sender(daemon.unix), []
        for turn in range(rounds):
            start = time.monotonic()
            sender.send(
                *exchanges([f"{'x' * 60}.{'y' * 60}.{turn}.{number}.example." for number in range(batch)]))
            wanted = 2 * batch * (turn + 1)
            daemon.wait(lambda: daemon.metrics()['dnstapd_frames_total{input="unix-socket"}'] >= wanted, 10)
            waits.append(time.monotonic() - start)
        threads.append(threading.Thread(target=read, args=(stopped, sums[3])))
        threads[-1].start()
        for thread in threads:
            thread.join(60)
        assert [sum(numbers) for numbers in sums] == [rounds * batch] * 4, sums
        # What an emulator has time for fits into the sockets.
        assert (sums[3][1] > 0 or EMULATOR) and sums[3][0] > 0, sums
        metrics = daemon.check_accounts()
        assert sum(number for key, number in metrics.items() if key.startswith("dnstapd_rejected_total")) == 0
        for sock in [*readers, stopped]:
            sock.close()
        sender.stop()
        missed = [missed for _, missed in sums]
        return f"{rounds} times {2 * batch} frames, each within {max(waits):.2f} s; missed: {missed}"


def marks(folder):
    """All bytes of the files of a folder."""
    return b"".join(path.read_bytes() for path in folder.iterdir())


@pytest.mark.parametrize("key", ["log = 0", 'exclude-clients = ["192.0.2.0/24", '
                                            '"2001:db8::/32"]'], ids=["no-log", "excluded"])
def test_who_is_not_to_be_remembered_leaves_no_trace(key):
    with temporary_folder() as top:
        folder = pathlib.Path(top) / "history"
        extra = saving(folder, f"answers = true\n{key}") + '\n"192.0.2.99" = "never-asks"'
        with Daemon(extra=extra, fmt=None) as daemon:
            sender = Sender(daemon.unix)
            sixth = b"\x20\x01\x0d\xb8" + b"\x77" * 12
            sender.send(*exchanges(["secret.example.", "hidden.example."]),
                        message(CLIENT_QUERY, dns("secret.example.", ident=9), address=sixth, family=2))
            daemon.settle()
            if key == "log = 0":
                assert daemon.request("/log")[0].status == 404 and daemon.request("/live")[0].status == 404
                assert daemon.request("/pairs?name=secret.example")[0].status == 404
            else:
                assert whole_log(daemon) == [] and daemon.json("/pairs?name=secret.example")["clients"] == []
            assert daemon.json("/devices") == {"devices": []}
            # The counts are there, and so are the tables.
            assert sum(filter(None, daemon.json("/series?period=day")["queries"])) == 3
            assert daemon.json("/tables")["tables"]["clients"]["hit/ip"]
            daemon.stop()
        (segment,) = folder.iterdir()
        assert segment.stat().st_mode & 0o777 == 0o600
        for trace in (b"secret", b"hidden", b"\xc0\x00\x02\x0a", b"\x77" * 4):
            assert trace not in marks(folder), trace
        with Daemon(extra=extra, fmt=None) as daemon:
            assert sum(filter(None, daemon.json("/series?period=day")["queries"])) == 3
            assert daemon.json("/devices") == {"devices": []}


def test_pairs_are_those_of_the_log():
    with replayed("unbound.fstrm") as daemon:
        daemon.settle()
        records = whole_log(daemon)
        address = records[0]["query-ip"]
        names = collections.Counter(row["qname"].lower() for row in records if row["query-ip"] == address)
        answer = daemon.json(f"/pairs?client={address}&n=5")
        assert answer["client"] == address and len(answer["names"]) == min(5, len(names)), answer
        assert all(names[name.lower()] == number for name, number in answer["names"]), (answer, names)
        assert [number for _, number in answer["names"]] == [number for _, number in names.most_common(5)]
        assert answer["rest"] + sum(number for _, number in answer["names"]) == sum(names.values())
        assert [name for name, _ in answer["errors"]] == [name for name, _ in answer["names"]]
        name = answer["names"][0][0]
        clients = collections.Counter(row["query-ip"] for row in whole_log(daemon, f"&name={name}"))
        answer = daemon.json(f"/pairs?name={name}")
        assert answer["name"] == name and dict(answer["clients"]) == dict(clients.most_common(10)), answer
        for wrong in ["", "client=1.2.3.4&name=a", "client=1.2.3.4&n=x", "client=1.2.3.4&type=A",
                      "client=1.2.3.4&first-since=x"]:
            assert daemon.request(f"/pairs?{wrong}")[0].status == 400, wrong
        daemon.request("/reset", method="DELETE")
        assert daemon.json(f"/pairs?client={address}")["names"] == [] and whole_log(daemon) == records


def test_pairs_of_the_first_time():
    """400 names of old, all of which are asked for again lately, beside a few that are new: more than are
    counted at once."""
    old, new = [f"old{number}.example." for number in range(400)], ["new.example.", "newer.example."]
    with Daemon(fmt=None) as daemon:
        now = int(time.time())
        send = lambda name, age, number: message(
            payload=dns(name, ident=number), when=(now - age, 0), port=number + 1)
        Sender(daemon.tcp).send(
            *(send(name, 7200, number) for number, name in enumerate(old)),
            *(send(name, 60, 1000 + number)
              for number, name in enumerate([new[0], *old[:200], new[1], *old[200:], new[0], "OLD7.example."])
              ))
        daemon.settle()
        names = lambda since: dict(daemon.json(f"/pairs?client=192.0.2.10&first-since={since}")["names"])
        assert names(-3600) == {"new.example.": 2, "newer.example.": 1}
        assert names(-1) == {}
        assert sum(names(-36000).values()) >= 10, "all are new where the log does not reach back"
        answer = daemon.json("/pairs?name=new.example&first-since=-3600")
        assert answer["clients"] == [["192.0.2.10", 2]] and answer["rest"] == 0, answer


def test_pages_of_lines_name_the_next_one_in_their_head():
    with replayed("unbound.fstrm") as daemon:
        daemon.settle()
        records, read, before = whole_log(daemon), [], ""
        while before is not None:
            answer, body = daemon.request(f"/log?format=ndjson&limit=37{before}")
            read += [json.loads(line) for line in body.splitlines()]
            before = answer.getheader("X-Next") and f"&before={answer.getheader('X-Next')}"
        assert read == records
        assert daemon.request("/log?format=csv&limit=0")[0].getheader("X-Next") is None


def saving(folder, more="save-interval = 1"):
    names = '[names]\nfiles = []\nneighbours = false\n[names.static]\n"192.0.2.10" = "tv"'
    return f'[history]\npath = "{folder}"\n{more}\n{names}'


def await_files(folder, number, seconds=30):
    deadline = time.monotonic() + seconds
    while len(list(folder.glob("*.seg"))) < number:
        assert time.monotonic() < deadline, sorted(folder.iterdir())
        time.sleep(0.1)


def test_a_restart_forgets_nothing_and_doubles_nothing():
    with temporary_folder() as top:
        folder = pathlib.Path(top) / "history"
        with Daemon(extra=saving(folder, "answers = true"), fmt=None) as daemon:
            sender = Sender(daemon.unix)
            sender.send(*exchanges([f"{number % 90}.example." for number in range(300)]),
                        message(CLIENT_QUERY, dns("waits.example.", ident=999, flags=0x0100)))
            daemon.settle()
            log, devices = whole_log(daemon), daemon.json("/devices")
            counts = sum(filter(None, daemon.json("/series?period=month")["queries"]))
            assert len(log) == 301 and counts == 301 and not list(folder.glob("*.seg"))
            daemon.stop()
        (segment,) = folder.iterdir()
        assert segment.stat().st_mode & 0o777 == 0o600 and folder.stat().st_mode & 0o777 == 0o700
        for _ in range(2):
            with Daemon(extra=saving(folder, "answers = true"), fmt=None) as daemon:
                again = whole_log(daemon)
                assert again[1:] == log[1:] and again[0] == {**log[0], "status": "unknown"}
                assert daemon.json("/devices") == devices
                for period in ("month", "day"):
                    assert sum(filter(None,
                                      daemon.json(f"/series?period={period}")["queries"])) == counts, period
                daemon.stop()
        with Daemon(extra=saving(folder), fmt=None) as daemon:
            assert daemon.request("/history", method="DELETE")[0].status == 204
            assert list(folder.iterdir()) == []
            daemon.stop()


def test_what_is_none_of_ours_is_set_aside():
    with temporary_folder() as top:
        folder = pathlib.Path(top)
        with Daemon(extra=saving(folder), fmt=None) as daemon:
            Sender(daemon.unix).send(*exchanges(["a.example."]))
            await_files(folder, 1)
            daemon.stop()
        whole = min(folder.glob("*.seg")).read_bytes()
        for path in folder.glob("*.seg"):
            path.unlink()
        (folder / "history-0000000001.seg").write_bytes(whole[:-5])
        (folder / "history-0000000002.seg").write_bytes(b"MZ\x90")
        (folder / "history-0000000003.seg").write_bytes(whole.replace(b"example", b"exbmple"))
        (folder / "history-0000000004.seg").write_bytes(whole)
        (folder / "history.tmp").write_bytes(whole[:20])
        (folder / "notes.txt").write_text("mine", encoding="ascii")
        with Daemon(extra=saving(folder, ""), fmt=None) as daemon:
            assert [row["qname"] for row in whole_log(daemon)] == ["a.example."]
            assert daemon.log().count("set aside") == 3, daemon.log()
            assert sorted(path.name for path in folder.iterdir()) == [
                *(f"history-000000000{number}.broken" for number in (1, 2, 3)), "history-0000000004.seg",
                "notes.txt"
            ]
            daemon.stop()


def test_a_kill_at_any_moment_leaves_files_that_can_be_read():
    """Killed at random moments while it saves, since it was asked to stop: what was there stays, what came is
    there whole or not at all."""
    chance, whole = random.Random(5), 0
    with temporary_folder() as top:
        folder, before = pathlib.Path(top), 0
        turns = 15 if EMULATOR else 100
        for turn in range(turns):
            extra = saving(folder,
                           'save-interval = 1\nwrite-budget = 0' if turn % 25 == 0 else "write-budget = 0")
            with Daemon(extra=extra, fmt=None) as daemon:
                assert "set aside" not in daemon.log()
                kept = daemon.request("/log?format=ndjson&limit=0")[1].count("\n")
                assert kept - before in (0, 50), (turn, kept, before)
                whole, before = whole + (kept > before), kept
                sender = Sender(daemon.unix)
                sender.send(*exchanges([f"{turn}.{number}.example." for number in range(50)]))
                daemon.wait(lambda: daemon.request("/log?format=ndjson&limit=0")[1].count("\n") == kept + 50)
                sender.sock.close()
                if turn % 25 == 0:
                    # Saved by itself: nothing of it may be missing.
                    await_files(folder, len(list(folder.glob("*.seg"))) + 1)
                    before = kept + 50
                else:
                    daemon.process.send_signal(signal.SIGTERM)
                    time.sleep(chance.random() * 0.02 * (5 if EMULATOR else 1))
                daemon.process.kill()
                daemon.process.wait()
        return f"{turns} kills, {whole} of them after the file had its name"


def test_the_budget_is_kept():
    with temporary_folder() as top:
        folder = pathlib.Path(top) / "history"
        extra = saving(folder, 'save-interval = 1\nwrite-budget = "32K"\nlog = "64K"')
        with Daemon(extra=extra, fmt=None) as daemon:
            sender = Sender(daemon.unix)
            for turn in range(4):
                sender.send(*exchanges([f"{'x' * 50}.{turn}.{number}.example." for number in range(2000)]))
                time.sleep(1)
            daemon.settle()
            written = sum(-(-path.stat().st_size // 4096) * 4096 for path in folder.glob("*.seg"))
            assert 16384 <= written <= 32768, written
            assert daemon.metrics()["dnstapd_history_unsaved_total"] > 1000
            # All that it wrote to disks; where the folder is in memory nothing was. Each line of its log is a
            # page more, if a save had the page before written out.
            with open(f"/proc/{daemon.process.pid}/io", encoding="ascii") as file:
                wrote = int(re.search(r"^write_bytes: (\d+)", file.read(), re.M).group(1))
            assert EMULATOR or wrote <= 32768 + 8 * 4096, wrote
            daemon.stop()
        written = sum(-(-path.stat().st_size // 4096) * 4096 for path in folder.iterdir())
        assert written <= 32768, written
