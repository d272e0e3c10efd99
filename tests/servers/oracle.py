"""An independent reader of dnstap and DNS messages, in plain Python.

It knows nothing of the program under test: the message and the DNS header are read here a second time, from
their specifications, so that both can be compared. Presentation follows the program's
documentation: names escaped as in the text format, times in UTC with six digits, `-` for what is missing.
"""
import datetime
import ipaddress
import struct

from captures import (
    ACCEPT,
    CONTENT_TYPE,
    FINISH,
    READY,
    START,
    STOP,
    capture_frames,
    control,
    fields,  # noqa: F401
    inner_message,
    split)

MESSAGES = dict(enumerate((
    "AUTH_QUERY AUTH_RESPONSE RESOLVER_QUERY RESOLVER_RESPONSE CLIENT_QUERY CLIENT_RESPONSE FORWARDER_QUERY "
    "FORWARDER_RESPONSE "
    "STUB_QUERY STUB_RESPONSE TOOL_QUERY TOOL_RESPONSE UPDATE_QUERY UPDATE_RESPONSE").split(), 1))
FAMILIES = {1: "INET", 2: "INET6"}
PROTOCOLS = {1: "UDP", 2: "TCP", 3: "DOT", 4: "DOH", 5: "DNSCryptUDP", 6: "DNSCryptTCP", 7: "DOQ"}
RCODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED", 6: "YXDOMAIN",
          7: "YXRRSET",
          8: "NXRRSET", 9: "NOTAUTH", 10: "NOTZONE", 16: "BADVERS", 23: "BADCOOKIE"}
TYPES = {1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 15: "MX", 16: "TXT", 28: "AAAA", 29: "LOC",
         33: "SRV", 35: "NAPTR",
         41: "OPT", 43: "DS", 46: "RRSIG", 47: "NSEC", 48: "DNSKEY", 52: "TLSA", 64: "SVCB", 65: "HTTPS",
         99: "SPF", 250: "TSIG",
         251: "IXFR", 252: "AXFR", 255: "ANY", 257: "CAA"}
FLAGS = (("QR", 15), ("AA", 10), ("TC", 9), ("RD", 8), ("RA", 7), ("AD", 5), ("CD", 4))


def name(data, at=12):
    """A name without compression, as text, and where it ends."""
    text = ""
    while data[at]:
        length = data[at]
        if length > 63:
            raise ValueError("compression in a question")
        text += "".join(escape(byte) for byte in data[at + 1:at + 1 + length]) + "."
        at += 1 + length
    return text or ".", at + 1


def escape(byte):
    if byte in b'."\\':
        return "\\" + chr(byte)
    return chr(byte) if 0x21 <= byte <= 0x7E else f"\\{byte:03}"


def skip_name(data, at):
    while True:
        length = data[at]
        if length == 0:
            return at + 1
        if length >= 0xC0:
            return at + 2
        at += 1 + length


def extended_rcode(data, at, counts):
    """The upper bits of the rcode, from the OPT record (RFC 6891, 6.1.3), 0 without one."""
    try:
        for _ in range(counts[0] - 1):
            at = skip_name(data, at) + 4
        for _ in range(sum(counts[1:])):
            at = skip_name(data, at)
            rtype, _, ttl, length = struct.unpack_from(">HHIH", data, at)
            if rtype == 41:
                return ttl >> 24
            at += 10 + length
    except (IndexError, struct.error):
        pass
    return 0


def instant(seconds, nanoseconds):
    if seconds is None:
        return "-"
    when = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return f"{when:%Y-%m-%dT%H:%M:%S}.{(nanoseconds or 0) // 1000:06}+00:00"


def address(data):
    if not data or len(data) not in (4, 16):
        return "-"
    if len(data) == 16 and data[:12] == b"\0" * 10 + b"\xff\xff":
        data = data[12:]
    return str(ipaddress.ip_address(data))


def parse(frame):
    """All of a frame that a record of the program shows, under the keys of its JSON, and `time` in
    seconds."""
    outer = {number: value for number, value, _ in fields(frame)}
    inner = inner_message(frame)
    kind = inner[1]
    response = kind % 2 == 0
    payload = inner.get(14 if response else 10, b"")
    seconds, nanoseconds = (inner.get(12), inner.get(13)) if response else (inner.get(8), inner.get(9))
    record = {
        "identity": outer.get(1, b"").decode() or "-", "message": MESSAGES.get(kind, f"MESSAGE{kind}"),
        "family": FAMILIES.get(inner.get(2), "-"), "protocol": PROTOCOLS.get(inner.get(3), "-"),
        "query-ip": address(inner.get(4)), "query-port": inner.get(6) or "-",
        "response-ip": address(inner.get(5)), "response-port": inner.get(7) or "-",
        "type": "response" if response else "query", "length": len(payload),
        "timestamp": instant(seconds, nanoseconds),
        "qname": "-", "rrtype": "-", "rcode": "-", "id": "-", "flags": "-",
        "time": (seconds or 0) + (nanoseconds or 0) / 1e9, "payload": payload,
        "time-ns": (seconds or 0) * 10**9 + (nanoseconds or 0),
        "query-time-ns": inner[8] * 10**9 + inner.get(9, 0) if 8 in inner else None,
    }
    if len(payload) >= 12:
        ident, flags, *counts = struct.unpack_from(">HHHHHH", payload)
        record["id"] = ident
        record["flags"] = " ".join(word for word, bit in FLAGS if flags >> bit & 1)
        at = 12
        if counts[0]:
            record["qname"], at = name(payload)
            qtype = struct.unpack_from(">H", payload, at)[0]
            record["rrtype"] = TYPES.get(qtype, f"TYPE{qtype}")
            at += 4
        rcode = flags & 15 | extended_rcode(payload, at, counts) << 4
        record["rcode"] = RCODES.get(rcode, f"RCODE{rcode}")
    return record


def spots(frame):
    """Where a frame's client address, DNS id and first label are; `None` without a question."""
    inner_at, inner = next((at, value) for number, value, at in fields(frame) if number == 14)
    found = {number: (at, value) for number, value, at in fields(inner, inner_at)}
    at, payload = found.get(10) or found.get(14) or (0, b"")
    if len(payload) < 17 or payload[4:6] != b"\0\1":
        return None
    client_at, client = found.get(4) or (0, b"")
    return {"client": client_at, "client_length": len(client), "id": at, "label": at + 13,
            "label_length": payload[12]}
