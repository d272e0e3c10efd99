"""What the tests of outputs share: peers that behave or do not, and the fault matrix."""
import contextlib
import ctypes
import os
import re
import socket
import struct
import subprocess
import threading
import time

import pytest

from harness import (ACCEPT, CONTENT_TYPE, DATA, EMULATOR, READY, REFUSED, START, Daemon, Sender,
                     capture_frames, control, dns, field, free_port, message, temporary_folder)


def delivered(daemon, output):
    return daemon.metrics()[f'dnstapd_output_delivered_total{{output="{output}"}}']


def dropped(daemon, output):
    label = f'dnstapd_output_dropped_total{{output="{output}"'
    return sum(value for key, value in daemon.metrics().items() if key.startswith(label))


def wait_delivered(daemon, output, count, seconds=10):
    daemon.wait(lambda: delivered(daemon, output) >= count, seconds,
                lambda: (delivered(daemon, output), dropped(daemon, output), daemon.log()))
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


def trouble(daemon, output="file"):
    return [line for line in daemon.log().splitlines() if f"Output {output}:" in line
            and "may be" not in line and "still so" not in line]


def listener_at(place, address="127.0.0.1", **more):
    """A socket that listens on a TCP port or at a path."""
    if isinstance(place, int):
        return socket.create_server((address, place), family=socket.AF_INET6 if ":" in address
                                    else socket.AF_INET, **more)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(place)
    return socket.create_server(place, family=socket.AF_UNIX, **more)


class Peer:
    """A server on a TCP port or at a path that keeps what it is sent, in one thread for each connection."""

    def __init__(self, place=0, address="127.0.0.1", greet=None, serve=None, context=None):
        self.listener = listener_at(place, address)
        self.port = place or self.listener.getsockname()[1]
        self.greet, self.serve, self.context = greet, serve or Peer.read_all, context
        self.received, self.connections, self.readers, self.is_closed = [], [], [], False
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection = self.listener.accept()[0]
                self.connections.append(connection)
                self.received.append(bytearray())
                reader = threading.Thread(target=self.run, args=(connection, self.received[-1]),
                                          daemon=True)
                reader.start()
                self.readers.append(reader)  # once it runs: who waits for readers joins them

    def run(self, connection, into):
        with contextlib.suppress(OSError):
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
                self.connections.append(connection)
                if self.is_closed:  # before it was in the list
                    connection.close()
            if self.greet:
                self.greet(connection)
            self.serve(connection, into)

    @staticmethod
    def read_all(connection, into):
        while piece := connection.recv(1 << 16):
            into += piece

    @staticmethod
    def one_byte_a_second(connection, into):
        while piece := connection.recv(1):
            into += piece
            time.sleep(1)

    @staticmethod
    def close_after_a_record(connection, into):
        into += connection.recv(200)
        connection.close()

    def wait_until_all_is_read(self, seconds=20):
        """For connections that the other end has closed, of which there is one at least."""
        end = time.monotonic() + seconds
        while not self.readers and time.monotonic() < end:
            time.sleep(0.01)
        for reader in self.readers:
            reader.join(max(0, end - time.monotonic()))

    def text(self):
        return b"".join(self.received).decode()

    def lines(self):
        """What has come; a part of a line only when no more of it can come."""
        is_reading = any(reader.is_alive() for reader in self.readers)
        text = self.text()
        return (text[:text.rfind("\n") + 1] if is_reading else text).splitlines()

    def close(self):
        self.is_closed = True
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                connection.shutdown(socket.SHUT_RDWR)
        # A reader that is in OpenSSL knows its descriptor by number alone: were it closed there, and given to
        # what comes next, such as the pipe of another test, the reader would go on with that.
        end = time.monotonic() + 0.3
        for reader in self.readers:
            reader.join(max(0, end - time.monotonic()))
        for connection in self.connections:
            connection.close()


