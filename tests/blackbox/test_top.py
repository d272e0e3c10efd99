#!/usr/bin/env python3
"""`dnstapd top` in a terminal emulator (pyte) on a pseudo terminal, against a running daemon."""
import contextlib
import errno
import fcntl
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import tempfile
import termios
import threading
import time

import pyte

from certificates import Authority, client_context
from harness import BINARY, DATA, REFUSED, Daemon, Sender, capture_frames, dns, message

OUT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "out", "top")
UNICODE = {"LANG": "C.UTF-8"}


class Screen:
    """A running `dnstapd top`, or another program, and what its terminal shows."""

    def __init__(self, *arguments, size=(80, 24), environment=None, url=None, program=None):
        self.columns, self.rows = size
        self.screen = pyte.Screen(*size)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            self.child(program or [BINARY, "top", *(["--url", url] if url else []), *arguments], environment)
        self.set_size(*size)

    def child(self, words, environment):
        with contextlib.suppress(Exception):
            kept = {name: value for name, value in os.environ.items()
                    if not name.startswith(("DNSTAPD_", "LC_", "LANG"))}
            # The last two Python itself may have set, by the size of another terminal.
            for name in ("TERM", "NO_COLOR", "LINES", "COLUMNS"):
                kept.pop(name, None)
            os.execve(words[0], words, kept | (UNICODE if environment is None else environment))
        os._exit(127)

    def set_size(self, columns, rows):
        self.columns, self.rows = columns, rows
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(rows, columns)

    def pump(self, seconds):
        """Feeds what comes within some seconds."""
        end = time.monotonic() + seconds
        while True:
            ready, _, _ = select.select([self.fd], [], [], max(0, end - time.monotonic()))
            if not ready:
                return True
            try:
                data = os.read(self.fd, 65536)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                return False
            self.raw += data
            self.stream.feed(data)

    def text(self):
        return "\n".join(line.rstrip() for line in self.screen.display)

    def wait(self, condition, seconds=10):
        """Waits until the screen shows a text, or is as a function wants it."""
        wanted = condition if callable(condition) else lambda text: condition in text
        end = time.monotonic() + seconds
        while not wanted(self.text()):
            assert time.monotonic() < end, f"{condition!r} is not on the screen:\n{self.text()}"
            self.pump(0.05)
        return self.text()

    def press(self, keys):
        os.write(self.fd, keys.encode())

    def keep(self, name):
        """Keeps the screen for people to look at."""
        os.makedirs(OUT, exist_ok=True)
        with open(os.path.join(OUT, f"{name}.txt"), "w") as file:
            file.write(self.text() + "\n")

    def end(self, seconds=5):
        """Waits for the end: the exit status."""
        stop = time.monotonic() + seconds
        while time.monotonic() < stop:
            self.pump(0.02)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = None
                return os.waitstatus_to_exitcode(status)
        raise AssertionError(f"it does not end:\n{self.text()}")

    def is_left_as_found(self):
        """Whether the terminal is as before: cooked mode, cursor, main screen."""
        flags = termios.tcgetattr(self.fd)
        cooked = flags[3] & termios.ICANON and flags[3] & termios.ECHO and flags[1] & termios.OPOST
        return bool(cooked) and self.raw.rstrip().endswith(b"\x1b[?25h\x1b[?1049l")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


def url(daemon):
    return f"http://127.0.0.1:{daemon.api[1]}"


@contextlib.contextmanager
def traffic(extra="", **more):
    """A daemon that has seen the captures, and sees some of them again and again."""
    with Daemon(extra, fmt="json", **more) as daemon:
        frames = [frame for name in ("demo", "bind", "coredns")
                  for frame in capture_frames(os.path.join(DATA, f"{name}.fstrm"))]
        sender, stop = Sender(daemon.unix), threading.Event()
        sender.send(*frames)
        daemon.settle()

        def repeat():
            at = 0
            while not stop.wait(0.05):
                with contextlib.suppress(OSError):
                    sender.send(*(frames[(at + n) % len(frames)] for n in range(20)))
                at += 20

        thread = threading.Thread(target=repeat)
        thread.start()
        try:
            yield daemon
        finally:
            stop.set()
            thread.join()


