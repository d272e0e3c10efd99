"""Output file: formats, rotation, disks that fail, captures."""
import os
import re
import signal
import subprocess
import time

from harness import CONTENT_TYPE, START, STOP, Daemon, capture_frames, control, run_binary
from peers import (delivered, dropped, file_output, folder, names, read, send, small_disk, trouble,
                   wait_delivered)


def test_file_formats_and_append():
    for fmt, ends in (("text", "\n"), ("json", "}\n"), ("yaml", "\n")):
        with folder() as top:
            path = os.path.join(top, "log")
            with open(path, "w") as file:
                file.write("there before\n")
            with Daemon(fmt=fmt, extra=file_output(path, f"format = '{fmt}'")) as daemon:
                send(daemon, 100)
                wait_delivered(daemon, "file", 100)
                daemon.check_accounts()
                assert daemon.stop() == 0
                with open(path) as file, open(daemon.out) as stdout:
                    content = file.read()
                    assert content == "there before\n" + stdout.read() and content.endswith(ends)


def test_file_rotates_between_records():
    with folder() as top:
        path = os.path.join(top, "log")
        more = "file-max-size = '10K'\nfile-count = 3\nqueue = '8K'"
        with Daemon(fmt=None, extra=file_output(path, more)) as daemon:
            send(daemon, 1000)
            wait_delivered(daemon, "file", 1000)
            assert dropped(daemon, "file") == 0
        files = sorted(os.listdir(top))
        assert files == ["log", "log.1", "log.2", "log.3"], files
        got = []
        for name in ("log.3", "log.2", "log.1", "log"):
            data = os.path.getsize(os.path.join(top, name))
            assert data < 10 << 10 and (name == "log" or data > (10 << 10) - 200), (name, data)
            got += names(read(os.path.join(top, name)))
        assert got == list(range(1000 - len(got), 1000))
        for more in ("file-max-size = 0", "file-max-size = '1K'\nfile-count = 0"):
            path = os.path.join(top, f"never{len(more)}")
            with Daemon(fmt=None, extra=file_output(path, more)) as daemon:
                send(daemon, 200)
                wait_delivered(daemon, "file", 200)
            assert names(read(path)) == list(range(200)) and not os.path.exists(path + ".1")


def test_file_at_full_speed_loses_nothing():
    with folder() as top:
        path = os.path.join(top, "log")
        with Daemon(fmt=None, extra=file_output(path, "file-max-size = '1M'\nfile-count = 100")) as daemon:
            send(daemon, 100_000)
            wait_delivered(daemon, "file", 100_000, 30)
            assert dropped(daemon, "file") == 0
            daemon.check_accounts()
        got = []
        for number in range(len(os.listdir(top)) - 1, 0, -1):
            got += names(read(f"{path}.{number}"))
        assert got + names(read(path)) == list(range(100_000))


def test_file_is_opened_anew():
    """logrotate with and without a signal, and a removed file."""
    with folder() as top:
        path = os.path.join(top, "log")
        with Daemon(fmt=None, extra=file_output(path)) as daemon:
            send(daemon, 1)
            wait_delivered(daemon, "file", 1)
            os.rename(path, path + ".old")
            daemon.process.send_signal(signal.SIGHUP)
            daemon.wait(lambda: os.path.exists(path))
            send(daemon, 1, first=1)
            wait_delivered(daemon, "file", 2)
            os.unlink(path)
            send(daemon, 1, first=2)
            wait_delivered(daemon, "file", 3)
            assert names(read(path)) == [2] and names(read(path + ".old")) == [0]


def test_file_is_written_soon_and_seldom():
    """One record is there within a second; of many, each write takes many."""
    with folder() as top:
        path = os.path.join(top, "log")
        with Daemon(fmt=None, extra=file_output(path)) as daemon:
            started = time.monotonic()
            send(daemon, 1)
            daemon.wait(lambda: read(path))
            assert time.monotonic() - started < 1
            writes = lambda: int(re.search(r"syscw: (\d+)",
                                           open(f"/proc/{daemon.process.pid}/io").read()).group(1))
            before = writes()
            send(daemon, 20_000, first=1)
            wait_delivered(daemon, "file", 20_001)
            assert writes() - before < 1000, writes() - before


