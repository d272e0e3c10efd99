"""Every output against what an operator would have at the other end, in good times and bad."""
import contextlib
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

from harness import (ACCEPT, CONTENT_TYPE, DATA, READY, START, STOP, Daemon, Sender, capture_frames, control, dns, field,
                     main, message, run_binary, temporary_folder)


def delivered(daemon, output):
    return daemon.metrics()[f'dnstapd_output_delivered_total{{output="{output}"}}']


def dropped(daemon, output):
    label = f'dnstapd_output_dropped_total{{output="{output}"'
    return sum(value for key, value in daemon.metrics().items() if key.startswith(label))


def wait_delivered(daemon, output, count, seconds=10):
    daemon.wait(lambda: delivered(daemon, output) >= count, seconds, lambda: (delivered(daemon, output), dropped(daemon, output), daemon.log()))
    assert delivered(daemon, output) == count


def send(daemon, count, first=0, size=0):
    """Sends messages with the names n0, n1 and so on, over a connection of their own."""
    sender = Sender(daemon.unix)
    for start in range(0, count, 500):
        names = range(first + start, first + min(start + 500, count))
        sender.send(*[message(payload=dns(f"n{i}.{'x' * size + '.' if size else ''}test")) for i in names])
    sender.stop()


def names(lines):
    """The numbers in the names of text lines."""
    return [int(line.split()[9].split(".")[0][1:]) for line in lines]


def read(path):
    with open(path) as file:
        return file.read().splitlines()


@contextlib.contextmanager
def folder():
    with temporary_folder() as path:
        yield path


@contextlib.contextmanager
def small_disk(kilobytes):
    with folder() as path:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", path], check=True)
        try:
            yield path
        finally:
            subprocess.run(["umount", "-l", path], check=True)


def file_output(path, more=""):
    return f"[output.file]\nenable = true\nfile = '{path}'\n{more}\n"


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
            octets = os.path.getsize(os.path.join(top, name))
            assert octets < 10 << 10 and (name == "log" or octets > (10 << 10) - 200), (name, octets)
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


def trouble(daemon, output="file"):
    return [line for line in daemon.log().splitlines() if f"Output {output}:" in line and "may be" not in line]


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
            assert metrics['dnstapd_output_dropped_total{output="file",reason="full"}'] > 0
            assert metrics['dnstapd_output_delivered_total{output="stdout"}'] == 8000, "others lose nothing"
            assert daemon.request("/ready", auth=False)[0].status == 503
            os.unlink(ballast)
            daemon.wait(lambda: daemon.metrics()['dnstapd_output_queued{output="file"}'] == 0)
            send(daemon, 10, first=8000)
            daemon.wait(lambda: daemon.metrics()['dnstapd_output_queued{output="file"}'] == 0)
            metrics = daemon.check_accounts()
            assert daemon.request("/ready", auth=False)[0].status == 200
            got = names(read(path))
            assert len(got) == delivered(daemon, "file") and got == sorted(set(got)) and got[-10:] == list(range(8000, 8010))
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


def test_file_that_cannot_work_is_an_error_at_start():
    for path, word in (("/nonexistent/log", "No such file"), ("/tmp", "directory")):
        for check in ([], ["--check"]):
            status, _, err = run_binary("-p", "0", *check, config=file_output(path) + "[web-api]\nenable = false\n")
            assert status == 1 and "output.file" in err and path in err and word in err, err


