"""The sniffer on real interfaces, beside a server that tells of the same messages, and beside tshark.

Unbound runs in a router of network namespaces and streams its own dnstap; the sniffer must say the same of
each message.
"""
import collections
import contextlib
import datetime
import json
import os
import signal
import socket
import subprocess
import tempfile
import time

import pytest

import compare
import harness
import lab
import network
import processes
import queries
import servers
import shark
import test_packets as packets
import tunnel

BOX = [network.address4("unbound"), network.address6("unbound")]
ORIGIN = [network.address4("origin"), network.address6("origin")]
CLIENTS = [*network.CLIENTS4, *network.CLIENTS6]
KEYS = ("message", "qname", "rrtype", "query-ip", "query-port", "family", "protocol", "length", "rcode", "id",
        "flags", "type",
        "response-ip", "response-port")
CLIENT_SIDE = {"CLIENT_QUERY", "CLIENT_RESPONSE"}
SERVER_SIDE = {"RESOLVER_QUERY", "RESOLVER_RESPONSE", "FORWARDER_QUERY", "FORWARDER_RESPONSE"}


def sniffer(interface, extra="", more=""):
    """A daemon that sniffs, and has what else is said."""
    return harness.Daemon(inputs=False,
                          extra=f'[input.sniffer]\nenable = true\neth-name = "{interface}"\n{extra}\n{more}')


def teller(interface, path):
    """A daemon that sniffs, and listens to the server's own dnstap."""
    return sniffer(interface, more=f'[input.unix-socket]\nenable = true\npath = "{path}"\n')


class Box:
    """The router: the server with its origin behind it and a client before it."""

    def __init__(self, folder):
        self.folder = folder
        self.client, self.upstream = lab.Space(), lab.Space()
        lab.cable("lan", self.client)
        lab.cable("wan", self.upstream)
        lab.connect("lan", self.client, "lan0", BOX, CLIENTS)
        lab.connect("wan", self.upstream, "wan0", BOX, ORIGIN)
        self.socket = os.path.join(folder, "dnstap.sock")
        with self.upstream.entered():
            lab.address("lo", *ORIGIN)
            os.mkdir(os.path.join(folder, "origin"))
            self.origin = servers.Origin(os.path.join(folder, "origin")).start()
        self.server = None

    def serve(self):
        """The server, with its dnstap on its way to `self.socket`."""
        if not self.server:
            os.makedirs(os.path.join(self.folder, "box"), exist_ok=True)
            self.server = servers.Unbound(os.path.join(self.folder, "box"), self.socket).start()
            # What is encrypted a sniffer cannot read, so it is not asked for.
            self.server.tls_port = None

    def through(self, here, there):
        """Client and server reach each other over these interfaces from now on."""
        lab.address(here, *BOX)
        lab.route(here, *CLIENTS)
        with self.client.entered():
            lab.address(there, *CLIENTS)
            lab.route(there, *BOX)
        time.sleep(0.2)

    def ask(self, lines, *options, sources=(network.CLIENTS4[0], network.CLIENTS6[0])):
        with self.client.entered():
            for target, source in zip(BOX, sources):
                queries.dig(target, lines, source, *options)

    @contextlib.contextmanager
    def told(self, *interfaces):
        """Daemons on some interfaces; the first hears the server too, and has come to rest before the
        questions."""
        with contextlib.ExitStack() as stack:
            daemons = [stack.enter_context(teller(interfaces[0], self.socket))]
            daemons += [stack.enter_context(sniffer(interface)) for interface in interfaces[1:]]
            self.serve()
            self.ask(["warm.wild.example.com A"])
            daemons[0].wait(lambda: any(r["identity"] == "resolver1" for r in daemons[0].records()), 10,
                            lambda: "no dnstap of the server")
            time.sleep(1.5)
            self.since = stamp()
            yield daemons
            time.sleep(1.5)

    def heard(self, daemon, identity):
        return [r for r in daemon.records() if r["identity"] == identity and r["timestamp"] > self.since]

    def end(self):
        for server in (self.server, self.origin):
            if server:
                server.kill()
        for space in (self.client, self.upstream):
            space.end()


@pytest.fixture(scope="session")
def box():
    """One for each process of a run."""
    lab.enter()
    with tempfile.TemporaryDirectory(prefix="dnstapd-sniffer-", ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o755)
        box = Box(folder)
        try:
            yield box
        finally:
            box.end()


