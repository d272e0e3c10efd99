#!/usr/bin/env python3
"""The log of exchanges beside the text output of the same run, its filters beside a walk over all, and names of devices."""
import csv
import io
import json
import pathlib
import time

import pytest
from harness import Daemon, Sender, dns, message, temporary_folder

DATA = pathlib.Path(__file__).parent.parent / "data"
CLIENT_QUERY, CLIENT_RESPONSE = 5, 6
FIELDS = ["timestamp", "identity", "message", "rcode", "query-ip", "query-port", "family", "protocol", "length",
          "qname", "rrtype", "latency"]
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
        found = [line for line in unused if line["message"] == record["message"] and line["rcode"] == record["rcode"]
                 and all(line[key] == record[key] for key in SHARED)]
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
        for wrong in ["limit=0", "limit=1001", "type=NONSENSE", "since=yesterday", "before=x", "status=late", "nothing=1"]:
            assert daemon.request(f"/log?{wrong}")[0].status == 400, wrong
        assert daemon.request("/series?period=year")[0].status == 400
        day = daemon.json("/series?period=day")
        assert (len(day["queries"]), day["step"]) == (1440, 60) and day["end"] % 60 == 0


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
