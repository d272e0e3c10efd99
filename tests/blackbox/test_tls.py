"""TLS on the TCP input: versions, certificates of both sides, reload, wrong protocols, silence."""
import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
import time

import harness
from certificates import Authority, client_context, openssl
from harness import ACCEPT, CONTENT_TYPE, Daemon, READY, START, Sender, control, message, run_binary

AUTHORITY = Authority()
OTHER = Authority("Another CA")
SERVER = AUTHORITY.sign("server")
CLIENT = AUTHORITY.sign("client")


def section(server=SERVER, more="", name="input.tcp-socket"):
    enable = "enable = true\nlocal-port = 0" if name == "input.tcp-socket" else ""
    return f"""
[{name}]
{enable}
tls-support = true
tls-server-cert = "{server[0]}"
tls-server-key = "{server[1]}"
{more}
"""


def daemon(server=SERVER, more="", **keys):
    return Daemon(extra=section(server, more), inputs=False, **keys)


MUTUAL = f'tls-client-ca = "{AUTHORITY.ca}"'


class TlsSender(Sender):
    """A Frame Streams writer over TLS."""

    def __init__(self, address, context=None, handshake=True, name="localhost"):
        plain = socket.create_connection(address, timeout=15)
        try:
            self.sock = (context or client_context(AUTHORITY)).wrap_socket(plain, server_hostname=name)
        except BaseException:
            plain.close()
            raise
        if handshake:
            self.greet()

    def greet(self):
        self.sock.sendall(control(READY, CONTENT_TYPE))
        assert self.read_control() == (ACCEPT, CONTENT_TYPE)
        self.sock.sendall(control(START, CONTENT_TYPE))


def is_refused(address, context, name="localhost"):
    """Whether a client gets no further than the TLS handshake: with TLS 1.3 it learns that at its first
    read."""
    try:
        sender = TlsSender(address, context, name=name)
        sender.sock.close()
        return False
    except (ssl.SSLError, ConnectionError, AssertionError):
        return True


def counted(it, key, value=1):
    it.wait(lambda: it.metrics().get(key) == value, 5, lambda: (key, it.metrics(), it.log()))


def test_both_versions():
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        with daemon() as it:
            sender = TlsSender(it.tcp, client_context(AUTHORITY, version=version))
            assert sender.sock.version() == version.name.replace("v1_", "v1."), sender.sock.version()
            sender.send(*[message()] * 500)
            sender.stop()
            assert len(it.records()) == 500
            assert it.check_accounts()['dnstapd_received_total{input="tcp-socket"}'] == 500