def stamp():
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="microseconds")


def seconds(record):
    return datetime.datetime.fromisoformat(record["timestamp"]).timestamp()


def agree(sniffed, told, kinds, least):
    """The sniffer says of each message what the server says; times within half a second; every response has a
    latency."""
    ours = [r for r in sniffed if r["message"] in kinds]
    theirs = [r for r in told if r["message"] in kinds]
    assert len(theirs) >= least, f"the server tells of {len(theirs)} messages only"
    assert {r["message"] for r in theirs} == set(kinds), {r["message"] for r in theirs}
    # What the server leaves out for a kind of message is not compared.
    told_of = {kind: [key for key in KEYS if all(r[key] != "-" for r in theirs if r["message"] == kind)]
               for kind in kinds}
    by_key = lambda records: sorted((tuple(str(r[key]) for key in told_of[r["message"]]), seconds(r))
                                    for r in records)
    one, other = by_key(ours), by_key(theirs)
    counts = [collections.Counter(key for key, _ in pairs) for pairs in (one, other)]
    wrong = [f"sniffed only: {key} x{n}" for key, n in (counts[0] - counts[1]).items()]
    wrong += [f"told only: {key} x{n}" for key, n in (counts[1] - counts[0]).items()]
    some = "\n".join(sorted(wrong)[:12])
    assert not wrong, f"{len(ours)} sniffed and {len(theirs)} told, {len(wrong)} differences\n{some}"
    apart = max(abs(a - b) for (_, a), (_, b) in zip(one, other))
    assert apart < 0.5, f"times are {apart} s apart"
    late = [r for r in ours if r["type"] == "response" and r["latency"] == "-"]
    assert not late, f"{len(late)} responses without latency, such as {late[0]}"
    fields = sum(len(told_of[r["message"]]) for r in ours)
    return f"{len(ours)} messages, {fields} fields, times within {apart * 1000:.1f} ms"


def nothing_lost(*daemons):
    for daemon in daemons:
        metrics = daemon.check_accounts()
        wrong = {key: value for key, value in metrics.items() if value and key.startswith(
            ("dnstapd_rejected", "dnstapd_output_dropped", "dnstapd_sniffer_kernel_drops"))}
        assert not wrong, wrong


# ---- Tests ----------------------------------------------------------------------------------------------


def test_udp_tcp_and_both_families_as_the_server_and_tshark_say(box):
    """On the clients' side, on the far side and on all interfaces together."""
    with box.told("any", "lan", "wan") as (everywhere, lan, wan):
        with shark.Shark("lan", box.folder) as on_lan, shark.Shark("wan", box.folder) as on_wan:
            with box.client.entered():
                queries.many(box.server)
            time.sleep(1)
        told = box.heard(everywhere, "resolver1")
        results = [agree(box.heard(lan, "sniffer"), told, CLIENT_SIDE, 500),
                   agree(box.heard(wan, "sniffer"), told, SERVER_SIDE, 100),
                   agree(box.heard(everywhere, "sniffer"), told, CLIENT_SIDE | SERVER_SIDE, 600)]
        for daemon, capture in ((lan, on_lan), (wan, on_wan)):
            results.append(f"tshark: {shark.same(capture.messages(), box.heard(daemon, 'sniffer'))}")
        nothing_lost(everywhere, lan, wan)
        assert {r["protocol"] for r in box.heard(lan, "sniffer")} == {"UDP", "TCP"}
        return "; ".join(results)


def test_tcp_with_many_queries_on_a_connection(box):
    with box.told("lan") as (lan,):
        lines = [f"t{number}.wild.example.com A" for number in range(100)] + ["large.example.com TXT"] * 20
        box.ask(lines, "+tcp", "+keepopen")
        with tempfile.NamedTemporaryFile("w", suffix=".dnsperf") as file, box.client.entered():
            file.write("large.example.com TXT\nwww.example.com A\n" * 400)
            file.flush()
            for target in BOX:
                subprocess.run(["dnsperf", "-s", target, "-m", "tcp", "-d", file.name, "-n", "1", "-c", "2",
                                "-q", "40"], capture_output=True, timeout=60)
        time.sleep(1)
        told = agree(box.heard(lan, "sniffer"), box.heard(lan, "resolver1"), CLIENT_SIDE, 1500)
        nothing_lost(lan)
        return told