def test_file_disk_full():
    with small_disk(256) as top:
        path, ballast = os.path.join(top, "log"), os.path.join(top, "ballast")
        with open(ballast, "wb") as file:
            file.write(bytes(128 << 10))
        with Daemon(fmt="text", extra=file_output(path, "queue = '32K'")) as daemon:
            send(daemon, 4000)
            daemon.wait(lambda: "No space left" in daemon.log())
            send(daemon, 4000, first=4000)
            metrics = daemon.check_accounts()
            lost = metrics['dnstapd_output_dropped_total{output="file",reason="away"}']
            assert lost == dropped(daemon, "file") > 0
            assert metrics['dnstapd_output_delivered_total{output="stdout"}'] == 8000, "others lose nothing"
            assert daemon.request("/ready", auth=False)[0].status == 503
            os.unlink(ballast)
            daemon.wait(lambda: daemon.metrics()['dnstapd_output_queued{output="file"}'] == 0)
            send(daemon, 10, first=8000)
            daemon.wait(lambda: daemon.metrics()['dnstapd_output_queued{output="file"}'] == 0)
            metrics = daemon.check_accounts()
            assert daemon.request("/ready", auth=False)[0].status == 200
            got = names(read(path))
            assert len(got) == delivered(daemon, "file")
            assert got == sorted(set(got))
            assert got[-10:] == list(range(8000, 8010))
            assert len(trouble(daemon)) == 2, daemon.log()


def test_file_folder_gone():
    with folder() as top:
        inner = os.path.join(top, "logs")
        os.mkdir(inner)
        path = os.path.join(inner, "log")
        with Daemon(fmt=None, extra=file_output(path)) as daemon:
            send(daemon, 1)
            wait_delivered(daemon, "file", 1)
            os.unlink(path)
            os.rmdir(inner)
            send(daemon, 10, first=1)
            daemon.wait(lambda: "tried again" in daemon.log())
            send(daemon, 10, first=11)
            daemon.check_accounts()
            os.mkdir(inner)
            wait_delivered(daemon, "file", 21)
            assert names(read(path)) == list(range(1, 21)) and len(trouble(daemon)) == 2
            os.unlink(path)
            os.rmdir(inner)
            send(daemon, 5)
            daemon.wait(lambda: daemon.log().count("tried again") == 2)
            started = time.monotonic()
            assert daemon.stop() == 0 and time.monotonic() - started < 7
            assert "5 records were not taken in time" in daemon.log()


def test_file_read_only():
    with folder() as top:
        path = os.path.join(top, "log")
        with Daemon(fmt=None, extra=file_output(path)) as daemon:
            send(daemon, 1)
            wait_delivered(daemon, "file", 1)
            subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", top], check=True)
            send(daemon, 10, first=1)
            daemon.wait(lambda: "Read-only" in daemon.log())
            daemon.check_accounts()
            subprocess.run(["umount", top], check=True)
            wait_delivered(daemon, "file", 11)
            assert names(read(path)) == list(range(11))


def test_stdout_into_a_file_on_a_full_disk():
    with small_disk(128) as top, folder() as other:
        path, ballast = os.path.join(top, "out"), os.path.join(top, "ballast")
        with open(ballast, "wb") as file:
            file.write(bytes(64 << 10))
        out, beside = open(path, "wb"), os.path.join(other, "log")
        with Daemon(fmt="text", stdout=out, stdout_keys="queue = '32K'", extra=file_output(beside)) as daemon:
            send(daemon, 4000)
            daemon.wait(lambda: "No space left" in daemon.log())
            wait_delivered(daemon, "file", 4000)
            metrics = daemon.check_accounts()
            lost = metrics['dnstapd_output_dropped_total{output="stdout",reason="away"}']
            assert lost == dropped(daemon, "stdout") > 0
            assert dropped(daemon, "file") == 0, "others lose nothing"
            os.unlink(ballast)
            daemon.wait(lambda: daemon.metrics()['dnstapd_output_queued{output="stdout"}'] == 0)
            daemon.check_accounts()
            got = names(read(path))
            assert len(got) == delivered(daemon, "stdout") and got == sorted(set(got))