class Peer:
    """A TCP server that keeps what it is sent, in one thread for each connection."""

    def __init__(self, port=0, address="127.0.0.1", greet=None, serve=None):
        self.listener = socket.create_server((address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
        self.port = self.listener.getsockname()[1]
        self.greet, self.serve = greet, serve or Peer.read_all
        self.received, self.connections = [], []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection = self.listener.accept()[0]
                self.connections.append(connection)
                self.received.append(bytearray())
                threading.Thread(target=self.run, args=(connection, self.received[-1]), daemon=True).start()

    def run(self, connection, into):
        with contextlib.suppress(OSError):
            if self.greet:
                self.greet(connection)
            self.serve(connection, into)

    @staticmethod
    def read_all(connection, into):
        while piece := connection.recv(1 << 16):
            into += piece

    @staticmethod
    def one_octet_a_second(connection, into):
        while piece := connection.recv(1):
            into += piece
            time.sleep(1)

    @staticmethod
    def close_after_a_record(connection, into):
        into += connection.recv(200)
        connection.close()

    def text(self):
        return b"".join(self.received).decode()

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def tcp_output(port, more="", address="127.0.0.1"):
    return f"[output.tcp-socket]\nenable = true\nremote-address = '{address}'\nremote-port = {port}\nretry = 1\n{more}\n"


def test_tcp_formats_and_addresses():
    for fmt in ("text", "json", "yaml"):
        for address in ("127.0.0.1", "localhost", "[::1]"):
            peer = Peer(address="::1" if ":" in address else "127.0.0.1")
            with Daemon(fmt=fmt, extra=tcp_output(peer.port, f"format = '{fmt}'", address)) as daemon:
                send(daemon, 50)
                wait_delivered(daemon, "tcp-socket", 50)
                assert daemon.stop() == 0
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


def faults(output, config, greet=None, records=lambda peer: names(peer.text().splitlines())):
    """The fault matrix of an output over a stream: whatever the peer does, the accounts are exact, and nothing is sent twice
    on one connection or in part."""
    # Absent at the start: refused. What fits the queue comes when it is there.
    port = free_port()
    with Daemon(fmt="text", extra=config(port)) as daemon:
        daemon.wait(lambda: "refused" in daemon.log())
        send(daemon, 300)
        daemon.check_accounts()
        assert dropped(daemon, output) == 0 and daemon.request("/ready", auth=False)[0].status == 503
        peer = Peer(port, greet=greet)
        wait_delivered(daemon, output, 300)
        daemon.wait(lambda: records(peer) == list(range(300)))
        assert daemon.request("/ready", auth=False)[0].status == 200
        assert len(trouble(daemon, output)) == 2, daemon.log()
        # Killed and restarted.
        peer.close()
        daemon.wait(lambda: daemon.metrics()[f'dnstapd_output_connected{{output="{output}"}}'] == 0)
        send(daemon, 20_000, first=300)
        metrics = daemon.check_accounts()
        assert metrics[f'dnstapd_output_dropped_total{{output="{output}",reason="full"}}'] > 0
        assert metrics['dnstapd_output_delivered_total{output="stdout"}'] == 20_300, "others lose nothing"
        peer = Peer(port, greet=greet)
        daemon.wait(lambda: daemon.metrics()[f'dnstapd_output_queued{{output="{output}"}}'] == 0)
        count = delivered(daemon, output) - 300
        daemon.wait(lambda: records(peer) == list(range(300, 300 + int(count))))
        assert daemon.check_accounts()[f'dnstapd_output_reconnects_total{{output="{output}"}}'] == 1
        peer.close()
    # One octet a second.
    peer = Peer(greet=greet, serve=Peer.one_octet_a_second)
    with Daemon(fmt=None, extra=config(peer.port)) as daemon:
        daemon.wait(lambda: peer.connections)
        started = time.monotonic()
        for start in range(0, 60_000, 10_000):
            send(daemon, 10_000, first=start, size=60)
        assert time.monotonic() - started < 10, "the input keeps its speed"
        metrics = daemon.check_accounts()
        assert metrics[f'dnstapd_output_dropped_total{{output="{output}",reason="full"}}'] > 0
        started = time.monotonic()
        assert daemon.stop(seconds=8) == 0 and 4 < time.monotonic() - started < 7
    peer.close()
    # Closes after each record.
    peer = Peer(greet=greet, serve=Peer.close_after_a_record)
    with Daemon(fmt=None, extra=config(peer.port)) as daemon:
        for start in range(30):
            send(daemon, 10, first=start * 10)
            time.sleep(0.1)
        daemon.wait(lambda: len(peer.connections) > 2)
        daemon.check_accounts()
    peer.close()


def test_tcp_faults():
    faults("tcp-socket", lambda port: tcp_output(port, "queue = '64K'"))


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
        assert names(peer.text().splitlines()) == list(range(5000))
        peer.close()


@contextlib.contextmanager
def rsyslog(transport, port):
    """rsyslog, writing what it understood of each message: priority, time, host, program, text."""
    module = "udp" if transport == "udp" else "tcp"
    room = 'rcvbufSize="8m"' if module == "udp" else ""  # what it has no room for is lost, as UDP is
    with folder() as top:
        path, config = os.path.join(top, "messages"), os.path.join(top, "rsyslog.conf")
        with open(config, "w") as file:
            file.write(f"""
global(workDirectory="{top}" maxMessageSize="16k" parser.escapeControlCharactersOnReceive="off")
module(load="im{module}")
input(type="im{module}" address="127.0.0.1" port="{port}" {room})
template(name="fields" type="string" string="%pri-text%|%timereported:::date-rfc3339%|%hostname%|%app-name%|%procid%|%msgid%|%msg%\\n")
template(name="classic" type="string" string="%TIMESTAMP% %HOSTNAME% %syslogtag%%msg%\\n")
action(type="omfile" file="{path}" template="fields")
action(type="omfile" file="{path}.classic" template="classic")
""")
        process = subprocess.Popen(["rsyslogd", "-n", "-f", config, "-i", os.path.join(top, "pid")],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            time.sleep(0.5)
            yield path
        finally:
            process.terminate()
            process.wait(10)


def syslog_output(more):
    return f"[output.syslog]\nenable = true\nretry = 1\n{more}\n"


def lines_of(path):
    return read(path) if os.path.exists(path) else []


def text_of(number):
    """What a text record says behind timestamp and identity."""
    return f"CLIENT_QUERY NOERROR 192.0.2.10 50000 INET UDP {24 + len(str(number))}b n{number}.test. A -"


def test_syslog_to_rsyslog():
    for transport, framing in (("udp", "octet-counting"), ("tcp", "octet-counting"), ("tcp", "newline")):
        port = free_port()
        with rsyslog(transport, port) as path:
            remote = f"remote-address = '127.0.0.1'\nremote-port = {port}\ntransport = '{transport}'\nframing = '{framing}'\n"
            for header, fmt in (("rfc5424", "text"), ("rfc3164", "text"), ("rfc5424", "json")):
                for name in (path, path + ".classic"):
                    with contextlib.suppress(FileNotFoundError):
                        os.truncate(name, 0)
                more = f"{remote}header = '{header}'\nformat = '{fmt}'\nfacility = 'local3'\nseverity = 'notice'"
                with Daemon(fmt=fmt, extra=syslog_output(more)) as daemon:
                    send(daemon, 200)
                    wait_delivered(daemon, "syslog", 200)
                    daemon.wait(lambda: len(lines_of(path)) == 200, why=lambda: lines_of(path)[:3])
                    assert daemon.stop() == 0
                    records = read(daemon.out)
                for number, line in enumerate(read(path)):
                    priority, when, host, program, process, identifier, text = line.split("|", 6)
                    assert (priority, host) == ("local3.notice", "lb1"), line
                    if header == "rfc5424":
                        assert when == "2020-09-16T18:51:53.591736+00:00", line
                        assert (program, process, identifier) == ("dnstapd", "-", "-"), line
                        assert text == (text_of(number) if fmt == "text" else records[number]), line
                if header == "rfc3164":
                    assert read(path + ".classic") == [f"Sep 16 18:51:53 lb1 {text_of(number)}" for number in range(200)]


def test_syslog_local_socket():
    """A datagram socket such as /dev/log: absent, there, stopped, there again."""
    with folder() as top:
        path = os.path.join(top, "log")

        def listen():
            server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            server.settimeout(10)
            server.bind(path)
            return server

        def drain(server):
            with contextlib.suppress(OSError):
                while server.recv(9000):
                    pass

        with Daemon(fmt=None, extra=syslog_output(f"path = '{path}'\nheader = 'rfc3164'")) as daemon:
            send(daemon, 5)
            daemon.wait(lambda: "tried again" in daemon.log())
            assert daemon.check_accounts()['dnstapd_output_queued{output="syslog"}'] == 5
            server = listen()
            assert [server.recv(9000).decode() for _ in range(5)] == \
                [f"<30>Sep 16 18:51:53 lb1 {text_of(number)}" for number in range(5)]
            # Nobody reads: the socket is full, records are dropped and counted.
            send(daemon, 20_000)
            metrics = daemon.check_accounts()
            assert metrics['dnstapd_output_dropped_total{output="syslog",reason="full"}'] > 0
            server.close()
            os.unlink(path)
            daemon.wait(lambda: daemon.metrics()['dnstapd_output_connected{output="syslog"}'] == 0)
            server = listen()
            daemon.wait(lambda: daemon.metrics()['dnstapd_output_connected{output="syslog"}'] == 1)
            threading.Thread(target=drain, args=(server,), daemon=True).start()
            daemon.wait(lambda: daemon.metrics()['dnstapd_output_queued{output="syslog"}'] == 0)
            daemon.check_accounts()


def test_syslog_bare_records():
    """header = "none" is what dnstap_receiver sent."""
    peer = Peer()
    more = f"transport = 'tcp'\nremote-address = '127.0.0.1'\nremote-port = {peer.port}\nheader = 'none'"
    with Daemon(fmt="text", extra=syslog_output(more)) as daemon:
        send(daemon, 3)
        wait_delivered(daemon, "syslog", 3)
        daemon.wait(lambda: peer.text() and peer.text() == "".join(f"{len(line)} {line}" for line in lines_of(daemon.out)))
    peer.close()


def test_syslog_udp_refused():
    port = free_port()
    remote = f"remote-address = 'localhost'\nremote-port = {port}\nqueue = '8K'"
    with Daemon(fmt=None, extra=syslog_output(remote)) as daemon:
        send(daemon, 2000)
        daemon.wait(lambda: "refused" in daemon.log())
        assert dropped(daemon, "syslog") > 0
        daemon.check_accounts()
        assert len(trouble(daemon, "syslog")) == 1
        addresses = socket.getaddrinfo("localhost", port, type=socket.SOCK_DGRAM)
        server = socket.socket(addresses[0][0], socket.SOCK_DGRAM)
        server.bind(addresses[0][4])
        daemon.wait(lambda: daemon.metrics()['dnstapd_output_queued{output="syslog"}'] == 0)
        daemon.check_accounts()


def test_syslog_tcp_faults():
    def remote(port):
        return syslog_output(f"transport = 'tcp'\nframing = 'newline'\nheader = 'none'\nremote-address = '127.0.0.1'\n"
                             f"remote-port = {port}\nqueue = '64K'")
    faults("syslog", remote)


LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (\d+) QUERIES, (\d+\.\d) QPS, (\d+) CLIENTS, (\d+) INET, (\d+) INET6, "
                  r"(\d+) UDP, (\d+) TCP, (\d+) DOMAINS")


def test_metrics_lines():
    for cumulative in (True, False):
        with folder() as top:
            path = os.path.join(top, "metrics")
            more = f"[output.metrics]\nenable = true\ninterval = 1\ncumulative = {str(cumulative).lower()}\nfile = '{path}'\n"
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
                assert "output=\"metrics\"" not in daemon.request("/metrics")[1]
                assert daemon.stop() == 0
    with Daemon(fmt=None, extra="[output.metrics]\nenable = true\ninterval = 1\n") as daemon:
        daemon.wait(lambda: lines_of(daemon.out))
        assert LINE.fullmatch(lines_of(daemon.out)[0]).group(1) == "0"


DNSTAP = ["-t", "protobuf:dnstap.Dnstap"]


def all_frames():
    """The frames of all captures in tests/data, and some no server sends: unknown fields, two identities, a large one."""
    frames = [frame for name in sorted(os.listdir(DATA)) if name.endswith(".fstrm")
              for frame in capture_frames(os.path.join(DATA, name))]
    return frames + [message(more=field(77, b"new") + field(78, 1 << 40)), message() + field(1, b"second"),
                     message(payload=dns() + bytes(60_000)), message(identity=None)]


def send_frames(daemon, frames):
    sender = Sender(daemon.unix)
    sender.send(*frames)
    sender.stop()


def dnstap_output(where, more=""):
    return f"[output.dnstap]\nenable = true\n{where}\n{more}\n"


def tcp(port):
    return f"remote-address = '127.0.0.1'\nremote-port = {port}"


def test_dnstap_to_fstrm_capture():
    frames = all_frames()
    assert len(frames) > 500
    for over in ("unix", "tcp"):
        with folder() as top:
            path, unix, port = os.path.join(top, "capture"), os.path.join(top, "socket"), free_port()
            listen = ["-u", unix] if over == "unix" else ["-a", "127.0.0.1", "-p", str(port)]
            where = f"path = '{unix}'" if over == "unix" else tcp(port)
            with Daemon(fmt=None, extra=dnstap_output(where)) as daemon:
                capture = subprocess.Popen(["fstrm_capture", *DNSTAP, *listen, "-w", path], stderr=subprocess.DEVNULL)
                daemon.wait_for_log("connected to")
                send_frames(daemon, frames)
                wait_delivered(daemon, "dnstap", len(frames))
                started = time.monotonic()
                assert daemon.stop() == 0 and time.monotonic() - started < 2, "FINISH has come"
                capture.terminate()
                capture.wait(10)
            assert list(capture_frames(path)) == frames


def test_dnstap_chain_and_identity():
    """A daemon behind a daemon: what comes out at the end is what went in, but for an identity that is asked for."""
    frames = all_frames()
    with folder() as top:
        path = os.path.join(top, "capture")
        with Daemon(fmt=None, extra=file_output(path, "format = 'dnstap'")) as last:
            with Daemon(fmt=None, extra=dnstap_output(f"path = '{last.unix}'")) as first:
                first.wait_for_log("connected to")
                send_frames(first, frames)
                wait_delivered(first, "dnstap", len(frames))
                first.check_accounts()
                assert first.stop() == 0
            wait_delivered(last, "file", len(frames))
            assert last.stop() == 0
        assert list(capture_frames(path)) == frames
        with Daemon(fmt="json") as last:
            with Daemon(fmt="json", extra=dnstap_output(tcp(last.tcp[1]), "dnstap-identity = 'mine'")) as first:
                first.wait_for_log("connected to")
                send_frames(first, frames)
                wait_delivered(first, "dnstap", len(frames))
                before = first.records()
                assert first.stop() == 0
            wait_delivered(last, "stdout", len(frames))
            after = last.records()
        assert {record["identity"] for record in after} == {"mine"}
        same = lambda record: {key: value for key, value in record.items() if key not in ("identity", "latency")}
        assert [same(record) for record in after] == [same(record) for record in before]


def greet_dnstap(connection):
    assert connection.recv(42, socket.MSG_WAITALL) == control(READY, CONTENT_TYPE)
    connection.sendall(control(ACCEPT, CONTENT_TYPE))
    assert connection.recv(42, socket.MSG_WAITALL) == control(START, CONTENT_TYPE)


def frames_of(octets):
    at = 0
    while at + 4 <= len(octets):
        length = struct.unpack_from(">I", octets, at)[0]
        if length == 0 or at + 4 + length > len(octets):
            return
        yield octets[at + 4:at + 4 + length]
        at += 4 + length


def test_dnstap_faults():
    number = lambda octets: int(re.search(rb"n(\d+)\x04test", bytes(octets).replace(b"\x02n", b"n")).group(1))
    numbers = lambda peer: [number(frame) for received in peer.received for frame in frames_of(received)]
    faults("dnstap", lambda port: dnstap_output(tcp(port), "queue = '64K'\nretry = 1"), greet_dnstap, numbers)


def test_dnstap_strangers():
    """Peers that are no Frame Streams readers: one that says something else, one that says nothing."""
    def http_server(connection):
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"x" * 100)
        connection.recv(1000)

    peer = Peer(serve=lambda connection, into: http_server(connection))
    with Daemon(fmt=None, extra=dnstap_output(tcp(peer.port))) as daemon:
        send(daemon, 10)
        daemon.wait(lambda: "no Frame Streams reader" in daemon.log())
        assert daemon.check_accounts()['dnstapd_output_queued{output="dnstap"}'] == 10
    peer.close()
    peer = Peer(greet=greet_dnstap)
    with Daemon(fmt=None, extra=dnstap_output(tcp(peer.port))) as daemon:
        send(daemon, 10)
        wait_delivered(daemon, "dnstap", 10)
        started = time.monotonic()
        assert daemon.stop() == 0 and time.monotonic() - started < 7, "nobody waits for FINISH for ever"
    peer.close()


def read_capture(path):
    """How many frames dnstap-ldns reads; it must find nothing wrong."""
    done = subprocess.run(["dnstap-ldns", "-q", "-r", path], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, (path, done.stderr)
    return len(done.stdout.splitlines())


def test_capture_rotates_and_survives_a_crash():
    with folder() as top:
        path = os.path.join(top, "capture")
        extra = file_output(path, "format = 'dnstap'\nfile-max-size = '10K'\nfile-count = 90")
        with Daemon(fmt=None, extra=extra) as daemon:
            send(daemon, 1000)
            wait_delivered(daemon, "file", 1000)
            daemon.process.kill()
            daemon.process.wait()
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
                octets = file.read()
            assert octets.startswith(control(START, CONTENT_TYPE)) and octets.endswith(control(STOP)), name
        octets = [frame for name in files for frame in capture_frames(name)]
        assert [f"n{i}".encode() in frame for i, frame in enumerate(octets)] == [True] * 1600
    with folder() as top:
        path = os.path.join(top, "text")
        with open(path, "w") as file:
            file.write("this is no capture\n")
        config = file_output(path, "format = 'dnstap'") + "[web-api]\nenable = false\n"
        status, _, err = run_binary("-p", "0", config=config)
        assert status == 1 and "not a Frame Streams capture" in err and read(path) == ["this is no capture"], err


if __name__ == "__main__":
    sys.exit(main(globals()))