def tcp_output(port, more="", address="127.0.0.1"):
    return (f"[output.tcp-socket]\nenable = true\nremote-address = '{address}'\nremote-port = {port}\n"
            f"retry = 1\n{more}\n")


class Subject:
    """An output over a stream that goes through the fault matrix.

    `config` makes its section from a port and an address, `greet` is the peer's half of what comes before the
    records, `serve` takes them, `records` tells the numbers of the records that a peer has, and with
    `context` the peer speaks TLS. With `path` the peers are there and `config` takes it instead of a port.
    """

    def __init__(self, output, config, greet=None, records=None, context=None, path=None, serve=None):
        self.output, self.config, self.greet, self.context, self.path = output, config, greet, context, path
        self.records, self.serve = records or (lambda peer: names(peer.lines())), serve or Peer.read_all
        # Whether all that a peer reads is records.
        self.is_plain = not greet and not serve

    def place(self):
        return self.path or free_port()

    def peer(self, place=0, serve=None):
        return Peer(place or self.path or 0,
                    greet=self.greet,
                    serve=serve or self.serve,
                    context=self.context)

    def metric(self, daemon, name, labels=""):
        return daemon.metrics()[f'dnstapd_output_{name}{{output="{self.output}"{labels}}}']

    def drained(self, daemon):
        daemon.wait(lambda: self.metric(daemon, "queued") == 0, 15)


def absent_killed_and_there_again(subject):
    output, place = subject.output, subject.place()
    with Daemon(fmt="text", extra=subject.config(place)) as daemon:
        daemon.wait(lambda: ("No such file" if subject.path else REFUSED) in daemon.log())
        send(daemon, 300)
        daemon.check_accounts()
        data = subject.metric(daemon, "queue_bytes")
        assert dropped(daemon, output) == 0 and daemon.request("/ready", auth=False)[0].status == 503
        peer = subject.peer(place)
        wait_delivered(daemon, output, 300)
        daemon.wait(lambda: subject.records(peer) == list(range(300)))
        assert subject.metric(daemon, "queue_bytes") == 0
        if subject.is_plain:
            assert data == sum(map(len, peer.received)) > 300 * 40, data
        assert daemon.request("/ready", auth=False)[0].status == 200
        assert len(trouble(daemon, output)) == 2, daemon.log()
        peer.close()
        daemon.wait(lambda: subject.metric(daemon, "connected") == 0)
        send(daemon, 20_000, first=300)
        metrics = daemon.check_accounts()
        assert subject.metric(daemon, "dropped_total", ',reason="away"') == dropped(daemon, output) > 0
        assert metrics['dnstapd_output_delivered_total{output="stdout"}'] == 20_300, "others lose nothing"
        peer = subject.peer(place)
        subject.drained(daemon)
        count = delivered(daemon, output) - 300
        daemon.wait(lambda: subject.records(peer) == list(range(300, 300 + int(count))))
        daemon.check_accounts()
        assert subject.metric(daemon, "reconnects_total") == 1
        peer.close()


def one_byte_a_second(subject):
    peer = subject.peer(serve=Peer.one_byte_a_second)
    with Daemon(fmt=None, extra=subject.config(peer.port)) as daemon:
        daemon.wait(lambda: subject.metric(daemon, "connected") == 1)
        started = time.monotonic()
        for start in range(0, 60_000, 10_000):
            send(daemon, 10_000, first=start, size=60)
        assert time.monotonic() - started < 60, "the input does not wait for a peer that takes a week"
        daemon.check_accounts()
        assert subject.metric(daemon, "dropped_total", ',reason="full"') > 0
        started = time.monotonic()
        assert daemon.stop(seconds=8) == 0 and 4 < time.monotonic() - started < 7
    peer.close()


def closing_after_each_record(subject):
    peer = subject.peer(serve=Peer.close_after_a_record)
    with Daemon(fmt=None, extra=subject.config(peer.port)) as daemon:
        for start in range(30):
            send(daemon, 10, first=start * 10)
            time.sleep(0.1)
        daemon.wait(lambda: len(peer.connections) > 2)
        daemon.check_accounts()
    peer.close()


