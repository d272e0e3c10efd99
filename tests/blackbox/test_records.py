#!/usr/bin/env python3
"""Records with fields of one's own choice, templates, CSV, ECS and Zeek's log: docs/records.md."""
import csv
import datetime
import ipaddress
import json
import os

import mmdb
import pytest
from harness import DATA, TOP, Daemon, Sender, dns, field, message, needs
from peers import delivered

QUERY, RESPONSE = 5, 6
NAME = b"\xc0\x0c"


def record(rdtype, data, ttl=60, name=NAME, rdclass=1):
    return (name + rdtype.to_bytes(2, "big") + rdclass.to_bytes(2, "big") + ttl.to_bytes(4, "big")
            + len(data).to_bytes(2, "big") + data)


def option(code, data):
    return code.to_bytes(2, "big") + len(data).to_bytes(2, "big") + data


ANSWERS = [record(5, b"\x03cdn" + b"\xc0\x10"), record(1, bytes([192, 0, 2, 7]), 7),
           record(16, b"\x05a \"b\xff\x00"), record(15, b"\0\x0a\x02mx" + b"\xc0\x10"),
           record(65, b"\0\x01\0\0\x01\0\x06\x02h2\x02h3"), record(46, b"\x01\x02")]
OPTIONS = (option(8, b"\0\x01\x18\0" + bytes([192, 0, 2])) + option(15, b"\0\x0fno way")
           + option(10, b"abcdefgh") + option(3, b"ns1"))
OPT = record(41, OPTIONS, 0x00008000, b"\0", 1232)


def payload(flags=0x8180, answers=ANSWERS, opt=OPT):
    whole = bytearray(dns("www.example.co.uk", flags=flags) + b"".join(answers) + opt)
    whole[6:8] = len(answers).to_bytes(2, "big")
    whole[10:12] = (1 if opt else 0).to_bytes(2, "big")
    return bytes(whole)


def records(fmt, keys, *messages):
    """What one output writes about some messages."""
    with Daemon(fmt=fmt, stdout_keys=keys) as daemon:
        sender = Sender(daemon.unix)
        sender.send(*messages)
        sender.stop()
        daemon.settle()
        daemon.check_accounts()
        with open(daemon.out, "rb") as file:
            return file.read().decode().splitlines()


SHOWN = [
    "cdn.example.co.uk.", "192.0.2.7", '"a \\"b\\255" ""', "10 mx.example.co.uk.", '1 . alpn="h2,h3"',
    "\\# 2 0102"
]


@needs("records")
def test_fields_in_json():
    line, nothing = records(
        "json",
        'fields = ["qname", "answers", "answers-count", "edns", "opcode", "qclass", "status", '
        '"registered-domain"]',
        message(RESPONSE, payload()), message(QUERY, b""))
    found = json.loads(line)
    assert list(found) == [
        "qname", "answers", "answers-count", "edns", "opcode", "qclass", "status", "registered-domain"
    ]
    assert [answer["data"] for answer in found["answers"]] == SHOWN
    assert [answer["type"] for answer in found["answers"]] == ["CNAME", "A", "TXT", "MX", "HTTPS", "RRSIG"]
    assert found["answers"][1] == {"name": "www.example.co.uk.", "type": "A", "ttl": 7, "data": "192.0.2.7"}
    assert found["answers-count"] == 6 and found["registered-domain"] == "example.co.uk."
    assert found["edns"] == {
        "version": 0,
        "size": 1232,
        "do": True,
        "subnet": "192.0.2.0/24",
        "ede": [{
            "code": 15,
            "text": "no\\032way"
        }],
        "cookie": b"abcdefgh".hex(),
        "nsid": "ns1"
    }
    assert (found["opcode"], found["qclass"], found["status"]) == ("QUERY", "IN", "blocked")
    assert list(json.loads(nothing).values()) == ["-", "-", "-", "-", "-", "-", "pending", "-"]


