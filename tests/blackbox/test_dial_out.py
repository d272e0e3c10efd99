"""The input that connects: senders that listen, on TCP and TLS, restarted, absent, silent, and wrong."""
import contextlib
import os
import re
import socket
import ssl
import time

from certificates import Authority, self_signed, server_context
from harness import (ACCEPT, CONTENT_TYPE, Daemon, FINISH, READY, REFUSED, START, STOP, Sender, control,
                     free_port, message, run_binary)
from peers import OwnNames

AUTHORITY = Authority()
OTHER = Authority("Another CA")
SERVER = AUTHORITY.sign("source")
CLIENT = AUTHORITY.sign("collector")


class Accepted(Sender):
    """The sender's end of a connection that the daemon made."""

    def __init__(self, sock):
        self.sock = sock
        self.sock.settimeout(10)

    def greet(self, bidirectional=True):
        if bidirectional:
            self.sock.sendall(control(READY, CONTENT_TYPE))
            assert self.read_control() == (ACCEPT, CONTENT_TYPE)
        self.sock.sendall(control(START, CONTENT_TYPE))
        return self


class Source:
    """A listening sender."""

    def __init__(self, context=None, port=0, family=socket.AF_INET, address="127.0.0.1"):
        self.context = context
        self.listener = socket.socket(family)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((address, port))
        self.listener.listen()
        self.listener.settimeout(40)
        self.port = self.listener.getsockname()[1]

    def accept(self):
        sock, _ = self.listener.accept()
        if self.context:
            sock.settimeout(10)
            sock = self.context.wrap_socket(sock, server_side=True)
        return Accepted(sock)

    def close(self):
        self.listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def remote(port, address="127.0.0.1", more=""):
    return f"""
[[input.tcp-client]]
enable = true
remote-address = "{address}"
remote-port = {port}
{more}
"""


def tls(more="", ca=AUTHORITY.ca):
    return "tls-support = true\n" + (f'tls-ca = "{ca}"\n' if ca else "") + more


def daemon(*remotes, **keys):
    return Daemon(extra="".join(remotes), inputs=False, **keys)


def is_ready(it):
    answer, body = it.request("/ready", auth=False)
    assert answer.status in (200, 503), (answer.status, body)
    assert answer.status == 200 or "tcp-client" in body, body
    return answer.status == 200


def connections(it, number):
    key = 'dnstapd_connections{input="tcp-client"}'
    it.wait(lambda: it.metrics()[key] == number, 5, lambda: (it.metrics()[key], it.log()))


def test_ready_first_and_start_first():
    for bidirectional in (True, False):
        with Source() as source, daemon(remote(source.port)) as it:
            sender = source.accept().greet(bidirectional)
            sender.send(*[message()] * 300)
            connections(it, 1)
            assert is_ready(it)
            sender.sock.sendall(control(STOP))
            assert sender.read_control() == (FINISH, b"")
            sender.sock.close()
            assert len(it.records()) == 300
            it.check_accounts()


def test_a_source_that_starts_again():
    with Source() as source, daemon(remote(source.port)) as it:
        for round_ in range(3):
            sender = source.accept().greet()
            sender.send(message())
            connections(it, 1)
            assert is_ready(it)
            sender.sock.close()
            source.close()
            connections(it, 0)
            assert not is_ready(it)
            time.sleep(0.5 * round_)
            source = Source(port=source.port)
        with contextlib.closing(source.accept().greet().sock):
            assert len(it.records()) == 3
            connections(it, 1)
            assert it.metrics()['dnstapd_connections_total{input="tcp-client"}'] == 4
        assert it.log().count("connection ended; trying again") >= 3, it.log()
        source.close()


def test_a_source_that_comes_later():
    """A refused port is tried again, named once in the log, with waits that grow."""
    port = free_port()
    with daemon(remote(port)) as it:
        it.wait_for_log(REFUSED)
        time.sleep(6)
        assert not is_ready(it)
        assert it.log().count(" WARN ") == 1, it.log()
        waits = [int(wait) for wait in re.findall(r"next attempt in (\d+) ms", it.log())]
        assert 1 <= len(waits) <= 5 and all(0 < wait <= 30000 for wait in waits), it.log()
        with Source(port=port) as source:
            sender = source.accept().greet()
            sender.send(message())
            assert len(it.records()) == 1 and is_ready(it)


def test_waits_grow_for_a_source_that_only_closes():
    with Source() as source, daemon(remote(source.port)) as it:
        times = []
        for _ in range(5):
            source.accept().sock.close()
            times.append(time.monotonic())
        gaps = [later - earlier for earlier, later in zip(times, times[1:])]
        for gap, whole in zip(gaps, (1, 2, 4, 8)):
            assert whole / 2 - 0.1 < gap < whole + 1, gaps


