"""Real DNS servers stream to the release binary, over every transport they have.

Each server three times: through a tee, to compare what it sent with what dnstapd made of it (`compare`); then
straight, to see it come back after dnstapd restarts; and at the head of a chain of two.
"""
import os
import signal
import tempfile
import time

import pytest

import carriers
import compare
import harness
import network
import oracle
import queries
import servers
import tee


def listen(destination, group):
    """The configuration of one input at a place that does not change over restarts."""
    if isinstance(destination, str):
        return (f'[input.unix-socket]\nenable = true\npath = "{destination}"\nmode = "0660"\n'
                f'group = "{group or "root"}"\n')
    return (f'[input.tcp-socket]\nenable = true\nlocal-address = "{destination[0]}"\n'
            f'local-port = {destination[1]}\n')


def collector(destination, group=None):
    return harness.Daemon(extra=listen(destination, group), inputs=False)


class Scenario:
    """One server over one transport."""

    def __init__(self, server, transport, folder, **settings):
        self.kind, self.transport, self.settings, self.folder = server, transport, settings, folder
        port = 6000 + list(servers.SERVERS).index(server.name)
        self.destination, self.onward = ("127.0.0.1", port), ("127.0.0.1", port + 100)
        if transport == "unix":
            self.destination, self.onward = (os.path.join(folder, name)
                                             for name in ("dnstap.sock", "onward.sock"))
        self.socat = None

    def start_server(self, as_user=False):
        """The server; socat between it and the collector when TCP is not its own, and to take its TLS off."""
        target, certificate = self.destination, None
        if self.transport == "tcp" and self.kind.socat:
            target = os.path.join(self.folder, "socat.sock")
            self.socat = carriers.Socat.unix(target, self.destination)
        if self.transport == "tls":
            target = (self.destination[0], self.destination[1] + 200)
            self.socat, certificate = carriers.Socat.tls(target[1], self.destination, self.folder)
        server = self.kind(self.folder, target)
        server.over_tls, server.collector_certificate = self.transport == "tls", certificate
        server.as_user = as_user and server.user is not None
        for key, value in self.settings.items():
            setattr(server, key, value)
        self.server = server
        return server.start()

    def end(self):
        self.server.kill()
        if self.socat:
            self.socat.stop()
            self.socat = None

    def compared(self):
        """Queries through the tee: every record, counter and metric; the server's end, with STOP and
        FINISH."""
        with collector(self.onward) as daemon:
            splitter = tee.Tee(self.destination, self.onward, os.path.join(self.folder, "stream"))
            try:
                return self.compare(daemon, splitter)
            finally:
                self.end()
                splitter.close()

    def life(self, splitter):
        """From the start of the server to its end, with all queries; the seconds that the end took."""
        server = self.start_server()
        wait(lambda: splitter.connections >= 1, server.reconnects, "the server does not connect")
        time.sleep(1.5)
        queries.many(server)
        time.sleep(2.5)
        took = server.stop()
        time.sleep(0.5)
        return took

    def chained(self):
        """Server, dnstapd, dnstapd, file: what the server sent is in the capture of the first and in that of
        the last."""
        start, end = (os.path.join(self.folder, name) for name in ("start.fstrm", "end.fstrm"))
        capture = lambda path: f'[output.file]\nenable = true\nformat = "dnstap"\nfile = "{path}"\n'
        with harness.Daemon(fmt=None, extra=capture(end)) as last:
            onward = f'[output.dnstap]\nenable = true\npath = "{last.unix}"\n'
            with harness.Daemon(fmt=None, extra=listen(self.onward, None) + onward + capture(start),
                                inputs=False) as first:
                splitter = tee.Tee(self.destination, self.onward, os.path.join(self.folder, "stream"))
                try:
                    self.life(splitter)
                finally:
                    self.end()
                    splitter.close()
                first.check_accounts()
                assert first.stop() == 0
            last.check_accounts()
            assert last.stop() == 0
        sent = [payload for path in splitter.files() for kind, payload in tee.read(path) if kind == "data"]
        frames = list(harness.capture_frames(start))
        assert len(frames) >= 300 and sorted(frames) == sorted(sent), (len(frames), len(sent))
        assert list(harness.capture_frames(end)) == frames
        return f"{len(frames)} messages"

    def compare(self, daemon, splitter):
        took = self.life(splitter)
        server, got = self.server, daemon.records()
        streams = [tee.read(path) for path in splitter.files()]
        answers = [tee.read(path) for path in splitter.files("down")]
        connections = [[payload for kind, payload in stream if kind == "data"] for stream in streams]
        expected = compare.records(got, connections)
        by_type, fields = compare.with_ldns(connections, got, self.folder)
        missing = [] if self.settings else set(server.shows) - set(by_type)
        assert not missing, f"no {missing}"
        assert len(expected) >= 300, f"{len(expected)} records only"
        handshakes(server, streams, answers)
        counters = compare.with_counters(daemon, expected, server.identity)
        compare.with_metrics(daemon, expected, server.identity, self.transport)
        assert took < server.stops, f"it took {took:.1f} s to stop"
        types = " ".join(f"{name}={count}" for name, count in sorted(by_type.items()))
        return f"{len(got)} records, {fields} fields, {counters} counters, stopped in {took:.2f} s: {types}"

    def reconnects(self):
        """Two restarts of dnstapd, an ordered one and a kill: the server comes back by itself, and messages
        with it.

        Over a Unix socket of its own group, the server runs as the user that Debian runs it as.
        """
        told, group = [], self.kind.user
        daemon = collector(self.destination, group)
        try:
            server = self.start_server(as_user=self.transport == "unix")
            self.until_records(daemon, server)
            for with_signal in (signal.SIGTERM, signal.SIGKILL):
                status = daemon.stop(with_signal)
                assert status == (0 if with_signal == signal.SIGTERM
                                  else -signal.SIGKILL), f"dnstapd ended with {status}"
                daemon.__exit__()
                time.sleep(0.5)
                daemon = collector(self.destination, group)
                told.append(f"{self.until_records(daemon, server):.1f} s")
            took = server.stop()
            assert took < server.stops, f"it took {took:.1f} s to stop"
        finally:
            self.end()
            daemon.__exit__()
        return "back after " + ", ".join(told)

    def until_records(self, daemon, server):
        """Asks until records come; the seconds it took."""
        started = time.monotonic()
        while time.monotonic() < started + server.reconnects:
            queries.dig(server.address4, [f"r{time.monotonic_ns()}.wild.example.com A"], network.CLIENTS4[0])
            time.sleep(0.3)
            with open(daemon.out) as file:
                if any("wild.example.com." in line for line in file):
                    return time.monotonic() - started
        raise AssertionError(f"no record within {server.reconnects} s of dnstapd's start\n{daemon.log()}\n"
                             f"{server.log()}")


