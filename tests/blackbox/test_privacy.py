#!/usr/bin/env python3
"""Privacy: no address of a client stays or leaves, and SIGHUP takes changes over."""
import hashlib
import hmac
import ipaddress
import os
import signal
import struct

import pytest

from harness import (DATA, USER, Daemon, Sender, dns, field, has, message, natively, needs, run_binary,
                     temporary_folder)
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
    raw = address.packed
    return ipaddress.ip_address(hmac.new(KEY, raw, hashlib.sha256).digest()[:len(raw)])


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
    return "".join(
        daemon.request(path)[1]
        for path in ("/tables?n=50&stream=lb1", "/tables?n=50", "/log?limit=50", "/log?format=ndjson&limit=0",
                     "/log?format=csv", "/pairs?name=www.example.com.", "/devices", "/alarms", "/metrics",
                     "/counters"))


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
            daemon.wait(lambda: sum(map(len, map(list, map(frames_of, map(bytes, peer.received))))) == len(
                frames))
            sent = [frame for received in peer.received for frame in frames_of(bytes(received))]
            daemon.check_accounts()
    peer.close()
    for original, expected in ((V4, expected_v4), (V6, expected_v6)):
        if str(original) != expected:
            assert str(original) not in shown.replace(expected, ""), shown
            for raw in (original.packed, str(original).encode()):
                assert all(raw not in frame for frame in sent), (original, sent)
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
        more = (
            f"[privacy]\nqname = '{way}'\nkey-file = '{key_file(folder)}'\n[statistics]\nexport-top = 10\n"
            f'[output.file]\nenable = true\nfile = "{folder}/records"\nformat = "ecs"\n')
        answer = (b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x09\x06secret\xc0\x13"
                  b"\x06secret\xc0\x13\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x01")
        response = bytearray(dns("secret.example.com", flags=0x8180) + answer)
        response[7] = 2
        zone = field(11, b"\x06secret\0") + field(15, field(2, b"secret") + field(5, b"secret"))
        with Daemon(more + dnstap_output(tcp(peer.port)),
                    stdout_keys='fields = ["qname", "answers", "zone", "policy", "query-ip"]') as daemon:
            sender = Sender(daemon.unix)
            sender.send(message(5, dns("secret.example.com"), more=zone),
                        message(6, bytes(response), more=zone))
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
    assert [record["qname"]
            for record in records] == [expected] * 2 and records[0]["query-ip"] == "192.0.2.10"
    assert [answer["data"] for answer in records[1]["answers"]] == ["192.0.2.1"] and records[1]["zone"] == "-"
    assert expected in shown and "secret" not in shown, shown
    assert b"secret" not in sent and sent.count(bytes([192, 0, 2, 10])) == 2


@needs("records")
def test_names_are_cut_or_hashed():
    hide_names("registered-domain", "example.com.")
    hide_names("hash", hmac.new(KEY, b"secret.example.com.", hashlib.sha256).hexdigest()[:32] + ".")


@needs("history")
def test_names_are_judged_as_they_were_sent():
    """A list of blocked names knows nothing of hidden ones; nor does an alias that is left out make an answer
    blocked."""
    with temporary_folder() as folder:
        with open(f"{folder}/list", "w") as file:
            file.write("secret.example.com\n")
        more = f"[privacy]\nqname = 'registered-domain'\n[statistics]\nblocked-names = ['{folder}/list']\n"
        alias = (b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x02\xc0\x13"
                 b"\xc0\x13\0\x01\0\x01\0\0\0\x3c\0\x04" + bytes(4))
        aliased = bytearray(dns("secret.example.com", flags=0x8180) + alias)
        aliased[7] = 2
        with Daemon(more) as daemon:
            sender = Sender(daemon.unix)
            for number, payload in enumerate((dns("x.secret.example.com",
                                                  flags=0x8183), dns("other.example.com",
                                                                     flags=0x8183), bytes(aliased))):
                payload = number.to_bytes(2, "big") + payload[2:]
                query = payload[:2] + b"\x01\0" + payload[4:]
                sender.send(message(5, query), message(6, payload))
            sender.stop()
            daemon.wait(lambda: daemon.metrics()["dnstap_responses"] == 3)
            assert daemon.metrics()["dnstap_responses_blocked"] == 1
            statuses = [row["status"] for row in daemon.json("/log?limit=9")["log"]]
            assert statuses == ["answered", "nxdomain", "blocked"], statuses
            assert "secret" not in everything_shown(daemon)