def test_several_remotes():
    with Source() as first, Source() as second, Source(family=socket.AF_INET6, address="::1") as third:
        with daemon(remote(first.port), remote(second.port, "localhost"), remote(third.port, "[::1]")) as it:
            senders = [source.accept().greet() for source in (first, second, third)]
            for sender in senders:
                sender.send(message())
            connections(it, 3)
            assert is_ready(it)
            assert len(it.records()) == 3
            senders[1].sock.close()
            connections(it, 2)
            assert not is_ready(it)
            source = second.accept().greet()
            connections(it, 3)
            source.sock.close()


def test_beside_a_listener_with_few_places():
    """A dial-out keeps its place, however many come to the listener."""
    extra = "\n[limits]\nconnections = 2\n[input.tcp-socket]\nenable = true\nlocal-port = 0\n"
    with Source() as source, daemon(remote(source.port), extra) as it:
        guests = [socket.create_connection(it.tcp) for _ in range(4)]
        for _ in range(2):
            source.accept().greet().sock.close()
        for guest in guests:
            guest.close()


def test_a_name_that_does_not_resolve():
    with daemon(remote(6000, "no-such-host.invalid")) as it:
        it.wait_for_log("cannot be resolved")
        assert not is_ready(it)
        assert it.stop() == 0


def test_a_name_that_stops_resolving():
    """Known, unknown once the connection is gone, and known again under another address."""
    with OwnNames() as names, Source() as source:
        names.know("source.test")
        with daemon(remote(source.port, "source.test"), under=names.command) as it:
            sender = source.accept().greet()
            sender.send(message())
            connections(it, 1)
            names.forget()
            sender.sock.close()
            it.wait_for_log("the name cannot be resolved")
            assert not is_ready(it)
            assert it.log().count("the name cannot be resolved") == 1, it.log()
            names.know("source.test", "127.0.0.2")
            with Source(port=source.port, address="127.0.0.2") as moved:
                sender = moved.accept().greet()
                sender.send(message())
                connections(it, 1)
                assert len(it.records()) == 2 and is_ready(it)


def keepalive_seconds(local, remote):
    """When the kernel will ask whether the other end is still there; `None` when it will not."""
    as_kernel = lambda end: "".join(f"{byte:02X}"
                                    for byte in reversed(socket.inet_aton(end[0]))) + f":{end[1]:04X}"
    with open("/proc/net/tcp") as file:
        for words in map(str.split, file):
            if words[1:3] == [as_kernel(local), as_kernel(remote)]:
                timer, ticks = words[5].split(":")
                return int(ticks, 16) / os.sysconf("SC_CLK_TCK") if timer == "02" else None
    raise AssertionError("there is no such connection")


def test_dead_peers_are_looked_for():
    """By the kernel, on connections of both directions: a first probe after two minutes of silence."""
    extra = "\n[input.tcp-socket]\nenable = true\nlocal-port = 0\n"
    with Source() as source, daemon(remote(source.port), extra) as it:
        sender, guest = source.accept().greet(), Sender(it.tcp)
        for sock in (sender.sock, guest.sock):
            it.wait(lambda: keepalive_seconds(sock.getpeername(), sock.getsockname()) is not None, 5,
                    lambda: "no timer")
            assert 100 < keepalive_seconds(sock.getpeername(), sock.getsockname()) <= 121
            sock.close()


def test_no_answer_at_all():
    """A listener whose backlog is full drops what else comes, as a black hole does."""
    with contextlib.closing(socket.socket()) as full, contextlib.ExitStack() as guests:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            guest = guests.enter_context(contextlib.closing(socket.socket()))
            guest.setblocking(False)
            guest.connect_ex(full.getsockname())
        time.sleep(0.2)
        with daemon(remote(full.getsockname()[1])) as it:
            started = time.monotonic()
            it.wait(lambda: "no answer in 10 s" in it.log(), 15)
            assert time.monotonic() - started > 9
            assert not is_ready(it)


def test_a_source_that_says_nothing():
    """Accepts, and stays silent: closed after ten seconds, and tried again."""
    with Source() as source, daemon(remote(source.port)) as it:
        silent = source.accept()
        started = time.monotonic()
        assert silent.is_closed(15)
        assert 9 < time.monotonic() - started < 13
        sender = source.accept().greet()
        sender.send(message())
        assert len(it.records()) == 1


def test_a_source_that_says_something_else():
    with Source() as source, daemon(remote(source.port)) as it:
        other = source.accept()
        other.sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        assert other.is_closed()
        source.accept().greet().send(message())
        assert len(it.records()) == 1
        assert sum(value for key, value in it.metrics().items()
                   if key.startswith("dnstapd_rejected_total")) == 1


def test_tls():
    for more, context in (("", server_context(SERVER)),
                          (f'tls-client-cert = "{CLIENT[0]}"\ntls-client-key = "{CLIENT[1]}"',
                           server_context(SERVER, AUTHORITY))):
        with Source(context) as source, daemon(remote(source.port, "localhost", tls(more))) as it:
            sender = source.accept().greet()
            sender.send(*[message()] * 100)
            sender.stop()
            assert len(it.records()) == 100


