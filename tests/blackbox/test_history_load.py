#!/usr/bin/env python3
"""History under load for long, which only `scripts/test --full` runs (DNSTAPD_FULL=1): readers of /live at
full load for a minute, and a storm of a million names."""
import os
import select
import socket
import threading
import time

import pytest
from harness import Daemon, Sender, dns, frame, message
from test_history import live, read_events
from test_history_day import BEGIN, FIELDS, agrees, joined, whole

pytestmark = pytest.mark.skipif(not os.environ.get("DNSTAPD_FULL"), reason="only with --full")
SECONDS = int(os.environ.get("DNSTAPD_LIVE_SECONDS", 60))
NAMES = int(os.environ.get("DNSTAPD_STORM", 1_000_000))


class Load(threading.Thread):
    """Exchanges over a Unix socket as fast as they are taken: the same block again and again, told apart by
    nothing but their names."""

    def __init__(self, daemon, exchanges=20_000):
        super().__init__(daemon=True)
        self.exchanges, self.blocks, self.ending = exchanges, 0, threading.Event()
        self.raw = b"".join(
            frame(
                message(kind,
                        dns(f"load-{number}.example-{number % 500}.com.", ident=number % 65536, flags=flags),
                        port=1024 + number))
            for number in range(exchanges)
            for kind, flags in ((5, 0x0100), (6, 0x8180)))
        self.sender = Sender(daemon.unix)
        self.sender.sock.settimeout(60)

    def run(self):
        while not self.ending.is_set():
            self.sender.sock.sendall(self.raw)
            self.blocks += 1

    def finish(self):
        self.ending.set()
        self.join(60)
        assert not self.is_alive()
        self.sender.stop()
        return self.exchanges * self.blocks


