"""What black-box tests share: a running dnstapd, and dnstap messages made by hand."""
import base64
import contextlib
import http.client
import json
import os
import random
import re
import signal
import socket
import struct
import subprocess
import tempfile
import time
import unittest

from captures import (
    ACCEPT,
    CONTENT_TYPE,
    FINISH,
    READY,
    START,
    STOP,
    capture_frames,
    control,
    field,
    frame,  # noqa: F401
    varint)

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.environ.get("DNSTAPD", os.path.join(TOP, "target/release/dnstapd"))
DATA = os.path.join(TOP, "tests/data")
# The emulator that runs the binary, when it is one for another processor (tests/blackbox/run).
EMULATOR = os.environ.get("DNSTAPD_EMULATOR")
# An emulated program has so many times as long for what it is waited for.
PATIENCE = 5 if EMULATOR else 1
# The processor it was built for, as in the name of its target.
MACHINE = EMULATOR.split("-")[1] if EMULATOR else os.uname().machine
# How the system says that nobody listens. qemu-user does not translate the number that SO_ERROR gives: on
# MIPS it is another.
REFUSED = "No error information (os error 111)" if "mips" in (EMULATOR or "") else "Connection refused"
# What /proc/PID/status says of the filter of system calls: qemu-user has none to give.
SECCOMP = ["0"] if EMULATOR else ["2"]
# The user that the daemon runs as, by number; unset = who runs the tests.
USER = int(os.environ["DNSTAPD_AS"]) if "DNSTAPD_AS" in os.environ else None
UNPRIVILEGED = {"user": USER, "group": USER, "extra_groups": []} if USER else {}
if USER:
    os.umask(0)  # so the daemon may use what a test makes


class AsRoot:
    """Daemons inside are started as root, by root's tests."""

    def __enter__(self):
        global UNPRIVILEGED
        self.before, UNPRIVILEGED = UNPRIVILEGED, {}

    def __exit__(self, *_):
        global UNPRIVILEGED
        UNPRIVILEGED = self.before


def temporary_folder():
    """A temporary folder that the daemon may write to."""
    made = tempfile.TemporaryDirectory()
    if USER:
        os.chown(made.name, USER, USER)
    return made


def free_port(kind=socket.SOCK_STREAM):
    """A port of loopback at which nobody listens: none of those that the kernel gives away, so that no test
    that runs at the same time gets it by chance."""
    while True:
        port = random.SystemRandom().randrange(12_000, 32_000)
        with socket.socket(socket.AF_INET, kind) as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port