def refused_by_us(context, options, expected, address="localhost"):
    with Source(context) as source, daemon(remote(source.port, address, options)) as it:
        with contextlib.suppress(OSError):
            # With TLS 1.3 the server's side may be through before the client has judged.
            sender = source.accept()
            sender.sock.settimeout(3)
            assert sender.sock.recv(1) == b""
        it.wait_for_log(expected)
        assert not is_ready(it)
        assert it.metrics()['dnstapd_received_total{input="tcp-client"}'] == 0


def test_sources_that_are_not_trusted():
    good = server_context(SERVER)
    refused_by_us(server_context(OTHER.sign("s")), tls(), "UnknownIssuer")
    refused_by_us(server_context(AUTHORITY.sign("old", expired=True)), tls(), "xpired")
    refused_by_us(good, tls('tls-server-name = "other.example"'), "certificate not valid for name")
    refused_by_us(server_context(AUTHORITY.sign("named", "DNS:source.example")), tls(),
                  "certificate not valid for name")
    refused_by_us(server_context(AUTHORITY.sign("named", "DNS:source.example")), tls(),
                  "certificate not valid for name", "127.0.0.1")
    old = server_context(SERVER)
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    refused_by_us(old, tls(), "tcp-client: localhost")


def test_a_certificate_that_signs_itself():
    """As the README makes one: what is trusted is the certificate itself."""
    certificate, key = self_signed(AUTHORITY.folder, "localhost", "DNS:localhost")
    with (Source(server_context((certificate, key))) as source,
          daemon(remote(source.port, "localhost", tls(ca=certificate))) as it):
        source.accept().greet().send(message())
        assert len(it.records()) == 1


def test_a_server_name_of_its_own():
    context = server_context(AUTHORITY.sign("named", "DNS:source.example"))
    with Source(context) as source, daemon(remote(source.port, "127.0.0.1",
                                                  tls('tls-server-name = "source.example"'))) as it:
        source.accept().greet().send(message())
        assert len(it.records()) == 1


def test_a_source_that_wants_a_certificate():
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = server_context(SERVER, AUTHORITY)
        context.maximum_version = version
        with Source(context) as source, daemon(remote(source.port, "localhost", tls())) as it:
            with contextlib.suppress(ssl.SSLError):
                source.accept()
            # OpenSSL's words for it: with TLS 1.2 the handshake fails, with TLS 1.3 the first read.
            it.wait_for_log("fatal alert: " + ("HandshakeFailure" if version == ssl.TLSVersion.TLSv1_2
                                               else "CertificateRequired"))
            it.wait(lambda: not is_ready(it))


def test_plain_bytes_instead_of_tls():
    with Source() as source, daemon(remote(source.port, "localhost", tls())) as it:
        sender = source.accept()
        sender.sock.sendall(control(READY, CONTENT_TYPE))
        it.wait_for_log("trying again")
        assert not is_ready(it)


def test_the_system_list():
    """Without tls-ca the system's list is used; what is wrong with it is a start error."""
    options = remote(6000, "localhost", tls(ca=None))
    config = "[web-api]\nenable = false\n" + options
    empty = AUTHORITY.write("empty.pem", "")
    for path, expected in (("/nowhere/list", "/nowhere/list: No such file"), (empty, "no certificate in it")):
        status, _, errors = run_binary("--check", config=config, env={**os.environ, "SSL_CERT_FILE": path})
        assert status == 1 and "input.tcp-client.tls-ca: unset" in errors and expected in errors, errors
    os.environ["SSL_CERT_FILE"] = AUTHORITY.ca
    try:
        with Source(server_context(SERVER)) as source, daemon(remote(source.port, "localhost",
                                                                     tls(ca=None))) as it:
            source.accept().greet().send(message())
            assert len(it.records()) == 1
    finally:
        del os.environ["SSL_CERT_FILE"]


def test_reload_of_a_client_certificate():
    ca = AUTHORITY.write("trusted.pem", open(OTHER.ca).read())
    with Source(server_context(SERVER)) as source, daemon(remote(source.port, "localhost", tls(ca=ca))) as it:
        with contextlib.suppress(OSError):
            source.accept()
        it.wait_for_log("UnknownIssuer")
        AUTHORITY.write("trusted.pem", open(AUTHORITY.ca).read())
        it.process.send_signal(1)
        it.wait_for_log("Reloaded")
        for _ in range(3):
            with contextlib.suppress(OSError, AssertionError):
                source.accept().greet().send(message())
                break
        assert len(it.records()) == 1


def test_it_stops_while_it_waits():
    with daemon(remote(free_port())) as it:
        it.wait_for_log(REFUSED)
        started = time.monotonic()
        assert it.stop() == 0 and time.monotonic() - started < 3