def is_live(text):
    return re.search(r"Queries +[1-9][0-9,.]*(/s)?", text)


def test_one_answer_for_scripts():
    """By the configuration alone: address and credentials."""
    api = 'login = "me"\npassword = "its own"\napi-key = ""\nlocal-address = "0.0.0.0"'
    with Daemon(fmt=None, api=api) as daemon:
        with open(daemon.config) as file:
            text = file.read().replace("[web-api]\nlocal-port = 0",
                                       f"[web-api]\nlocal-port = {daemon.api[1]}")
        daemon.write(text)
        Sender(daemon.tcp).send(message())
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DNSTAPD_")}
        get = lambda *words: subprocess.run(
            [BINARY, "top", *words], capture_output=True, text=True, timeout=20, env=kept)
        daemon.wait(lambda: '"query": 1' in get("-c", daemon.config, "--get", "/counters?more=query").stdout)
        done = get("--config", daemon.config, "--get=/counters?more=query")
        assert done.returncode == 0 and done.stderr =="" and done.stdout.startswith(
            '{"stream": null, ') and done.stdout.endswith("}}\n"), done
        assert get("-c", daemon.config, "--get", "/ready").stdout.strip() == "ok"
        done = get("-c", daemon.config, "--get", "/log?colour=red")
        assert done.returncode == 1 and done.stdout.startswith(
            '{"error": ') and "the answer is 400" in done.stderr, done
        for path in ("counters", "/a b", ""):
            done = get("-c", daemon.config, "--get", path)
            assert done.returncode == 2 and "--get: no path" in done.stderr, done
        # Another address is another machine's: the password stays here.
        done = get("-c", daemon.config, "--url", f"http://{socket.gethostname()}:{daemon.api[1]}", "--get",
                   "/counters")
        assert done.returncode == 1, done


def test_every_view_on_screens_of_every_size():
    with traffic() as daemon:
        for size in ((80, 24), (120, 40), (40, 15), (200, 60), (20, 5)):
            with Screen(size=size, url=url(daemon)) as screen:
                screen.wait(is_live)
                for key, title in (("1", "Overview"), ("2", "Domains"), ("3", "Clients"), ("4", "TLDs"),
                                   ("5", "Types"),
                                   ("6", "Streams"), ("7", "Outputs"), ("8", "Log")):
                    screen.press(key)
                    shown = screen.wait(f" {key} {title}"[:max(3, size[0] - 12)])
                    screen.pump(0.3)
                    screen.keep(f"{title.lower()}-{size[0]}x{size[1]}")
                    assert all(len(line) <= size[0] for line in shown.splitlines()), shown
                screen.press("q")
                assert screen.end() == 0
                assert screen.is_left_as_found(), screen.raw[-100:]


def test_a_stream_without_tables_says_so():
    with Daemon(extra='[limits]\nprofile = "tiny"', fmt=None) as daemon:
        sender = Sender(daemon.unix)
        sender.send(message(identity=b"first"), message(identity=b"second"))
        sender.stop()
        daemon.settle()
        with Screen(url=url(daemon)) as screen:
            screen.wait("all 2 streams")
            screen.press(">")
            assert "are kept for this stream" not in screen.wait("stream first")
            screen.press(">")
            screen.wait("clients and countries are kept for this stream: limits.profile")


def test_a_screen_says_what_the_api_says():
    with traffic() as daemon:
        with Screen(size=(100, 30), url=url(daemon)) as screen:
            screen.wait(is_live)
            for title in ("Answers", "Latency", "Clients"):
                assert title in screen.text(), screen.text()
            clients = daemon.json("/counters")["counters"]["clients"]
            assert re.search(rf"Clients {clients}\b", screen.text()), screen.text()
            shown = screen.wait(lambda text: re.search(r"Average of 1 min +([0-9.,]+)/s +of 5 min +([0-9.,"
                                                       r"]+)/s", text))
            assert re.search(r"Latency  50% [0-9.]+ m?s  95% [0-9.]+ m?s  99% [0-9.]+ m?s", shown), shown
            screen.press("6")
            shown = screen.wait("edge1")
            for stream in daemon.json("/streams")["streams"]:
                assert stream in shown, (stream, shown)
            screen.press("7")
            shown = screen.wait("stdout")
            assert re.search(r"unix-socket +[0-9.,]+/s +[0-9,]+ +0 +0 +1$", shown, re.M), shown
            assert re.search(r"stdout +up ", shown), shown


