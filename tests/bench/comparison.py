"""Everything that `scripts/bench --all` measures, beside fstrm_capture in the same run.

Readers take turns, so that a busy machine is busy for all of them. For each reader two numbers are told:
its best run to the best of fstrm_capture, and the median of its runs' ratios. CPU time is that of all
threads, user and system.

    saturated   each capture of a server, many times over, as fast as the reader reads
    paced       at each rate, one write a millisecond at most, as real servers send; with the wake-ups a
                second of all threads, and the milliseconds that the sender waited
"""
import contextlib
import os
import shutil
import socket
import statistics
import subprocess
import time

from captures import CONTENT_TYPE, READY, START, STOP, capture_frames, control, frame
from processes import cpu_seconds, wake_ups

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SERVERS = ("bind", "coredns", "dnsdist", "knot", "nsd", "recursor", "unbound")
RATES = (200, 1_000, 10_000, 60_000)
TYPE = CONTENT_TYPE.decode()
READER_CORE, SENDER_CORE = 0, 1
INPUT = '[input.unix-socket]\nenable = true\npath = "{path}"\n[web-api]\nenable = false\n'
OFF = "[history]\nenable = false\n[health]\nenable = false\n"
QUIET = "[output.stdout]\nenable = false\n"
SHOWN = '[output.stdout]\nenable = true\nformat = "{}"\n'
RELAY = (
    '[output.dnstap]\nenable = true\npath = "{folder}/peer.sock"\n'
    'queue = "256K"\nwhen-full = "wait"\nretry = 1\n'
)