def handshakes(server, streams, answers):
    """READY, ACCEPT, START, and where the server says STOP, a FINISH.

    On a busy machine Unbound 1.17 sometimes cannot read its own TLS: it says so, gives the connection up, and
    comes again.
    """
    stops, given_up = 0, server.log().count("error: could not SSL_read")
    for stream, answer in zip(streams, answers):
        kinds = [kind for kind, _ in stream if kind != "data"]
        back = [kind for kind, _ in answer]
        if given_up and (kinds, back) == ([oracle.READY], [oracle.ACCEPT]):
            given_up, stops = given_up - 1, stops + 1
            continue
        assert kinds[:2] == [oracle.READY, oracle.START], (kinds, back, server.log())
        stopped = kinds[2:] == [oracle.STOP]
        assert stopped or not kinds[2:], kinds
        assert back == ([oracle.ACCEPT, oracle.FINISH] if stopped else [oracle.ACCEPT]), (kinds, back)
        stops += stopped
    assert not server.says_stop or stops == len(streams), f"{stops} STOP on {len(streams)} connections"


def wait(condition, seconds, why):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, why
        time.sleep(0.05)


def test_the_comparisons_notice_what_is_wrong():
    """A wrong value in any field, a missing and a doubled record."""
    frames = oracle.capture_frames(os.path.join(harness.DATA, "unbound.fstrm"))
    good = [dict(oracle.parse(frame)) for frame in frames]
    for record in good:
        record["latency"] = "-"
    change = {"length": 1, "id": 70000, "query-port": 1, "response-port": 1, "qname": "other.",
              "flags": "QR TC"}
    found = 0
    with tempfile.TemporaryDirectory() as folder:
        compare.with_ldns([frames], good, folder)
        spoiled = [good[:-1], [*good, good[-1]]]
        for key in compare.KEYS:
            spoiled.append([*good[:-1], dict(good[-1], **{key: change.get(key, "OTHER")})])
        for records in spoiled:
            for check in (lambda: compare.same(records, good, compare.KEYS, ""),
                          lambda: compare.with_ldns([frames], records, folder)):
                try:
                    check()
                except AssertionError:
                    found += 1
    assert found == 2 * len(spoiled), f"{found} of {2 * len(spoiled)} were noticed"
    return f"{found} spoiled lists"


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix="dnstapd-servers-", ignore_cleanup_errors=True) as made:
        os.chmod(made, 0o755)
        yield made


def each(count=None):
    """A test for each server and its transports, or so many of them: one after the other, since a server has
    one address."""
    return pytest.mark.parametrize("kind, transport", [
        pytest.param(kind, transport, id=f"{name}-{transport}", marks=pytest.mark.xdist_group(name))
        for name, kind in servers.SERVERS.items() for transport in kind.transports[:count]])


@each()
def test_records_counters_and_metrics_agree(kind, transport, folder):
    return Scenario(kind, transport, folder).compared()


@each()
def test_it_comes_back_after_a_restart(kind, transport, folder):
    return Scenario(kind, transport, folder).reconnects()


@each(1)
def test_all_of_it_is_at_the_end_of_a_chain_of_two(kind, transport, folder):
    return Scenario(kind, transport, folder).chained()


@pytest.mark.xdist_group("coredns")
def test_messages_without_payload(folder):
    """CoreDNS without `full`."""
    return Scenario(servers.CoreDns, "unix", folder, full=False).compared()