def test_streams_are_chosen():
    with traffic() as daemon:
        names = daemon.json("/streams")["streams"]
        with Screen(url=url(daemon)) as screen:
            screen.wait(f"all {len(names)} streams")
            screen.press(">")
            screen.wait(f"stream {names[0]}")
            screen.press(">")
            screen.wait(f"stream {names[1]}")
            screen.press("<")
            screen.wait(f"stream {names[0]}")
            screen.press("a")
            screen.wait(f"all {len(names)} streams")
            screen.press("6")
            screen.wait("NXDOMAIN")
            screen.press("\x1b[B\x1b[B\x1b[B\r")
            shown = screen.wait(f"stream {names[2]}")
            assert "1 Overview" in shown
            queries = daemon.json(f"/counters?stream={names[2]}&more=query/bytes")["counters"]["query"]
            found = lambda text: int(re.search(r"Queries ([0-9,]+) \(", text).group(1).replace(",", ""))
            screen.wait(lambda text: queries <= found(text) < queries + 400)


def test_other_sizes_while_it_runs():
    with traffic() as daemon:
        with Screen(size=(100, 30), url=url(daemon)) as screen:
            screen.wait(is_live)
            for size in ((50, 12), (132, 50), (80, 24)):
                screen.set_size(*size)
                screen.pump(0.5)
                first = screen.text().splitlines()[0]
                assert len(first) <= size[0] and "dnstapd" in first, first
                # The bar at the top is as wide as the screen, and nothing is left of the one before.
                assert all(screen.screen.buffer[0][column].reverse for column in range(size[0])), size
                assert sum(line.count(" 1 Overview")
                           for line in screen.text().splitlines()) == 1, screen.text()


@contextlib.contextmanager
def remembered(extra=""):
    """A daemon that remembers: a device with a name asked for two names, another one for one, and only one
    was answered; and who sends it more, each query with a time of its own."""
    names = '[names]\nfiles = []\nneighbours = false\n[names.static]\n"192.0.2.10" = "tv"\n'
    with Daemon(names + extra, fmt=None) as daemon:
        sender = Sender(daemon.unix)
        at = [1_600_000_000]

        def ask(name, address=b"\xc0\x00\x02\x0a", rcode=None):
            at[0] += 1
            ident = at[0] & 0xFFFF
            sender.send(message(5, dns(name, ident=ident, flags=0x0100), when=(at[0], 0), address=address))
            if rcode is not None:
                sender.send(message(6, dns(name, ident=ident, flags=0x8180 | rcode), when=(at[0], 25_000_000),
                                    address=address))

        ask("www.example.com.", rcode=0)
        ask("printer.example.net.", b"\xc0\x00\x02\x14")
        ask("ads.example.org.")
        yield daemon, ask
        sender.stop()


def rows_of(text):
    """The rows of the log on a screen: what stands in them, by columns of blanks."""
    return [line.split() for line in text.splitlines() if re.match(r" \d\d:\d\d:\d\d ", line)]


def test_the_log_is_live():
    with remembered() as (daemon, ask):
        with Screen(url=url(daemon)) as screen:
            screen.wait("8 Log")
            screen.press("8")
            shown = screen.wait(lambda text: len(rows_of(text)) == 3)
            assert all(len(line) <= 80 for line in shown.splitlines()) and len(shown.splitlines()) <= 24
            assert [row[1:4] for row in rows_of(shown)] == [
                ["tv", "ads.example.org.", "A"], ["192.0.2.20", "printer.example.net.", "A"],
                ["tv", "www.example.com.", "A"]], shown
            assert re.search(r"www\.example\.com\. +A +answered +2[4-6] ms$", shown, re.M), shown
            screen.keep("log-80x24")
            ask("new.example.com.")
            screen.wait("new.example.com.")
            # The letter does what the number does.
            screen.press("1")
            screen.wait("Answers")
            screen.press("l")
            screen.wait("new.example.com.")
            screen.press("q")
            assert screen.end() == 0 and screen.is_left_as_found()


