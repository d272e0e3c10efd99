#!/usr/bin/env python3
"""Writes databases in MaxMind's format, by MaxMind DB File Format Specification 2.0.

    mmdb.py OUT            the database of tests/data: places of the addresses meant for documentation
    mmdb.py --networks OUT another one of tests/data: whose these addresses are
    mmdb.py --corpus OUT   short ones to begin fuzzing with, into a folder
"""
import ipaddress
import os
import struct
import sys

MARKER = b"\xab\xcd\xefMaxMind.com"
POINTER, UTF8, DOUBLE, BYTES, UINT16, UINT32, MAP, INT32, UINT64, UINT128, ARRAY, BOOL, FLOAT = (*range(
    1, 12), 14, 15)


def head(kind, size):
    """A control byte and what follows it: extended types, long sizes."""
    if size < 29:
        low, more = size, b""
    elif size < 285:
        low, more = 29, bytes([size - 29])
    elif size < 65821:
        low, more = 30, struct.pack(">H", size - 285)
    else:
        low, more = 31, struct.pack(">I", size - 65821)[1:]
    return (bytes([kind << 5 | low]) if kind < 8 else bytes([low, kind - 7])) + more


def encode(value):
    """One value of the data section; an int is a uint32, or what (UINT16, number) says."""
    if isinstance(value, tuple):
        kind, number = value
        raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
        return head(kind, len(raw)) + raw
    if isinstance(value, str):
        raw = value.encode()
        return head(UTF8, len(raw)) + raw
    if isinstance(value, bytes):
        return head(UTF8, len(value)) + value  # not UTF-8, perhaps
    if isinstance(value, bool):
        return head(BOOL, int(value))
    if isinstance(value, int):
        return encode((UINT32, value))
    if isinstance(value, float):
        return head(DOUBLE, 8) + struct.pack(">d", value)
    if isinstance(value, dict):
        return head(MAP, len(value)) + b"".join(encode(key) + encode(item) for key, item in value.items())
    return head(ARRAY, len(value)) + b"".join(map(encode, value))


def build(networks, kind="GeoLite2-City", version=6, record_size=28, epoch=1_600_000_000):
    """A whole database: networks, each with its record, in any order; IPv4 stands at ::/96."""
    root = [None, None]
    for network, record in networks:
        insert(root, bits_of(ipaddress.ip_network(network), version), record)
    nodes = []
    number(root, nodes)
    data, places = b"", {}
    for node in nodes:
        for child in node:
            if child is not None and not isinstance(child, list) and id(child) not in places:
                places[id(child)] = len(data)
                data += encode(child)
    numbers = {id(node): at for at, node in enumerate(nodes)}

    def value(child):
        if child is None:
            return len(nodes)
        return numbers[id(child)] if isinstance(child, list) else len(nodes) + 16 + places[id(child)]

    tree = b"".join(pair(value(node[0]), value(node[1]), record_size) for node in nodes)
    metadata = {
        "binary_format_major_version": (UINT16, 2),
        "binary_format_minor_version": (UINT16, 0),
        "build_epoch": (UINT64, epoch),
        "database_type": kind,
        "description": {"en": "made for tests"},
        "ip_version": (UINT16, version),
        "languages": ["en"],
        "node_count": len(nodes),
        "record_size": (UINT16, record_size),
    }
    return tree + bytes(16) + data + MARKER + encode(metadata)


def bits_of(network, version):
    raw = network.network_address.packed
    prefix = network.prefixlen
    if network.version == 4 and version == 6:
        raw, prefix = bytes(12) + raw, prefix + 96
    return [raw[bit // 8] >> (7 - bit % 8) & 1 for bit in range(prefix)]


def insert(node, bits, record):
    for bit in bits[:-1]:
        if node[bit] is None:
            node[bit] = [None, None]
        node = node[bit]
    node[bits[-1]] = record


def number(node, nodes):
    nodes.append(node)
    for child in node:
        if isinstance(child, list):
            number(child, nodes)


def pair(left, right, record_size):
    if record_size == 24:
        return struct.pack(">I", left)[1:] + struct.pack(">I", right)[1:]
    if record_size == 28:
        middle = bytes([left >> 24 << 4 | right >> 24])
        return struct.pack(">I", left)[1:] + middle + struct.pack(">I", right)[1:]
    return struct.pack(">II", left, right)


def place(country=None, iso=None, city=None):
    """A record as MaxMind's cities have it."""
    record = {}
    if city is not None:
        record["city"] = {"geoname_id": 1, "names": {"de": "anders", "en": city}}
    if country is not None or iso is not None:
        entry = {"geoname_id": 2}
        if iso is not None:
            entry["iso_code"] = iso
        if country is not None:
            entry["names"] = {"en": country, "ja": "国"}
        record["country"] = entry
    record["location"] = {"accuracy_radius": (UINT16, 100), "latitude": 48.1, "longitude": 11.6,
                          "time_zone": "Europe/Berlin"}
    record["registered_country"] = {"iso_code": "US", "names": {"en": "United States"}}
    record["subdivisions"] = [{"iso_code": "BY", "names": {"en": "Bavaria"}}]
    return record


# The addresses of the captures, and some for what is odd.
PLACES = [
    ("192.0.2.0/25", place("Switzerland", "CH", "Zürich")),
    ("192.0.2.128/25", place("United States", "US", "San Juan Capistrano")),
    ("198.51.100.0/25", place("Côte d'Ivoire", "CI", 'a "quoted\\ city')),
    ("198.51.100.128/26", place("Germany", "DE")),
    ("198.51.100.192/26", place(None, None, "Nowhere")),
    ("203.0.113.0/26", place("x" * 127 + "éé", "XX", "y" * 300)),
    ("203.0.113.64/26", place("line\nbreak", "a\0b", "東京")),
    ("203.0.113.128/26", place(None, "FR", "Paris")),
    ("203.0.113.192/26", place("Spain", None, "")),
    ("127.0.0.0/8", place("Loopback Islands", "LO", "Localhost")),
    ("10.0.0.0/8", place("Japan", "JP", "Ōsaka")),
    ("2001:db8::/33", place("Canada", "CA", "Montréal")),
    ("2001:db8:8000::/33", place("Brazil", "BR", "São Paulo")),
]

NETWORKS = [
    ("192.0.2.0/24", {
        "autonomous_system_number": 64496,
        "autonomous_system_organization": "Example Net, Inc."
    }),
    ("203.0.113.0/24", {
        "autonomous_system_organization": "Nobody"
    }),
    ("2001:db8::/32", {
        "autonomous_system_number": 4200000000
    }),
]

if __name__ == "__main__":
    wanted = {
        "": build(PLACES)
    } if len(sys.argv) == 2 else {
        "": build(NETWORKS, "GeoLite2-ASN")
    } if "--networks" in sys.argv else {
        f"{size}-bit": build([("192.0.0.0/4", place("Switzerland", "CH", "Zürich")), ("64.0.0.0/3", {})],
                             version=4,
                             record_size=size)
        for size in (24, 28, 32)
    } | {
        "ipv6": build([("2001::/16", place("Canada", "CA", "Montréal"))])
    }
    for name, raw in wanted.items():
        with open(os.path.join(sys.argv[-1], name) if name else sys.argv[-1], "wb") as out:
            out.write(raw)
