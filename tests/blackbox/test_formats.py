#!/usr/bin/env python3
"""One message as text, JSON and YAML: the contract's third section, byte by byte."""
import os

from harness import DATA, Daemon, Sender, capture_frames, dns, field, has, message, run_binary

QUERY, RESPONSE = 5, 6


def shown(*messages, fmt="text"):
    """The bytes that dnstapd prints for some messages."""
    with Daemon(fmt=fmt) as daemon:
        sender = Sender(daemon.unix)
        sender.send(*messages)
        sender.stop()
        daemon.settle()
        with open(daemon.out, "rb") as file:
            return file.read().decode()


def check(expected, *messages):
    got = shown(*messages).splitlines()
    assert got == expected, "\n" + "\n".join(got)


def test_text_of_the_contract():
    check(["2020-09-16T18:51:53.591736+00:00 lb2 CLIENT_RESPONSE NOERROR 192.0.2.10 50000 INET UDP 33b "
           "ns2.google.com. A 0.048"
           .replace("33b", "32b")],
          message(RESPONSE, dns("ns2.google.com", flags=0x8180), identity=b"lb2",
                  asked=(1600282313, 543736000)))


def test_missing_values():
    nothing = field(14, field(1, QUERY)) + field(15, 1)
    check(["- - CLIENT_QUERY - - - - - 0b - - -",
           "2020-09-16T18:51:53.591736+00:00 - CLIENT_QUERY NOERROR 192.0.2.10 - INET UDP 12b - - -",
           "- lb1 CLIENT_QUERY NOERROR 192.0.2.10 50000 INET UDP 33b www.example.com. A -"],
          nothing,
          message(payload=dns()[:4] + bytes(8), identity=b"", port=0),
          message(when=(1600282313, 1000000000)))


def test_unknown_numbers():
    check(["2020-09-16T18:51:53.591736+00:00 lb1 MESSAGE15 RCODE12 192.0.2.10 50000 FAMILY3 PROTOCOL9 33b "
           "www.example.com. TYPE1234 -"],
          message(15, dns(qtype=1234, flags=0x010C), family=3, protocol=9))


def test_names_of_types():
    types = {52: "TLSA", 64: "SVCB", 65: "HTTPS", 255: "ANY", 65535: "TYPE65535", 257: "CAA", 0: "TYPE0",
             63: "ZONEMD"}
    got = shown(*(message(payload=dns(qtype=qtype)) for qtype in types)).splitlines()
    assert [line.split(" ")[10] for line in got] == list(types.values()), got
    got = shown(*(message(RESPONSE, dns(flags=0x8180 | rcode)) for rcode in (3, 4, 11))).splitlines()
    assert [line.split(" ")[3] for line in got] == ["NXDOMAIN", "NOTIMP", "DSOTYPENI"], got


def test_extended_rcode():
    opt = b"\0" + (41).to_bytes(2, "big") + (1232).to_bytes(2, "big") + b"\x01\0\0\0" + b"\0\0"
    payload = bytearray(dns(flags=0x8180) + opt)
    payload[11] = 1
    assert shown(message(RESPONSE, bytes(payload))).split(" ")[3] == "BADVERS"


def test_odd_names_and_identities():
    odd = b"\x05a b.c" + b"\x04\xc3\xa9\\\"" + b"\x02\0\n" + b"\0"
    identity = "é b\\\"\n".encode() + b"\xff"
    line = shown(message(payload=dns(wire_name=odd), identity=identity))
    assert line.split(" ")[1] == 'é\\032b\\\\\\"\\010\\255', line
    assert line.split(" ")[9] == 'a\\032b\\.c.\\195\\169\\\\\\".\\000\\010.', line
    record = shown(message(payload=dns(wire_name=odd), identity=identity), fmt="json")
    assert '"identity":"é\\\\032b\\\\\\\\\\\\\\"\\\\010\\\\255"' in record, record
    assert shown(message(payload=dns("")), fmt="text").split(" ")[9] == "."
    assert shown(message(identity=b"x" * 200)).split(" ")[1] == "x" * 128


def test_json_bytes():
    expected = ('{"identity":"lb1","qname":"www.example.com.","rrtype":"A","query-ip":"192.0.2.10",'
                '"message":"CLIENT_RESPONSE",'
                '"family":"INET","protocol":"UDP","query-port":50000,"response-ip":"192.0.2.53",'
                '"response-port":53,"type":"response",'
                '"length":33,"timestamp":"2020-09-16T18:51:53.591736+00:00","rcode":"NOERROR","id":1234,'
                '"flags":"QR AA RD RA AD",'
                '"latency":0.048}\n')
    answer = message(RESPONSE, dns(flags=0x85A0), asked=(1600282313, 543736000),
                     more=field(5, b"\xc0\x00\x02\x35") + field(7, 53))
    assert shown(answer, fmt="json") == expected, shown(answer, fmt="json")
    nothing = field(14, field(1, RESPONSE)) + field(15, 1)
    expected = ('{"identity":"-","qname":"-","rrtype":"-","query-ip":"-","message":"CLIENT_RESPONSE",'
                '"family":"-","protocol":"-",'
                '"query-port":"-","response-ip":"-","response-port":"-","type":"response","length":0,'
                '"timestamp":"-","rcode":"-",'
                '"id":"-","flags":"-","latency":"-"}\n')
    assert shown(nothing, fmt="json") == expected, shown(nothing, fmt="json")
    assert '"flags":""' in shown(message(payload=dns(flags=0)), fmt="json")


