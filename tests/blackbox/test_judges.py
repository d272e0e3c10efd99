"""Answers and EDNS of every shipped capture, and of each type that IANA names, as tshark reads them.

Where tshark reads another thing, the test says so, and why it is not followed:

* It writes names and texts with bytes other than letters, digits, `-` and `_` in a way of its own: those are
compared by the data
  that dnspython made (tests/data/rdata.py).
* Type 255 is `*` to it (RFC 1035, 3.2.3), and `ANY` to IANA's table; some types got their names after it was
made. * It knows forms of types that the records show as RFC 3597 has it: their length is compared.
"""
import json
import os
import re
import struct
import subprocess

import pytest

from captures import payload_of
from harness import (CONTENT_TYPE, DATA, START, STOP, capture_frames, control, frame, message, name, needs,
                     run_binary, temporary_folder)
from test_records import option, record

SERVERS = ("bind", "coredns", "dnsdist", "knot", "nsd", "recursor", "unbound", "demo")
# IANA's table, with the gaps in it, and numbers for private use.
TYPES = [*range(1, 41), *range(42, 132), *range(249, 264), 32768, 32769, 65280]
FIELDS = ["id", "answers", "answers-count", "edns"]
PLAIN = re.compile(r"[A-Za-z0-9_.-]+")


# Data of the types that have a form of their own.
HOST = b"\x04host\xc0\x0c"
DATA_OF = {
    1: [bytes([192, 0, 2, 1])],
    2: [HOST],
    5: [HOST, b"\0"],
    6: [HOST + b"\5admin\xc0\x0c" + struct.pack(">5I", 1, 2, 3, 4, 2**32 - 1)],
    12: [HOST],
    15: [b"\0\x0a" + HOST],
    16: [b"\x05a b-c\x03def", b"\x00"],
    28: [bytes(16), b"\x20\x01\x0d\xb8" + bytes(11) + b"\1"],
    33: [b"\0\1\0\2\x13\xc4\4host\7example\0"],
    64: [b"\0\0\4host\7example\0"],
    65: [b"\0\1\0\0\1\0\3\2h2\0\3\0\2\x01\xbb\0\4\0\4\xc0\0\2\1\0\6\0\x10" + bytes(15) + b"\1"],
    257: [b"\0\5issueca.test", b"\x80\5iodefmailto:x"]
}
OPTIONS = [
    b"",
    option(8, b"\0\1\x18\0" + bytes([192, 0, 2])),
    option(8, b"\0\2\x30\0\x20\x01\x0d\xb8\0\1"),
    option(10, b"abcdefgh"),
    option(10, b"abcdefgh" + bytes(range(16))),
    option(15, b"\0\x12") + option(15, b"\0\x0fsome text"),
    option(3, b"ns1"),
    option(12, bytes(9)) + option(8, b"\0\1\0\0"),
    option(65001, b"x") + option(10, b"12345678")
]


def generated():
    """Messages with one answer each, of every type, and with each option."""
    head = lambda answers, more: struct.pack(">HHHHHH", len(found), 0x8180, 1, answers, 0, more) + name(
        "www.example.") + b"\0\1\0\1"
    found = []
    for number in TYPES:
        for data in DATA_OF.get(number, [b"\1\2\3\4\5\6"]):
            found.append(head(1, 0) + record(number, data, 7 * number))
    for options in OPTIONS:
        for flags, size in ((0x8000, 1232), (0, 512), (0x10000, 4096)):
            found.append(head(1, 1) + record(1, bytes(4)) + record(41, options, flags, b"\0", size))
    return found


def pcap_of(payloads):
    """Packets with these payloads of UDP, without any link."""
    out = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 18, 101)
    for number, payload in enumerate(payloads):
        udp = struct.pack(">HHHH", 53, 5353, 8 + len(payload), 0) + payload
        packet = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, b"\x0a\0\0\1",
                             b"\x0a\0\0\2") + udp
        out += struct.pack("<IIII", number, 0, len(packet), len(packet)) + packet
    return out


