"""Outputs over TLS: against OpenSSL, against another dnstapd, and against servers that are not trusted or do
not trust."""
import os
import subprocess
import time

from certificates import Authority, server_context
from harness import Daemon, run_binary
from peers import (Peer, Subject, chain, dnstap_output, faults, folder, frame_numbers,
                   free_port, greet_dnstap, names,
                   send, syslog_output, tcp, tcp_output, wait_delivered)

AUTHORITY = Authority()
OTHER = Authority("Another CA")
SERVER = AUTHORITY.sign("server")
CLIENT = AUTHORITY.sign("client")
STRANGER = OTHER.sign("stranger")


def tls(more="", ca=AUTHORITY.ca):
    return f"tls-support = true\ntls-ca = '{ca}'\n{more}"


def identity(pair):
    return f"tls-client-cert = '{pair[0]}'\ntls-client-key = '{pair[1]}'"


def test_tcp_to_openssl():
    for version in ("-tls1_2", "-tls1_3"):
        with folder() as top:
            path, port = os.path.join(top, "out"), free_port()
            with open(path, "wb") as out:
                server = subprocess.Popen(["openssl", "s_server", "-quiet", "-accept", str(port), "-cert",
                                           SERVER[0], "-key", SERVER[1],
                                           "-CAfile", AUTHORITY.ca, "-Verify", "1", "-verify_return_error",
                                           version, "-naccept", "1"],
                                          stdin=subprocess.PIPE, stdout=out, stderr=subprocess.DEVNULL)
            with Daemon(fmt=None, extra=tcp_output(port, tls(identity(CLIENT)), "localhost")) as daemon:
                daemon.wait_for_log("connected to")
                send(daemon, 20_000)
                wait_delivered(daemon, "tcp-socket", 20_000)
                daemon.check_accounts()
                assert daemon.stop() == 0
            server.wait(10)
            with open(path) as file:
                assert names(file.read().splitlines()) == list(range(20_000))


@faults()
def test_faults(fault):
    context = server_context(SERVER)
    config = lambda port, address="127.0.0.1": tcp_output(port,
                                                          tls("queue = '64K'\ntls-server-name = 'localhost'"),
                                                          address)
    fault(Subject("tcp-socket", config, context=context))


@faults()
def test_dnstap_faults(fault):
    config = lambda port, address="127.0.0.1": dnstap_output(tcp(port, address),
                                                             tls("queue = '64K'\nretry = 1\n"
                                                                 "tls-server-name = 'localhost'"))
    fault(Subject("dnstap", config, greet_dnstap, frame_numbers, context=server_context(SERVER)))


def test_dnstap_chain():
    """dnstapd to dnstapd with certificates of both sides."""
    listener = (
        f"[input.tcp-socket]\nenable = true\nlocal-port = 0\ntls-support = true\n"
        f"tls-server-cert = '{SERVER[0]}'\ntls-server-key = '{SERVER[1]}'\ntls-client-ca = '{AUTHORITY.ca}'\n"
    )
    chain(listener, lambda last: dnstap_output(tcp(last.tcp[1]), tls(identity(CLIENT))), inputs=False)


def test_what_the_kernel_has_not_taken_is_not_delivered():
    """A peer that does not read: what stays in the TLS session is queued, and goes to the next connection
    whole."""
    stall = lambda connection, into: time.sleep(3600)
    peer = Peer(context=server_context(SERVER), serve=stall)
    with Daemon(fmt=None,
                extra=tcp_output(peer.port, tls("queue = '16M'\ntls-server-name = 'localhost'"))) as daemon:
        daemon.wait(lambda: daemon.metrics()['dnstapd_output_connected{output="tcp-socket"}'] == 1)
        send(daemon, 100_000, size=60)
        daemon.check_accounts()
        before = daemon.metrics()
        taken = before['dnstapd_output_delivered_total{output="tcp-socket"}']
        assert 0 < taken < 100_000 and before['dnstapd_output_queued{output="tcp-socket"}'] == 100_000 - taken
        reader = Peer.read_all
        port = peer.port
        peer.close()
        peer = Peer(port, context=server_context(SERVER), serve=reader)
        wait_delivered(daemon, "tcp-socket", 100_000, 30)
        daemon.wait(lambda: peer.text().count("\n") == 100_000 - taken)
        assert names(peer.text().splitlines()) == list(range(int(taken), 100_000))
    peer.close()