def name(text):
    labels = [label for label in text.encode().split(b".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def dns(qname="www.example.com.", qtype=1, ident=1234, flags=0x0100, wire_name=None, qclass=1):
    return struct.pack(">HHHHHH", ident, flags, 1, 0, 0,
                       0) + (wire_name or name(qname)) + struct.pack(">HH", qtype, qclass)


def message(kind=5, payload=None, when=(1600282313, 591736000), identity=b"lb1", address=b"\xc0\x00\x02\x0a",
            port=50000, family=1, protocol=1, more=b"", asked=None):
    """A dnstap message: by default a CLIENT_QUERY from 192.0.2.10."""
    payload = dns(flags=0x8180 if kind % 2 == 0 else 0x0100) if payload is None else payload
    inner = field(1, kind)
    for number, value in ((2, family), (3, protocol), (4, address), (6, port)):
        if value is not None:
            inner += field(number, value)
    seconds, fraction, body = (12, 13, 14) if kind % 2 == 0 else (8, 9, 10)
    if when is not None:
        inner += field(seconds, when[0]) + field(fraction, float(when[1]))
    if asked is not None:
        inner += field(8, asked[0]) + field(9, float(asked[1]))
    if payload:
        inner += field(body, payload)
    outer = field(1, identity) if identity is not None else b""
    return outer + field(14, inner + more) + field(15, 1)


class Sender:
    """A Frame Streams writer, as a DNS server is."""

    def __init__(self, address, handshake=True):
        self.sock = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        self.sock.settimeout(10)
        self.sock.connect(address)
        if handshake:
            self.sock.sendall(control(READY, CONTENT_TYPE))
            assert self.read_control() == (ACCEPT, CONTENT_TYPE)
            self.sock.sendall(control(START, CONTENT_TYPE))

    def read_exactly(self, length):
        out = b""
        while len(out) < length:
            piece = self.sock.recv(length - len(out))
            assert piece, "the connection was closed"
            out += piece
        return out

    def read_control(self):
        zero, length, kind = struct.unpack(">III", self.read_exactly(12))
        assert zero == 0
        rest = self.read_exactly(length - 4)
        return kind, rest[8:]

    def send(self, *messages):
        self.sock.sendall(b"".join(frame(message) for message in messages))

    def stop(self):
        self.sock.sendall(control(STOP))
        assert self.read_control() == (FINISH, b"")
        self.sock.close()

    def is_closed(self, seconds=3):
        """Whether the other end closes within some seconds."""
        self.sock.settimeout(seconds)
        try:
            return self.sock.recv(4096) == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False


class Daemon:
    """A running dnstapd with a TCP input, a Unix socket input and the web API on ports of their own."""

    def __init__(self, extra="", fmt="json", stdout=None, arguments=(), stdout_keys="", api="", inputs=True,
                 context=None, log=None, under=()):
        self.context = context  # of the web API, when it speaks TLS
        self.folder = temporary_folder()
        self.unix = os.path.join(self.folder.name, "dnstap.sock")
        self.config = os.path.join(self.folder.name, "dnstap.toml")
        self.out = os.path.join(self.folder.name, "out")
        self.log_path = log or os.path.join(self.folder.name, "log")
        sockets = f"""
[input.tcp-socket]
enable = true
local-port = 0
[input.unix-socket]
enable = true
path = "{self.unix}"
""" if inputs else ""
        self.write(f"""{sockets}
[web-api]
local-port = 0
{api}
[output.stdout]
enable = {"true" if fmt else "false"}
format = "{fmt or 'text'}"
{stdout_keys}
{extra}
""")
        self.stdout = stdout if stdout is not None else open(self.out, "wb")
        self.process = subprocess.Popen([*under, BINARY, "-v", "-c", self.config, *arguments],
                                        stdin=subprocess.DEVNULL,
                                        stdout=self.stdout, **({} if under else UNPRIVILEGED),
                                        stderr=open(os.path.join(self.folder.name, "stderr") if log
                                                    else self.log_path, "wb"))
        self.tcp = self.api = None
        self.wait_for_log("Webserver: listening on ")
        for address in re.findall(r"Input handler: listening on (127\S+)", self.log()):
            self.tcp = ("127.0.0.1", int(address.rsplit(":", 1)[1]))
        self.api = ("127.0.0.1", int(re.search(r"Webserver: listening on \S+:(\d+)", self.log()).group(1)))

    def write(self, text):
        with open(self.config, "w") as file:
            file.write(text)

    def log(self):
        if not os.path.exists(self.log_path):
            return ""
        with open(self.log_path, errors="replace") as file:
            return file.read()

    def wait_for_log(self, text, seconds=10):
        self.wait(lambda: text in self.log(), seconds,
                  lambda: f"no line with {text!r} in the log:\n{self.log()}")

    def wait(self, condition, seconds=10, why=lambda: "the condition did not come true"):
        end = time.monotonic() + PATIENCE * seconds
        while not condition():
            assert self.process.poll() is None, f"the daemon ended:\n{self.log()}"
            assert time.monotonic() < end, why()
            time.sleep(0.02)

    def lines(self):
        self.settle()
        with open(self.out, encoding="utf-8") as file:
            return file.read().splitlines()

    def records(self):
        return [json.loads(line) for line in self.lines()]

    def settle(self):
        """Waits until nothing changes any more: all frames that were sent are through."""
        before = None
        for _ in range(200):
            now = self.metrics()
            volatile = ("process_", "dnstapd_log", "dnstap_qps", "dnstap_rps", "dnstap_pps")
            now = {key: value for key, value in now.items() if not key.startswith(volatile)}
            if now == before:
                return
            before = now
            time.sleep(0.05)
        raise AssertionError("the daemon does not come to rest")

    def request(self, path, method="GET", headers=None, auth=True):
        if self.context:
            connection = http.client.HTTPSConnection(*self.api, timeout=10, context=self.context)
        else:
            connection = http.client.HTTPConnection(*self.api, timeout=10)
        headers = dict(headers or {})
        if auth:
            headers["Authorization"] = "Basic " + base64.b64encode(b"admin:changeme").decode()
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer, body

    def json(self, path):
        answer, body = self.request(path)
        assert answer.status == 200, (answer.status, body)
        return json.loads(body)

    def metrics(self):
        answer, body = self.request("/metrics")
        assert answer.status == 200, (answer.status, body)
        return {key: float(value) for key, value in
                (line.rsplit(" ", 1) for line in body.splitlines() if line and line[0] != "#")}

    def resident(self):
        """KiB in memory."""
        with open(f"/proc/{self.process.pid}/status") as file:
            return int(next(line for line in file if line.startswith("VmRSS")).split()[1])

    def check_accounts(self):
        """The two equations of the contract, by the metrics alone."""
        self.settle()
        metrics = self.metrics()
        total = lambda family, label: sum(v for k, v in metrics.items() if k.startswith(family + "{")
                                          and label in k)
        received = 0
        for which in {re.search(r'input="([^"]+)"', key).group(1) for key in metrics
                      if key.startswith("dnstapd_frames_total{")}:
            label = f'input="{which}"'
            parts = [total(f"dnstapd_{part}_total", label) for part in ("rejected", "filtered", "received")]
            assert total("dnstapd_frames_total", label) == sum(parts), (which, parts)
            received += parts[2]
        outputs = {re.search(r'output="([^"]+)"', key).group(1) for key in metrics
                   if key.startswith("dnstapd_output_queued{")}
        for which in outputs:
            label = f'output="{which}"'
            parts = [total("dnstapd_output_filtered_total", label),
                     total("dnstapd_output_delivered_total", label),
                     total("dnstapd_output_dropped_total", label),
                     total("dnstapd_output_queued", label)]
            assert received + total("dnstapd_output_alarms_total", label) == sum(parts), (which, received,
                                                                                          parts)
        return metrics

    def stop(self, with_signal=signal.SIGTERM, seconds=10):
        self.process.send_signal(with_signal)
        return self.process.wait(seconds)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.folder.cleanup()


def run_binary(*arguments, config=None, seconds=20, **more):
    """Runs dnstapd to its end: exit status, standard output, standard error."""
    with temporary_folder() as top:
        if config is not None:
            path = os.path.join(top, "dnstap.toml")
            with open(path, "w") as file:
                file.write(config)
            arguments = ("-c", path, *arguments)
        done = subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=seconds,
                              stdin=subprocess.DEVNULL, **{**UNPRIVILEGED, **more})
        return done.returncode, done.stdout, done.stderr.replace(top + "/", "")


def natively(why):
    """For a test that says nothing under an emulator, and why: it is left out there, by name."""
    return unittest.skipIf(bool(EMULATOR), why)


def has(feature):
    """Whether the program was built with a cargo feature: those for small routers are without some."""
    done = subprocess.run([BINARY, "--version", "-v"], capture_output=True, text=True, check=True)
    return feature in re.search("^features: (.*)$", done.stdout, re.M).group(1).split(",")


def needs(feature):
    """For a test of what a cargo feature brings: it is left out where the program was built without, by
    name."""
    return unittest.skipUnless(has(feature), f"built without {feature}")
