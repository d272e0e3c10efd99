#!/usr/bin/env python3
"""Captures of packets: every container, link and way of packets tells the same messages, and tshark
agrees."""
import json
import os
import struct
import subprocess

from harness import Daemon, dns, run_binary, temporary_folder

CLIENT, SERVER, UPSTREAM = "192.0.2.10", "192.0.2.53", "198.51.100.1"
CLIENT6, SERVER6 = "2001:db8::10", "2001:db8::53"
START = 1_600_000_000_123_456_000  # nanoseconds


def packed(address):
    import ipaddress
    return ipaddress.ip_address(address).packed


def checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ip(source, destination, protocol, payload, ident=0, offset=0, more=False, options=b""):
    if ":" in source:
        return struct.pack(">IHBB", 6 << 28, len(payload), protocol,
                           64) + packed(source) + packed(destination) + payload
    head = struct.pack(">BBHHHBBH", 0x45 + len(options) // 4, 0, 20 + len(options) + len(payload), ident,
                       (0x2000 if more else 0) | offset // 8, 64, protocol,
                       0) + packed(source) + packed(destination) + options
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + payload


def udp(source, destination, payload, **more):
    (source, sport), (destination, dport) = source, destination
    return ip(source, destination, 17, struct.pack(">HHHH", sport, dport, 8 + len(payload), 0) + payload,
              **more)


def fragments(source, destination, payload, size=400):
    (source, sport), (destination, dport) = source, destination
    whole = struct.pack(">HHHH", sport, dport, 8 + len(payload), 0) + payload
    return [ip(source, destination, 17, whole[at:at + size], ident=77, offset=at, more=at + size < len(whole))
            for at in range(0, len(whole), size)]


def tcp(source, destination, sequence, payload, flags=0x18):
    (source, sport), (destination, dport) = source, destination
    return ip(source, destination, 6,
              struct.pack(">HHIIBBHHH", sport, dport, sequence, 0, 0x50, flags, 8192, 0, 0) + payload)


def conversation():
    """IP packets: questions and answers over UDP, IPv6, fragments, and TCP in pieces and out of order."""
    packets = []
    for number in range(20):
        client, server = (CLIENT, 40000 + number), (SERVER, 53)
        if number % 4 == 3:
            client, server = (CLIENT6, 40000 + number), (SERVER6, 53)
        packets += [udp(client, server, dns(f"u{number}.test", ident=number)),
                    udp(server, client, dns(f"u{number}.test", ident=number, flags=0x8180))]
    packets.append(udp((CLIENT, 40100), (SERVER, 53), dns("options.test"), options=b"\x94\x04\0\0"))
    big = dns("big.test", flags=0x8180) + bytes(1500)
    packets += reversed(fragments((SERVER, 53), (CLIENT, 40200), big))
    upstream = dns("up.test", flags=0x0100)
    packets += [udp((SERVER, 50000), (UPSTREAM, 53), upstream),
                udp((UPSTREAM, 53), (SERVER, 50000), dns("up.test", flags=0x8180))]
    client, server = (CLIENT, 45000), (SERVER, 53)
    stream = b"".join(struct.pack(">H", len(query)) + query
                      for query in (dns(f"t{i}.test", ident=i) for i in range(6)))
    packets.append(tcp(client, server, 99, b"", flags=0x02))
    pieces = [(100 + at, stream[at:at + 31]) for at in range(0, len(stream), 31)]
    pieces[2:4] = reversed(pieces[2:4])
    packets += [tcp(client, server, sequence, piece) for sequence, piece in [*pieces, pieces[-1]]]
    packets.append(udp((CLIENT, 1), (SERVER, 123), b"no DNS at all"))
    return packets


