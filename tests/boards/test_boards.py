"""dnstapd on emulated routers of 64 MB: an ARM and a MIPS board boot Debian's kernel with busybox and our
OpenWrt files.

The package is unpacked on each board as opkg does it, and its own scripts start it: from there to the page.
Then with another configuration the procd script starts the service; rights, inputs, web API over TLS and
memory are looked at from outside while messages come as fast as the board takes them, with 8 MB left to the
system.
"""
import base64
import contextlib
import glob
import http.client
import os
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time

import pytest

import harness
from certificates import self_signed
from harness import TOP, free_port

HERE = os.path.dirname(os.path.abspath(__file__))
CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "dnstapd-tests/boards")
CAPTURE = os.path.join(TOP, "tests/data/demo.fstrm")
KEY = "of the board"
USER = 453
# KiB that stay available to the system while messages come.
FREE = 8 << 10
# What the service may take (KiB, anonymous), and by how much less or more than the memory map of --check
# says: allocators round up, and TLS comes with its connections. 2 MiB are the aim; the log of exchanges,
# names and detectors,
# 564 KiB in the profile `small`, are not made up for yet.
ANONYMOUS, LESS, MORE = (2 << 10) + 512, 128, 192
BOARDS = {
    "arm": {
        "name": "ARM, Cortex-A7", "architecture": "armhf", "target": "armv7-unknown-linux-musleabihf",
        "machine": ["qemu-system-arm", "-M", "virt", "-cpu", "cortex-a7"], "card": "virtio-net-device",
        "console": "ttyAMA0",
        "modules": ["failover", "net_failover", "virtio_mmio", "virtio_net"],
    },
    "mips": {
        "name": "MIPS, 24Kc", "architecture": "mipsel", "target": "mipsel-unknown-linux-musl",
        "machine": ["qemu-system-mipsel", "-M", "malta", "-cpu", "24Kc", "-vga", "none", "-global",
                    "pcnet.romfile="], "card": "pcnet", "console": "ttyS0",
        "modules": ["mii", "pcnet32"],
    },
}