def test_answers_in_fragments(box):
    mtu(box, 1280)
    lines = ["large.example.com TXT", "www.example.com A"] * 20
    try:
        with box.told("lan", "any") as (lan, everywhere), shark.Shark("lan", box.folder) as capture:
            box.ask(lines, "+bufsize=4096", "+ignore")
            time.sleep(1)
            told = box.heard(lan, "resolver1")
            large = sum(r["length"] > 2500 and r["protocol"] == "UDP" for r in told)
            assert large >= 40, f"{large} large answers"
            results = [agree(box.heard(daemon, "sniffer"), told, CLIENT_SIDE, 100)
                       for daemon in (lan, everywhere)]
            capture.stop()
            assert capture.fragments() >= 3 * large, f"{capture.fragments()} fragments"
            nothing_lost(lan, everywhere)
            return f"{large} answers in {capture.fragments()} fragments; " + "; ".join(results)
    finally:
        mtu(box, 1500)


def mtu(box, data):
    lab.ip(f"link set lan mtu {data}")
    with box.client.entered():
        lab.ip(f"link set lan0 mtu {data}")


def line(box, names, here, there, least=100):
    """Questions over a line of some kind; all of these interfaces show the same."""
    box.through(here, there)
    with box.told(*names) as daemons:
        box.ask(queries.plain())
        box.ask(queries.plain({"A": queries.NAMES["A"]}), "+tcp")
        time.sleep(1)
        told = box.heard(daemons[0], "resolver1")
        results = [agree(box.heard(daemon, "sniffer"), told, CLIENT_SIDE, least) for daemon in daemons]
        nothing_lost(*daemons)
    return f"{', '.join(names)}: {results[0]}"


def replay(path, addresses):
    """What a daemon makes of a capture; it ends by itself."""
    ours = ", ".join(f'"{one}"' for one in addresses)
    config = f"""[web-api]
enable = false
[input.file]
enable = true
path = "{path}"
[input.sniffer]
eth-ip = [ {ours} ]
[output.stdout]
format = "json"
"""
    status, out, error = harness.run_binary(config=config, seconds=60)
    assert status == 0 and "WARN" not in error, (status, error)
    return [json.loads(line) for line in out.splitlines()]


def test_captures_of_packets_replay_to_the_same(box):
    """What tshark captured, in every container, becomes the records that the sniffer made; to the
    nanosecond's place."""
    told = []
    for interface, count in (("lan", 100), ("any", 200)):
        with sniffer(interface) as live, shark.Shark(interface, box.folder) as capture:
            box.serve()
            box.ask([*queries.plain(), *queries.odd()])
            box.ask(queries.plain({"TXT": queries.NAMES["TXT"], "A": queries.NAMES["A"]}), "+tcp")
            time.sleep(1)
            records = live.records()
        kinds = collections.Counter(r["message"] for r in records)
        assert len(records) >= count, kinds
        for container in ("pcapng", "nsecpcap", "pcap"):
            path = capture.converted(container)
            replayed = replay(path, BOX)
            by = lambda r: tuple(str(r[key]) for key in KEYS)
            one, other = collections.Counter(map(by, records)), collections.Counter(map(by, replayed))
            wrong = [f"live only: {key}" for key in one - other] + [f"replayed only: {key}"
                                                                    for key in other - one]
            assert not wrong, (
                f"{interface} {container}: {len(records)} and {len(replayed)}\n" + "\n".join(wrong[:10]))
            apart = max(abs(seconds(a) - seconds(b)) for a,
                        b in zip(sorted(records, key=by), sorted(replayed, key=by)))
            assert apart < 0.05, f"times are {apart} s apart"
            # The answerer's view, when nobody says whose addresses are whose.
            assert {r["message"] for r in replay(path, [])} == CLIENT_SIDE
        told.append(f"{interface}: {len(records)} messages")
    return ", ".join(told)