@needs("geoip")
def test_places_are_those_of_the_address_as_it_was_sent():
    places = os.path.join(DATA, "places.mmdb")
    with Daemon(f"[geoip]\nenable = true\ncity-database = '{places}'\n"
                "[privacy]\nclient = 'mask'\nmask-v4 = 0\n") as daemon:
        sender = Sender(daemon.unix)
        sender.send(message(address=bytes([192, 0, 2, 200])))
        sender.stop()
        [record] = daemon.records()
        assert (record["query-ip"], record["country"]) == ("0.0.0.0", "United\\032States"), record


SECRET_V4, SECRET_V6 = (ipaddress.ip_address(text)
                        for text in ("198.18.177.201", "2001:db8:77aa:bb01:cc02:dd03:ee04:ff05"))
SECRET_LABEL = b"wwwhidden"
# Of an address that is masked these bits stay, and of a name its registered domain: neither is a
# secret. All is searched in lower case, so no byte of an address is a capital letter.
SECRETS = {
    "address": [
        SECRET_V4.packed, SECRET_V4.packed[::-1],
        str(SECRET_V4).encode(), SECRET_V6.packed[8:], SECRET_V6.packed[:7:-1], b"cc02:dd03:ee04:ff05"
    ],
    "name": [SECRET_LABEL]
}