def theirs(path):
    """Each packet's DNS as tshark has it: a list of pairs, for keys may be there twice."""
    done = subprocess.run(["tshark", "-n", "-r", path, "-d", "udp.port==53,dns", "-T", "json"],
                          capture_output=True,
                          timeout=120)
    assert done.returncode == 0, done.stderr
    # Bytes that are no UTF-8 are in names and texts that nobody compares.
    for packet in json.loads(done.stdout.decode(errors="replace"), object_pairs_hook=list):
        yield dict(dict(dict(packet)["_source"])["layers"]).get("dns", [])


def all_of(pairs, key):
    """The values of a key at any depth."""
    for found, value in pairs:
        if found == key:
            yield value
        if isinstance(value, list):
            yield from all_of(value, key)


def name_of(text):
    return "." if text == "<Root>" else text + "."


def data_of(mnemonic, pairs):
    """The data of a record in the form of zone files; `None` for what is not compared."""
    one = lambda key: next(all_of(pairs, "dns." + key))
    plain = lambda text: name_of(text) if text == "<Root>" or PLAIN.fullmatch(text) else None
    joined = lambda *parts: None if None in parts else " ".join(parts)
    match mnemonic:
        case "A":
            return one("a")
        case "AAAA":
            return one("aaaa")
        case "CNAME":
            return plain(one("cname"))
        case "NS":
            return plain(one("ns"))
        case "PTR":
            return plain(one("ptr.domain_name"))
        case "MX":
            return joined(one("mx.preference"), plain(one("mx.mail_exchange")))
        case "SRV":
            return joined(*(one(f"srv.{key}") for key in ("priority", "weight", "port")),
                          plain(one("srv.target")))
        case "SOA":
            numbers = ("serial_number", "refresh_interval", "retry_interval", "expire_limit", "minimum_ttl")
            return joined(plain(one("soa.mname")), plain(one("soa.rname")),
                          *(one(f"soa.{key}") for key in numbers))
        case "TXT":
            texts = list(all_of(pairs, "dns.txt"))
            is_plain = all(32 <= ord(letter) < 127 for text in texts for letter in text)
            return " ".join('"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
                            for text in texts) if is_plain else None
        case "CAA":
            value = next(value for key in ("issue", "issuewild", "iodef", "unknown")
                         for value in all_of(pairs, f"dns.caa.{key}"))
            flags = one("caa.flags")
            return f'{int(flags, 16) if "x" in flags else flags} {one("caa.tag")} "{value}"'
        case "HTTPS" | "SVCB":
            return joined(one("svcb.svcpriority"), plain(one("svcb.targetname")))
    return None


def compare_answers(ours, pairs, count):
    answers = dict(pairs).get("Answers", [])
    shown = ours["answers"] if ours["answers"] != "-" else []
    assert len(shown) >= len(answers), (ours, answers)
    for mine, (title, fields) in zip(shown, answers):
        keys = dict(fields)
        count["records"] += 1
        # That of a service record is there in pieces.
        owner = keys.get("dns.resp.name") or title.split(": type ")[0]
        if PLAIN.fullmatch(owner):
            assert mine["name"] == name_of(owner)
        assert mine["ttl"] == int(keys["dns.resp.ttl"]), (mine, fields)
        mnemonic = re.search(r": type ([^ ,]+)", title)[1]
        number = int(keys["dns.resp.type"])
        if mnemonic not in ("Unknown", "*") and not mine["type"].startswith("TYPE"):
            assert mine["type"] == OTHER_NAMES.get(number, mnemonic), (mine, title)
            count["names of types"] += 1
        if mine["type"].startswith("TYPE"):
            assert mine["type"] == f"TYPE{number}"
        if mine["data"].startswith("\\#"):
            assert mine["data"].split()[1] == keys["dns.resp.len"] and mine["type"] not in FORMS, (mine,
                                                                                                   fields)
            continue
        data = data_of(mine["type"], fields)
        if data is not None:
            count["data"] += 1
            is_service = mine["type"] in ("HTTPS", "SVCB")
            assert mine["data"].startswith(data) if is_service else mine["data"] == data, (mine, fields)
            if is_service:
                theirs = list(all_of(fields, "dns.svcb.svcparam.key"))
                assert len(theirs) == len(mine["data"].split()) - 2, (mine, fields)