def test_sniffed_messages_go_on_as_dnstap(box):
    """To another dnstapd, which says the same of them; into captures at both, equal, which dnstap-ldns
    reads."""
    start, end = (os.path.join(box.folder, name) for name in ("start.fstrm", "end.fstrm"))
    capture = lambda path: f'[output.file]\nenable = true\nformat = "dnstap"\nfile = "{path}"\n'
    with harness.Daemon(extra=capture(end)) as last:
        with sniffer("any", more=f'[output.dnstap]\nenable = true\npath = "{last.unix}"\n'
                     + capture(start)) as first:
            box.serve()
            box.ask([*queries.plain(), *queries.odd()])
            box.ask(queries.plain({"TXT": queries.NAMES["TXT"], "A": queries.NAMES["A"]}), "+tcp")
            time.sleep(1)
            records = first.records()
            nothing_lost(first)
            assert first.stop() == 0
        assert len(records) > 200 and last.records() == records, (len(records), len(last.records()))
        nothing_lost(last)
        assert last.stop() == 0
    frames = list(harness.capture_frames(start))
    assert list(harness.capture_frames(end)) == frames
    by_type, fields = compare.with_ldns([frames], records, box.folder)
    return f"{len(frames)} messages, {fields} fields as dnstap-ldns reads them: {dict(by_type)}"