class Reader:
    """A program that reads a Unix socket; dnstapd with a configuration, or another one."""

    def __init__(self, name, command, config=None, peer=None):
        self.name, self.command, self.config, self.peer = name, command, config, peer

    @contextlib.contextmanager
    def running(self, folder):
        path = os.path.join(folder, "all.sock")
        places = {"path": path, "folder": folder}
        for old in ("all.sock", "peer.sock"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(folder, old))
        if self.config:
            with open(os.path.join(folder, "all.toml"), "w") as file:
                for place, value in places.items():
                    self.config = self.config.replace("{%s}" % place, value)
                file.write(self.config)
        started = []
        try:
            for command, core in ((self.peer, SENDER_CORE), (self.command, READER_CORE)):
                if command:
                    started.append(subprocess.Popen(
                        ["taskset", "-c", str(core), *(part.format(**places) for part in command)],
                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
                    waited = os.path.join(folder, "peer.sock") if command is self.peer else path
                    for _ in range(600):
                        if os.path.exists(waited):
                            break
                        time.sleep(0.05)
            time.sleep(0.3)
            yield started[-1].pid, path
        finally:
            for process in reversed(started):
                process.terminate()
                process.wait(20)


def connect(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(120)
    sock.connect(path)
    sock.sendall(control(READY, CONTENT_TYPE))
    sock.recv(64)
    sock.sendall(control(START, CONTENT_TYPE))
    time.sleep(0.2)
    return sock


def finish(sock):
    sock.sendall(control(STOP))
    sock.recv(64)


def frames_of(path):
    """The data frames of a capture, each with its length before it."""
    return list(map(frame, capture_frames(path)))


def saturated(reader, frames, number, folder):
    """CPU nanoseconds a frame."""
    times = max(1, number // len(frames))
    body = memoryview(b"".join(frames) * times)
    with reader.running(folder) as (pid, path):
        sock, before = connect(path), None
        before = cpu_seconds(pid)
        for at in range(0, len(body), 1 << 18):
            sock.sendall(body[at:at + (1 << 18)])
        finish(sock)
        time.sleep(0.3)
        return (cpu_seconds(pid) - before) / (times * len(frames)) * 1e9


def paced(reader, frames, rate, seconds, folder):
    """CPU nanoseconds a frame, wake-ups a second, and milliseconds that the sender waited."""
    with reader.running(folder) as (pid, path):
        sock = connect(path)
        before, woken, sent, held = cpu_seconds(pid), wake_ups(pid), 0, 0.0
        begun = time.monotonic()
        while (elapsed := time.monotonic() - begun) < seconds:
            due = int(elapsed * rate)
            if due > sent:
                raw = b"".join(frames[number % len(frames)] for number in range(sent, due))
                sent, writing = due, time.monotonic()
                sock.sendall(raw)
                held += max(0.0, time.monotonic() - writing - 1e-3)
            time.sleep(1e-3)
        time.sleep(0.1)
        used, woken = cpu_seconds(pid) - before, wake_ups(pid) - woken
        finish(sock)
        return used / max(sent, 1) * 1e9, woken / elapsed, held * 1e3


def former(commit):
    """The program of a commit, built where it was not yet."""
    if os.path.exists(commit):
        return os.path.abspath(commit)
    tree = os.path.join(TOP, "target/former", commit)
    binary = os.path.join(tree, "target/release/dnstapd")
    if not os.path.exists(binary):
        if not os.path.exists(tree):
            subprocess.run(["git", "worktree", "add", "--detach", tree, commit], cwd=TOP, check=True)
        subprocess.run(["cargo", "build", "--release", "--locked"], cwd=tree, check=True,
                       env={**os.environ, "CARGO_TARGET_DIR": os.path.join(tree, "target")})
    return binary


def floor():
    """The program that only reads and walks, compiled."""
    binary = os.path.join(TOP, "target/floor")
    os.makedirs(os.path.dirname(binary), exist_ok=True)
    subprocess.run(["cc", "-O2", "-o", binary, os.path.join(TOP, "tests/bench/floor.c")], check=True)
    return binary


def dnstapd(binary):
    """The command of dnstapd; its configuration is written when it starts."""
    return [binary, "-c", "{folder}/all.toml"]


def rivals(options):
    """fstrm_capture first, then the floor, and the former release as far as it is there."""
    capture = ["fstrm_capture", "-t", TYPE, "-u", "{path}", "-w", "/dev/null"]
    readers = [Reader("fstrm_capture", capture)]
    if shutil.which("cc"):
        readers.append(Reader("floor", [floor(), "{path}"]))
    if options.former:
        # It may know no history and no health, so its defaults are taken.
        readers.append(Reader("former release, statistics", dnstapd(former(options.former)), INPUT + QUIET))
    return readers


def run(readers, runs, measure):
    """The results of each reader, who take turns."""
    results = {reader.name: [] for reader in readers}
    for _ in range(runs):
        for reader in readers:
            results[reader.name].append(measure(reader))
    return results


def ratios(mine, base):
    """Best to best, and the median of the ratios run by run."""
    return min(mine) / min(base), statistics.median(a / b for a, b in zip(mine, base))


def shown(pair):
    return f"{pair[0]:.2f} / {pair[1]:.2f}"


def all_of(options, folder):
    """All tables, as lines."""
    binary, peer = options.binary, [
        "fstrm_capture", "-t", TYPE, "-u", "{folder}/peer.sock", "-w", "/dev/null"
    ]
    mine = [
        Reader("statistics", dnstapd(binary), INPUT + QUIET + OFF),
        Reader("with history", dnstapd(binary), INPUT + QUIET + "[health]\nenable = false\n"),
        Reader("with history and health", dnstapd(binary), INPUT + QUIET),
        Reader("text", dnstapd(binary), INPUT + OFF + SHOWN.format("text")),
        Reader("JSON", dnstapd(binary), INPUT + OFF + SHOWN.format("json")),
        Reader("relay", dnstapd(binary), INPUT + QUIET + OFF + RELAY, peer),
    ]
    others = rivals(options)
    base = others[0].name
    lines = [f"CPU time to fstrm_capture's, best / median of {options.runs} runs; at full speed.", ""]
    names = [reader.name for reader in others[1:] + mine]
    lines += [
        f"| capture | fstrm_capture, ns a frame | {' | '.join(names)} |", "|---" * (len(names) + 2) + "|"
    ]
    for server in SERVERS:
        frames = frames_of(f"{TOP}/tests/data/{server}.fstrm")
        found = run(others + mine, options.runs,
                    lambda reader: saturated(reader, frames, options.frames, folder))
        cells = [shown(ratios(found[name], found[base])) for name in names]
        lines.append(f"| {server} | {min(found[base]):.0f} | {' | '.join(cells)} |")
    return lines + [""] + paced_table(options, folder, others, mine)


def paced_table(options, folder, others, mine):
    """What paced traffic costs, and how often it wakes the machine."""
    base = others[0].name
    readers = [reader for reader in others if reader.name != "floor"] + mine[:1]
    names = [reader.name for reader in readers[1:]]
    frames = frames_of(f"{TOP}/tests/data/unbound.fstrm")
    lines = [f"Paced, one write a millisecond at most; {options.seconds:g} s a run.", "",
             f"| frames/s | fstrm_capture, µs a frame | {' | '.join(names)} | wake-ups/s: fstrm_capture, "
             f"{', '.join(names)} | held up, ms |", "|---" * (len(names) + 4) + "|"]
    for rate in (0, *RATES):
        found = run(readers, options.runs if rate else 1,
                    lambda reader: paced(reader, frames, rate, options.seconds, folder))
        cost = {name: [result[0] for result in results] for name, results in found.items()}
        cells = [shown(ratios(cost[name], cost[base])) if rate else "" for name in names]
        woken = [f"{statistics.median(result[1] for result in found[name]):.1f}" for name in (base, *names)]
        held = max(result[2] for result in found[mine[0].name])
        first = f"{min(cost[base]) / 1e3:.2f}" if rate else ""
        lines.append(f"| {rate:,} | {first} | {' | '.join(cells)} | {', '.join(woken)} | {held:.0f} |")
    return lines