@needs("records")
def test_fields_in_text_and_csv():
    line, = records("text", 'fields = ["answers", "edns", "flags"]',
                    message(RESPONSE, payload(answers=ANSWERS[1:3])))
    assert line == (
        'www.example.co.uk./A/7/192.0.2.7,www.example.co.uk./TXT/60/\\"a\\032\\\\\\"b\\\\255\\"\\032\\"\\" '
        "version=0,size=1232,do=1,subnet=192.0.2.0/24,ede=15/no\\032way,cookie=6162636465666768,nsid=ns1 "
        "QR,RD,RA"
    )
    row, = csv.reader(records("csv", 'fields = ["qname", "answers", "flags", "length"]',
                              message(RESPONSE, payload(answers=ANSWERS[:2], opt=b""))))
    assert row[:3] == [
        "www.example.co.uk.",
        "www.example.co.uk./CNAME/60/cdn.example.co.uk.,www.example.co.uk./A/7/192.0.2.7", "QR RD RA"
    ]


@needs("records")
def test_a_template():
    line, = records("text", 'template = "{query-ip}:{query-port} {{{qname}}} -> {rcode}"',
                    message(RESPONSE, payload()))
    assert line == "192.0.2.10:50000 {www.example.co.uk.} -> NOERROR"


@needs("records")
def test_a_broken_answer_section_is_no_lost_record():
    whole = payload(opt=b"")
    lines = records("json", 'fields = ["answers", "answers-count", "length"]',
                    *(message(RESPONSE, whole[:length]) for length in range(1, len(whole) + 1)))
    found = [json.loads(line) for line in lines]
    assert [each["length"] for each in found] == list(range(1, len(whole) + 1))
    shown = [[answer["data"]
              for answer in each["answers"]] if each["answers"] != "-" else []
             for each in found]
    assert shown[-1] == SHOWN and all(len(less) <= len(more) for less, more in zip(shown, shown[1:]))


@needs("records")
def test_ecs():
    line, query = records("ecs", "", message(RESPONSE, payload(), asked=(1600282313, 543736000)),
                          message(QUERY, dns("example.com")))
    found = json.loads(line)
    assert found["@timestamp"] == "2020-09-16T18:51:53.591736+00:00" and found["ecs"] == {"version": "8.11"}
    assert found["event"] == {"kind": "event", "category": ["network"], "type": ["connection", "protocol"],
                              "action": "CLIENT_RESPONSE", "duration": 48000000}
    assert found["source"] == {"ip": "192.0.2.10", "port": 50000} and found["observer"] == {"name": "lb1"}
    assert found["network"] == {"transport": "udp", "protocol": "dns"}
    entry = found["dns"]
    assert (entry["type"], entry["id"], entry["op_code"], entry["response_code"]) == ("answer", "1234",
                                                                                      "QUERY", "NOERROR")
    assert entry["header_flags"] == ["RD", "RA"] and entry["resolved_ip"] == ["192.0.2.7"]
    assert entry["question"] == {
        "name": "www.example.co.uk",
        "type": "A",
        "class": "IN",
        "registered_domain": "example.co.uk",
        "top_level_domain": "co.uk",
        "subdomain": "www"
    }
    assert entry["answers"][0] == {"name": "www.example.co.uk", "type": "CNAME", "class": "IN", "ttl": 60,
                                   "data": "cdn.example.co.uk"}
    assert json.loads(query)["dns"]["type"] == "query" and "answers" not in json.loads(query)["dns"]