def test_who_is_not_trusted():
    """Each is tried again for ever, and said once; the records wait."""
    cases = [
        (SERVER, tls(ca=OTHER.ca), "localhost", "UnknownIssuer"),
        (AUTHORITY.sign("elsewhere", names="DNS:elsewhere.test"), tls(), "localhost", "not valid for name"),
        (AUTHORITY.sign("old", expired=True), tls(), "localhost", "expired"),
    ]
    for server, more, address, word in cases:
        peer = Peer(context=server_context(server))
        with Daemon(fmt=None, extra=tcp_output(peer.port, more, address)) as daemon:
            send(daemon, 10)
            daemon.wait(lambda: word in daemon.log(), why=lambda: (word, daemon.log()))
            time.sleep(2.5)
            assert daemon.log().count(word) == 1
            assert daemon.check_accounts()['dnstapd_output_queued{output="tcp-socket"}'] == 10
            assert daemon.request("/ready", auth=False)[0].status == 503
        peer.close()
    peer = Peer()  # no TLS there
    peer.serve = lambda connection, into: (connection.recv(100),
                                           connection.sendall(b"220 mail.test ESMTP\r\n"), connection.close())
    with Daemon(fmt=None, extra=tcp_output(peer.port, tls(), "localhost")) as daemon:
        daemon.wait(lambda: "Output tcp-socket: localhost" in daemon.log())
    peer.close()


def test_reload():
    """An authority that was wrong is mended while the daemon runs."""
    with folder() as top:
        ca = os.path.join(top, "ca.pem")
        copy = lambda source: open(ca, "w").write(open(source).read())
        copy(OTHER.ca)
        peer = Peer(context=server_context(SERVER))
        with Daemon(fmt=None, extra=tcp_output(peer.port, tls(ca=ca), "localhost")) as daemon:
            send(daemon, 10)
            daemon.wait(lambda: "UnknownIssuer" in daemon.log())
            copy(SERVER[1])
            daemon.process.send_signal(1)
            daemon.wait_for_log("the certificates in force stay")
            assert f"output.tcp-socket.tls-ca: {ca}" in daemon.log(), daemon.log()
            copy(AUTHORITY.ca)
            daemon.process.send_signal(1)
            wait_delivered(daemon, "tcp-socket", 10)
        peer.close()


def test_silence_after_the_connection():
    """A peer that accepts and never answers the handshake."""
    peer = Peer(serve=lambda connection, into: time.sleep(3600))
    with Daemon(fmt=None, extra=tcp_output(peer.port, tls(), "localhost")) as daemon:
        daemon.wait(lambda: "no answer in 10 s" in daemon.log(), 15)
    peer.close()


def test_start_errors():
    empty = AUTHORITY.write("empty.pem", "nothing here\n")
    sections = [("tcp-socket", tcp_output(1, "tls-support = true\n{}")),
                ("dnstap", dnstap_output(tcp(1), "tls-support = true\n{}")),
                ("syslog", syslog_output("transport = 'tls'\nremote-address = '127.0.0.1'\n{}"))]
    cases = [("tls-ca = '/nowhere/ca.pem'", "tls-ca: /nowhere/ca.pem: No such file"),
             (f"tls-ca = '{empty}'", f"tls-ca: {empty}: no certificate in it"),
             (f"tls-ca = '{AUTHORITY.ca}'\ntls-client-cert = '{CLIENT[0]}'\ntls-client-key = '{SERVER[1]}'",
              "the key does not match")]
    for name, section in sections:
        for more, expected in cases:
            for arguments in ((), ("--check",)):
                config = "[web-api]\nenable = false\n[input.tcp-socket]\nlocal-port = 0\n"
                config += section.format(more)
                status, _, errors = run_binary(*arguments, config=config)
                assert status == 1, (expected, errors)
                assert f"output.{name}.tls-" in errors, (expected, errors)
                assert expected in errors, (expected, errors)
    status, out, errors = run_binary("--check", config=sections[2][1].format(f"tls-ca = '{AUTHORITY.ca}'"))
    assert status == 0 and "127.0.0.1:6514, tls" in out, (out, errors)
