"""The program's log: it waits for no disk, rotates, and a stranger cannot fill it."""
import contextlib
import os
import socket
import subprocess
import threading
import time

import pytest
from harness import Daemon, Sender, message, natively, needs
from peers import folder, lines_of, send


def knock(daemon, times):
    """Connects that often, and leaves at once."""
    for _ in range(times):
        socket.create_connection(daemon.tcp, 5).close()


def size(path):
    return os.path.getsize(path) if os.path.exists(path) else 0


def test_lines_of_one_kind_are_limited():
    with folder() as top:
        path = os.path.join(top, "log")
        more = f"[trace]\nfile = '{path}'\nfile-max-size = '100M'\n[limits]\nconnections = 1\n"
        with Daemon(fmt=None, extra=more, log=path) as daemon:
            held = [socket.create_connection(daemon.tcp, 5)]
            daemon.wait(lambda: "connected" in daemon.log())
            knock(daemon, 1_000)
            daemon.wait(lambda: daemon.log().count("all places for connections are taken") >= 1)
            time.sleep(1)
            assert daemon.log().count(
                "all places for connections are taken") <= 2, "the first, and one a minute"
            held.pop().close()
            daemon.wait(lambda: daemon.log().count(": closed") or daemon.log().count("stopped"))
            knock(daemon, 1_000)
            time.sleep(1)
            assert size(path) < 400_000, "debug lines, which somebody asked for, have a bound, too"
            assert daemon.stop() == 0


def test_the_file_rotates():
    with folder() as top:
        path = os.path.join(top, "log")
        with Daemon(fmt=None, extra=f"[trace]\nfile = '{path}'\nfile-max-size = '4K'\nfile-count = 2\n",
                    log=path) as daemon:
            for _ in range(10):
                knock(daemon, 20)
                time.sleep(0.1)
            daemon.wait(lambda: os.path.exists(path + ".2"))
            assert daemon.stop() == 0
        assert sorted(os.listdir(top)) == ["log", "log.1", "log.2"]
        assert all(size(os.path.join(top, name)) < 4096 for name in os.listdir(top))


@contextlib.contextmanager
def disk_that_stalls():
    """A disk, and functions that stop and wake it; root's alone."""
    with folder() as top:
        image, place = os.path.join(top, "image"), os.path.join(top, "disk")
        os.mkdir(place)
        with open(image, "wb") as file:
            file.truncate(8 << 20)
        subprocess.run(["mkfs.ext4", "-q", image], check=True)
        subprocess.run(["mount", "-o", "loop", image, place], check=True)
        try:
            os.chmod(place, 0o777)
            yield (place, lambda: subprocess.run(["fsfreeze", "-f", place], check=True),
                   lambda: subprocess.run(["fsfreeze", "-u", place], check=True))
        finally:
            subprocess.run(["fsfreeze", "-u", place], check=False, capture_output=True)
            subprocess.run(["umount", "-l", place], check=True)


@natively("it mounts a disk")
@pytest.mark.skipif(not os.path.exists("/dev/loop-control"), reason="a container without loop devices")
def test_a_disk_that_stalls_stalls_nothing_else():
    with disk_that_stalls() as (top, stall, wake):
        path = os.path.join(top, "log")
        with Daemon(fmt=None, extra=f"[trace]\nfile = '{path}'\n", log=path) as daemon:
            stall()
            try:
                for _ in range(20):
                    send(daemon, 500)
                    began = time.monotonic()
                    assert daemon.request("/health", auth=False)[0].status == 200
                    assert time.monotonic() - began < 1
                daemon.check_accounts()
                knock(daemon, 500)
                daemon.wait(lambda: daemon.metrics()["dnstapd_log_dropped_total"] > 0)
            finally:
                wake()
            knock(daemon, 10)
            daemon.wait(lambda: lines_of(path)[-1].endswith(": closed"))
            assert daemon.stop() == 0


@natively("it mounts a disk")
@needs("history")
@pytest.mark.skipif(not os.path.exists("/dev/loop-control"), reason="a container without loop devices")
def test_to_forget_on_a_disk_that_stalls_holds_up_nobody_else():
    """Who asks to forget waits for the disk, as nothing may be left on it; others do not."""
    with disk_that_stalls() as (top, stall, wake):
        with Daemon(fmt=None, extra=f"[history]\npath = '{top}'\nsave-interval = 1\n") as daemon:
            send(daemon, 500)
            daemon.wait(lambda: any(name.endswith(".seg") for name in os.listdir(top)))
            stall()
            try:
                forgetting = threading.Thread(target=lambda: daemon.request("/history", "DELETE"))
                forgetting.start()
                time.sleep(0.5)
                for path in ("/health", "/metrics", "/log"):
                    began = time.monotonic()
                    assert daemon.request(path)[0].status == 200
                    assert time.monotonic() - began < 5, path
                assert forgetting.is_alive()
            finally:
                wake()
            forgetting.join(20)
            daemon.wait(lambda: not any(name.endswith(".seg") for name in os.listdir(top)))
            assert daemon.stop() == 0


def accept_failures(daemon):
    return daemon.log().count("connections cannot be accepted")


@natively("the descriptors are the emulator's, too")
def test_descriptors_run_out():
    """Streams that are open go on, the log has a few lines, and when descriptors are there again all is
    well."""
    few = ("sh", "-c", 'ulimit -n 48; exec "$@"', "sh")
    with Daemon(fmt="text", under=few, extra="[limits]\nconnections-per-address = 64\n") as daemon:
        senders, sent = [Sender(daemon.unix), Sender(daemon.tcp)], 0
        for _ in range(3):
            crowd = [
                connected(address) for _ in range(20) for address in (daemon.tcp, daemon.unix, daemon.api)
            ]
            daemon.wait(lambda: accept_failures(daemon) >= 1)
            for _ in range(10):
                for sender in senders:
                    sender.send(*[message()] * 10)
            sent += 10 * 2 * 10
            daemon.wait(lambda: read_lines(daemon.out) == sent, why=daemon.log)
            [sock.close() for sock in crowd]
            for address in (daemon.tcp, daemon.unix):
                late = Sender(address)
                late.send(message())
                late.stop()
            sent += 2
            assert daemon.request("/health", auth=False)[0].status == 200
        # One line of each of the three listeners, whatever their peers did; the next one is a minute away.
        assert 1 <= accept_failures(daemon) <= 3, daemon.log()
        [sender.stop() for sender in senders]
        assert len(daemon.lines()) == sent
        daemon.check_accounts()
        assert daemon.stop() == 0


def connected(address):
    """A connection that waits in the backlog, or is accepted."""
    sock = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    sock.settimeout(5)
    sock.connect(address)
    return sock


def read_lines(path):
    with open(path, "rb") as file:
        return file.read().count(b"\n")
