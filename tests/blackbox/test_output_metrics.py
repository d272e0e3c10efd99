"""Output metrics: its lines, and those that are lost."""
import concurrent.futures
import contextlib
import datetime
import fcntl
import os
import re
import time

import pytest

from harness import Daemon
from peers import delivered, dropped, folder, lines_of, send, small_disk, trouble


LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (\d+) QUERIES, (\d+\.\d) QPS, (\d+) CLIENTS, (\d+) "
                  r"INET, (\d+) INET6, "
                  r"(\d+) UDP, (\d+) TCP, (\d+) DOMAINS")


def test_metrics_lines():
    for cumulative in (True, False):
        with folder() as top:
            path = os.path.join(top, "metrics")
            more = (f"[output.metrics]\nenable = true\ninterval = 1\ncumulative = {str(cumulative).lower()}\n"
                    f"file = '{path}'\n")
            with Daemon(fmt=None, extra=more) as daemon:
                numbers = lambda: [LINE.fullmatch(line).groups() for line in lines_of(path)]
                send(daemon, 30)
                daemon.wait(lambda: any(float(row[1]) > 0 for row in numbers()), 5)
                daemon.wait(lambda: numbers()[-1][1] == "0.0", 5)
                send(daemon, 10, first=25)
                daemon.wait(lambda: numbers()[-1][1] != "0.0", 5)
                last = numbers()[-1]
                if cumulative:
                    assert last[0] == last[3] == last[5] == "40" and last[2] == "1" and last[7] == "35", last
                    assert sum(float(row[1]) for row in numbers()) > 30
                else:
                    queries = [int(row[0]) for row in numbers()]
                    assert sum(queries) == 40 and last[0] == last[7] == "10" and last[2] == "1", queries
                    assert daemon.json("/counters")["counters"]["query"] == 40, "nothing else is reset"
                daemon.wait(lambda: delivered(daemon, "metrics") == 40 and not losses(daemon))
                daemon.check_accounts()
                send(daemon, 5)
                there = len(lines_of(path))
                assert daemon.stop() == 0
                assert len(lines_of(path)) > there and LINE.fullmatch(
                    lines_of(path)[-1]), "messages of the last interval have a line"
    with Daemon(fmt=None, extra="[output.metrics]\nenable = true\ninterval = 1\n") as daemon:
        daemon.wait(lambda: lines_of(daemon.out))
        assert LINE.fullmatch(lines_of(daemon.out)[0]).group(1) == "0"


def losses(daemon):
    """Messages that were dropped, by series."""
    return {
        key: value
        for key, value in daemon.metrics().items()
        if key.startswith('dnstapd_output_dropped_total{output="metrics"') and value
    }


def queued(daemon):
    return daemon.metrics()['dnstapd_output_queued{output="metrics"}']


def loses(daemon, reason, state):
    """Sends until messages are lost with their lines: for that reason alone, and no other output
    concerned."""
    end = time.monotonic() + 150
    while dropped(daemon, "metrics") < 20:
        assert time.monotonic() < end, daemon.log()
        send(daemon, 10)
        time.sleep(0.3)
    assert set(losses(daemon)) == {f'dnstapd_output_dropped_total{{output="metrics",reason="{reason}"}}'}
    assert daemon.request("/ready", auth=False)[0].status == state
    send(daemon, 1000)
    daemon.check_accounts()


def works_again(daemon, lines):
    """Kept lines come, and those that follow; others are missing in one place."""
    daemon.wait(lambda: queued(daemon) == 0)
    there = len(lines())
    daemon.wait(lambda: len(lines()) > there + 2)
    assert daemon.request("/ready", auth=False)[0].status == 200
    daemon.check_accounts()
    assert all(LINE.fullmatch(line) for line in lines()), lines()
    times = [datetime.datetime.strptime(line[:23], "%Y-%m-%d %H:%M:%S,%f") for line in lines()]
    gaps = sorted(round((later - earlier).total_seconds()) for earlier, later in zip(times, times[1:]))
    # A line that comes half a second late, on a busy machine, is no gap.
    assert gaps[-1] > 1 and max(gaps[:-1]) <= 2 and sum(gaps[:-1]) < 1.2 * len(gaps), gaps