def test_older_versions_are_refused():
    with daemon() as it:
        address = f"{it.tcp[0]}:{it.tcp[1]}"
        for version, works in (("-tls1", False), ("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)):
            done = subprocess.run(["openssl", "s_client", "-connect", address, version, "-cipher",
                                   "ALL:@SECLEVEL=0", "-CAfile",
                                   AUTHORITY.ca, "-verify_return_error"], input="", capture_output=True,
                                  text=True, timeout=20)
            assert (done.returncode == 0) == works, (version, done.stdout, done.stderr)
            assert not works or "Verify return code: 0 (ok)" in done.stdout, done.stdout
        counted(it, 'dnstapd_connections_refused_total{input="tcp-socket",reason="tls"}', 2)
        assert 1 <= it.log().count("no TLS: ") <= 2, it.log()


def test_big_frames_and_many_connections():
    payload = b"\x12\x34\x01\x00" + bytes(65000)
    with daemon(more="[limits]\nconnections-per-address = 20", fmt=None) as it:
        senders = [TlsSender(it.tcp) for _ in range(20)]
        for _ in range(5):
            for sender in senders:
                sender.send(message(payload=payload), message())
        for sender in senders:
            sender.stop()
        assert it.check_accounts()['dnstapd_received_total{input="tcp-socket"}'] == 200


def test_kinds_of_keys():
    rsa, ec = AUTHORITY.sign("rsa", rsa=True), AUTHORITY.sign("ec")
    pkcs1 = AUTHORITY.write("pkcs1.key", openssl("rsa", "-in", rsa[1], "-traditional"))
    sec1 = AUTHORITY.write("sec1.key", openssl("ec", "-in", ec[1]))
    pkcs8 = open(ec[1]).read()
    for path, what in ((pkcs1, "BEGIN RSA PRIVATE"), (sec1, "BEGIN EC PRIVATE"), (ec[1], "BEGIN PRIVATE")):
        assert what in open(path).read(), (path, pkcs8)
        with daemon(server=((rsa if path == pkcs1 else ec)[0], path)) as it:
            sender = TlsSender(it.tcp)
            sender.send(message())
            sender.stop()
            assert len(it.records()) == 1


def test_a_chain():
    """An authority between: the server shows it, the client trusts the one above only."""
    between, leaf = Authority("Between"), None
    request = between.path("between.csr")
    openssl("req", "-new", "-key", between.path("ca.key"), "-subj", "/CN=Between", "-addext",
            "basicConstraints=critical,CA:TRUE", "-out", request)
    openssl("x509", "-req", "-in", request, "-CA", AUTHORITY.ca, "-CAkey", AUTHORITY.path("ca.key"),
            "-CAcreateserial",
            "-copy_extensions", "copy", "-days", "30", "-out", between.ca)
    leaf = between.sign("leaf")
    chain = between.write("chain.pem", open(leaf[0]).read() + open(between.ca).read())
    with daemon(server=(chain, leaf[1])) as it:
        assert not is_refused(it.tcp, client_context(AUTHORITY))
    with daemon(server=leaf) as it:
        assert is_refused(it.tcp, client_context(AUTHORITY))


def test_client_certificates():
    expired, foreign = AUTHORITY.sign("old", expired=True), OTHER.sign("foreign")
    with daemon(more=MUTUAL) as it:
        refused = 0
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            sender = TlsSender(it.tcp, client_context(AUTHORITY, CLIENT, version))
            sender.send(message())
            sender.stop()
            for identity, what in ((None, "no certificates"), (expired, "Expired"),
                                   (foreign, "UnknownIssuer")):
                assert is_refused(it.tcp, client_context(AUTHORITY, identity, version)), (version, what)
                refused += 1
                counted(it, 'dnstapd_connections_refused_total{input="tcp-socket",reason="tls"}', refused)
                # Of each kind of line the first is in the log, and one a minute.
                assert it.log().lower().count(what.lower()) == 1, (what, it.log())
        assert len(it.records()) == 2


def test_server_certificates_a_client_refuses():
    for server, name in ((AUTHORITY.sign("old", expired=True), "localhost"), (SERVER, "elsewhere.example"),
                         (OTHER.sign("s"), "localhost")):
        with daemon(server=server) as it:
            assert is_refused(it.tcp, client_context(AUTHORITY), name)
            counted(it, 'dnstapd_connections_refused_total{input="tcp-socket",reason="tls"}')
            assert not any(key.startswith("dnstapd_rejected_total") and value for key,
                           value in it.metrics().items())


def test_plain_bytes_on_the_tls_port():
    with daemon() as it:
        for data in (control(READY, CONTENT_TYPE), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"):
            with socket.create_connection(it.tcp, timeout=5) as sock:
                sock.sendall(data)
                try:
                    assert sock.recv(100) == b""
                except ConnectionResetError:
                    pass
        counted(it, 'dnstapd_rejected_total{input="tcp-socket",reason="plaintext"}', 2)
        assert it.log().count("this port speaks TLS") == 1, "lines of one kind are limited"
        it.check_accounts()


def test_tls_on_the_plain_port():
    with Daemon() as it:
        assert is_refused(it.tcp, client_context(AUTHORITY))
        counted(it, 'dnstapd_rejected_total{input="tcp-socket",reason="tls"}')
        assert it.log().count(" WARN ") == 1 and "TLS" in it.log(), it.log()


def test_silence_ends():
    """Neither silence before TLS, nor in its midst, nor after it lasts longer than ten seconds and a bit."""
    with daemon() as it:
        started = time.monotonic()
        silent = socket.create_connection(it.tcp, timeout=20)
        half = socket.create_connection(it.tcp, timeout=20)
        half.sendall(b"\x16\x03\x01\x02\x00\x01\x00")
        after = TlsSender(it.tcp, handshake=False)
        after.sock.settimeout(20)
        for sock in (silent, half, after.sock):
            assert sock.recv(100) == b""
            assert 9.5 < time.monotonic() - started < 13, time.monotonic() - started
        counted(it, 'dnstapd_connections_refused_total{input="tcp-socket",reason="timeout"}', 3)


def test_a_peer_that_vanishes():
    """Without a word from TLS or Frame Streams: a normal end, and nothing that was sent is lost."""
    with daemon() as it:
        sender = TlsSender(it.tcp)
        sender.send(*[message()] * 100)
        raw = socket.socket(fileno=sender.sock.detach())
        raw.shutdown(socket.SHUT_WR)
        assert len(it.records()) == 100
        it.wait(lambda: it.metrics()['dnstapd_connections{input="tcp-socket"}'] == 0)
        raw.close()
        assert " WARN " not in it.log(), it.log()


def test_reload():
    """New certificates serve new connections; broken ones leave the old in force."""
    first, second = AUTHORITY.sign("first"), AUTHORITY.sign("second")
    current = AUTHORITY.path("current.pem"), AUTHORITY.path("current.key")
    put = lambda pair: [shutil.copyfile(source, target) for source, target in zip(pair, current)]

    def shown(it):
        sender = TlsSender(it.tcp)
        name = dict(item[0] for item in sender.sock.getpeercert()["subject"])["commonName"]
        sender.stop()
        return name

    put(first)
    with daemon(server=current) as it:
        old = TlsSender(it.tcp)
        assert shown(it) == "first"
        put(second)
        it.process.send_signal(1)
        it.wait_for_log("Reloaded")
        assert shown(it) == "second"
        shutil.copyfile(first[0], current[0])
        it.process.send_signal(1)
        it.wait_for_log("does not match")
        assert it.log().count(" WARN ") == 1, it.log()
        assert shown(it) == "second"
        old.send(message())
        old.stop()
        assert len(it.records()) == 1


def api_daemon(**keys):
    options = f'tls-support = true\ntls-server-cert = "{SERVER[0]}"\ntls-server-key = "{SERVER[1]}"'
    return Daemon(api=options, context=client_context(AUTHORITY), **keys)


def curl(it, path, *more, scheme="https"):
    done = subprocess.run(["curl", "-sS", "--max-time", "15", "--cacert", AUTHORITY.ca, "-u",
                           "admin:changeme", *more,
                           f"{scheme}://localhost:{it.api[1]}{path}"], capture_output=True, text=True,
                          timeout=30)
    return done.returncode, done.stdout, done.stderr


def test_web_api():
    with api_daemon() as it:
        sender = Sender(it.tcp)
        sender.send(*[message(identity=b"server-%d" % (number % 60)) for number in range(600)])
        sender.stop()
        it.check_accounts()
        for version in ("--tlsv1.2", "--tlsv1.3"):
            status, out, errors = curl(it, "/counters", version, "--tls-max", version[-3:], "-w",
                                       " %{http_version} %{http_code}")
            assert status == 0 and '"query": 600' in out and out.endswith("1.1 200"), (out, errors)
        status, out, _ = curl(it, "/metrics")
        assert status == 0 and len(out) > 50000 and out.endswith("\n"), (status, len(out))
        status, out, errors = curl(it, "/health", "-w", "[%{num_connects}]",
                                   f"https://localhost:{it.api[1]}/streams")
        assert status == 0 and "[1]" in out and "[0]" in out, (out, errors)
        status, out, _ = curl(it, "/counters", "-u", "admin:wrong", "-w", "%{http_code}", "-o", "/dev/null")
        assert status == 0 and out == "401", out
        assert curl(it, "/health", "--cacert", OTHER.ca)[0] == 60
        assert curl(it, "/health", "--tls-max", "1.1", "--ciphers", "ALL:@SECLEVEL=0")[0] == 35
        assert curl(it, "/health", scheme="http")[0] in (52, 56)
        assert it.log().count("this port speaks TLS") == 1


def test_web_api_is_not_held_by_the_silent():
    """Eight connections that say nothing hold all workers for ten seconds, not longer."""
    with api_daemon() as it:
        started = time.monotonic()
        silent = [socket.create_connection(it.api, timeout=20) for _ in range(8)]
        silent[0].sendall(b"\x16\x03\x01")
        status, out, errors = curl(it, "/health")
        assert status == 0 and out.strip() == "ok", errors
        assert time.monotonic() - started < 1
        for sock in silent:
            sock.close()


@harness.natively("the emulator takes longer for a handshake than an attack may hold one up")
def test_web_api_is_not_held_by_those_who_come_again():
    """Sixteen that say nothing hold every worker and every place to wait, and come again when they are
    closed."""
    with api_daemon() as it:
        stop, times = threading.Event(), []

        def hold():
            while not stop.is_set():
                with contextlib.suppress(OSError), socket.create_connection(it.api, timeout=1) as silent:
                    silent.recv(1)

        threads = [threading.Thread(target=hold) for _ in range(16)]
        [thread.start() for thread in threads]
        try:
            time.sleep(0.5)
            for _ in range(5):
                started = time.monotonic()
                status, out, errors = curl(it, "/health")
                times.append(time.monotonic() - started)
                assert status == 0 and out.strip() == "ok", errors
        finally:
            stop.set()
            [thread.join() for thread in threads]
        print(f"/health over TLS within {sorted(times)[2]:.3f} s, {max(times):.3f} s at most")
        assert sorted(times)[2] <= 0.5, times


def test_web_api_slow_reader():
    """A client that does not take its answer is given up; others are served meanwhile."""
    with api_daemon() as it:
        sender = Sender(it.tcp)
        sender.send(*[message(identity=b"server-%d" % number) for number in range(60)])
        sender.stop()
        context = client_context(AUTHORITY)
        plain = socket.socket()
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.connect(it.api)
        slow = context.wrap_socket(plain, server_hostname="localhost")
        slow.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YWRtaW46Y2hhbmdlbWU=\r\n"
                     b"\r\n" * 60)
        files = it.metrics()["process_open_fds"]
        it.wait(lambda: it.metrics()["process_open_fds"] < files, 25)
        slow.close()


def test_web_api_reload_and_stop():
    with api_daemon() as it:
        idle = client_context(AUTHORITY).wrap_socket(socket.create_connection(it.api),
                                                     server_hostname="localhost")
        it.process.send_signal(1)
        it.wait_for_log("Reloaded")
        assert curl(it, "/health")[0] == 0
        started = time.monotonic()
        assert it.stop() == 0 and time.monotonic() - started < 4
        idle.close()


def test_start_errors():
    empty = AUTHORITY.write("empty.pem", "nothing here\n")
    broken = AUTHORITY.write("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    cut = AUTHORITY.write("cut.pem", open(SERVER[0]).read()[:300])
    locked = AUTHORITY.path("locked.key")
    openssl("pkcs8", "-topk8", "-in", SERVER[1], "-out", locked, "-passout", "pass:secret")
    cases = [
        (("/nowhere/c.pem", SERVER[1]), "", "input.tcp-socket.tls-server-cert: /nowhere/c.pem: No such file"),
        ((SERVER[0], "/nowhere/k.pem"), "", "input.tcp-socket.tls-server-key: /nowhere/k.pem: No such file"),
        ((empty, SERVER[1]), "", f"input.tcp-socket.tls-server-cert: {empty}: no certificate in it"),
        ((SERVER[1], SERVER[1]), "", f"input.tcp-socket.tls-server-cert: {SERVER[1]}: no certificate in it"),
        ((broken, SERVER[1]), "",
         f"input.tcp-socket.tls-server-cert: {broken}: the first certificate cannot be used"),
        ((cut, SERVER[1]), "", f"input.tcp-socket.tls-server-cert: {cut}: no PEM"),
        ((SERVER[0], empty), "", f"input.tcp-socket.tls-server-key: {empty}: no private key in it"),
        ((SERVER[0], SERVER[0]), "", f"input.tcp-socket.tls-server-key: {SERVER[0]}: no private key in it"),
        ((SERVER[0], locked), "", f"input.tcp-socket.tls-server-key: {locked}: its private key is encrypted"),
        ((SERVER[0], CLIENT[1]), "",
         f"input.tcp-socket.tls-server-key: {CLIENT[1]}: the key does not match the certificate in "
         f"{SERVER[0]}"),
        (SERVER, f'tls-client-ca = "{empty}"',
         f"input.tcp-socket.tls-client-ca: {empty}: no certificate in it"),
        (SERVER, f'tls-client-ca = "{broken}"',
         f"input.tcp-socket.tls-client-ca: {broken}: certificate 1 of it cannot be used"),
    ]
    for server, more, expected in cases:
        for arguments in ((), ("--check",)):
            status, _, errors = run_binary(*arguments,
                                           config="[web-api]\nenable = false\n" + section(server, more))
            assert status == 1 and expected in errors, (expected, arguments, status, errors)
    status, out, errors = run_binary("--check", config=section())
    assert status == 0 and "TLS" in out, (out, errors)