def test_vlan_tags_one_and_two(box):
    """Frames of a real exchange come again with tags: the outer one the kernel takes off, the inner one
    stays."""
    mtu(box, 9000)
    with sniffer("lan"), shark.Shark("lan", box.folder) as capture:
        box.serve()
        box.ask(queries.plain())
        box.ask(queries.plain({"A": queries.NAMES["A"]}), "+tcp")
    frames = capture.frames()
    told = []
    for tags in ([0x8100], [0x88A8, 0x8100]):
        with sniffer("lan") as lan, sniffer("any") as everywhere, shark.Shark("lan", box.folder) as tagged:
            with box.client.entered(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as line:
                line.bind(("lan0", 0))
                for frame in frames:
                    # To nobody's address: the sniffer sees it, and nobody answers.
                    head = b"\x02\0\0\0\0\x99" + frame[6:12]
                    line.send(head + b"".join(tag.to_bytes(2, "big") + b"\0\x05" for tag in tags)
                              + frame[12:])
            time.sleep(1)
            records = [r for r in lan.records() if r["identity"] == "sniffer"]
            messages = tagged.messages()
            assert sum(messages.values()) >= 100, messages
            told.append(f"{len(tags)} tags: tshark: {shark.same(messages, records)}")
            # Where a VLAN is this machine's, its own interface shows the same without the tag.
            assert everywhere.records() == []
    mtu(box, 1500)
    return "; ".join(told)


def test_vlan_interfaces(box):
    """Where the kernel has them."""
    if not lab.ip("link add link lan name lan.5 type vlan id 5", check=False):
        return "not in this kernel"
    try:
        lab.ip("link set lan.5 up")
        lab.ip("link add link lan.5 name lan.5.6 type vlan id 6")
        lab.ip("link set lan.5.6 up")
        with box.client.entered():
            lab.ip("link add link lan0 name lan0.5 type vlan id 5")
            lab.ip("link set lan0.5 up")
            lab.ip("link add link lan0.5 name lan0.5.6 type vlan id 6")
            lab.ip("link set lan0.5.6 up")
        one = line(box, ["any", "lan", "lan.5"], "lan.5", "lan0.5")
        return one + "; " + line(box, ["any", "lan", "lan.5", "lan.5.6"], "lan.5.6", "lan0.5.6")
    finally:
        lab.ip("link del lan.5")
        box.through("lan", "lan0")


def test_bridge(box):
    lab.ip("link add br0 type bridge")
    lab.ip("link set br0 up")
    lab.ip("link set lan master br0")
    try:
        return line(box, ["any", "br0", "lan"], "br0", "lan0")
    finally:
        lab.ip("link set lan nomaster")
        lab.ip("link del br0")
        box.through("lan", "lan0")


def test_a_bridge_that_comes_later_counts_once_too(box):
    box.serve()
    with sniffer("any") as daemon:
        names = [f"b{number}.wild.example.com A" for number in range(20)]
        try:
            lab.ip("link add br0 type bridge")
            lab.ip("link set br0 up")
            lab.ip("link set lan master br0")
            box.through("br0", "lan0")
            box.ask(names)
            time.sleep(0.5)
            assert types(daemon)["CLIENT_QUERY"] == 40, types(daemon)
        finally:
            lab.ip("link set lan nomaster")
            lab.ip("link del br0")
            box.through("lan", "lan0")
        box.ask(names)
        time.sleep(0.5)
        assert types(daemon)["CLIENT_QUERY"] == 80, types(daemon)


@pytest.mark.skipif(not os.path.exists("/dev/net/tun"), reason="a container without /dev/net/tun")
def test_raw_ip(box):
    with tunnel.Tunnel("tun1", "tun2", box.client):
        try:
            return line(box, ["any", "tun1"], "tun1", "tun2")
        finally:
            box.through("lan", "lan0")


def test_loopback(box):
    with box.told("lo", "any") as (lo, everywhere):
        for target in BOX:
            queries.dig(target, queries.plain(), target)
            queries.dig(target, queries.plain({"A": queries.NAMES["A"]}), target, "+tcp")
        time.sleep(1)
        told = box.heard(lo, "resolver1")
        results = [agree(box.heard(daemon, "sniffer"), told, CLIENT_SIDE, 100) for daemon in (lo, everywhere)]
        nothing_lost(lo, everywhere)
        return results[0]


def flood(box, number, port):
    """So many queries from the client, to a port where nobody listens."""
    with box.client.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((network.CLIENTS4[0], 0))
        payload = harness.dns("flood.example.com.")
        for _ in range(number):
            sock.sendto(payload, (BOX[0], port))


def account(daemon, sent):
    """Received and dropped by the kernel is sent."""
    daemon.settle()
    metrics = daemon.check_accounts()
    received = metrics['dnstapd_frames_total{input="sniffer"}']
    dropped = metrics["dnstapd_sniffer_kernel_drops_total"]
    assert received + dropped == sent, f"{received:.0f} received and {dropped:.0f} dropped of {sent}"
    return received, dropped


def test_what_the_ring_cannot_hold_is_counted(box):
    with sniffer("lan", "dns-port = [ 5300 ]", '[limits]\nprofile = "tiny"\n') as daemon:
        sent = 0
        for _ in range(3):
            daemon.process.send_signal(signal.SIGSTOP)
            flood(box, 20_000, 5300)
            daemon.process.send_signal(signal.SIGCONT)
            sent += 20_000
            received, dropped = account(daemon, sent)
            assert received > 0 and dropped > 0
        flood(box, 1_000, 5300)
        received, again = account(daemon, sent + 1_000)
        assert again == dropped, "packets are lost after the flood"
        return f"{received:.0f} received, {dropped:.0f} dropped by the kernel, {sent + 1_000} sent"


def test_a_flood_into_a_file_loses_nothing(box):
    with sniffer("lan", "dns-port = [ 5300 ]") as daemon:
        started = time.monotonic()
        flood(box, 100_000, 5300)
        took = time.monotonic() - started
        account(daemon, 100_000)
        nothing_lost(daemon)
        metrics = daemon.metrics()
        cpu, resident = metrics["process_cpu_seconds_total"], metrics["process_resident_memory_bytes"] / 2**20
        return (f"{100_000 / took:.0f} packets a second, {cpu * 10:.1f} us of processor time each, "
                f"{resident:.1f} MiB resident")


def test_no_output_holds_up_the_sniffer(box):
    """Not even one that asks for it: nobody who sends could be told to wait."""
    away = ('[output.tcp-socket]\nenable = true\nremote-address = "127.0.0.1"\nremote-port = 1\n'
            'when-full = "wait"\nqueue = "8K"\n')
    with sniffer("lan", "dns-port = [ 5300 ]", away) as daemon:
        flood(box, 20_000, 5300)
        received, dropped = account(daemon, 20_000)
        assert dropped == 0, dropped
        metrics = daemon.metrics()
        assert metrics['dnstapd_output_delivered_total{output="stdout"}'] == 20_000
        assert metrics['dnstapd_output_dropped_total{output="tcp-socket",reason="away"}'] > 19_000


def types(daemon):
    return collections.Counter(r["message"] for r in daemon.records())


def test_addresses_are_followed(box):
    new = ["192.0.2.200", "2001:db8::200"]
    with sniffer("lan") as daemon:
        def ask():
            with box.client.entered():
                lab.route("lan0", *new)
                lab.ip("neighbour flush dev lan0")
                for target, source in zip(new, (network.CLIENTS4[0], network.CLIENTS6[0])):
                    queries.dig(target, ["www.example.com A"], source, "+time=1")
                # What waits for a neighbour would come when somebody has the address.
                lab.ip("neighbour flush dev lan0")
            time.sleep(0.3)
            return types(daemon)["CLIENT_QUERY"]

        assert ask() == 0
        lab.address("lan", *new)
        time.sleep(0.5)
        assert ask() == 2, types(daemon)
        for one in new:
            lab.ip(f"address del {one}/{128 if ':' in one else 32} dev lan")
        time.sleep(0.5)
        assert ask() == 2, types(daemon)
    with sniffer("lan", f'eth-ip = [ "{new[0]}" ]') as daemon:
        with box.client.entered():
            lab.route("lan0", *new)
            # Nobody has the address: what the client sends to it does not even leave without a neighbour.
            lab.ip(f"neighbour replace {new[0]} lladdr 02:00:00:00:00:01 dev lan0")
        with box.client.entered():
            queries.dig(new[0], ["www.example.com A"], network.CLIENTS4[0], "+time=1")
            queries.dig(BOX[0], ["www.example.com A"], network.CLIENTS4[0], "+time=1")
        time.sleep(0.3)
        assert {(r["message"], r["response-ip"])
                for r in daemon.records()} == {("CLIENT_QUERY", new[0])}, daemon.records()


def test_many_addresses_of_both_families_are_the_boxs_own(box):
    """The kernel tells of so many in several parts."""
    more = [f"203.0.113.{n}" for n in range(1, 91)] + [f"2001:db8:77::{n:x}" for n in range(1, 61)]
    batch = lambda verb: "".join(f"address {verb} {one}/{128 if ':' in one else 32} dev lan\n"
                                 f"" for one in more)
    subprocess.run(["ip", "-batch", "-"], input=batch("add"), text=True, check=True)
    try:
        with sniffer("lan") as daemon:
            with box.client.entered():
                # To addresses that are nobody's it would be a stranger's.
                frames("lan0", [packets.udp(("198.51.100.77", 50000), (one, 53), packets.dns("own.example"))
                                for one in (*more[:90], "203.0.113.200")])
            daemon.wait(lambda: types(daemon)["CLIENT_QUERY"] >= 90, 10, lambda: str(types(daemon)))
            assert {r["response-ip"] for r in daemon.records()} == set(more[:90])
    finally:
        subprocess.run(["ip", "-batch", "-"], input=batch("del"), text=True, check=True)


def frames(device, packets, mac=b"\2\0\0\0\0\1"):
    """Puts IPv4 packets on a cable, to everybody."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as link:
        link.bind((device, 0))
        for packet in packets:
            link.send(b"\xff" * 6 + mac + b"\x08\0" + packet)


def test_frames_tell_whose_addresses_are_one_device(box):
    """Nobody else knows these MACs: no lease, and the kernel has no such neighbours. Outside of the subnet
    the MAC is the router's, who is not everybody there."""
    mac, server = b"\2\0\0\0\0\x55", ("10.9.0.1", 53)
    asked = [packets.udp((client, 50000), server, packets.dns("phone.example"))
             for client in ("10.9.0.5", "10.9.0.6", "198.51.100.77", "10.9.0.5")]
    joined = [(["10.9.0.5", "10.9.0.6"], "02:00:00:00:00:55"), (["198.51.100.77"], None)]
    single = [([address], None) for address in ("10.9.0.5", "10.9.0.6", "198.51.100.77")]
    lab.ip("address add 10.9.0.1/24 dev lan")
    try:
        for neighbours, expected in (("true", joined), ("false", single)):
            with sniffer("lan", more=f"[names]\nfiles = []\nneighbours = {neighbours}") as daemon:
                with box.client.entered():
                    frames("lan0", asked, mac)
                daemon.wait(lambda: len(daemon.records()) == len(asked), 10, lambda: daemon.log())
                found = sorted((sorted(device["addresses"]), device["mac"])
                               for device in daemon.json("/devices")["devices"])
                assert found == expected, found
    finally:
        lab.ip("address del 10.9.0.1/24 dev lan")


def test_clients_of_other_servers(box):
    """Clients that are redirected, or ask elsewhere, are clients; on an interface without an address
    everybody is as their server sees them."""
    client, server = (network.CLIENTS4[0], 50000), ("203.0.113.8", 53)
    asked = [packets.udp(client, server, packets.dns("phone.example")),
             packets.udp(server, client, packets.dns("phone.example", flags=0x8180))]
    expected = [("CLIENT_QUERY", client[0], server[0]), ("CLIENT_RESPONSE", client[0], server[0])]
    # The other addresses of the box have no subnet.
    lab.ip("address add 192.0.2.250/24 dev lan")
    with sniffer("lan") as daemon:
        with box.client.entered():
            frames("lan0",
                   asked + [packets.udp(("198.51.100.77", 1), server, packets.dns("transit.example"))])
        time.sleep(0.3)
        found = [(r["message"], r["query-ip"], r["response-ip"]) for r in daemon.records()]
        assert found == expected, found
    lab.ip("address del 192.0.2.250/24 dev lan")
    lab.ip("link add mon type veth peer name mirror")
    try:
        for device in ("mon", "mirror"):
            lab.ip(f"link set {device} up")
        for promiscuous in (False, True):
            with sniffer("mon", f"promiscuous = {str(promiscuous).lower()}") as daemon:
                time.sleep(0.3)
                frames("mirror", asked)
                time.sleep(0.3)
                found = [(r["message"], r["query-ip"], r["response-ip"]) for r in daemon.records()]
                assert found == expected, found
                assert daemon.log().count("messages are told as their server sees them") == 1, daemon.log()
                link = subprocess.run(["ip", "-d", "link", "show", "mon"], capture_output=True,
                                      text=True).stdout
                assert f"promiscuity {int(promiscuous)} " in link, link
    finally:
        lab.ip("link del mon")


def test_an_interface_goes_and_comes_back(box):
    lab.cable("dmz", box.client)
    target, source = "198.51.100.1", "198.51.100.2"

    def asked(daemon, count):
        with box.client.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((source, 0))
            sock.sendto(harness.dns("back.example.com."), (target, 53))
        daemon.wait(lambda: types(daemon)["CLIENT_QUERY"] == count, 3,
                    lambda: f"{types(daemon)}, not {count}")

    def ready(daemon):
        return daemon.request("/ready")[0].status

    lab.connect("dmz", box.client, "dmz0", [target], [source])
    # As a user without rights: none is needed to come back.
    with sniffer("dmz", more='[process]\nuser = "nobody"\n') as daemon:
        asked(daemon, 1)
        assert ready(daemon) == 200
        lab.ip("link set dmz down")
        daemon.wait_for_log("dmz is down", 3)
        assert ready(daemon) == 503
        lab.ip("link set dmz up")
        lab.route("dmz", source)
        daemon.wait(lambda: ready(daemon) == 200, 3)
        asked(daemon, 2)
        for round_ in range(2):
            lab.ip("link del dmz")
            daemon.wait(lambda: daemon.log().count("dmz is gone") == round_ + 1, 3, daemon.log)
            assert ready(daemon) == 503
            time.sleep(1.5 * round_)
            lab.cable("dmz", box.client)
            lab.connect("dmz", box.client, "dmz0", [target], [source])
            daemon.wait(lambda: ready(daemon) == 200, 3, daemon.log)
            asked(daemon, 3 + round_)
        # Whether it is seen before it has its address again is a matter of moments.
        told = [line for line in daemon.log().splitlines()
                if "Input sniffer" in line and "has no address" not in line]
        assert len(told) == 7, told
    lab.ip("link set dmz down")
    with sniffer("dmz") as daemon:
        daemon.wait_for_log("dmz is down", 3)
        assert ready(daemon) == 503
        lab.ip("link set dmz up")
        lab.route("dmz", source)
        daemon.wait(lambda: ready(daemon) == 200, 3)
        asked(daemon, 1)
    lab.ip("link del dmz")


def test_an_interface_that_comes_later(box):
    """Waited for at the start, too; and of several, each is heard once it is there."""
    target, source = "198.51.100.1", "198.51.100.2"
    with harness.Daemon(inputs=False,
                        extra='[input.sniffer]\nenable = true\neth-name = ["late", "lan"]\n') as several, \
            sniffer("late") as daemon:
        daemon.wait_for_log("late is not there; waiting for it", 3)
        assert daemon.request("/ready")[0].status == 503
        assert several.request("/ready")[0].status == 200
        lab.cable("late", box.client)
        lab.connect("late", box.client, "late0", [target], [source])
        daemon.wait(lambda: daemon.request("/ready")[0].status == 200, 5, daemon.log)
        time.sleep(1)
        with box.client.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((source, 0))
            sock.sendto(harness.dns("late.example.com."), (target, 53))
            other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            other.sendto(harness.dns("lan.example.com."), (BOX[0], 53))
        daemon.wait(lambda: types(daemon)["CLIENT_QUERY"] == 1, 3, lambda: str(types(daemon)))
        several.wait(lambda: types(several)["CLIENT_QUERY"] >= 2, 3, lambda: str(types(several)))
    lab.ip("link del late")


def test_idle_is_still(box):
    """An idle sniffer wakes the program no more often than it wakes without one."""
    switches = lambda daemon: processes.wake_ups(daemon.process.pid)
    with sniffer("any") as one, harness.Daemon() as other:
        time.sleep(1)
        # What else the machine does may disturb one round.
        for _ in range(3):
            before = switches(one), switches(other)
            time.sleep(4)
            woken = switches(one) - before[0], switches(other) - before[1]
            if woken[0] <= woken[1] + 4:
                return f"{woken[0]} switches in 4 s, {woken[1]} without sniffer"
    raise AssertionError(f"{woken[0]} switches in 4 s, {woken[1]} without sniffer")


def test_all_inputs_at_once(box):
    """Each counts its own, and nothing is lost between them."""
    demo = os.path.join(harness.DATA, "demo.fstrm")
    with socket.create_server(("127.0.0.1", 0)) as listener, sniffer("lo", "dns-port = [ 5300 ]", f"""
[input.tcp-socket]
enable = true
local-port = 0
[input.unix-socket]
enable = true
path = "{box.folder}/all.sock"
[input.tcp-client]
enable = true
remote-address = "127.0.0.1"
remote-port = {listener.getsockname()[1]}
[input.file]
enable = true
path = "{demo}"
""") as daemon:
        dialled = harness.Sender.__new__(harness.Sender)
        dialled.sock = listener.accept()[0]
        dialled.sock.sendall(harness.control(harness.START, harness.CONTENT_TYPE))
        senders = {"tcp-socket": harness.Sender(daemon.tcp), "tcp-client": dialled,
                   "unix-socket": harness.Sender(f"{box.folder}/all.sock")}
        sent = {"file": len(list(harness.capture_frames(demo)))}
        for count, (name, sender) in enumerate(senders.items(), 3):
            sent[name] = 100 * count
        sent["sniffer"] = 1000
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for number in range(100):
                for name, sender in senders.items():
                    sender.send(*[harness.message()] * (sent[name] // 100))
                for _ in range(sent["sniffer"] // 100):
                    sock.sendto(harness.dns("all.example.com."), ("127.0.0.1", 5300))
        lines = daemon.lines()
        metrics = daemon.check_accounts()
        for name, count in sent.items():
            assert metrics[f'dnstapd_frames_total{{input="{name}"}}'] == count, (name, count, metrics)
            assert metrics[f'dnstapd_received_total{{input="{name}"}}'] == count, name
            assert metrics[f'dnstapd_input_bytes_total{{input="{name}"}}'] > 20 * count, name
        for name in ("tcp-socket", "tcp-client", "unix-socket", "sniffer"):
            assert metrics[f'dnstapd_connections{{input="{name}"}}'] == 1, name
            assert metrics[f'dnstapd_connections_total{{input="{name}"}}'] == 1, name
        assert len(lines) == sum(sent.values())
        assert metrics["dnstapd_sniffer_kernel_drops_total"] == 0
        for sender in senders.values():
            sender.sock.close()
        return f"{len(lines)} messages of {len(sent)} inputs"


def test_start_errors(box):
    config = '[web-api]\nlocal-port = 0\n[input.sniffer]\nenable = true\neth-name = "{}"\n'
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(config.format("lan"))
        file.flush()
        done = subprocess.run(["setpriv", "--bounding-set", "-net_raw", "--inh-caps", "-net_raw",
                               harness.BINARY, "-c", file.name],
                              capture_output=True, text=True, timeout=20)
    assert done.returncode == 1 and "CAP_NET_RAW" in done.stderr, (done.returncode, done.stderr)
    status, out, error = harness.run_binary("--check", config=config.format("nosuch0"))
    assert status == 0, (status, out, error)
    assert "input: sniffer on nosuch0" in out, (status, out, error)
    assert "there is no nosuch0 yet; it will be waited for" in out, (status, out, error)
    assert "2097152  sniffer's ring" in out, (status, out, error)