# Of the fields of the schema those that an event of DNS may have; the test below holds them to the
# schema's own list.
SCHEMA = {
    "@timestamp": "date",
    "ecs.version": "keyword",
    "observer.name": "keyword",
    "event.kind": "keyword",
    "event.category": "keyword[]",
    "event.type": "keyword[]",
    "event.action": "keyword",
    "event.duration": "long",
    **{
        f"{side}.{key}": kind
        for side in ("source", "destination")
        for key, kind in (("ip", "ip"), ("port", "long"), ("geo.country_name", "keyword"),
                          ("geo.country_iso_code", "keyword"), ("geo.city_name", "keyword"))
    },
    "network.transport": "keyword",
    "network.protocol": "keyword",
    "dns.type": "keyword",
    "dns.id": "keyword",
    "dns.op_code": "keyword",
    "dns.header_flags": "keyword[]",
    "dns.response_code": "keyword",
    "dns.resolved_ip": "ip[]",
    "dns.answers": "object[]",
    "dns.answers.name": "keyword",
    "dns.answers.type": "keyword",
    "dns.answers.class": "keyword",
    "dns.answers.ttl": "long",
    "dns.answers.data": "keyword",
    **{
        f"dns.question.{key}": "keyword"
        for key in ("name", "type", "class", "registered_domain", "top_level_domain", "subdomain")
    },
}
# The values that the schema allows or expects.
ALLOWED = {"event.kind": {"event"}, "event.category": {"network"}, "event.type": {"connection", "protocol"},
           "dns.type": {"query", "answer"}, "dns.header_flags": {"AA", "TC", "RD", "RA", "AD", "CD", "DO"},
           "network.transport": {"udp", "tcp"}, "network.protocol": {"dns"}}


def check_schema(value, path=""):
    """Names of fields and types of values; the paths that were there."""
    if isinstance(value, dict) and path not in SCHEMA:
        return {
            found
            for key, below in value.items()
            for found in check_schema(below, f"{path}.{key}".lstrip("."))
        }
    kind = SCHEMA[path]
    assert isinstance(value, list) == kind.endswith("[]"), (path, value)
    found = {path}
    for one in value if isinstance(value, list) else [value]:
        match kind.removesuffix("[]"):
            case "keyword":
                assert isinstance(one, str) and one and one in ALLOWED.get(path, {one}), (path, one)
            case "long":
                assert isinstance(one, int) and not isinstance(one, bool), (path, one)
            case "ip":
                ipaddress.ip_address(one)
            case "date":
                datetime.datetime.fromisoformat(one)
            case "object":
                found |= {
                    deeper
                    for key, below in one.items()
                    for deeper in check_schema(below, f"{path}.{key}")
                }
    return found


@pytest.mark.parametrize("version", ["8.11.5", "9.4.0"])
def test_the_schema_is_that_of_its_own_list(version):
    """The list of npm's package @elastic/ecs, by the version that records name and by today's."""
    path = os.path.join(os.environ.get("ECS", os.path.join(TOP, "target/ecs")), f"{version}.json")
    if not os.path.exists(path):
        pytest.skip("without npm there is no list")
    with open(path) as file:
        fields = json.load(file)
    for name, kind in SCHEMA.items():
        assert fields[name]["type"] + "[]" * fields[name]["isList"] == kind, (name, kind, fields[name])
    for name, values in ALLOWED.items():
        allowed = fields[name]["allowed"]
        assert not allowed or values <= set(allowed), (name, values, allowed)
    return f"{len(SCHEMA)} of {len(fields)} fields"


@needs("records")
def test_ecs_has_only_fields_of_the_schema():
    found = set()
    for iso in ("true", "false"):
        places = f"[geoip]\nenable = true\ncity-database = '{DATA}/places.mmdb'\ncountry-iso = {iso}\n"
        with Daemon(places, fmt="ecs") as daemon:
            sender = Sender(daemon.unix)
            server = field(5, bytes([192, 0, 2, 53])) + field(7, 53)
            sender.send(
                message(RESPONSE,
                        payload(),
                        asked=(1600282313, 543736000),
                        more=server,
                        address=bytes([192, 0, 2, 200])),
                message(QUERY, b"", when=None, port=None, address=None),
                message(15, dns(qtype=65280, qclass=9)),
                message(RESPONSE, payload()[:70], protocol=4, address=bytes(16), family=2))
            sender.stop()
            for document in daemon.records():
                found |= check_schema(document)
    assert found == set(SCHEMA) - {key
                                   for key in SCHEMA
                                   if key.startswith("destination.geo")}, set(SCHEMA) - found