def test_file_on_flash():
    """A router's writable file system is an overlay over its flash."""
    with folder() as top:
        below, above, work, merged = (os.path.join(top, name)
                                      for name in ("below", "above", "work", "merged"))
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", top], check=True)
        try:
            for path in (above, below, work, merged):
                os.mkdir(path)
                os.chmod(path, 0o777)
            subprocess.run(["mount", "-t", "overlay", "-o",
                            f"lowerdir={below},upperdir={above},workdir={work}", "overlay", merged],
                           check=True)
            try:
                for path, warned in ((os.path.join(merged, "log"), True),
                                     (os.path.join(above, "log"), False)):
                    with Daemon(fmt=None, extra=file_output(path)) as daemon:
                        send(daemon, 10)
                        wait_delivered(daemon, "file", 10)
                        assert ("may be a router's flash" in daemon.log()) == warned, daemon.log()
            finally:
                subprocess.run(["umount", "-l", merged], check=True)
        finally:
            subprocess.run(["umount", "-l", top], check=True)


def test_file_that_cannot_work_is_an_error_at_start():
    for path, word in (("/nonexistent/log", "No such file"), ("/tmp", "directory")):
        for check in ([], ["--check"]):
            status, _, err = run_binary("-p", "0", *check,
                                        config=file_output(path) + "[web-api]\nenable = false\n")
            assert status == 1 and "output.file" in err and path in err and word in err, err


def read_capture(path):
    """How many frames dnstap-ldns and dnstap-read read, and fstrm_dump; they must find nothing wrong."""
    counts = []
    for command in (["dnstap-ldns", "-q", "-r", path], ["dnstap-read", path]):
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
        assert done.returncode == 0 and not done.stderr, (command, done.stderr)
        counts.append(len(done.stdout.splitlines()))
    copied = subprocess.run(["fstrm_dump", path], capture_output=True, text=True, timeout=20)
    assert copied.returncode == 0, (path, copied.stderr)
    counts.append(len(re.findall("^Data frame", copied.stdout + copied.stderr, re.M)))
    assert len(set(counts)) == 1, (path, counts)
    return counts[0]


def test_capture_that_logrotate_emptied():
    """`copytruncate` leaves an empty file: it becomes a capture again."""
    with folder() as top:
        path = os.path.join(top, "capture")
        with Daemon(fmt=None, extra=file_output(path, "format = 'dnstap'")) as daemon:
            for count in (1, 2):
                send(daemon, 100)
                wait_delivered(daemon, "file", count * 100)
                assert len(list(capture_frames(path))) == 100
                os.truncate(path, 0)
            assert daemon.stop() == 0
        assert os.path.getsize(path) == 0


def test_capture_rotates_and_survives_a_crash():
    with folder() as top:
        path = os.path.join(top, "capture")
        extra = file_output(path, "format = 'dnstap'\nfile-max-size = '10K'\nfile-count = 90")
        with Daemon(fmt=None, extra=extra) as daemon:
            send(daemon, 1000)
            wait_delivered(daemon, "file", 1000)
            daemon.process.kill()
            daemon.process.wait()
        rotated = len(os.listdir(top)) - 1
        assert sum(read_capture(f"{path}.{number}" if number else path)
                   for number in range(rotated + 1)) == 1000
        with open(path, "ab") as file:
            file.write(b"\0\0\1\0cut off by a crash")
        with Daemon(fmt=None, extra=extra) as daemon:
            send(daemon, 500, first=1000)
            wait_delivered(daemon, "file", 1500 - 1000)
            daemon.process.send_signal(signal.SIGHUP)
            send(daemon, 100, first=1500)
            wait_delivered(daemon, "file", 600)
            assert daemon.stop() == 0
        files = [f"{path}.{number}" for number in range(len(os.listdir(top)) - 1, 0, -1)] + [path]
        assert len(files) > 5 and all(os.path.getsize(name) < 10 << 10 for name in files)
        assert sum(read_capture(name) for name in files) == 1600
        for name in files:
            with open(name, "rb") as file:
                data = file.read()
            assert data.startswith(control(START, CONTENT_TYPE)) and data.endswith(control(STOP)), name
        data = [frame for name in files for frame in capture_frames(name)]
        assert [f"n{i}".encode() in frame for i, frame in enumerate(data)] == [True] * 1600
    with folder() as top:
        path = os.path.join(top, "text")
        with open(path, "w") as file:
            file.write("this is no capture\n")
        config = file_output(path, "format = 'dnstap'") + "[web-api]\nenable = false\n"
        status, _, err = run_binary("-p", "0", config=config)
        assert status == 1, err
        assert "not a Frame Streams capture" in err, err
        assert read(path) == ["this is no capture"], err