def test_from_a_row_to_its_device_to_a_name_and_back():
    with remembered() as (daemon, _):
        with Screen(url=url(daemon)) as screen:
            screen.wait("8 Log")
            screen.press("l")
            screen.wait("printer.example.net.")
            screen.press("\r")
            shown = screen.wait("Device tv")
            shown = screen.wait(lambda text: len(rows_of(text)) == 2)
            assert "printer" not in shown and re.search(r"^ +1  www\.example\.com\.$", shown, re.M), shown
            screen.keep("log-device-80x24")
            screen.press("\x1b[B\r")
            screen.wait("Name www.example.com.")
            shown = screen.wait(lambda text: len(rows_of(text)) == 1)
            assert re.search(r"^ +1  192\.0\.2\.10$", shown, re.M), shown
            screen.press("\x1b")
            screen.wait("Device tv")
            screen.press("\x7f")
            screen.wait("printer.example.net.")
            # A row without a name of its device, and straight to the name of a row.
            screen.press("\x1b[B\r")
            screen.wait("Device 192.0.2.20")
            screen.wait(lambda text: len(rows_of(text)) == 1)
            screen.press("n")
            screen.wait("Name printer.example.net.")
            screen.press("\x1b")
            screen.wait("Device 192.0.2.20")


def test_the_log_is_filtered_and_sorted():
    with remembered() as (daemon, ask):
        with Screen(url=url(daemon)) as screen:
            # From everywhere; what is typed are letters, not keys.
            screen.wait("8 Log")
            screen.press("/")
            screen.wait("/")
            screen.press("quest.ads")
            screen.press("\x7f" * 20 + "ads\r")
            shown = screen.wait(lambda text: len(rows_of(text)) == 1)
            assert "/ads" in shown and "ads.example.org." in shown, shown
            for words, expected in (("status=answered", ["www.example.com."]), ("192.0.2.20",
                                                                                ["printer.example.net."]),
                                    ("client=tv", ["ads.example.org.", "www.example.com."]),
                                    ("example.com example.net", ["printer.example.net.",
                                                                 "www.example.com."])):
                screen.press("/" + "\x7f" * 40 + words + "\r")
                screen.wait(lambda text: f"/{words}" in text and [row[2] for row in rows_of(text)] ==
                            expected)
            screen.press("/" + "\x7f" * 40 + "status=no\r")
            screen.wait("status")
            screen.wait(lambda text: not rows_of(text) and "Asking" not in text)
            screen.press("/" + "\x7f" * 40 + "\r")
            screen.wait(lambda text: len(rows_of(text)) == 3)
            for order, expected in (("client", ["printer", "ads",
                                                "www"]), ("name", ["ads", "printer",
                                                                   "www"]), ("type", None), ("status", None),
                                    ("latency", ["www", "ads",
                                                 "printer"]), ("time", ["ads", "printer", "www"])):
                screen.press("s")
                shown = screen.wait(f"sorted by {order}")
                if expected:
                    screen.wait(lambda text: [row[2].split(".")[0] for row in rows_of(text)] == expected)


def test_the_wheel_of_the_mouse_goes_through_the_log():
    with remembered() as (daemon, ask):
        for number in range(60):
            ask(f"n{number}.example.")
        daemon.settle()
        with Screen(url=url(daemon)) as screen:
            screen.wait("8 Log")
            screen.press("l")
            screen.wait("n59.example.")
            # Down in the form of today and in the old one, and up; each is three rows.
            screen.press("\x1b[<65;10;10M" * 10 + "\x1b[Ma!!" * 5 + "\x1b[<64;10;10M")
            shown = screen.wait(lambda text: "n17.example." in text.splitlines()[-1])
            assert "n59.example." not in shown, shown
            screen.press("\x1b[<0;3;3M\x1b[<0;3;3m" + "\x1b[<64;10;10M" * 30)
            screen.wait("n59.example.")
            screen.press("q")
            assert screen.end() == 0 and screen.is_left_as_found()
            assert b"\x1b[?1006l\x1b[?1000l" in screen.raw, "the mouse is the terminal's again"