def black_hole(subject):
    """Nobody answers: a listener whose backlog is full drops what else comes, or if it is at a path, has no
    room for it."""
    with contextlib.closing(listener_at(subject.path or 0,
                                        backlog=0)) as full, contextlib.ExitStack() as guests:
        for _ in range(4):
            guest = guests.enter_context(contextlib.closing(socket.socket(full.family)))
            guest.setblocking(False)
            guest.connect_ex(full.getsockname())
        time.sleep(0.2)
        with Daemon(fmt="text", extra=subject.config(subject.path or full.getsockname()[1])) as daemon:
            send(daemon, 5000)
            metrics = daemon.check_accounts()
            assert metrics['dnstapd_output_delivered_total{output="stdout"}'] == 5000, "others lose nothing"
            daemon.wait(
                lambda: ("queue of connections is full"
                         if subject.path else "no answer in 10 s") in daemon.log(), 15, daemon.log)
            assert subject.metric(daemon, "connected") == 0 and subject.metric(daemon, "delivered_total") == 0
            started = time.monotonic()
            assert daemon.stop(seconds=8) == 0 and time.monotonic() - started < 7
            assert "records were not taken in time" in daemon.log()


def black_hole_in_mid_stream(subject):
    """All at once nothing is acknowledged any more: the kernel gives the connection up in the time it was
    told."""
    peer = subject.peer()
    with Daemon(fmt="text", extra=subject.config(peer.port)) as daemon:
        send(daemon, 100)
        wait_delivered(daemon, subject.output, 100)
        daemon.wait(lambda: len(subject.records(peer)) == 100)
        drop_what_comes(peer.connections[-1])
        with socket_of(daemon, peer.port) as theirs:
            assert theirs.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 120_000
            send(daemon, 60_000, first=100, size=60)
            metrics = daemon.check_accounts()
            assert metrics['dnstapd_output_delivered_total{output="stdout"}'] == 60_100, "others lose nothing"
            taken = delivered(daemon, subject.output)
            assert subject.metric(daemon, "connected") == 1
            lost = dropped(daemon, subject.output)
            assert subject.metric(daemon, "dropped_total", ',reason="full"') == lost > 0
            # The test does not wait that long; from now on two seconds are enough.
            theirs.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 2_000)
        daemon.wait(lambda: "timed out" in daemon.log(), 25, daemon.log)
        subject.drained(daemon)
        daemon.wait(lambda: len(subject.records(peer)) == 100 + delivered(daemon, subject.output) - taken)
        assert subject.records(peer) == sorted(set(subject.records(peer))), "whole, and not twice"
        daemon.check_accounts()
    peer.close()


def drop_what_comes(connection):
    """A filter on a socket that lets nothing through (BPF: `ret #0`): neither its owner nor its kernel sees
    what is sent to it."""
    program = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
    filters = struct.pack("HP", 1, ctypes.addressof(program))
    connection.setsockopt(socket.SOL_SOCKET, 26, filters)  # SO_ATTACH_FILTER


@contextlib.contextmanager
def socket_of(daemon, port):
    """The daemon's own socket that is connected to a port."""
    pid = daemon.process.pid
    handle = os.pidfd_open(pid)
    try:
        for number in map(int, os.listdir(f"/proc/{pid}/fd")):
            copy = ctypes.CDLL(None, use_errno=True).syscall(438, handle, number, 0)  # pidfd_getfd
            assert copy >= 0, os.strerror(ctypes.get_errno())
            if not os.readlink(f"/proc/self/fd/{copy}").startswith("socket:"):
                os.close(copy)
                continue
            with contextlib.closing(socket.socket(fileno=copy)) as theirs, contextlib.suppress(OSError):
                if theirs.family in (socket.AF_INET, socket.AF_INET6) and theirs.getpeername()[1] == port:
                    yield theirs
                    return
        raise AssertionError(f"no connection to port {port}")
    finally:
        os.close(handle)


