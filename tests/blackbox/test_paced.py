#!/usr/bin/env python3
"""Traffic as real servers send it: small writes, some hundred a second. Few wake-ups, no delay that a person
sees, and no sender that waits."""
import os
import socket
import time

from harness import Daemon, Sender, dns, frame, message, natively
from processes import wake_ups

QUIET = "[history]\nenable = false\n[health]\nenable = false\n"


def pace(sock, rate, seconds, data):
    """Sends that many frames a second, each in a write of its own; those that the socket had no room for."""
    begun, sent, held = time.monotonic(), 0, 0
    while (elapsed := time.monotonic() - begun) < seconds:
        while sent < elapsed * rate:
            try:
                sock.send(data, socket.MSG_DONTWAIT)
            except BlockingIOError:
                held += 1
                sock.sendall(data)
            sent += 1
        time.sleep(1e-3)
    return sent, held


@natively("the emulator has threads of its own")
def test_wake_ups_a_second(record_property):
    data = frame(message(payload=dns()))
    with Daemon(fmt=None, extra=QUIET) as daemon:
        sender = Sender(daemon.unix)
        time.sleep(1)
        # (frames a second, wake-ups a second at most, by a wide margin): one tick a second at rest, and
        # under traffic a read each dozen milliseconds.
        for rate, most in ((0, 3), (200, 150), (1_000, 250)):
            before, begun = wake_ups(daemon.process.pid), time.monotonic()
            sent = 0
            if rate:
                sent, _ = pace(sender.sock, rate, 3, data)
            else:
                time.sleep(5)
            found = (wake_ups(daemon.process.pid) - before) / (time.monotonic() - begun)
            record_property(f"wake-ups at {rate}", found)
            print(f"{rate:>6} frames a second: {found:.1f} wake-ups a second")
            assert found <= most, (rate, found, sent)
        sender.stop()
        daemon.check_accounts()


def test_a_message_is_shown_at_once():
    read, write = os.pipe()
    with Daemon(fmt="text", stdout=write, extra=QUIET) as daemon:
        os.close(write)
        sender = Sender(daemon.unix)
        times = []
        for number in range(30):
            time.sleep(0.003 * (number % 5))
            begun = time.monotonic()
            sender.send(message(payload=dns(f"n{number}.example.")))
            line = b""
            while f"n{number}.example".encode() not in line:
                line = os.read(read, 4096)
            times.append(time.monotonic() - begun)
        # A machine that has other things to do is late now and then, not always.
        assert sorted(times)[10] <= 0.020, times
        sender.stop()
    os.close(read)


def test_no_sender_is_held_up():
    data = frame(message(payload=dns()))
    with Daemon(fmt=None, extra=QUIET) as daemon:
        sender = Sender(daemon.unix)
        for rate in (200, 1_000, 2_000):
            sent, held = pace(sender.sock, rate, 1, data)
            assert held <= sent / 50, (rate, sent, held)
        sender.stop()
        daemon.check_accounts()


def test_a_stop_and_the_last_frames_do_not_wait():
    with Daemon(fmt="json", extra=QUIET) as daemon:
        sender = Sender(daemon.unix)
        for _ in range(5):
            sender.send(message(payload=dns()))
            time.sleep(0.004)
        daemon.wait(lambda: os.path.getsize(daemon.out) > 0)
        sender.send(message(payload=dns("last.example.")))
        assert daemon.stop() == 0
        with open(daemon.out) as file:
            assert "last.example" in file.read().splitlines()[-1]