LINKS = {
    "ethernet": (1, lambda packet: bytes(12) + (b"\x08\x00"
                                                if packet[0] >> 4 == 4 else b"\x86\xdd") + packet + bytes(6)),
    "vlan": (1, lambda packet: bytes(12) + b"\x88\xa8\0\1\x81\0\0\2" +
             (b"\x08\x00" if packet[0] >> 4 == 4 else b"\x86\xdd") + packet),
    "raw": (101, lambda packet: packet),
    "null": (0, lambda packet: struct.pack("=I", 2 if packet[0] >> 4 == 4 else 10) + packet),
    "ppp": (9, lambda packet: (b"\xff\x03\0\x21" if packet[0] >> 4 == 4 else b"\xff\x03\0\x57") + packet),
    "ppp-serial": (50, lambda packet: (b"\xff\x03\0\x21"
                                       if packet[0] >> 4 == 4 else b"\xff\x03\0\x57") + packet),
    "pppoe": (51, lambda packet: b"\x11\0\0\1\0\0" + (b"\0\x21"
                                                      if packet[0] >> 4 == 4 else b"\0\x57") + packet),
    "pppoe in a VLAN": (1, lambda packet: bytes(12) + b"\x81\0\0\7\x88\x64\x11\0\0\1\0\0" +
                        (b"\0\x21" if packet[0] >> 4 == 4 else b"\0\x57") + packet),
    "gre": (101, lambda packet: ip("203.0.113.1", "203.0.113.2", 47, b"\0\0" +
                                   (b"\x08\0" if packet[0] >> 4 == 4 else b"\x86\xdd") + packet)),
    "ip in ip": (101, lambda packet: ip("203.0.113.1", "203.0.113.2", 4
                                        if packet[0] >> 4 == 4 else 41, packet)),
    "vxlan": (101, lambda packet: udp(
        ("203.0.113.1", 50000), ("203.0.113.2", 4789), b"\x08\0\0\0\0\0\7\0" + LINKS["ethernet"][1](packet))),
    "sll": (113, lambda packet: bytes(14) + (b"\x08\x00" if packet[0] >> 4 == 4 else b"\x86\xdd") + packet),
    "sll2": (276, lambda packet: (b"\x08\x00" if packet[0] >> 4 == 4 else b"\x86\xdd") + bytes(18) + packet),
}


def pcap(packets, link=LINKS["ethernet"], order="<", nanoseconds=False):
    out = struct.pack(f"{order}IHHiIII", 0xA1B23C4D if nanoseconds else 0xA1B2C3D4, 2, 4, 0, 0, 262144,
                      link[0])
    for number, packet in enumerate(packets):
        seconds, part = divmod(START + number * 1_000_000, 1_000_000_000)
        data = link[1](packet)
        out += struct.pack(f"{order}IIII", seconds, part if nanoseconds else part // 1000, len(data),
                           len(data)) + data
    return out


def block(order, kind, body):
    body += bytes(-len(body) % 4)
    return struct.pack(f"{order}II", kind, 12 + len(body)) + body + struct.pack(f"{order}I", 12 + len(body))


