"""Output tcp-socket against TCP servers, good and bad."""
import os
import re
import subprocess
import threading
import time

from harness import Daemon, Sender, dns, frame, message
from peers import (Peer, Subject, delivered, dnstap_output, dropped, faults, folder, free_port, names, send,
                   syslog_output, tcp,
                   tcp_output, wait_delivered)


def test_tcp_formats_and_addresses():
    for fmt in ("text", "json", "yaml"):
        for address in ("127.0.0.1", "localhost", "[::1]"):
            peer = Peer(address="::1" if ":" in address else "127.0.0.1")
            with Daemon(fmt=fmt, extra=tcp_output(peer.port, f"format = '{fmt}'", address)) as daemon:
                send(daemon, 50)
                wait_delivered(daemon, "tcp-socket", 50)
                assert daemon.stop() == 0
                peer.wait_until_all_is_read()
                with open(daemon.out) as stdout:
                    assert peer.text() == stdout.read()
            peer.close()


def test_tcp_delimiter_into_socat():
    with folder() as top:
        path, port = os.path.join(top, "out"), free_port()
        socat = subprocess.Popen(["socat", "-u", f"TCP-LISTEN:{port},reuseaddr", f"CREATE:{path}"])
        with Daemon(fmt=None, extra=tcp_output(port, "delimiter = '|\\r\\n'".replace("'", '"'))) as daemon:
            send(daemon, 1000)
            wait_delivered(daemon, "tcp-socket", 1000)
            assert daemon.stop() == 0
        assert socat.wait(5) == 0
        with open(path, newline="") as file:
            lines = file.read().split("|\r\n")
        assert lines.pop() == "" and names(lines) == list(range(1000))


@faults()
def test_tcp_faults(fault):
    fault(Subject("tcp-socket", lambda port, address="127.0.0.1": tcp_output(port, "queue = '64K'", address)))


def test_tcp_wait_loses_nothing():
    """when-full = "wait": the inputs stand still while the peer is away."""
    port = free_port()
    with Daemon(fmt=None, extra=tcp_output(port, "queue = '8K'\nwhen-full = 'wait'")) as daemon:
        thread = threading.Thread(target=send, args=(daemon, 5000), daemon=True)
        thread.start()
        daemon.wait(lambda: daemon.metrics()['dnstapd_received_total{input="unix-socket"}'] > 10)
        time.sleep(0.3)
        assert daemon.check_accounts()['dnstapd_received_total{input="unix-socket"}'] < 200
        peer = Peer(port)
        wait_delivered(daemon, "tcp-socket", 5000)
        thread.join(5)
        daemon.wait(lambda: names(peer.lines()) == list(range(5000)))
        peer.close()


def anonymous_kib(daemon):
    """What the daemon took for itself; pages of the program come and go."""
    with open(f"/proc/{daemon.process.pid}/status") as file:
        return int(re.search(r"RssAnon:\s+(\d+)", file.read()).group(1))


def test_memory_while_everybody_is_away():
    """A million messages while no peer of any output is there: what does not fit is dropped, and nothing
    grows."""
    config = tcp_output(free_port()) + dnstap_output(tcp(free_port())) + \
        syslog_output(f"transport = 'tcp'\nremote-address = '127.0.0.1'\nremote-port = {free_port()}")
    piece = b"".join(frame(message(payload=dns(f"n{number}.test"))) for number in range(1000))
    with Daemon(fmt=None, extra=config) as daemon:
        sender = Sender(daemon.unix)
        for _ in range(100):
            sender.sock.sendall(piece)
        daemon.settle()
        before = anonymous_kib(daemon)
        for _ in range(1000):
            sender.sock.sendall(piece)
        sender.stop()
        metrics = daemon.check_accounts()
        assert metrics['dnstapd_received_total{input="unix-socket"}'] == 1_100_000
        for output in ("tcp-socket", "syslog", "dnstap"):
            assert dropped(daemon, output) > 1_000_000 and delivered(daemon, output) == 0
        assert anonymous_kib(daemon) - before < 64, (before, anonymous_kib(daemon))