@needs("records")
def test_zeek_has_responses_alone():
    with Daemon(fmt="zeek") as daemon:
        sender = Sender(daemon.unix)
        sender.send(message(QUERY, dns("www.example.co.uk")),
                    message(RESPONSE, payload(), asked=(1600282313, 543736000)),
                    message(RESPONSE, dns("www.example.co.uk", flags=0x8185)))
        sender.stop()
        daemon.wait(lambda: delivered(daemon, "stdout") == 2)
        metrics = daemon.check_accounts()
        assert metrics['dnstapd_output_filtered_total{output="stdout",filter="message-types"}'] == 1
        with open(daemon.out) as file:
            found, refused = map(json.loads, file.read().splitlines())
    assert found["ts"] == 1600282313.543736 and found["rtt"] == 0.048 and found["trans_id"] == 1234
    assert (found["id.orig_h"], found["id.orig_p"], found["proto"]) == ("192.0.2.10", 50000, "udp")
    assert (found["query"], found["qclass_name"], found["qtype"], found["qtype_name"]) == \
        ("www.example.co.uk", "C_INTERNET", 1, "A")
    assert (found["rcode"], found["rcode_name"], found["rejected"]) == (0, "NOERROR", False)
    assert [found[flag] for flag in ("AA", "TC", "RD", "RA", "Z")] == [False, False, True, True, 0]
    assert found["answers"] == [
        "cdn.example.co.uk", "192.0.2.7", 'TXT 5 a "b\\xff TXT 0 ', "mx.example.co.uk", '1 . alpn="h2,h3"',
        "\\# 2 0102"
    ]
    assert found["TTLs"] == [60.0, 7.0, 60.0, 60.0, 60.0, 60.0]
    assert refused["rejected"] and "answers" not in refused and refused["rcode_name"] == "REFUSED"
    # Nothing but the fields of a dns.log, in its order.
    order = (
        "ts id.orig_h id.orig_p id.resp_h id.resp_p proto trans_id rtt query qclass qclass_name qtype "
        "qtype_name rcode "
        "rcode_name AA TC RD RA Z answers TTLs rejected").split()
    for line in (found, refused):
        assert list(line) == [key for key in order if key in line]


@needs("records")
def test_of_responses_alone_one_in_two():
    with Daemon(fmt="zeek", stdout_keys="filter = { sample-rate = 2 }") as daemon:
        sender = Sender(daemon.unix)
        for _ in range(4):
            sender.send(message(QUERY, dns()), message(RESPONSE, payload()))
        sender.stop()
        daemon.wait(lambda: delivered(daemon, "stdout") == 2)
        daemon.check_accounts()


@needs("records")
def test_networks_and_devices():
    path = os.path.join(DATA, "networks.mmdb")
    with open(path, "rb") as file:
        assert file.read() == mmdb.build(mmdb.NETWORKS, "GeoLite2-ASN")
    extra = (f'[geoip]\nenable = true\nasn-database = "{path}"\n[privacy]\nclient = "none"\n'
             '[names]\nfiles = []\nneighbours = false\n[names.static]\n"192.0.2.10" = "tv"\n')
    with Daemon(extra, stdout_keys='fields = ["asn", "as-org", "device"]') as daemon:
        sender = Sender(daemon.unix)
        sender.send(message(), message(address=bytes([9, 9, 9, 9])))
        sender.stop()
        daemon.settle()
        assert [list(record.values())
                for record in daemon.records()] == [[64496, "Example\\032Net,\\032Inc.", "tv"], ["-"] * 3]


@needs("records")
def test_the_device_ends_usual_records():
    extra = '[names]\nrecords = true\nfiles = []\nneighbours = false\n[names.static]\n"192.0.2.10" = "tv"\n'
    for fmt, end in (("text", " tv"), ("json", ',"device":"tv"}'), ("yaml", 'device: "tv"')):
        with Daemon(extra, fmt=fmt) as daemon:
            sender = Sender(daemon.unix)
            sender.send(message())
            sender.stop()
            daemon.settle()
            with open(daemon.out) as file:
                assert file.read().rstrip("\n").endswith(end)