def drained_at_a_stop(subject):
    """What is queued at a stop goes out first, to a peer that takes its time."""
    if EMULATOR:
        pytest.skip("how much goes out in four seconds says nothing of an emulated program")
    begin = threading.Event()

    def late(connection, into):
        begin.wait(60)
        subject.serve(connection, into)

    peer = subject.peer(serve=late)
    config = subject.config(peer.port).replace("queue = '64K'", "queue = '16M'")
    with Daemon(fmt=None, extra=config) as daemon:
        daemon.wait(lambda: subject.metric(daemon, "connected") == 1)
        send(daemon, 60_000, size=60)
        assert subject.metric(daemon, "queued") > 0
        started = time.monotonic()
        threading.Timer(1, begin.set).start()
        assert daemon.stop(seconds=12) == 0
        assert "not taken in time" not in daemon.log(), daemon.log()
        # A peer of Frame Streams that never says FINISH is waited for, but not for long.
        assert time.monotonic() - started < (7 if not subject.greet else 12)
    # What the kernel has taken the peer may still be reading.
    peer.wait_until_all_is_read()
    assert subject.records(peer) == list(range(60_000))
    peer.close()


def name_gone(subject):
    """A name that is known, unknown after a reconnection, and known again."""
    with OwnNames() as names:
        names.know("collector.test")
        peer = subject.peer()
        with Daemon(fmt="text", extra=subject.config(peer.port, "collector.test"),
                    under=names.command) as daemon:
            send(daemon, 100)
            wait_delivered(daemon, subject.output, 100)
            names.forget()
            port = peer.port
            peer.close()
            daemon.wait(lambda: subject.metric(daemon, "connected") == 0)
            peer = subject.peer(port)
            send(daemon, 100, first=100)
            daemon.wait(lambda: "failed to lookup" in daemon.log() or "resolution" in daemon.log(), 15)
            metrics = daemon.check_accounts()
            assert metrics['dnstapd_output_delivered_total{output="stdout"}'] == 200, "others lose nothing"
            assert not peer.connections and subject.metric(daemon, "queued") == 100
            names.know("collector.test")
            wait_delivered(daemon, subject.output, 200, 40)
            daemon.wait(lambda: subject.records(peer) == list(range(100, 200)))
        peer.close()


def path_gone(subject):
    """The socket's path is gone while the connection lasts, which it does; then the peer is, and both come
    back."""
    peer = subject.peer()
    with Daemon(fmt="text", extra=subject.config(subject.path)) as daemon:
        send(daemon, 100)
        wait_delivered(daemon, subject.output, 100)
        os.unlink(subject.path)
        send(daemon, 100, first=100)
        wait_delivered(daemon, subject.output, 200)
        daemon.wait(lambda: subject.records(peer) == list(range(200)))
        peer.close()
        daemon.wait(lambda: "No such file" in daemon.log())
        send(daemon, 100, first=200)
        metrics = daemon.check_accounts()
        assert metrics['dnstapd_output_delivered_total{output="stdout"}'] == 300, "others lose nothing"
        assert subject.metric(daemon, "queued") == 100 and dropped(daemon, subject.output) == 0
        peer = subject.peer()
        wait_delivered(daemon, subject.output, 300)
        daemon.wait(lambda: subject.records(peer) == list(range(200, 300)))
    peer.close()


def silent_at_first(subject):
    """A peer that takes the connection and says nothing is given up, and tried again."""
    answers = threading.Event()

    def greet(connection):
        if not answers.is_set():
            while connection.recv(100):
                pass
            raise OSError("it has given up")
        subject.greet(connection)

    peer = Peer(subject.path, greet=greet)
    with Daemon(fmt="text", extra=subject.config(subject.path)) as daemon:
        send(daemon, 5000)
        daemon.wait(lambda: "no answer in 10 s" in daemon.log(), 15, daemon.log)
        metrics = daemon.check_accounts()
        assert metrics['dnstapd_output_delivered_total{output="stdout"}'] == 5000, "others lose nothing"
        assert subject.metric(daemon, "connected") == 0 and subject.metric(daemon, "delivered_total") == 0
        answers.set()
        subject.drained(daemon)
        daemon.wait(lambda: len(subject.records(peer)) == delivered(daemon, subject.output))
        daemon.check_accounts()
    peer.close()