def messages_with_secrets(count):
    """All places of a message that may have an address or a name in it, and messages that are cut short."""
    label = bytes([len(SECRET_LABEL)])
    for number in range(count):
        address = (SECRET_V4, SECRET_V6)[number % 2]
        shown = (SECRET_LABEL, SECRET_LABEL.title())[number // 2 % 2]
        policy = field(15, field(2, label + shown + b"\0") + field(4, 2) + field(5, address.packed))
        zone = field(11, label + shown + b"\x07example\x03com\0")
        common = dict(address=address.packed, family=1 if address.version == 4 else 2, more=policy + zone)
        query = with_subnet(address,
                            address.max_prefixlen,
                            ident=number,
                            qname=f"{shown.decode()}.example.com.")
        response = bytearray(query)
        response[2:4] = b"\x81\x80" if number % 3 else b"\x81\x83"
        yield message(5, query, **common)
        yield message(6, bytes(response), **common)
        yield message(3, query, **{**common, "address": UPSTREAM.packed, "family": 1})
        # Of each byte one is the last: an answer that is named as the question is.
        named = query + label + shown + b"\xc0\x16"
        yield message(5, named[:12 + number * 3 % (len(named) - 12)], **common)


def messages_without(count, size=60):
    for number in range(count):
        address = ipaddress.ip_address(bytes([203, 0, 113, number % 200])) if number % 2 else \
            ipaddress.ip_address(bytes.fromhex("20010db8aaaa") + bytes([number % 200 + 1] * 10))
        payload = with_subnet(address, address.max_prefixlen, ident=number,
                              qname=f"n{number % 500}.{'filling.' * (size // 8)}example.org.")
        policy = field(15, field(2, b"\x05other\0") + field(4, 2) + field(5, address.packed))
        yield message(5 + number % 2,
                      payload,
                      address=address.packed,
                      family=1 if address.version == 4 else 2,
                      more=policy + field(11, b"\x07example\x03org\0"))


def found_in(raw, kinds):
    """The secrets of these kinds that are in some bytes, and what is around them."""
    raw = raw.lower()
    for secret in (secret for kind in kinds for secret in SECRETS[kind]):
        at = raw.find(secret)
        if at >= 0:
            yield secret, raw[max(0, at - 64):at + 64]


def memory_of(process):
    """What a process has in memory that is its own: no file that it only reads."""
    with open(f"/proc/{process.pid}/maps") as maps, open(f"/proc/{process.pid}/mem", "rb", 0) as memory:
        for line in maps:
            bounds, rights, *_, path = (line.split(maxsplit=5) + [""])[:6]
            if not rights.startswith("r") or path.startswith(
                    "[v") or path.startswith("/") and "w" not in rights:
                continue
            start, end = (int(bound, 16) for bound in bounds.split("-"))
            memory.seek(start)
            yield b"".join(iter(lambda: memory.read(min(1 << 20, end - memory.tell())), b""))


def files_below(*folders):
    for top in folders:
        for folder, _, files in os.walk(top):
            for name in files:
                with open(os.path.join(folder, name), "rb") as file:
                    yield file.read()


@natively("/proc/PID/mem is that of the emulator")
def test_the_search_finds_what_is_there():
    with Daemon("[privacy]\nclient = 'none'\n", fmt="text") as daemon:
        sender = Sender(daemon.unix)
        sender.send(*messages_with_secrets(8))
        daemon.wait(lambda: daemon.metrics()["dnstap_queries"] > 0)
        found = {secret for part in memory_of(daemon.process) for secret, _ in found_in(part, SECRETS)}
        assert {SECRET_V4.packed, SECRET_V6.packed[8:], SECRET_LABEL} <= found, found
        sender.stop()


@natively("/proc/PID/mem is that of the emulator")
@pytest.mark.parametrize("client, qname", [
    ("mask", "registered-domain"), ("hash", "hash"), ("cryptopan", "registered-domain"), ("mask", "none")])
def test_no_memory_file_or_wire_has_what_is_hidden(client, qname):
    kinds = ["address"] * (client != "none") + ["name"] * (qname != "none")
    peer = Peer(greet=greet_dnstap)
    with temporary_folder() as folder, temporary_folder() as out:
        os.mkdir(f"{out}/history")
        if USER:
            os.chown(f"{out}/history", USER, USER)
        with open(f"{folder}/list", "w") as file:
            file.write("example.net\n")
        files = "".join(
            f'[[output.file]]\nenable = true\nname = "file-{fmt}"\nformat = "{fmt}"\nfile = "{out}/{fmt}"\n'
            f'queue = "64K"\n'
            for fmt in ("text", "json", "yaml", "dnstap",
                        *(("csv", "ecs", "zeek") if has("records") else ())))
        more = (f"[privacy]\nclient = '{client}'\nqname = '{qname}'\nkey-file = '{key_file(folder)}'\n"
                f"[history]\npath = '{out}/history'\nsave-interval = 1\nlog = '64K'\nanswers = true\n"
                "[statistics]\nexport-top = 50\ntrack = ['hit/query', 'length/query', 'hit/response']\n"
                f"blocked-names = ['{folder}/list']\n[health]\nnew-device = {{ enable = true }}\n"
                f"[filter]\nexclude-names-file = '{folder}/list'\n{files}")
        with Daemon(more + dnstap_output(tcp(peer.port), 'queue = "64K"')) as daemon:
            assert not [found for part in memory_of(daemon.process) for found in found_in(part, kinds)]
            sender = Sender(daemon.unix)
            secrets = list(messages_with_secrets(60))
            sender.send(*secrets)
            # One that no receive buffer holds whole, and its like below, where such frames are put together.
            sender.send(field(3, b"x" * 70_000) + secrets[0])
            daemon.wait(lambda: daemon.metrics()['dnstapd_frames_total{input="unix-socket"}'] == len(secrets)
                        + 1)
            shown = everything_shown(daemon)
            assert "lb1" in shown and not list(found_in(shown.encode(), kinds)), list(
                found_in(shown.encode(), kinds))
            for _ in range(2):
                sender.send(*messages_without(2000, 120))
                sender.send(field(3, b"x" * 130_000) + message(), field(3, b"y" * 100_000) + message())
            sender.stop()
            total = len(secrets) + 1 + 2 * 2002
            daemon.wait(lambda: daemon.metrics()['dnstapd_frames_total{input="unix-socket"}'] == total, 30)
            daemon.settle()
            everything_shown(daemon)
            found = [found for part in memory_of(daemon.process) for found in found_in(part, kinds)]
            assert not found, found
            daemon.check_accounts()
            assert daemon.stop() == 0
            for raw in (*files_below(out, daemon.folder.name), *map(bytes, peer.received)):
                assert not list(found_in(raw, kinds)), list(found_in(raw, kinds))
            assert sum(map(len, peer.received)) > 100_000 and "lb1" in daemon.log() + open(daemon.out).read()
    peer.close()


def test_reload():
    """What was remembered before is forgotten; counters stay. A key that cannot be read changes nothing."""
    with temporary_folder() as folder, Daemon(
            f"[privacy]\nclient = 'none'\n[history]\npath = '{folder}/history'\nsave-interval = 1\n"
    ) as daemon:
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
        raw = lambda: b"".join(open(os.path.join(f"{folder}/history", name), "rb").read()
                                  for name in os.listdir(f"{folder}/history"))
        daemon.wait(lambda: V4.packed not in raw())


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