class Probe:
    """A stream of its own whose records come back over TCP: how long each frame is on its way, beside all
    others."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(20)
        self.sent = 0
        self.section = (
            f"[output.tcp-socket]\nenable = true\nremote-address = '127.0.0.1'\n"
            f"remote-port = {self.listener.getsockname()[1]}\n"
            "filter = { qname-regex = 'probe-' }\n")

    def connect(self, daemon):
        self.back, _ = self.listener.accept()
        self.sender = Sender(daemon.unix)

    def delays(self, seconds):
        found, end, text = [], time.monotonic() + seconds, b""
        while (began := time.monotonic()) < end:
            self.sent += 1
            self.sender.send(message(5, dns(f"probe-{self.sent}.example.", ident=self.sent % 65536)))
            while f" probe-{self.sent}.example. ".encode() not in text:
                assert select.select([self.back], [], [], 20)[0], f"frame {self.sent} did not come"
                text = text[-200:] + self.back.recv(65536)
            found.append(time.monotonic() - began)
            time.sleep(0.02)
        return sorted(found)


def of(delays):
    half, most, all_of_them = (1000 * delays[at] for at in (len(delays) // 2, -1 - len(delays) // 100, -1))
    return f"{half:.1f} ms half of them, {most:.1f} ms 99 of a hundred, {all_of_them:.1f} ms all"


@pytest.mark.timeout(SECONDS + 240)
def test_four_readers_of_which_one_stopped_for_a_minute_at_full_load():
    """No frame waits for a reader; what a reader misses is named to the last exchange; who stands still is
    closed, and has its place again."""
    probe = Probe()
    with Daemon(extra=probe.section, fmt=None) as daemon:
        probe.connect(daemon)
        load = Load(daemon)
        load.start()
        alone = probe.delays(10)
        loaded = load.finish()
        daemon.settle()
        readers = [live(daemon, "name=com")[0] for _ in range(3)]
        stopped, _ = live(daemon, "name=com", receive=2048)
        sums, threads = [[0, 0] for _ in readers], []
        wanted = [None]

        def read(sock, numbers):
            for kind, _, data in read_events(sock):
                numbers[kind == "gap"] += 1 if kind == "record" else data["missed"]
                if wanted[0] is not None and sum(numbers) >= wanted[0]:
                    return

        for sock, numbers in zip(readers, sums):
            sock.settimeout(60)
            threads.append(threading.Thread(target=read, args=(sock, numbers), daemon=True))
            threads[-1].start()
        load, began = Load(daemon), time.monotonic()
        load.start()
        with_readers = probe.delays(SECONDS)
        wanted[0] = load.finish()
        rate = 2 * wanted[0] / (time.monotonic() - began)
        for thread in threads:
            thread.join(60)
        # A gap counts what passed, also what the filter does not want: no less than the truth, and more by
        # the probes at most.
        for numbers in sums:
            assert wanted[0] <= sum(
                numbers) <= wanted[0] + probe.sent and numbers[1] > 0 and numbers[0] > 0, (sums, wanted)
        # Closed after 30 s in which it took nothing.
        time.sleep(max(0, began + 40 - time.monotonic()))
        kept, end = 0, time.monotonic() + 20
        with pytest.raises((AssertionError, ConnectionError)):
            for _ in read_events(stopped):
                kept += 1
                assert time.monotonic() < end
        assert time.monotonic() < end
        again, head = live(daemon)
        assert head.startswith("HTTP/1.1 200 "), head
        metrics = daemon.check_accounts()
        frames = 2 * (loaded + wanted[0]) + probe.sent
        assert metrics['dnstapd_frames_total{input="unix-socket"}'] == frames
        assert metrics['dnstapd_output_delivered_total{output="tcp-socket"}'] == probe.sent
        assert with_readers[-1 - len(with_readers) // 100] <= 2 * alone[-1 - len(alone) // 100] + 0.1, (
            of(alone), of(with_readers))
        for sock in [*readers, stopped, again]:
            sock.close()
        return (
            f"{rate:,.0f} frames a second; a frame took {of(with_readers)}; without readers {of(alone)}; "
            f"read and missed: {sums}; "
            f"the one that stopped was closed after {kept} events")


@pytest.mark.timeout(900)
def test_a_storm_of_a_million_names():
    """Memory stays as it is, and the log says of what it holds what the text output says."""
    def block(start):
        return b"".join(
            frame(
                message(5 + part,
                        dns(f"{number:08}.{'a' * 47}.com.",
                            ident=number % 65536,
                            flags=0x8180 if part else 0x0100),
                        when=(BEGIN + number // 100, number % 100 * 10_000_000),
                        port=number % 60_000 + 1024))
            for number in range(start, start + 1_000)
            for part in (0, 1))

    def anonymous():
        with open(f"/proc/{daemon.process.pid}/status") as file:
            return int(next(line for line in file if line.startswith("RssAnon")).split()[1])

    with Daemon(fmt="text", stdout_keys='queue = "4M"\nwhen-full = "wait"\n') as daemon:
        sender, sizes = Sender(daemon.unix), []
        sender.sock.settimeout(60)
        for start in range(0, NAMES, 1_000):
            sender.sock.sendall(block(start))
            if start % (NAMES // 10) == 0:
                daemon.metrics()
                sizes.append(anonymous())
        daemon.wait(lambda: daemon.metrics()['dnstapd_output_delivered_total{output="stdout"}'] == 2 * NAMES,
                    60)
        sizes.append(anonymous())
        records = whole(daemon)[::-1]
        metrics = daemon.metrics()
        assert len(
            records) >= 8_000 and metrics['dnstapd_evicted_total{table="history"}'] == NAMES - len(records)
        # The end of the text alone: all of it would be some hundred megabytes.
        with open(daemon.out, "rb") as file:
            file.seek(-min(os.path.getsize(daemon.out), 2 * len(records) * 200), os.SEEK_END)
            lines = file.read().decode().splitlines()[-2 * len(records):]
        assert all(len(line.split(" ")) == len(FIELDS) for line in lines)
        expected = joined(lines, ())
        assert len(expected) == len(records) and all(map(agrees, records, expected))
        assert max(sizes[2:]) - sizes[1] <= 64, sizes
        sender.stop()
        return (f"{NAMES:,} names: {sizes[1]} KiB anonymous after a tenth, {sizes[-1]} KiB at the end; "
                f"the last {len(records)} agree")