def pcapng(packets, link=LINKS["ethernet"], order="<", resolution=None, sections=1):
    out = b""
    units = {None: 10**6, 9: 10**9, 0x80 | 30: 1 << 30}[resolution]
    option = b"" if resolution is None else struct.pack(f"{order}HHB3xHH", 9, 1, resolution, 0, 0)
    for section in range(sections):
        out += block(order, 0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1))
        out += block(order, 5, struct.pack(f"{order}III", 0, 0, 0))
        # An interface of another kind, without packets.
        out += block(order, 1, struct.pack(f"{order}HHI", 147, 0, 0))
        out += block(order, 1, struct.pack(f"{order}HHI", link[0], 0, 0) + option)
        out += block(order, 0xBAD, b"a block nobody knows")
        for number, packet in enumerate(packets):
            if number * sections // len(packets) != section:
                continue
            data = link[1](packet)
            when = -(-(START + number * 1_000_000) * units // 10**9)
            out += block(order, 6, struct.pack(f"{order}IIIII", 1, when >> 32, when & 0xFFFFFFFF, len(data),
                                               len(data)) + data)
    return out


def replay(data, more="", fmt="json", expected=0):
    with temporary_folder() as top:
        path = os.path.join(top, "capture")
        with open(path, "wb") as file:
            file.write(data)
        config = (f"[input.file]\nenable = true\npath = '{path}'\n[web-api]\nenable = false\n"
                  f"[output.stdout]\nenable = true\nformat = '{fmt}'\n{more}")
        status, out, err = run_binary(config=config)
        assert status == expected, err
        return [json.loads(line) for line in out.splitlines()] if fmt == "json" else out, err


def test_every_container_and_link_says_the_same():
    packets = conversation()
    expected, err = replay(pcap(packets))
    assert [record["qname"] for record in expected] == [f"u{i // 2}.test." for i in range(40)] + [
        "options.test.", "big.test.", "up.test.", "up.test.", *(f"t{i}.test." for i in range(6))], expected
    assert expected[0]["timestamp"] == "2020-09-13T12:26:40.123456+00:00"
    assert expected[0]["identity"] == "sniffer"
    assert {record["message"] for record in expected} == {"CLIENT_QUERY",
                                                          "CLIENT_RESPONSE"}, "all as their servers see them"
    assert expected[1]["latency"] == 0.001 and expected[41]["length"] == len(dns("big.test")) + 1500
    assert [record["protocol"]
            for record in expected[-6:]] == ["TCP"] * 6 and expected[6]["family"] == "INET6"
    for link in LINKS.values():
        for order in "<>":
            containers = [pcap(packets, link, order, nanoseconds) for nanoseconds in (False, True)]
            containers += [pcapng(packets, link, order, resolution, 3) for resolution in (None, 9, 0x80 | 30)]
            for data in containers:
                assert replay(data)[0] == expected


def test_where_it_was_made():
    """With eth-ip, messages are told from that machine."""
    packets = conversation()
    section = f"[input.sniffer]\neth-ip = ['{SERVER}', '{SERVER6}']\ndnstap-identity = 'here'\n"
    records, _ = replay(pcap(packets), section)
    kinds = [record["message"] for record in records]
    assert len(records) == 50 and kinds.count("FORWARDER_QUERY") == kinds.count("FORWARDER_RESPONSE") == 1
    assert {record["identity"] for record in records} == {"here"}
    records, _ = replay(pcap(packets), section + "record-client-query = false\n")
    assert "CLIENT_QUERY" not in {record["message"] for record in records} and len(records) < 50
    records, _ = replay(pcap(packets), f"[input.sniffer]\neth-ip = ['{UPSTREAM}']\n")
    assert [record["message"] for record in records] == ["CLIENT_QUERY", "CLIENT_RESPONSE"]


def test_as_tshark_reads_it():
    for data in (pcap(conversation()), pcapng(conversation(), LINKS["sll2"], ">", 9)):
        records, _ = replay(data)
        with temporary_folder() as top:
            path = os.path.join(top, "capture")
            with open(path, "wb") as file:
                file.write(data)
            done = subprocess.run(["tshark", "-n", "-r", path, "-o", "tcp.reassemble_out_of_order:TRUE", "-Y",
                                   "dns",
                                   "-T", "fields", "-E", "occurrence=a", "-E", "aggregator=,",
                                   "-e", "dns.qry.name", "-e", "dns.id", "-e", "dns.flags.response"],
                                  capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        theirs = []
        for line in done.stdout.splitlines():
            theirs += zip(*(field.split(",") for field in line.split("\t")))
        theirs = sorted((name + ".", int(ident, 16), response in ("1", "True")) for name, ident,
                        response in theirs)
        ours = sorted((record["qname"], record["id"], record["type"] == "response") for record in records)
        assert ours == theirs, [pair for pair in zip(ours, theirs) if pair[0] != pair[1]][:3]


def test_captures_that_are_broken():
    packets = conversation()[:10]
    whole = pcap(packets)
    cases = [(whole[:-3], 9, "ends in the middle of a block"),
             (whole[:30], 0, "ends in the middle of a block"), (whole[:24], 0, "replayed"),
             (pcapng(packets)[:-5], 9, "ends in the middle of a block"),
             (pcapng(packets) + struct.pack("<II20xI", 6, 32, 33), 10, "a block is broken"),
             (whole[:24] + struct.pack("<IIII", 0, 0, 1 << 30, 0) + bytes(1 << 20), 0,
              "ends in the middle of a block"),
             (pcap(packets, (147, lambda packet: packet)), 0, "not read are packets with a link of kind 147")]
    for data, count, words in cases:
        records, err = replay(data, expected=int("broken" in words))
        assert len(records) == count and words in err, (len(records), words, err)
    with temporary_folder() as top:
        path = os.path.join(top, "capture.gz")
        with open(path, "wb") as file:
            file.write(b"\x1f\x8b\x08\0")
        status, _, err = run_binary(config=f"[input.file]\nenable = true\npath = '{path}'\n[web-api]\n"
                                           f"enable = false\n")
        assert status == 1 and "a gzip file; allowed: a capture of Frame Streams, pcap or pcapng" in err, err


def nflog(order):
    def link(packet):
        body = struct.pack(f"{order}HH", 4 + len(b"wan\0"), 10) + b"wan\0"
        return (b"\x02\0\0\x05" if packet[0] >> 4 == 4 else b"\x0a\0\0\x05") + body + struct.pack(
            f"{order}HH", 4 + len(packet), 9) + packet
    return 239, link


def test_nflog():
    packets = conversation()
    expected, _ = replay(pcap(packets))
    for order in "<>":
        assert replay(pcap(packets, nflog(order), order))[0] == expected


def test_a_block_that_cannot_be_read_costs_itself_alone():
    """Each is named once, and what comes after it is read."""
    good = [udp((CLIENT, 40000 + i), (SERVER, 53), dns(f"good{i}.test", ident=i)) for i in range(9)]
    for order in "<>":
        def pack(fmt, *values):
            return struct.pack(order + fmt, *values)

        def enhanced(number, packet, time=1_600_000_000_000_000, length=None):
            return block(order, 6, pack("IIIII", number, time >> 32, time & 0xFFFFFFFF,
                                        len(packet) if length is None else length, len(packet)) + packet)

        out = block(order, 0x0A0D0D0A, pack("IHHq", 0x1A2B3C4D, 1, 0, -1))
        out += block(order, 1, pack("HHI", 101, 0, 0))  # 0: what is read
        out += block(order, 1, pack("HHI", 147, 0, 0))  # 1: a link of another kind
        out += block(order, 1, pack("HHIHHB3x", 101, 0, 0, 9, 1, 0x7F))  # 2: a clock of 10^127 ticks a second
        out += b"".join(block(order, 1, pack("HHI", 101, 0, 0))
                        for _ in range(3, 70))  # some beyond the limit
        out += enhanced(0, good[0])
        for _ in range(2):
            out += enhanced(1, good[8]) + enhanced(2, good[8]) + enhanced(66, good[8]) + enhanced(99, good[8])
            out += enhanced(0, good[8], time=1 << 63) + enhanced(0, good[8], length=1 << 20)
            out += block(order, 6, b"short") + block(order, 3, b"")
            out += enhanced(0, good[8] + bytes(400_000))
        out += enhanced(63, good[1])
        out += block(order, 3, pack("I", len(good[2])) + good[2])  # a simple packet
        out += block(order, 2, pack("HHIIII", 0, 7, 1_600_000_000_000_000 >> 32,
                                    1_600_000_000_000_000 & 0xFFFFFFFF, len(good[3]), len(good[3])) + good[3])
        records, err = replay(out)
        assert [record["qname"] for record in records] == [f"good{i}.test." for i in range(4)], (records, err)
        assert [record["timestamp"] for record in records] == ["2020-09-13T12:26:40.000000+00:00"] * 2 + [
            "-", "2020-09-13T12:26:40.000000+00:00"], "a simple packet has no time"
        named = [line.split("WARN ")[1] for line in err.splitlines() if "not read are packets" in line]
        assert len(named) == 7 == len(set(named)), err
        for words in ("a link of kind 147", "interface 2, which is not described",
                      "interface 66; 64 interfaces", "interface 99; 64", "a time that does not exist",
                      "a header that contradicts itself", "more than 327680 bytes"):
            assert any(words in line for line in named), (words, named)
    # pcap has one link, and its times have a fraction that may be impossible.
    whole = pcap(good)
    broken = whole[:24] + struct.pack("<IIII", 9, 1_000_000, 30, 30) + bytes(30) + whole[24:]
    records, err = replay(broken)
    assert len(records) == 9 and err.count("a time that does not exist") == 1


def test_a_repeated_syn_is_no_second_message():
    query = struct.pack(">H", len(dns("q.test"))) + dns("q.test")
    begin = tcp((CLIENT, 45000), (SERVER, 53), 99, query, flags=0x02)
    again = tcp((CLIENT, 45000), (SERVER, 53), 100, query)
    assert len(replay(pcap([begin, begin, again, begin]))[0]) == 1
    other = tcp((CLIENT, 45000), (SERVER, 53), 5_000_099, query, flags=0x02)
    assert len(replay(pcap([begin, other]))[0]) == 2


def test_a_hole_in_a_connection():
    """Messages after it bear their own times, none is made up, and the end of the file ends the wait."""
    client, server = (CLIENT, 45000), (SERVER, 53)
    parts = [struct.pack(">H", len(query)) + query
             for query in (dns(f"q{i}.a-name-of-some-length.test", ident=i) for i in range(8))]
    starts = [100 + sum(map(len, parts[:i])) for i in range(9)]
    packets = [tcp(client, server, 99, b"", flags=0x02), tcp(client, server, starts[0], parts[0]),
               # 1 is lost; 2 and 3 wait for it until the end.
               tcp(client, server, starts[2], parts[2]), tcp(client, server, starts[3], parts[3])]
    records, _ = replay(pcap(packets))
    assert [(record["id"], record["timestamp"][17:26]) for record in records] == [
        (0, "40.124456"), (2, "40.125456"), (3, "40.126456")], records
    # The middle of 2 is all that comes of it: 3 is where reading goes on.
    packets[2] = tcp(client, server, starts[2] + 20, parts[2][20:])
    assert [record["id"] for record in replay(pcap(packets))[0]] == [0, 3]
    # Lengths in segments of their own, of a connection that was there before.
    packets = [tcp(client, server, at, piece) for i in range(3)
               for at, piece in ((starts[i], parts[i][:2]), (starts[i] + 2, parts[i][2:]))]
    records, _ = replay(pcap(packets))
    assert [(record["id"], record["timestamp"][17:26]) for record in records] == [
        (0, "40.123456"), (1, "40.125456"), (2, "40.127456")], records


def test_each_round_of_a_loop_begins_anew():
    """A connection that the capture begins in the middle of, and one that stays open, are read in each
    round."""
    query = struct.pack(">H", len(dns("q.test"))) + dns("q.test")
    packets = [tcp((CLIENT, 45000), (SERVER, 53), 99, b"", flags=0x02),
               tcp((CLIENT, 45000), (SERVER, 53), 100, query),
               tcp((CLIENT, 45001), (SERVER, 53), 7_000_000, query),
               *fragments((SERVER, 53), (CLIENT, 40200), dns("big.test", flags=0x8180) + bytes(900))[:2]]
    with temporary_folder() as top:
        path = os.path.join(top, "capture")
        with open(path, "wb") as file:
            file.write(pcap(packets))
        with Daemon(f"[input.file]\nenable = true\npath = '{path}'\nloop = true\nrate = 200\n") as daemon:
            key = 'dnstapd_received_total{input="file"}'
            daemon.wait(lambda: daemon.metrics()[key] >= 50)
            metrics = daemon.metrics()
            reasons = {reason: metrics[f'dnstapd_packets_ignored_total{{input="file",reason="{reason}"}}']
                       for reason in ("fragment", "gap", "connection")}
            messages = metrics[key]
            assert reasons["gap"] == reasons["connection"] == 0, reasons
            assert abs(messages / 2 - reasons["fragment"]) <= 2, (messages, reasons)


def test_several_streams_in_one_file():
    """`cat a b`, and what writers append at each start, with and without STOP between."""
    demo = open(os.path.join(os.path.dirname(__file__), "../data/demo.fstrm"), "rb").read()
    once = len(replay(demo)[0])
    assert demo[-12:] == struct.pack(">III", 0, 4, 3)
    for joined in (demo + demo, demo[:-12] + demo):
        records, err = replay(joined)
        assert len(records) == 2 * once and "WARN" not in err, err
    assert "ends without STOP" in replay(demo + demo[:-12])[1]


def test_the_memory_it_takes():
    with temporary_folder() as top:
        path = os.path.join(top, "capture")
        with open(path, "wb") as file:
            file.write(pcap(conversation()))
        status, out, err = run_binary("--check", config=f"[input.file]\nenable = true\npath = '{path}'\n")
        assert status == 0 and "buffers of input file" in out, err