def test_yaml_bytes():
    expected = """---
identity: "lb1"
qname: "www.example.com."
rrtype: "A"
query-ip: "192.0.2.10"
message: "CLIENT_QUERY"
family: "INET"
protocol: "UDP"
query-port: 50000
response-ip: "-"
response-port: "-"
type: "query"
length: 33
timestamp: "2020-09-16T18:51:53.591736+00:00"
rcode: "NOERROR"
id: 1234
flags: "RD"
latency: "-"
"""
    assert shown(message(), fmt="yaml") == expected, shown(message(), fmt="yaml")


def test_latency():
    def latency(queried, answered, **more):
        lines = shown(message(QUERY, when=queried), message(RESPONSE, when=answered, **more),
                      fmt="json").splitlines()
        return lines[1].rsplit('"latency":', 1)[1].rstrip("}")

    assert latency((100, 0), (102, 0)) == "2"
    assert latency((100, 0), (100, 48_000_000)) == "0.048"
    assert latency((100, 0), (100, 1_000)) == "0.000001"
    assert latency((100, 0), (160, 0)) == "60"
    assert latency((100, 0), (160, 1_000)) == '"-"'
    assert latency((100, 0), (99, 0)) == '"-"'
    assert latency((100, 0), (101, 0), asked=(100, 500_000_000)) == "0.5"
    assert latency((100, 0), (101, 0), asked=(102, 0)) == '"-"', "the message's own query time decides"
    assert latency((100, 0), (101, 0), payload=dns("WWW.example.COM", flags=0x8180)) == "1", "without case"
    assert latency((100, 0), (101, 0), payload=dns(ident=77, flags=0x8180)) == '"-"'
    assert latency((100, 0), (101, 0), identity=b"other") == '"-"'
    assert latency((100, 0), (101, 0), port=50001) == '"-"'


def test_addresses():
    mapped = bytes(10) + b"\xff\xff\xc0\x00\x02\x0a"
    six = bytes.fromhex("20010db8000000000000000000000001")
    got = shown(message(address=mapped), message(address=mapped, family=2), message(address=six, family=2),
                message(address=b"\1\2\3"), message(address=None)).splitlines()
    assert [line.split(" ")[4] for line in got] == ["192.0.2.10", "::ffff:192.0.2.10", "2001:db8::1", "-",
                                                    "-"], got


def test_truncated_payloads():
    """Whatever is left of a payload, there is an event."""
    whole = dns("www.example.com", qtype=28)
    with Daemon(fmt="json") as daemon:
        sender = Sender(daemon.unix)
        sender.send(*(message(payload=whole[:length]) for length in range(1, len(whole) + 1)))
        sender.stop()
        records = daemon.records()
        assert [record["length"] for record in records] == list(range(1, len(whole) + 1))
        assert records[-1]["qname"] == "www.example.com." and records[-1]["rrtype"] == "AAAA"
        assert records[0]["id"] == "-" and records[1]["id"] == 1234 and records[3]["flags"] == "RD"
        metrics = daemon.check_accounts()
        malformed = sum(value for key, value in metrics.items() if key.startswith("dnstapd_malformed_total"))
        assert malformed == len(whole) - 1, malformed


def test_golden_files():
    """Every capture of a real server, in every format, as it was when somebody looked at it."""
    captures = sorted(file for file in os.listdir(DATA) if file.endswith(".fstrm"))
    assert captures
    for capture in captures:
        # YAML is JSON in another dress: two captures say enough.
        many = ("text", "json", "yaml", *(("csv", "ecs", "zeek") if has("records") else ()))
        for fmt in many if capture in ("demo.fstrm", "bind.fstrm") else ("text", "json"):
            config = f"""
[input.file]
enable = true
path = "{os.path.join(DATA, capture)}"
[output.stdout]
enable = true
format = "{fmt}"
[web-api]
enable = false
"""
            status, out, err = run_binary(config=config)
            assert status == 0, err
            golden = os.path.join(DATA, "golden", f"{capture[:-len('.fstrm')]}.{fmt}")
            if os.environ.get("BLESS"):
                os.makedirs(os.path.dirname(golden), exist_ok=True)
                with open(golden, "w") as file:
                    file.write(out)
            with open(golden) as file:
                assert out == file.read(), f"{golden} differs; BLESS=1 writes it anew"
            frames = sum(1 for _ in capture_frames(os.path.join(DATA, capture)))
            records = out.count("---\n") if fmt == "yaml" else out.count("\n")
            assert records == frames if fmt != "zeek" else 0 < records < frames, (capture, fmt, records,
                                                                                  frames)
