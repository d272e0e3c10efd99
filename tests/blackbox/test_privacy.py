#!/usr/bin/env python3
"""Privacy: no address of a client stays or leaves, and SIGHUP takes changes over."""
import hashlib
import hmac
import ipaddress
import os
import signal
import struct

from harness import DATA, Daemon, Sender, dns, field, message, needs, run_binary, temporary_folder
from peers import Peer, dnstap_output, frames_of, greet_dnstap, tcp, wait_delivered

KEY = b"32-char-str-for-AES-key-and-pad."
V4, V6 = (ipaddress.ip_address(text) for text in ("192.0.2.1", "2001:db8::1"))
UPSTREAM = ipaddress.ip_address("198.51.100.9")


def key_file(folder, key=KEY):
    path = os.path.join(folder, "key")
    with open(path, "wb") as file:
        file.write(key)
    return path


def hashed(address):
    octets = address.packed
    return ipaddress.ip_address(hmac.new(KEY, octets, hashlib.sha256).digest()[:len(octets)])


def with_subnet(address, bits, **more):
    """A query with an EDNS client subnet."""
    data = struct.pack(">HBB", 1 if address.version == 4 else 2, bits, 0) + address.packed[:bits // 8]
    options = struct.pack(">HH", 8, len(data)) + data
    payload = bytearray(dns(**more))
    payload[11] = 1
    return bytes(payload) + b"\0" + struct.pack(">HHIH", 41, 1232, 0, len(options)) + options


def exchange(address, ident):
    """A query and its response."""
    family = 1 if address.version == 4 else 2
    policy = field(15, field(2, str(address).encode()) + field(4, 2) + field(5, address.packed))
    return [message(kind=kind, address=address.packed, family=family, more=policy,
                    payload=with_subnet(address, 32, ident=ident, flags=flags))
            for kind, flags in ((5, 0x0100), (6, 0x8180))]


def everything_shown(daemon):
    return "".join(daemon.request(path)[1] for path in (
        "/tables?n=50&stream=lb1", "/tables?n=50", "/log?limit=50", "/log?format=ndjson&limit=0", "/log?format=csv",
        "/pairs?name=www.example.com.", "/devices", "/alarms", "/metrics", "/counters"))


def check_hidden(section, expected_v4, expected_v6, subnet_v4, subnet_v6):
    """What is shown, written and sent of three messages, of two clients and one of the machine itself."""
    peer = Peer(greet=greet_dnstap)
    with temporary_folder() as folder:
        more = (f'[privacy]\n{section.replace("KEY", key_file(folder))}\n[statistics]\nexport-top = 10\n'
                "[health]\nnew-device = { enable = true }\n"
                f'[output.file]\nenable = true\nfile = "{folder}/records"\nformat = "text"\n')
        with Daemon(more + dnstap_output(tcp(peer.port))) as daemon:
            sender = Sender(daemon.unix)
            frames = [*exchange(V4, 1), *exchange(V6, 2),
                      message(kind=3, address=UPSTREAM.packed, payload=dns(ident=3))]
            sender.send(*frames)
            sender.stop()
            wait_delivered(daemon, "dnstap", len(frames))
            seen = [record["query-ip"] for record in daemon.records()]
            assert seen == [expected_v4] * 2 + [expected_v6] * 2 + [str(UPSTREAM)], seen
            daemon.wait(lambda: os.path.getsize(f"{folder}/records") > 0)
            with open(f"{folder}/records", encoding="utf-8") as file:
                shown = everything_shown(daemon) + file.read()
            assert expected_v4 in shown and expected_v6 in shown and str(UPSTREAM) in shown
            log = daemon.json("/log?limit=50")
            assert expected_v4 in str(log), log
            assert daemon.json("/devices")["devices"] == []
            daemon.wait(lambda: sum(map(len, map(list, map(frames_of, map(bytes, peer.received))))) == len(frames))
            sent = [frame for received in peer.received for frame in frames_of(bytes(received))]
            daemon.check_accounts()
    peer.close()
    for original, expected in ((V4, expected_v4), (V6, expected_v6)):
        if str(original) != expected:
            assert str(original) not in shown.replace(expected, ""), shown
            for octets in (original.packed, str(original).encode()):
                assert all(octets not in frame for frame in sent), (original, sent)
    packed = lambda text: ipaddress.ip_address(text).packed
    for place, (address, subnet) in enumerate(((expected_v4, subnet_v4), (expected_v6, subnet_v6))):
        for frame in sent[2 * place:2 * place + 2]:
            assert field(4, packed(address)) in frame and packed(subnet)[:4] in frame, frame
    assert sent[-1] == frames[-1]


def test_mask():
    check_hidden("client = 'mask'", "192.0.2.0", "2001:db8::", "192.0.2.0", "2001:db8::")
    check_hidden("client = 'mask'\nmask-v4 = 8\nmask-v6 = 16", "192.0.0.0", "2001::", "192.0.0.0", "2001::")


def test_hash():
    prefix = ipaddress.ip_address(V6.packed[:4] + bytes(12))
    check_hidden("client = 'hash'\nkey-file = 'KEY'", str(hashed(V4)), str(hashed(V6)), str(hashed(V4)),
                 str(hashed(prefix)))


def test_cryptopan():
    check_hidden("client = 'cryptopan'\nkey-file = 'KEY'", "192.0.125.244",
                 "27fe:8bc7:fee:1e:1e1f:f0fe:f0e1:83fd", "192.0.125.244", "27fe:8bc7::")


def hide_names(way, expected):
    """A query and its response for a name, and what is shown, written and sent of it."""
    peer = Peer(greet=greet_dnstap)
    with temporary_folder() as folder:
        more = (f"[privacy]\nqname = '{way}'\nkey-file = '{key_file(folder)}'\n[statistics]\nexport-top = 10\n"
                f'[output.file]\nenable = true\nfile = "{folder}/records"\nformat = "ecs"\n')
        answer = b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x09\x06secret\xc0\x13" + b"\x06secret\xc0\x13\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x01"
        response = bytearray(dns("secret.example.com", flags=0x8180) + answer)
        response[7] = 2
        zone = field(11, b"\x06secret\0") + field(15, field(2, b"secret") + field(5, b"secret"))
        with Daemon(more + dnstap_output(tcp(peer.port)), stdout_keys='fields = ["qname", "answers", "zone", "policy", "query-ip"]') as daemon:
            sender = Sender(daemon.unix)
            sender.send(message(5, dns("secret.example.com"), more=zone), message(6, bytes(response), more=zone))
            sender.stop()
            wait_delivered(daemon, "dnstap", 2)
            records = daemon.records()
            daemon.wait(lambda: os.path.getsize(f"{folder}/records") > 0)
            with open(f"{folder}/records", encoding="utf-8") as file:
                shown = everything_shown(daemon) + file.read() + str(records)
            daemon.wait(lambda: sum(map(len, map(list, map(frames_of, map(bytes, peer.received))))) == 2)
            sent = b"".join(frame for received in peer.received for frame in frames_of(bytes(received)))
            daemon.check_accounts()
    peer.close()
    assert [record["qname"] for record in records] == [expected] * 2 and records[0]["query-ip"] == "192.0.2.10"
    assert [answer["data"] for answer in records[1]["answers"]] == ["192.0.2.1"] and records[1]["zone"] == "-"
    assert expected in shown and "secret" not in shown, shown
    assert b"secret" not in sent and sent.count(bytes([192, 0, 2, 10])) == 2


@needs("records")
def test_names_are_cut_or_hashed():
    hide_names("registered-domain", "example.com.")
    hide_names("hash", hmac.new(KEY, b"secret.example.com.", hashlib.sha256).hexdigest()[:32] + ".")


def test_places_are_those_of_the_address_as_it_was_sent():
    places = os.path.join(DATA, "places.mmdb")
    with Daemon(f"[geoip]\nenable = true\ncity-database = '{places}'\n"
                "[privacy]\nclient = 'mask'\nmask-v4 = 0\n") as daemon:
        sender = Sender(daemon.unix)
        sender.send(message(address=bytes([192, 0, 2, 200])))
        sender.stop()
        [record] = daemon.records()
        assert (record["query-ip"], record["country"]) == ("0.0.0.0", "United\\032States"), record


def test_reload():
    """What was remembered before is forgotten; counters stay. A key that cannot be read changes nothing."""
    with temporary_folder() as folder, Daemon(
            f"[privacy]\nclient = 'none'\n[history]\npath = '{folder}/history'\nsave-interval = 1\n") as daemon:
        send = lambda ident: (sender := Sender(daemon.unix)).send(*exchange(V4, ident)) or sender.stop()
        text = lambda: everything_shown(daemon)
        with open(daemon.config, encoding="utf-8") as file:
            config = file.read()
        send(1)
        daemon.wait(lambda: text().count(str(V4)) >= 3)
        daemon.wait(lambda: any(name.endswith(".seg") for name in os.listdir(f"{folder}/history")))
        daemon.write(config.replace("client = 'none'", f"client = 'hash'\nkey-file = '{folder}/nothing'"))
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_for_log("Not reloaded: privacy.key-file")
        assert str(V4) in text()
        daemon.write(config.replace("client = 'none'", "client = 'mask'"))
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_for_log("Reloaded; taken over: privacy.client")
        assert str(V4) not in text(), text()
        assert daemon.metrics()["dnstap_queries"] == 1
        send(2)
        daemon.wait(lambda: "192.0.2.0" in text())
        assert str(V4) not in text(), text()
        octets = lambda: b"".join(open(os.path.join(f"{folder}/history", name), "rb").read()
                                  for name in os.listdir(f"{folder}/history"))
        daemon.wait(lambda: V4.packed not in octets())


def test_check():
    with temporary_folder() as folder:
        for client, key, status, expected in (
                ("mask", None, 0, "privacy: client, mask"), ("hash", KEY, 0, "privacy: client, hash"),
                ("cryptopan", KEY[1:], 1, "not a key; allowed: a file of 32 bytes"),
                ("hash", KEY + b"\n", 1, "not a key; allowed: a file of 32 bytes"),
                ("hash", None, 1, "privacy.key-file: ")):
            path = key_file(folder, key) if key else f"{folder}/nothing"
            config = f"[privacy]\nclient = '{client}'\nkey-file = '{path}'\n"
            found, out, err = run_binary("--check", config=config)
            assert found == status and expected in out + err, (found, out, err)
            if status:
                assert ":3:1: privacy.key-file" in err, err