def test_a_daemon_without_a_memory_says_so():
    with Daemon(extra="[history]\nenable = false", fmt=None) as daemon:
        with Screen(url=url(daemon)) as screen:
            screen.wait("8 Log")
            screen.press("l")
            screen.wait("its history is off")


def test_help_pause_and_pace():
    with traffic() as daemon:
        with Screen(url=url(daemon)) as screen:
            screen.wait(is_live)
            screen.press("?")
            screen.wait("all streams")
            assert "Keys" in screen.text()
            screen.press("x")
            screen.wait(lambda text: "Keys" not in text)
            screen.press(" ")
            screen.wait("paused")
            screen.pump(0.3)
            before = screen.text()
            screen.pump(3)
            assert screen.text() == before, "it changes while it is paused"
            screen.press(" ")
            screen.wait("every 2 s")
            screen.press("-")
            screen.wait("every 3 s")
            screen.press("++")
            screen.wait("every 1 s")


def test_a_daemon_that_goes_away_and_comes_back():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "dnstap.toml")
        with open(path, "w") as file:
            file.write(f"[input.tcp-socket]\nlocal-port = 0\n[web-api]\nlocal-port = {port}\n")
        with Screen(url=f"http://127.0.0.1:{port}") as screen:
            screen.wait(f"No answer for 0 s: {REFUSED}")
            for _ in range(2):
                with subprocess.Popen([BINARY, "-c", path], stdout=subprocess.DEVNULL,
                                      stderr=subprocess.DEVNULL) as other:
                    try:
                        screen.wait(lambda text: "Clients 0" in text and "No answer" not in text)
                    finally:
                        other.terminate()
                screen.wait("No answer for")
                assert "Clients 0" in screen.text(), "what was known stays"
            screen.press("q")
            assert screen.end() == 0


def test_credentials():
    with Daemon(api='api-key = "right"\npassword = "word"\nlogin = "me"') as daemon:
        with tempfile.TemporaryDirectory() as folder:
            key = os.path.join(folder, "key")
            with open(key, "w") as file:
                file.write("right\nnothing else\n")
            with_user = url(daemon).replace("http://", "http://me:word@")
            for arguments, where, environment in (
                    (["--api-key-file", key], url(daemon), {}),
                ([f"--api-key-file={key}"], url(daemon), {"DNSTAPD_API_KEY": "wrong"}),
                    ([], with_user, {}), ([], url(daemon), {"DNSTAPD_API_KEY": "right"}),
                    ([], url(daemon), {"DNSTAPD_PASSWORD": "word", "DNSTAPD_LOGIN": "me"})):
                with Screen(*arguments, url=where, environment=UNICODE | environment) as screen:
                    screen.wait("Clients 0")
                    assert "word" not in screen.text()
            for where, environment in ((url(daemon), {}), (with_user.replace("word", "wrong"), {}),
                                       (url(daemon), {"DNSTAPD_API_KEY": "wrong"})):
                with Screen(url=where, environment=UNICODE | environment) as screen:
                    screen.wait("refuses these credentials")
                    screen.press("q")
                    assert screen.end() == 0 and screen.is_left_as_found()


def test_encrypted():
    authority, other = Authority(), Authority("Another")
    certificate, key = authority.sign("router")
    options = f'tls-support = true\ntls-server-cert = "{certificate}"\ntls-server-key = "{key}"'
    with Daemon(api=options, context=client_context(authority)) as daemon:
        where = url(daemon).replace("http:", "https:")
        with Screen(url=where, environment=UNICODE | {"SSL_CERT_FILE": authority.ca}) as screen:
            screen.wait("Clients 0")
            screen.press("7")
            screen.wait("unix-socket")
        with Screen(url=where, environment=UNICODE | {"SSL_CERT_FILE": other.ca}) as screen:
            screen.wait("certificate")
            screen.press("q")
            assert screen.end() == 0
        with Screen(url=url(daemon)) as screen:
            screen.wait("No answer")
            assert "Clients" not in screen.text().replace("3 Clients", ""), "HTTP on a port of TLS"