def configuration():
    """The package's, with what the test needs besides."""
    with open(os.path.join(TOP, "configs/openwrt/dnstapd.config")) as file:
        text = file.read()
    for old, new in (
        ("eth_name 'br-lan'", "eth_name 'any'"),
        ("password_file '/etc/dnstapd/password'", "password ''"),
        ("api_key ''", f"api_key '{KEY}'"),
        ("list interface 'lan'", ""),
        ("local_address '127.0.0.1'",
         "local_address '0.0.0.0'\n\toption tls_support '1'\n"
         "\toption tls_server_cert '/etc/dnstapd/web.crt'\n\toption tls_server_key '/etc/dnstapd/web.key'"),
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text + ("\nconfig trace 'trace'\n\toption verbose '1'\nconfig input 'tcp_socket'\n"
                   "\toption local_address '0.0.0.0'\n\toption enable '1'\n")


def put(path, source=None, text=None, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if source:
        shutil.copy(source, path)
    else:
        with open(path, "w") as file:
            file.write(text)
    os.chmod(path, mode)


class Board:
    """A board that has booted, its console, and its ports on this machine's loopback."""

    def __init__(self, board, folder):
        self.board, self.folder, self.output = board, folder, bytearray()
        self.ports = {"dnstap": free_port(), "web": free_port(), "dns": free_port(socket.SOCK_DGRAM)}
        forward = (f"hostfwd=tcp:127.0.0.1:{self.ports['dnstap']}-:6000,"
                   f"hostfwd=tcp:127.0.0.1:{self.ports['web']}-:8080,"
                   f"hostfwd=udp:127.0.0.1:{self.ports['dns']}-:53")
        card = ["-nic", f"user,restrict=on,model={board['card']},{forward}"]
        if board["card"].startswith("virtio"):
            card = ["-netdev", f"user,id=n0,restrict=on,{forward}", "-device", f"{board['card']},netdev=n0"]
        kernel, = glob.glob(f"{CACHE}/{board['architecture']}/boot/vmlinuz-*")
        # cma=0: of memory set aside for devices, which no router's kernel does, MemAvailable counts what the
        # kernel itself cannot take.
        command = ["timeout", "1500", *board["machine"], "-m", "64", "-nographic", "-monitor", "none",
                   "-serial", "stdio", "-no-reboot", *card,
                   "-kernel", kernel, "-initrd", self.initramfs(),
                   "-append", f"console={board['console']} quiet cma=0 rdinit=/init panic=-1"]
        started = time.monotonic()
        self.emulator = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         stderr=subprocess.STDOUT)
        self.changed = threading.Condition()
        threading.Thread(target=self.listen, daemon=True).start()
        self.expect(rb"board is up\r?\n", 120)
        self.boot = time.monotonic() - started
        self.context = ssl.create_default_context(cafile=self.certificate)

    def initramfs(self):
        """Busybox, our files where the package puts them, and the modules of the network card."""
        root, board = f"{self.folder}/root", self.board
        tree = f"{CACHE}/{board['architecture']}"
        put(f"{root}/init", f"{HERE}/init", mode=0o755)
        put(f"{root}/bin/busybox", f"{tree}/bin/busybox", mode=0o755)
        put(f"{root}/etc/rc.common", f"{HERE}/rc.common", mode=0o755)
        put(f"{root}/etc/passwd", text=f"root:x:0:0::/:/bin/sh\ndnstapd:x:{USER}:{USER}::/:/bin/false\n")
        put(f"{root}/etc/group", text=f"root:x:0:\ndnstapd:x:{USER}:\n")
        put(f"{root}/dnstapd.ipk", package(board))
        # Of OpenWrt's own functions those that the package's scripts call.
        put(f"{root}/lib/functions.sh", text="default_postinst() { /etc/init.d/dnstapd start; }\n")
        put(f"{root}/lib/functions/network.sh", text="network_get_ipaddrs() { eval \"$1=10.0.2.15\"; }\n")
        put(f"{root}/test.config", text=configuration())
        put(f"{root}/demo.fstrm", CAPTURE)
        put(f"{root}/replay.toml",
            text='[limits]\nprofile = "small"\n[web-api]\nenable = false\n[input.file]\nenable = true\n'
                 'path = "/demo.fstrm"\n')
        self.certificate, key = self_signed(self.folder, "board", "IP:127.0.0.1")
        for name, path in (("web.crt", self.certificate), ("web.key", key)):
            put(f"{root}/etc/dnstapd/{name}", path, mode=0o600)
        put(f"{root}/modules/order", text="".join(f"{name}.ko\n" for name in board["modules"]))
        for name in board["modules"]:
            module, = glob.glob(f"{tree}/lib/modules/*/**/{name}.ko", recursive=True)
            put(f"{root}/modules/{name}.ko", module)
        for name in ("proc", "sys", "dev", "tmp"):
            os.makedirs(f"{root}/{name}")
        image = f"{self.folder}/init.gz"
        subprocess.run(f"find . | cpio -o -H newc --quiet | gzip -1 >{image}", shell=True, check=True,
                       cwd=root)
        return image

    def listen(self):
        while data := os.read(self.emulator.stdout.fileno(), 65536):
            with self.changed:
                self.output += data
                self.changed.notify_all()

    def expect(self, pattern, seconds):
        """What the console says, up to what matches."""
        end = time.monotonic() + seconds
        with self.changed:
            while not (match := re.search(pattern, bytes(self.output))):
                assert self.emulator.poll() is None, (f"the emulator ended:\n"
                                                      f"{self.output.decode(errors='replace')}")
                assert self.changed.wait(end - time.monotonic()), (f"no {pattern} on the console:\n"
                                                                   f"{self.output.decode(errors='replace')}")
            before = self.output[:match.start()].decode(errors="replace").replace("\r", "")
            del self.output[:match.end()]
        return match, before

    def run(self, command, seconds=60):
        """Runs a command on the board: exit status and output."""
        self.emulator.stdin.write(f"{{ {command}; }} </dev/null 2>&1; echo \"@@ $?\"\n".encode())
        self.emulator.stdin.flush()
        match, before = self.expect(rb"@@ (\d+)\r?\n", seconds)
        return int(match[1]), before

    def told(self, command, seconds=60):
        status, output = self.run(command, seconds)
        assert status == 0, f"{command}: {status}\n{output}"
        return output

    def request(self, path, key=KEY):
        connection = http.client.HTTPSConnection("127.0.0.1", self.ports["web"], timeout=30,
                                                 context=self.context)
        with contextlib.closing(connection):
            connection.request("GET", path, headers={"X-API-Key": key} if key else {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def metrics(self):
        status, body = self.request("/metrics")
        assert status == 200, (status, body)
        return {key: float(value) for key,
                value in (line.rsplit(" ", 1) for line in body.splitlines() if line and line[0] != "#")}

    def table(self, path):
        """Numbers by the names that a file of /proc gives them."""
        return {key: value.split() for key,
                value in re.findall(r"(?m)^(\w+):\s*(.*)$", self.told(f"cat {path}"))}

    def memory(self):
        """KiB of the service: resident, anonymous."""
        rollup = self.table("/proc/$(cat /tmp/pid)/smaps_rollup")
        return {"rss": int(rollup["Rss"][0]), "anonymous": int(rollup["Anonymous"][0]),
                "dirty": int(rollup["Private_Dirty"][0])}

    def mappings(self):
        """KiB anonymous of each mapping that has some."""
        found, name = {}, ""
        for line in self.told("cat /proc/$(cat /tmp/pid)/smaps").splitlines():
            if re.match("[0-9a-f]+-", line):
                name = line.split()[5] if len(line.split()) > 5 else line.split()[0]
            elif line.startswith("Anonymous:") and int(line.split()[1]):
                found[name] = found.get(name, 0) + int(line.split()[1])
        return found

    def available(self):
        return int(self.table("/proc/meminfo")["MemAvailable"][0])

    def end(self):
        if self.emulator.poll() is None:
            self.emulator.terminate()
        self.emulator.wait(20)


def program(board):
    return f"{TOP}/target/cross/{board['target']}/default/dnstapd"


def package(board):
    """One that scripts/package makes for the board."""
    made = subprocess.run([f"{TOP}/scripts/package", "--format", "ipk", board["target"]], capture_output=True,
                          text=True, timeout=300)
    assert made.returncode == 0, made
    return os.path.join(TOP, made.stdout.splitlines()[0].split(":")[0])


def wait(condition, seconds, why):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, why()
        time.sleep(0.2)


def seconds_between(log, first, second):
    """By the times in the daemon's own log."""
    found = [re.search(rf"T(\d+):(\d+):([\d.]+)Z \S+ {text}", log) for text in (first, second)]
    assert all(found), log
    start, end = (int(at[1]) * 3600 + int(at[2]) * 60 + float(at[3]) for at in found)
    return end - start


@pytest.fixture(scope="module",
                params=[pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in BOARDS])
def board(request):
    """A board that has booted. The tests of one build on each other only in that the service runs until the
    last."""
    with tempfile.TemporaryDirectory(prefix=f"dnstapd-board-{request.param}-") as folder:
        board = Board(BOARDS[request.param], folder)
        failed = request.session.testsfailed
        try:
            yield board
            if request.session.testsfailed > failed:
                with contextlib.suppress(Exception):
                    print(board.run("tail -30 /tmp/log; dmesg | tail -5", 10)[1])
        finally:
            board.end()


@pytest.fixture(scope="module")
def installed(board):
    """The same board once the package is unpacked: the work of opkg, which Debian has not."""
    board.unpacked = time.monotonic()
    board.told(
        "mkdir -p /tmp/opkg && tar -xzf /dnstapd.ipk -C /tmp/opkg && rm /dnstapd.ipk "
        "&& tar -xzf /tmp/opkg/data.tar.gz -C / && tar -xzf /tmp/opkg/control.tar.gz -C /tmp && rm -r "
        "/tmp/opkg"
    )
    return board


@pytest.fixture(scope="module")
def service(installed):
    """The same board once its init script has started the service, with the test's configuration."""
    board = installed
    board.told("cp /test.config /etc/config/dnstapd; rm -f /var/etc/dnstapd.*; /etc/init.d/dnstapd start")
    wait(lambda: "Webserver: listening" in board.run("cat /tmp/log")[1], 30,
         lambda: board.run("cat /tmp/log")[1])
    board.start = seconds_between(board.told("cat /tmp/log"), "Start dnstapd", "Webserver: listening")
    return board


def frames():
    return list(harness.capture_frames(CAPTURE))


def plain(board, path, password):
    """A page of the web API by HTTP, as a browser asks for it."""
    connection = http.client.HTTPConnection("127.0.0.1", board.ports["web"], timeout=30)
    with contextlib.closing(connection):
        login = base64.b64encode(b"admin:" + password.encode()).decode()
        connection.request("GET", path, headers={"Authorization": f"Basic {login}"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def test_from_the_package_to_the_page(installed):
    """What an owner does: installs, asks for the password, opens the page, and sees who asks."""
    board = installed
    board.told(
        "ip link set eth0 down && ip link set eth0 name br-lan && ip address flush dev br-lan; "
        "ip address add 10.0.2.15/24 dev br-lan; ip link set br-lan up; ip route add default via 10.0.2.2")
    board.told("sh /tmp/postinst configure")
    wait(lambda: os.EX_OK == board.run("test -s /etc/dnstapd/password")[0], 30,
         lambda: board.run("cat /tmp/log")[1])
    password = board.told("dnstapd password 2>/dev/null").strip()
    assert len(password) >= 16 and "\n" not in password, password

    def page():
        with contextlib.suppress(OSError, http.client.HTTPException):
            return plain(board, "/", password)
    wait(page, 30, lambda: board.run("cat /tmp/log")[1])
    status, body = page()
    assert status == 200 and body.lstrip().lower().startswith("<!doctype html"), (status, body[:200])
    assert plain(board, "/devices", "changeme")[0] == 401
    to_page = time.monotonic() - board.unpacked

    def seen():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(harness.dns("first.board.example"), ("127.0.0.1", board.ports["dns"]))
        return "first.board.example." in plain(board, "/log?limit=1", password)[1]
    wait(seen, 30, lambda: board.run("cat /tmp/log")[1])
    assert "10.0.2.2" in plain(board, "/devices", password)[1]
    seconds = time.monotonic() - board.unpacked
    board.told("/etc/init.d/dnstapd stop")
    board.told(
        "ip link set br-lan down; ip link set br-lan name eth0; ip link set eth0 up; ip route add default "
        "via 10.0.2.2; "
        "rm -rf /tmp/dnstapd /tmp/log /tmp/postinst /tmp/prerm /tmp/control /tmp/conffiles")
    return f"the page after {to_page:.1f} s, the first device after {seconds:.1f} s"


def test_it_boots_and_replays_a_capture(installed):
    board = installed
    told = board.told("dnstapd -c /replay.toml >/tmp/out 2>/dev/null && wc -l </tmp/out")
    assert int(told) == len(frames()), told
    return f"booted in {board.boot:.1f} s, {board.available()} KiB available"


def test_rights(service):
    status = service.table("/proc/$(cat /tmp/pid)/status")
    assert status["Uid"] == [str(USER)] * 4 and status["Gid"] == [str(USER)] * 4, status
    for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[key][0], 16) == 0, (key, status[key])
    assert status["NoNewPrivs"] == ["1"] and status["Seccomp"] == ["2"], status
    return f"started in {service.start * 1000:.0f} ms"


def test_web_api_over_tls(service):
    status, body = service.request("/health", None)
    assert (status, body.strip()) == (200, "ok"), (status, body)
    assert service.request("/metrics", None)[0] == 401
    status, page = service.request("/")
    assert status == 200 and page.lstrip().lower().startswith("<!doctype html"), (status, page[:200])
    metrics = service.metrics()
    assert any(re.search(r'^dnstapd_build_info.*target="(arm|mips)', key) for key in metrics), [*metrics][:50]


def received(board, which):
    return board.metrics()[f'dnstapd_received_total{{input="{which}"}}']


def test_messages_over_tcp(service):
    before = received(service, "tcp-socket")
    sender = harness.Sender(("127.0.0.1", service.ports["dnstap"]))
    sender.sock.settimeout(60)
    sender.send(*frames())
    sender.stop()
    assert received(service, "tcp-socket") - before == len(frames()), (before,
                                                                       received(service, "tcp-socket"),
                                                                       len(frames()))


def test_sniffer(service):
    """A query over loopback by the board itself, and one that comes by its network card."""
    service.run("timeout 3 nslookup loop.board.example 127.0.0.1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(harness.dns("card.board.example"), ("127.0.0.1", service.ports["dns"]))
    wait(lambda: received(service, "sniffer") >= 2, 10, lambda: f"{received(service, 'sniffer')} messages")
    status, body = service.request("/tables?n=1000")
    assert status == 200 and all(f'"{name}.board.example."' in body for name in ("loop", "card")), body
    assert service.metrics()["dnstapd_sniffer_kernel_drops_total"] == 0


class Load(threading.Thread):
    """Messages over TCP as fast as the board takes them, a query a second for the sniffer, until it is told
    to end."""

    def __init__(self, board, data):
        super().__init__(daemon=True)
        self.board, self.data, self.stop, self.fault = board, data, threading.Event(), None

    def run(self):
        try:
            sender = harness.Sender(("127.0.0.1", self.board.ports["dnstap"]))
            sender.sock.settimeout(60)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                while not self.stop.is_set():
                    sender.sock.sendall(self.data)
                    sock.sendto(harness.dns("card.board.example"), ("127.0.0.1", self.board.ports["dns"]))
            sender.stop()
        except Exception as error:
            self.fault = error

    def finish(self):
        self.stop.set()
        self.join(120)
        assert not self.is_alive() and self.fault is None, self.fault


def loaded(board, data, seconds):
    """Memory in the first seconds and at the end, and messages a second; with little memory left to the
    system."""
    board.told("mount -t tmpfs -o size=100% fill /fill")
    # By halves: what the kernel says is available moves while memory fills.
    for part in range(20):
        more = board.available() - FREE
        if more <= 256:
            break
        board.told(f"dd if=/dev/zero of=/fill/{part} bs=1k count={more if more < 2048 else more // 2} "
                   f"2>/dev/null")
    left = board.available()
    assert left <= FREE + 512, left
    load = Load(board, data)
    load.start()
    time.sleep(10)
    board.metrics()
    first, count, began = board.memory(), received(board, "tcp-socket"), time.monotonic()
    most = first["anonymous"]
    while time.monotonic() - began < seconds:
        time.sleep(5)
        assert board.metrics()["process_resident_memory_bytes"] > 0
        most = max(most, board.memory()["anonymous"])
    rate = (received(board, "tcp-socket") - count) / (time.monotonic() - began)
    last = board.memory()
    load.finish()
    least = board.available()
    board.told("rm /fill/*")
    assert not re.search(r"(?i)out of memory|oom-kill", board.told("dmesg")), board.told("dmesg | tail -40")
    return {"first": first, "last": last, "most": most, "rate": rate, "left": left, "least": least}


def mapped(board):
    """KiB that --check says are taken: without the ring, which is the kernel's, and TLS, which comes with
    connections."""
    checked = board.told("dnstapd --check -c /var/etc/dnstapd.toml")
    rows = re.findall(r"(?m)^ +(\d+)  (.*)$", checked)
    program = re.search(r"take about (\d+) more", checked)
    return (sum(int(data) for data, what in rows if not re.search("ring|TLS|in all", what))
            + int(program[1])) / 1024


def big_capture():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "big.fstrm")
        subprocess.run([os.path.join(TOP, "scripts/capture"), "--big", "20000", path], check=True,
                       stdout=subprocess.DEVNULL)
        return b"".join(harness.frame(frame) for frame in harness.capture_frames(path))


@pytest.mark.timeout(1400)
def test_memory_under_load(service, record_property):
    numbers = loaded(service, big_capture(), int(os.environ.get("DNSTAPD_BOARD_SECONDS", 120)))
    plan, last = mapped(service), numbers["last"]
    threads = [" ".join(line.split())
               for line in service.told("cat /proc/$(cat /tmp/pid)/task/*/comm | sort | uniq -c")
               .splitlines()]
    told = f"{numbers}; memory map {plan:.0f} KiB; {service.mappings()}; threads: {', '.join(threads)}"
    assert last["anonymous"] <= ANONYMOUS, f"{last['anonymous']} KiB anonymous, over {ANONYMOUS}"
    assert numbers["most"] <= numbers["first"]["anonymous"] + 64, f"grows: {numbers}"
    assert plan - LESS <= last["anonymous"] <= plan + MORE, (f"{last['anonymous']} KiB anonymous, the memory "
                                                             f"map says {plan:.0f}; {told}")
    record_property("row",
                    f"| {service.board['name']} | {service.start * 1000:.0f} | {last['rss']:,} | "
                    f"{last['anonymous']:,} | {plan:,.0f} "
                           f"| {numbers['rate']:,.0f} |")
    return told


def test_it_ends(service):
    service.told("/etc/init.d/dnstapd stop")
    assert service.told("cat /tmp/status").strip() == "0", service.told("tail -20 /tmp/log")