def faults(at_a_path=False):
    """Marks a test that takes a fault and calls it with its subject. Whatever the peer does, the accounts are
    exact, and nothing is sent twice on one connection or in part."""
    some = [absent_killed_and_there_again, one_byte_a_second, closing_after_each_record, black_hole,
            drained_at_a_stop]
    some += [path_gone, silent_at_first] if at_a_path else [black_hole_in_mid_stream, name_gone]
    return pytest.mark.parametrize("fault", some, ids=lambda fault: fault.__name__)


class OwnNames:
    """Host names for one daemon alone: files laid over /etc/hosts and /etc/resolv.conf in a mount
    namespace."""

    def __enter__(self):
        self.keeper = temporary_folder()
        self.hosts = os.path.join(self.keeper.name, "hosts")
        resolver = os.path.join(self.keeper.name, "resolv.conf")
        with open(resolver, "w") as file:
            file.write("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        self.forget()
        mounts = f"mount --bind {self.hosts} /etc/hosts && mount --bind {resolver} /etc/resolv.conf"
        self.command = ["unshare", "--mount", "sh", "-c", f'{mounts} && exec "$@"', "sh"]
        return self

    def know(self, name, address="127.0.0.1"):
        with open(self.hosts, "w") as file:
            file.write(f"127.0.0.1 localhost\n{address} {name}\n")

    def forget(self):
        with open(self.hosts, "w") as file:
            file.write("127.0.0.1 localhost\n")

    def __exit__(self, *_):
        self.keeper.cleanup()


def syslog_output(more):
    return f"[output.syslog]\nenable = true\nretry = 1\n{more}\n"


def lines_of(path):
    return read(path) if os.path.exists(path) else []


def all_frames():
    """The frames of all captures in tests/data, and some no server sends: unknown fields, two identities, a
    large one."""
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


def chain(listener, to_last, **more):
    """A daemon that sends to another one, which writes a capture: what comes out at the end is what went in.
    `to_last` says how the first reaches the last."""
    frames = all_frames()
    with folder() as top:
        path = os.path.join(top, "capture")
        with Daemon(fmt=None, extra=listener + file_output(path, "format = 'dnstap'"), **more) as last:
            with Daemon(fmt=None, extra=to_last(last)) as first:
                first.wait_for_log("connected to")
                send_frames(first, frames)
                wait_delivered(first, "dnstap", len(frames))
                first.check_accounts()
                assert first.stop() == 0
            wait_delivered(last, "file", len(frames))
            assert last.stop() == 0
        assert capture_frames(path) == frames


def tcp(port, address="127.0.0.1"):
    return f"remote-address = '{address}'\nremote-port = {port}"


def greet_dnstap(connection):
    for said, answer in ((READY, control(ACCEPT, CONTENT_TYPE)), (START, b"")):
        heard = b""
        while len(heard) < 42 and (piece := connection.recv(42 - len(heard))):
            heard += piece
        assert heard == control(said, CONTENT_TYPE), heard
        connection.sendall(answer)


def frames_of(data):
    at = 0
    while at + 4 <= len(data):
        length = struct.unpack_from(">I", data, at)[0]
        if length == 0 or at + 4 + length > len(data):
            return
        yield data[at + 4:at + 4 + length]
        at += 4 + length


def frame_numbers(peer):
    """The numbers in the names of the messages that a Frame Streams peer has, with or without what makes them
    long."""
    number = lambda frame: int(re.search(rb"n(\d+)(?:<x{60})?\x04test", frame).group(1))
    return [number(frame) for received in peer.received for frame in frames_of(received)]