def test_the_terminal_is_left_as_it_was_after_signals():
    with Daemon() as daemon:
        for end in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, "\x03", "q"):
            with Screen(url=url(daemon)) as screen:
                screen.wait("Clients 0")
                screen.press(end) if isinstance(end, str) else os.kill(screen.pid, end)
                assert screen.end() == 0, end
                assert screen.is_left_as_found(), (end, screen.raw[-60:])


def test_hostile_names_steer_nothing():
    """Identities and names with control sequences, and a server that sends them bare."""
    with Daemon(fmt=None) as daemon:
        sender = Sender(daemon.unix)
        for identity in (b"\x1b[2J\x1b[31mred", "\u202egnp".encode(), b"a\r\nb", "東京".encode(),
                         b"x" * 128):
            sender.send(message(identity=identity, payload=dns(wire_name=b"\x08\x1b]0;x\x07ab\0")))
        sender.stop()
        with Screen(url=url(daemon)) as screen:
            screen.wait("all 5 streams")
            for key in "12345678":
                screen.press(key)
                screen.pump(0.5)
                steering = set(re.findall(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|.)", screen.raw))
                known = {
                    b"\x1b[H", b"\x1b[K", b"\x1b[J", b"\x1b[m", b"\x1b[1m", b"\x1b[2m", b"\x1b[7m",
                    b"\x1b[36m", b"\x1b[32m", b"\x1b[1;31m", b"\x1b[?1049h", b"\x1b[?25l", b"\x1b[?7l",
                    b"\x1b[?1000h", b"\x1b[?1006h", b"\x1b[2J"
                }
                assert steering <= known, steering - known
                assert not re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f]", screen.raw)
            screen.press("6")
            screen.wait("東")

    rogue = b'{"streams": ["\x1b[2Jboo\\u001b[31m\xc2\x9b2J"], "counters": {"clients": 5}, "tables": {}}'
    with socket.create_server(("127.0.0.1", 0)) as server:
        def serve():
            with contextlib.suppress(OSError):
                while True:
                    peer, _ = server.accept()
                    while peer.recv(4096):
                        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(rogue) + rogue)

        threading.Thread(target=serve, daemon=True).start()
        with Screen(url=f"http://127.0.0.1:{server.getsockname()[1]}") as screen:
            screen.wait("Clients 5")
            screen.press("6")
            screen.wait("?[2Jboo?[31m?2J")
            server.shutdown(socket.SHUT_RDWR)


def test_plain_terminals_get_ascii():
    with traffic() as daemon:
        with Screen(url=url(daemon), environment={"NO_COLOR": "1"}) as screen:
            screen.wait(is_live)
            screen.wait(lambda text: "###" in text)
            assert all(byte < 0x80 for byte in screen.raw)
            assert b"\x1b[36m" not in screen.raw


def test_without_a_terminal_everything_is_printed_once():
    with traffic() as daemon:
        time.sleep(1.2)
        done = subprocess.run([BINARY, "top", "--url", url(daemon)], capture_output=True, text=True,
                              timeout=10)
        assert done.returncode == 0 and not done.stderr, done.stderr
        for title in ("Overview", "Domains", "Clients", "TLDs", "Types", "Streams", "Outputs", "Log"):
            assert f"\n== {title} ==\n" in done.stdout, done.stdout
        assert "\x1b" not in done.stdout and "edge1" in done.stdout and "stdout" in done.stdout
        # Names are whole, however long; the first rows are those of the table.
        assert "\N{HORIZONTAL ELLIPSIS}" not in done.stdout, done.stdout
        assert max(map(len, done.stdout.split())) > 100, done.stdout
    done = subprocess.run([BINARY, "top", "--url", url(daemon)], capture_output=True, text=True, timeout=10)
    assert done.returncode == 1 and REFUSED in done.stderr and not done.stdout, done


def test_words_that_make_no_sense():
    for words in (["--url", "ftp://x"], ["--url", "http://"], ["-x"], ["--api-key-file", "/nowhere"],
                  ["more"]):
        done = subprocess.run([BINARY, "top", *words], capture_output=True, text=True, timeout=10)
        assert done.returncode == 2 and done.stderr and "panicked" not in done.stderr, (words, done)
