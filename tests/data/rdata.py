#!/usr/bin/env python3
"""Writes rdata.txt: data of records in wire form, and what dnspython (pip install dnspython==2.7.0) makes of
it.

    tests/data/rdata.py >tests/data/rdata.txt

A line is the number of the type, the data in hexadecimal and the text. Types whose data dnstapd does not know
are those of RFC 3597, of which dnspython makes the same text for a type that it does not know either.
"""
import random
import re

import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype

KNOWN = {1, 2, 5, 6, 12, 15, 16, 28, 33, 64, 65, 257}
chance = random.Random(4711)


def some(count):
    return bytes(chance.randrange(256) for _ in range(count))


def number(data):
    return chance.choice([some(data), bytes(data), b"\xff" * data])


def label():
    kind = chance.randrange(4)
    if kind == 0:
        # dnspython escapes these, which stand for themselves here.
        return bytes(byte for byte in some(chance.randrange(1, 20)) if byte not in b"();@$") or b"x"
    return "".join(
        chance.choice("abcxyzABC019-_")
        for _ in range(chance.randrange(1, 63 if kind == 1 else 12))).encode()


def name():
    return b"".join(bytes([len(part)]) + part
                    for part in (label() for _ in range(chance.randrange(4)))) + b"\0"


def text(most=40):
    part = some(
        chance.randrange(most)) if chance.randrange(2) else b'v=spf1 "a" \\ ,; -all'[:chance.randrange(21)]
    return bytes([len(part)]) + part


def lists(data):
    return b"".join(some(data) for _ in range(chance.randrange(1, 4)))


def parameters():
    whole = b""
    values = {
        1: lambda: b"".join(
            bytes([len(part)]) + part for part in (chance.choice([b"h2", b"h3", b"http/1.1", b"a,b", b"c\\d"])
                                                   for _ in range(chance.randrange(1, 4)))),
        2: lambda: b"",
        3: lambda: some(2),
        4: lambda: lists(4),
        5: lambda: some(chance.randrange(1, 20)),
        6: lambda: lists(16),
        667: lambda: some(chance.randrange(8))
    }
    chosen = sorted(chance.sample(sorted(values), chance.randrange(len(values))))
    if 2 in chosen and 1 not in chosen:
        chosen.remove(2)
    if chosen and chance.randrange(2):
        value = b"".join(key.to_bytes(2, "big") for key in chosen)
        whole += b"\0\0" + len(value).to_bytes(2, "big") + value
    for key in chosen:
        value = values[key]()
        whole += key.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value
    return whole


def service():
    priority = number(2)
    return priority + name() + (parameters() if priority != b"\0\0" else b"")


MAKE = {
    1: lambda: number(4),
    28: lambda: chance.choice(
        [some(16),
         bytes(16),
         bytes(10) + b"\xff\xff" + some(4), b"\x20\x01\x0d\xb8" + bytes(8) + some(4)]),
    2: name,
    5: name,
    12: name,
    15: lambda: number(2) + name(),
    6: lambda: name() + name() + b"".join(number(4) for _ in range(5)),
    33: lambda: number(2) + number(2) + number(2) + name(),
    16: lambda: b"".join(text(256) for _ in range(chance.randrange(1, 4))),
    257: lambda: number(1) + b"\x05issue" + chance.choice([b"", b"ca.test; a=b", b'q"\\',
                                                           some(9)]),
    64: service,
    65: service
}


def shown(rdtype, wire):
    if rdtype not in KNOWN:
        return dns.rdata.GenericRdata(dns.rdataclass.IN, rdtype, wire).to_text()
    rdata = dns.rdata.from_wire(dns.rdataclass.IN, rdtype, wire, 0, len(wire))
    return rdata.to_text()


def main():
    print("# Made by rdata.py: type, data, text.")
    for rdtype in sorted(KNOWN):
        for _ in range(40):
            wire = MAKE[rdtype]()
            print(rdtype, wire.hex() or "-", shown(rdtype, wire))
    for rdtype in [*range(3, 132), 249, 250, 256, *range(258, 264), 32768, 32769, 65280]:
        if rdtype not in KNOWN:
            wire = some(chance.randrange(24))
            # dnspython has spaces in long hexadecimal.
            head, length, digits = re.fullmatch(r"(\\#) (\d+) ?(.*)", shown(rdtype, wire)).groups()
            print(rdtype, wire.hex() or "-", f"{head} {length} {digits.replace(' ', '')}".rstrip())


main()