def metrics_output(more):
    return f"[output.metrics]\nenable = true\ninterval = 1\nqueue = '8K'\n{more}\n"


def disk_full():
    with small_disk(64) as top:
        path, ballast = os.path.join(top, "metrics"), os.path.join(top, "ballast")
        with open(path, "w") as file:
            file.write("x" * 4095 + "\n")  # a page, so that there is no room left in the last one
        with contextlib.suppress(OSError), open(ballast, "wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        with Daemon(fmt="text", extra=metrics_output(f"file = '{path}'")) as daemon:
            daemon.wait(lambda: "No space left" in daemon.log())
            loses(daemon, "away", 503)
            assert delivered(daemon, "stdout") > 1000 and dropped(daemon,
                                                                  "stdout") == 0, "others lose nothing"
            os.unlink(ballast)
            works_again(daemon, lambda: lines_of(path)[1:])
            assert len(trouble(daemon, "metrics")) == 2, daemon.log()


def folder_gone():
    with folder() as top:
        inner = os.path.join(top, "inner")
        os.mkdir(inner)
        path = os.path.join(inner, "metrics")
        with Daemon(fmt="text", extra=metrics_output(f"file = '{path}'")) as daemon:
            daemon.wait(lambda: lines_of(path))
            before = lines_of(path)
            os.unlink(path)
            os.rmdir(inner)
            daemon.wait(lambda: "tried again" in daemon.log())
            loses(daemon, "away", 503)
            os.mkdir(inner)
            works_again(daemon, lambda: before + lines_of(path))
            assert len(trouble(daemon, "metrics")) == 2, daemon.log()
            os.unlink(path)
            os.rmdir(inner)
            send(daemon, 10)
            daemon.wait(lambda: queued(daemon) == 10)
            started = time.monotonic()
            assert daemon.stop() == 0 and time.monotonic() - started < 7
            assert re.search(r"Output metrics: \d+ records were not taken in time",
                             daemon.log()), daemon.log()


def reader_slow_and_gone():
    ours, theirs = os.pipe()
    fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, 4096)
    os.write(theirs, bytes(4096))
    with folder() as top, Daemon(fmt=None,
                                 extra=metrics_output("")
                                 + f"[output.file]\nenable = true\nfile = '{top}/log'\n",
                                 stdout=theirs) as daemon:
        os.close(theirs)
        loses(daemon, "full", 200)
        assert dropped(daemon, "file") == 0, "others lose nothing"
        assert os.read(ours, 4096) == bytes(4096)
        os.set_blocking(ours, False)
        text = bytearray()

        def lines():
            with contextlib.suppress(BlockingIOError):
                while piece := os.read(ours, 4096):
                    text.extend(piece)
            return text.decode().splitlines()

        daemon.wait(lambda: lines() is not None and queued(daemon) == 0)
        works_again(daemon, lines)
        assert not trouble(daemon, "metrics")
        os.close(ours)
        closed = 'dnstapd_output_dropped_total{output="metrics",reason="closed"}'
        daemon.wait(lambda: trouble(daemon, "metrics"))
        send(daemon, 10)
        daemon.wait(lambda: daemon.metrics()[closed] >= 10)
        assert len(trouble(daemon, "metrics")) == 1 and daemon.stop() == 0


def rotates():
    with folder() as top:
        path = os.path.join(top, "metrics")
        with Daemon(fmt=None,
                    extra=metrics_output(f"file = '{path}'\nfile-max-size = '500'\n"
                                         "file-count = 3")) as daemon:
            daemon.wait(lambda: os.path.exists(path + ".2"), 30)
            assert dropped(daemon, "metrics") == 0
            for name in (path + ".2", path + ".1", path):
                assert os.path.getsize(name) < 500 and all(LINE.fullmatch(line)
                                                           for line in lines_of(name)), lines_of(name)


@pytest.mark.long
def test_metrics_lines_that_are_lost_and_files_that_rotate():
    """Each lost line is counted by its reason. All at once, because the least queue takes more than a minute
    to fill."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for work in [pool.submit(fault) for fault in (disk_full, folder_gone, reader_slow_and_gone, rotates)]:
            work.result()