# tshark 4.0 has these two the wrong way round (RFC 1035, 3.2.3).
OTHER_NAMES = {253: "MAILB", 254: "MAILA"}

FORMS = {"A", "AAAA", "CNAME", "NS", "PTR", "MX", "SRV", "SOA", "TXT", "CAA", "HTTPS", "SVCB"}


def compare_edns(ours, pairs, count):
    records = [
        fields for _, fields in dict(pairs).get("Additional records", [])
        if dict(fields)["dns.resp.type"] == "41"
    ]
    if not records:
        return
    fields, mine = records[0], ours["edns"]
    one = lambda key: next(all_of(fields, "dns." + key), None)
    assert mine["size"] == int(one("rr.udp_payload_size"), 0) and mine["version"] == int(
        one("resp.edns0_version"), 0), (mine, fields)
    assert mine["do"] == (one("resp.z.do") in ("1", True)), (mine, fields)
    address = one("opt.client.addr4") or one("opt.client.addr6")
    if address:
        assert mine["subnet"] == f'{address}/{int(one("opt.client.netmask"), 0)}', (mine, fields)
    elif "8" not in all_of(fields, "dns.opt.code"):
        assert mine["subnet"] == "-"
    cookie = "".join((one(f"opt.cookie.{side}") or "").replace(":", "") for side in ("client", "server"))
    assert mine["cookie"] == (cookie or "-"), (mine, fields)
    assert [error["code"] for error in mine["ede"]] == [
        int(code, 0) for code in all_of(fields, "dns.opt.ext_error.info_code")
    ]
    assert [error["text"].replace("\\032", " ") for error in mine["ede"] if error["text"]] == \
        [text for text in all_of(fields, "dns.opt.ext_error.extra_text") if text]
    count["OPT records"] += 1
    count["options"] += len(list(all_of(fields, "dns.opt.code")))


@needs("records")
@pytest.mark.parametrize("source", [*SERVERS, "generated"])
def test_as_tshark_reads_it(source):
    frames = [message(6, payload) for payload in generated()] if source == "generated" else \
        list(capture_frames(os.path.join(DATA, f"{source}.fstrm")))
    payloads = list(map(payload_of, frames))
    with temporary_folder() as top:
        path, packets = os.path.join(top, "capture"), os.path.join(top, "packets")
        with open(path, "wb") as file:
            file.write(control(START, CONTENT_TYPE) + b"".join(map(frame, frames)) + control(STOP))
        with open(packets, "wb") as file:
            file.write(pcap_of(payloads))
        config = (f"[input.file]\nenable = true\npath = '{path}'\n[web-api]\nenable = false\n"
                  f"[output.stdout]\nenable = true\nformat = 'json'\nfields = {FIELDS}\n")
        status, out, err = run_binary(config=config, seconds=60)
        assert status == 0, err
        ours = [json.loads(line) for line in out.splitlines()]
        count = dict.fromkeys(("records", "names of types", "data", "OPT records", "options"), 0)
        for mine, payload, pairs in zip(ours, payloads, theirs(packets), strict=True):
            if not pairs:
                assert len(payload) < 12
                continue
            keys = dict(pairs)
            assert mine["id"] == int(keys["dns.id"], 16) and mine["answers-count"] == int(
                keys.get("dns.count.answers") or keys["dns.count.prerequisites"])
            compare_answers(mine, pairs, count)
            compare_edns(mine, pairs, count)
    if source == "generated":
        assert count["names of types"] > 80 and count["data"] > 30 and count["options"] > 25, count
    else:
        assert count["records"] > 0 or count["OPT records"] > 0, count
