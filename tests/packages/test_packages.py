"""The packages: installed, upgraded and removed by dpkg in a small Debian, by hand on a busybox, in a
container; and their form.

A Debian is started with systemd as its first process, in namespaces, and the service is run by that. Where
the kernel does not let us (no cgroup2), the two tests that need it are left out. Packages of other targets
are looked at when their programs have been built.
"""
import base64
import contextlib
import gzip
import http.client
import io
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import tarfile
import tempfile
import time
import tomllib

import pytest

import harness
import network
from harness import TOP

HERE = os.path.dirname(os.path.abspath(__file__))
CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")),
                     "dnstapd-tests/packages")
NATIVE = "x86_64-unknown-linux-musl"
TARGETS = [NATIVE, *(target for target in ("mipsel-unknown-linux-musl", "armv7-unknown-linux-musleabihf")
                     if os.path.exists(os.path.join(TOP, "target/cross", target, "default/dnstapd")))]
OUT = os.path.join(TOP, "target/packages")
CONFIG = "etc/dnstapd/dnstap.toml"
OPENWRT = {  # the files of both OpenWrt packages
    "usr/sbin/dnstapd": 0o755, "etc/init.d/dnstapd": 0o755, "etc/config/dnstapd": 0o600,
           "etc/capabilities/dnstapd.json": 0o644, "lib/upgrade/keep.d/dnstapd": 0o644,
    "usr/share/licenses/dnstapd/LICENSE": 0o644,
}
NOTICES = "usr/share/licenses/dnstapd/notices.gz"  # what OpenWrt's own builds leave to their package makers


@pytest.fixture(scope="session", autouse=True)
def inside():
    network.check("tests/packages/run")


def run(*words, status=0, **more):
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, **more)
    assert done.returncode == status, (words, done.returncode, done.stdout, done.stderr)
    return done.stdout


def read(path):
    with open(path) as file:
        return file.read()


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, mode)


def package(*words, **more):
    """The packages that scripts/package makes, by its own words."""
    made = run(os.path.join(TOP, "scripts/package"), *words, **more)
    return [os.path.join(TOP, line.split(":")[0]) for line in made.splitlines() if line.endswith(" bytes")]


def version():
    with open(os.path.join(TOP, "Cargo.toml"), "rb") as file:
        return tomllib.load(file)["package"]["version"]


def fetch(path, address="127.0.0.1", headers=None):
    connection = http.client.HTTPConnection(address, 8080, timeout=10)
    try:
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def until(condition, seconds=10):
    """Waits for what comes true or stops failing."""
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError, AssertionError):
            if result := condition():
                return result
        assert time.monotonic() < end, condition
        time.sleep(0.05)


def healthy():
    return until(lambda: fetch("/health")[0] == 200)


def basic(login, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{login}:{password}".encode()).decode()}


def check_nothing_is_shipped():
    """No credential that everybody knows opens anything."""
    for headers in ({}, {
            "X-API-Key": "changeme"
    }, {
            "X-API-Key": ""
    }, basic("admin", "changeme"), basic("admin", "")):
        assert fetch("/metrics", headers=headers)[0] == 401, headers


def gone():
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", 8080)) != 0


# ---- Debian
# -------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def debian():
    """A Debian of its own: a layer above the one in the cache."""
    with tempfile.TemporaryDirectory() as top:
        for name in ("upper", "work", "root"):
            os.mkdir(f"{top}/{name}")
        run("mount", "-t", "overlay", "overlay", "-o",
            f"lowerdir={CACHE}/debian,upperdir={top}/upper,workdir={top}/work", f"{top}/root")
        try:
            yield f"{top}/root"
        finally:
            run("umount", "-l", f"{top}/root")


def cgroups():
    """Where cgroup2 is mounted and lets us make a group, else nothing."""
    for line in read("/proc/mounts").splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2":
            with contextlib.suppress(OSError):
                os.mkdir(group := f"{place}/dnstapd-packages-{os.getpid()}-{time.monotonic_ns()}")
                return group
    return None


@contextlib.contextmanager
def booted(root):
    """Runs systemd in it; yields what runs a command there."""
    group = cgroups()
    if group is None:
        pytest.skip("no cgroup2 that could be written to, so systemd does not start")
    join = lambda: write(f"{group}/cgroup.procs", "0")
    command = ["unshare", "--cgroup", "--pid", "--mount", "--ipc", "--uts", "--fork", "--kill-child",
               os.path.join(HERE, "boot"), root]
    with open(f"{root}/boot.log", "w+") as log:
        first = subprocess.Popen(command, preexec_fn=join, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            pid = until(lambda: read(f"/proc/{first.pid}/task/{first.pid}/children").strip())
            inside = ["nsenter", "--target", pid, "--mount", "--pid", "--ipc", "--uts", "--cgroup", "--root",
                      "--wd"]
            call = lambda *words, **more: run(*inside, *words, **more)
            until(lambda: subprocess.run([*inside, "systemctl", "is-system-running"], capture_output=True,
                                         text=True).stdout in ("running\n", "degraded\n"), 30)
            call.pid = pid
            yield call
        finally:
            first.kill()
            first.wait()
            for _ in range(100):
                for folder, *_ in os.walk(group, topdown=False):
                    with contextlib.suppress(OSError):
                        os.rmdir(folder)
                if not os.path.exists(group):
                    break
                time.sleep(0.05)


def rebuilt(deb, folder, revision, change):
    """The package as a later revision, with another default configuration."""
    tree = f"{folder}/{revision}"
    run("dpkg-deb", "--raw-extract", deb, tree)
    control = read(f"{tree}/DEBIAN/control")
    write(f"{tree}/DEBIAN/control",
          control.replace(f"Version: {version()}-1\n", f"Version: {version()}-{revision}\n"))
    write(f"{tree}/{CONFIG}", read(f"{tree}/{CONFIG}") + change, mode=0o640)
    run("dpkg-deb", "--root-owner-group", "--build", tree, f"{folder}/{revision}.deb")
    return f"{folder}/{revision}.deb"


def owner(path):
    """Mode and group of a file, the latter by the list of groups beside it."""
    found = os.stat(path)
    groups = dict(line.split(":")[2::-2]
                  for line in read(path[:path.index("/etc/")] + "/etc/group").splitlines())
    return stat.S_IMODE(found.st_mode), found.st_uid, groups[str(found.st_gid)]


def dnstapd_files(root):
    """What is there with our name, but for what dpkg, debconf and the lists of users remember."""
    found = run("find", root, "-xdev", "-name", "*dnstap*", "-not", "-path", f"{root}/deb/*", "-not", "-path",
                f"{root}/proc/*").splitlines()
    return sorted(path[len(root):] for path in found)


def install_in_chroot(root, deb, *options):
    os.makedirs(f"{root}/deb", exist_ok=True)
    shutil.copy(deb, f"{root}/deb")
    return run("chroot", root, "dpkg", *options, "--install", f"/deb/{os.path.basename(deb)}",
               env={"PATH": os.environ["PATH"], "DEBIAN_FRONTEND": "noninteractive"})


def test_deb_from_install_to_purge():
    deb, = package("--format", "deb", NATIVE)
    with debian() as root, tempfile.TemporaryDirectory() as folder:
        before = dnstapd_files(root)
        install_in_chroot(root, deb)
        wants = f"{root}/etc/systemd/system/multi-user.target.wants/dnstapd.service"
        assert os.path.islink(wants) and gone()
        assert owner(f"{root}/{CONFIG}") == (0o640, 0, "dnstapd"), owner(f"{root}/{CONFIG}")
        assert "dnstapd" in read(f"{root}/etc/passwd")
        run("chroot", root, "systemd-analyze", "verify", "/usr/lib/systemd/system/dnstapd.service")

        # The program runs there with what was installed, as the user who was made, and prints no record.
        as_user = ["chroot", "--userspec=dnstapd:dnstapd", root, "/usr/sbin/dnstapd"]
        state = f"{root}/var/lib/dnstapd"  # as systemd makes it
        os.mkdir(state, 0o700)
        run("chroot", root, "chown", "dnstapd:dnstapd", "/var/lib/dnstapd")
        would_run = run(*as_user, "--check")
        assert "\ninput: tcp-socket " in would_run and "\noutput:" not in would_run, would_run
        with subprocess.Popen(as_user, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as daemon:
            healthy()
            sender = harness.Sender(("127.0.0.1", 6000))
            sender.sock.sendall(harness.frame(harness.message()))
            made = os.stat(f"{state}/password")
            assert (stat.S_IMODE(made.st_mode), made.st_uid) == (0o600, os.stat(state).st_uid)
            password = run("chroot", root, "/usr/sbin/dnstapd", "password").rstrip("\n")
            until(lambda: "\ndnstap_queries 1\n" in fetch("/metrics", headers=basic("admin", password))[1])
            check_nothing_is_shipped()
            daemon.terminate()
            out, _ = daemon.communicate(timeout=10)
            assert daemon.returncode == 0 and out == "", (daemon.returncode, out)

        # An untouched configuration is replaced; a changed one stays, and the new one lies beside it.
        install_in_chroot(root, rebuilt(deb, folder, 2, "# new in 2\n"))
        assert "# new in 2" in read(f"{root}/{CONFIG}") and owner(f"{root}/{CONFIG}") == (0o640, 0, "dnstapd")
        write(f"{root}/{CONFIG}", "# mine\n" + read(f"{root}/{CONFIG}"), mode=0o640)
        install_in_chroot(root, rebuilt(deb, folder, 3, "# new in 3\n"), "--force-confold")
        assert read(f"{root}/{CONFIG}").startswith("# mine\n")
        assert "# new in 3" in read(f"{root}/{CONFIG}.dpkg-dist")
        assert owner(f"{root}/{CONFIG}") == (0o640, 0, "dnstapd")

        run("chroot", root, "dpkg", "--remove", "dnstapd")
        assert read(f"{root}/{CONFIG}").startswith("# mine\n")
        assert not [path for path in dnstapd_files(root)
                    if path.startswith(("/usr", "/lib"))], dnstapd_files(root)
        run("chroot", root, "dpkg", "--purge", "dnstapd")
        assert not os.path.islink(wants)
        assert dnstapd_files(root) == before, dnstapd_files(root)


def test_deb_with_systemd():
    deb, = package("--format", "deb", NATIVE)
    with debian() as root, tempfile.TemporaryDirectory() as folder:
        later = rebuilt(deb, folder, 2, "# new in 2\n")
        os.mkdir(f"{root}/deb")
        shutil.copy(deb, f"{root}/deb/1.deb")
        shutil.copy(later, f"{root}/deb/2.deb")
        with booted(root) as call:
            show = lambda name: call("systemctl", "show", "--property", name, "--value", "dnstapd").strip()
            began = time.monotonic()
            call("dpkg", "--install", "/deb/1.deb")
            healthy()
            assert fetch("/", headers=basic("admin", call("dnstapd", "password").rstrip("\n")))[0] == 200
            to_page = time.monotonic() - began
            assert (show("ActiveState"), show("UnitFileState")) == ("active", "enabled")
            # The password of the first start is kept, for root and the service alone.
            password = call("dnstapd", "password").rstrip("\n")
            assert len(password) >= 16 and fetch("/metrics", headers=basic("admin", password))[0] == 200
            check_nothing_is_shipped()
            found = call("stat", "--dereference", "--format=%a %U", "/var/lib/dnstapd",
                         "/var/lib/dnstapd/password")
            assert found == "700 dnstapd\n600 dnstapd\n", found
            process = show("MainPID")
            status = call("cat", f"/proc/{process}/status")
            user = next(line.split(":")[2] for line in read(f"{root}/etc/passwd").splitlines()
                        if line.startswith("dnstapd:"))
            assert re.search(rf"(?m)^Uid:\t{user}\t{user}\t{user}\t{user}$", status), status
            assert all(re.search(rf"(?m)^Cap{kind}:\t0+$", status)
                       for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")), status
            assert re.search(r"(?m)^NoNewPrivs:\t1$", status) and re.search(r"(?m)^Seccomp:\t2$",
                                                                            status), status

            # Reload.
            write(f"{root}/{CONFIG}", read(f"{root}/{CONFIG}").replace("verbose = false", "verbose = true"),
                  mode=0o640)
            call("systemctl", "reload", "dnstapd")
            assert show("MainPID") == process
            log = lambda: call("journalctl", "--unit", "dnstapd", "--output", "cat")
            until(lambda: "Reloaded; taken over: trace" in log())

            call("dpkg", "--force-confold", "--install", "/deb/2.deb")
            healthy()
            assert show("MainPID") != process and show("ActiveState") == "active"
            assert "verbose = true" in read(f"{root}/{CONFIG}")
            assert os.path.exists(f"{root}/{CONFIG}.dpkg-dist")
            assert call("dnstapd", "password").rstrip("\n") == password

            # The sniffer, with the drop-in of the documentation; and a watchdog that does not wait for 30 s.
            drop_ins = f"{root}/etc/systemd/system/dnstapd.service.d"
            os.makedirs(drop_ins)
            shutil.copy(f"{root}/usr/share/doc/dnstapd/examples/dnstapd-sniffer.conf",
                        f"{drop_ins}/sniffer.conf")
            write(f"{drop_ins}/watchdog.conf", "[Service]\nWatchdogSec=1\n")
            # A socket that is given to a group, and a file, where the unit has places for them.
            text = read(f"{root}/{CONFIG}")
            for section, keys in (("input.sniffer", 'eth-name = "lo"'),
                                  ("input.unix-socket",
                                   'path = "/run/dnstapd/dnstap.sock"\ngroup = "dnstapd"')):
                text, count = re.subn(rf"(\[{re.escape(section)}\]\n)enable = false\n",
                                      rf"\1enable = true\n{keys}\n", text)
                assert count == 1, section
            text, count = re.subn(r'(\[output\.file\]\n)enable = false\n((?:.*\n)+?)file = "[^"]*"',
                                  r'\1enable = true\n\2file = "/var/log/dnstapd/dnstap.log"', text)
            assert count == 1
            write(f"{root}/{CONFIG}", text, mode=0o640)
            call("systemctl", "daemon-reload")
            call("systemctl", "restart", "dnstapd")
            healthy()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.sendto(harness.dns("sniffed.example."), ("127.0.0.1", 53))
            sender = harness.Sender(f"/proc/{call.pid}/root/run/dnstapd/dnstap.sock")
            sender.sock.sendall(harness.frame(harness.message()))
            written = lambda: read(f"{root}/var/log/private/dnstapd/dnstap.log")
            until(lambda: " sniffed.example. A " in written() and " www.example.com. A " in written())
            time.sleep(2.5)
            assert show("NRestarts") == "0", log()
            assert show("WatchdogUSec") == "1s", log()
            assert show("ActiveState") == "active", log()

            # What was switched off stays off; removal stops it.
            call("systemctl", "disable", "dnstapd")
            call("dpkg", "--force-confold", "--install", "/deb/1.deb")
            healthy()
            assert show("UnitFileState") == "disabled" and show("ActiveState") == "active"
            call("dpkg", "--remove", "dnstapd")
            assert gone()
            assert show("LoadState") == "not-found"
            assert "verbose = true" in read(f"{root}/{CONFIG}")
            call("dpkg", "--purge", "dnstapd")
            assert not [place for place in ("etc/dnstapd", "var/log/dnstapd", "var/log/private/dnstapd",
                                            "var/lib/dnstapd", "var/lib/private/dnstapd")
                        if os.path.lexists(f"{root}/{place}")]
    return f"from the package to the page: {to_page:.1f} s"


def test_the_readme_with_systemd():
    """The commands by which the README makes it a service, with the program of scripts/cross in place of
    cargo's."""
    text = read(os.path.join(TOP, "docs/install.md"))
    commands = re.search(r"(?s)\*\*systemd\*\*.*?\n\n((?:    [^\n]*\n)+)", text).group(1)
    assert "systemctl" in commands, commands
    with debian() as root:
        shutil.copytree(os.path.join(TOP, "configs"), f"{root}/src/configs")
        os.makedirs(f"{root}/src/target/release")
        shutil.copy(os.path.join(TOP, "target/cross", NATIVE, "default/dnstapd"),
                    f"{root}/src/target/release/dnstapd")
        with booted(root) as call:
            call("sh", "-e", "-c", "cd /src\n" + commands)
            healthy()
            assert call("systemctl", "is-active", "dnstapd") == "active\n"


def test_lintian():
    deb, = package("--format", "deb", NATIVE)
    # Its status counts what is overridden, too.
    found = run("lintian", "--allow-root", "--fail-on", "none", "--show-overrides", deb).splitlines()
    assert "O: dnstapd: statically-linked-binary [usr/sbin/dnstapd]" in found, found
    assert not [line for line in found if line.startswith(("E:", "W:"))], found
    return "; ".join(line for line in found if not line.startswith("N:"))


# ---- OpenWrt
# ------------------------------------------------------------------------------------------------

def members(raw):
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(raw))) as archive:
        return [(member, archive.extractfile(member).read() if member.isfile() else b"")
                for member in archive]


def plain(listed, when):
    """Members that belong to root, are of one time, and come in order."""
    for member, _ in listed:
        assert (member.uid, member.gid, member.uname, member.gname, member.mtime) == (0, 0, "", "", when), (
            member.get_info())
        assert member.isfile() or (member.isdir() and member.mode == 0o755), member.get_info()
    names = [member.name for member, _ in listed]
    assert names == sorted(names, key=lambda name: name.split("/")), names
    return {member.name.removeprefix("./"): (member, raw) for member, raw in listed if member.isfile()}


def check_ipk(path, name="dnstapd"):
    with open(path, "rb") as file:
        raw = file.read()
    assert raw[:10] == b"\x1f\x8b\x08\0\0\0\0\0\x02\x03", raw[:10]  # gzip without name and time
    outer = members(raw)
    assert [member.name for member, _ in outer] == ["./debian-binary", "./data.tar.gz", "./control.tar.gz"]
    assert all((member.uid, member.gid, member.mode) == (0, 0, 0o644) for member, _ in outer)
    inside = {member.name[2:]: raw for member, raw in outer}
    assert inside["debian-binary"] == b"2.0\n"

    when = outer[0][0].mtime
    data, control = plain(members(inside["data.tar.gz"]), when), plain(members(inside["control.tar.gz"]),
                                                                       when)
    assert {file: member.mode for file, (member, _) in data.items()} == OPENWRT | {NOTICES: 0o644}
    assert {file: member.mode for file, (member, _) in control.items()} == {"conffiles": 0o644,
                                                                            "control": 0o644,
                                                                            "postinst": 0o755, "prerm": 0o755}
    text = control["control"][1].decode()
    fields = dict(re.findall(r"(?m)^([A-Z][A-Za-z-]*): (.+)$", text))
    assert re.fullmatch(r"(?:[A-Z][A-Za-z-]*: \S.*\n| \S.*\n)+", text), text
    assert fields["Package"] == name and fields["Version"] == f"{version()}-r1"
    assert os.path.basename(path) == f"{fields['Package']}_{fields['Version']}_{fields['Architecture']}.ipk"
    assert int(fields["Installed-Size"]) == len(gzip.decompress(inside["data.tar.gz"]))
    assert fields["SourceDateEpoch"] == str(when)
    assert fields["Require-User"] == "dnstapd:dnstapd"
    assert fields["License"] == "MIT"
    conffiles = control["conffiles"][1].decode().splitlines()
    assert conffiles == ["/etc/config/dnstapd"] and all(file[1:] in data for file in conffiles)
    for script in ("postinst", "prerm"):
        assert control[script][1].startswith(b"#!/bin/sh\n")
    return fields, data, control


def test_ipk_form():
    architectures = {}
    for target in TARGETS:
        made = package("--format", "ipk", target)
        assert made, target
        for path in made:
            fields, data, _ = check_ipk(path)
            architectures.setdefault(target, set()).add(fields["Architecture"])
            with open(os.path.join(TOP, "target/cross", target, "default/dnstapd"), "rb") as file:
                assert data["usr/sbin/dnstapd"][1] == file.read()
            notices = gzip.decompress(data[NOTICES][1]).decode()
            assert "smol 2." in notices and "rustls 0." in notices and "proptest" not in notices
    assert architectures[NATIVE] == {"x86_64"}
    assert architectures.get("mipsel-unknown-linux-musl", {"mipsel_24kc"}) >= {"mipsel_24kc"}
    return f"{architectures}; Debian has no opkg, so that was not run"


def test_ipk_on_a_busybox():
    """The package's scripts and init script, by busybox alone, with stand-ins for what is OpenWrt's own."""
    path, = package("--format", "ipk", NATIVE)
    _, data, control = check_ipk(path)
    with tempfile.TemporaryDirectory() as root:
        os.chmod(root, 0o755)  # the service's user comes through it to its files
        for name, (member, raw) in data.items():
            os.makedirs(os.path.dirname(f"{root}/{name}"), exist_ok=True)
            with open(f"{root}/{name}", "wb") as file:
                file.write(raw)
            os.chmod(f"{root}/{name}", member.mode)
        for name in ("postinst", "prerm"):
            write(f"{root}/usr/lib/opkg/info/dnstapd.{name}", control[name][1].decode(), mode=0o755)
        os.makedirs(f"{root}/bin")
        shutil.copy("/bin/busybox", f"{root}/bin/busybox")
        # None when it is static.
        for library in re.findall(r"(/\S+) \(0x", subprocess.run(["ldd", "/bin/busybox"], capture_output=True,
                                                                 text=True).stdout):
            os.makedirs(f"{root}{os.path.dirname(library)}", exist_ok=True)
            shutil.copy(library, f"{root}{library}")
        for name in ("proc", "dev", "tmp"):
            os.mkdir(f"{root}/{name}")
        run("chroot", root, "/bin/busybox", "--install", "/bin")
        run("mount", "-t", "proc", "proc", f"{root}/proc")
        write(f"{root}/dev/null", "")
        write(f"{root}/usr/local/bin/logger", '#!/bin/sh\necho "$@" >>/tmp/logged\n', mode=0o755)
        write(f"{root}/etc/passwd", "root:x:0:0::/:/bin/sh\ndnstapd:x:453:453::/:/bin/false\n")
        write(f"{root}/etc/group", "root:x:0:\ndnstapd:x:453:\n")
        os.makedirs(f"{root}/var")
        # As the boards' test has it; `enable` and `disable` are noted.
        common = read(os.path.join(TOP, "tests/boards/rc.common"))
        note = 'enable() { echo enable >>/tmp/noted; }\ndisable() { echo disable >>/tmp/noted; }\n'
        assert common.count("script=$1\n") == 1
        write(f"{root}/etc/rc.common", common.replace("script=$1\n", note + "script=$1\n"), mode=0o755)
        write(f"{root}/lib/functions.sh",
              "default_postinst() { /etc/init.d/dnstapd enable; /etc/init.d/dnstapd start; }\n"
                                          "default_prerm() { /etc/init.d/dnstapd disable; "
                                          "/etc/init.d/dnstapd stop; }\n")
        write(f"{root}/lib/functions/network.sh", "network_get_ipaddrs() { eval \"$1=192.168.1.1\"; }\n")
        run("ip", "link", "add", "br-lan", "type", "bridge")  # the configuration's sniffer looks for it
        try:
            environment = {"PATH": "/usr/local/bin:/bin:/usr/sbin"}
            run("chroot", root, "/usr/lib/opkg/info/dnstapd.postinst",
                env={**environment, "IPKG_NO_SCRIPT": "1"})
            assert not os.path.exists(f"{root}/tmp/noted")
            start_inside(root, environment, "/usr/lib/opkg/info/dnstapd.postinst", "configure")
            with open(f"{root}/var/etc/dnstapd.toml", "rb") as file:
                assert tomllib.load(file)["process"]["user"] == "dnstapd"
            status = read(f"/proc/{read(f'{root}/tmp/pid').strip()}/status")
            assert re.search(r"(?m)^Uid:\t453\t453\t453\t453$", status), status
            found = os.stat(f"{root}/etc/dnstapd/password")
            assert (found.st_uid, found.st_mode & 0o777) == (0, 0o600)
            check_the_lan(root, environment)
            check_reload(root, environment)
            check_the_feeds_tests(root, environment)
            run("chroot", root, "/usr/lib/opkg/info/dnstapd.prerm", "remove", env=environment)
            assert gone()
            assert read(f"{root}/tmp/noted") == "enable\ndisable\n"
            assert read(f"{root}/tmp/status") == "0\n"
        finally:
            run("ip", "link", "delete", "br-lan")
            run("umount", f"{root}/proc")


def start_inside(root, environment, *command):
    """Runs what starts the service, which keeps what it is given as its output: not our pipe."""
    subprocess.run(["chroot", root, *command], env=environment, check=True, timeout=30,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    healthy()


def check_the_lan(root, environment):
    """The page is there at the address of the LAN as soon as that is, for who has the password, which an
    upgrade keeps."""
    with pytest.raises(OSError):
        fetch("/health", "192.168.1.1")
    run("ip", "address", "add", "192.168.1.1/24", "dev", "br-lan")
    run("ip", "link", "set", "br-lan", "up")
    shown = run("chroot", root, "/usr/sbin/dnstapd", "password", env=environment).rstrip("\n")
    assert fetch("/", "192.168.1.1", basic("admin", shown))[0] == 200
    check_nothing_is_shipped()
    other = run("chroot", root, "/usr/sbin/dnstapd", "password", "--new", env=environment).rstrip("\n")
    start_inside(root, environment, "/etc/init.d/dnstapd", "restart")
    assert [fetch("/", "192.168.1.1", basic("admin", word))[0] for word in (shown, other)] == [401, 200]
    kept = read(f"{root}/lib/upgrade/keep.d/dnstapd").split()
    assert "/etc/dnstapd/" in kept and os.path.exists(f"{root}/etc/dnstapd/password")


def check_the_feeds_tests(root, environment):
    """The scripts that the CI of OpenWrt's feed runs after an installation."""
    for script in ("test.sh", "test-version.sh"):
        shutil.copy(os.path.join(TOP, "cross/openwrt", script), f"{root}/tmp/{script}")
        words = ["chroot", root, "/bin/sh", f"/tmp/{script}"]
        given = dict(env=environment, capture_output=True, text=True, timeout=90, stdin=subprocess.DEVNULL)
        done = subprocess.run([*words, "dnstapd", version()], **given)
        assert done.returncode == 0, done
        assert subprocess.run([*words, "another", "7"], **given).returncode == 0
    assert subprocess.run([*words, "dnstapd", version() + "1"], **given).returncode == 1
    capabilities = f"{root}/etc/capabilities/dnstapd.json"
    os.rename(capabilities, capabilities + ".gone")
    assert subprocess.run(["chroot", root, "/bin/sh", "/tmp/test.sh", "dnstapd",
                           version()], **given).returncode != 0
    os.rename(capabilities + ".gone", capabilities)


def check_reload(root, environment):
    """A change that SIGHUP takes over leaves the process as it is; another one starts a new one."""
    pid = read(f"{root}/tmp/pid")
    uci = read(f"{root}/etc/config/dnstapd")

    def reload(text):
        write(f"{root}/etc/config/dnstapd", text)
        start_inside(root, environment, "/etc/init.d/dnstapd", "reload")
        return read(f"{root}/tmp/pid")

    filtered = uci + "\nconfig filter 'filter'\n\tlist message_types 'CLIENT_QUERY'\n"
    assert reload(filtered) == pid
    assert "message-types" in read(f"{root}/var/etc/dnstapd.toml")
    assert reload(filtered.replace("config filter", "config filters")) == pid, "what is wrong changes nothing"
    restarted = reload(filtered + "\nconfig statistics 'statistics'\n\toption max_items '20'\n")
    assert restarted != pid
    # What no longer filters is a change that SIGHUP refuses.
    assert reload(uci) != restarted


def test_luci_ipk():
    """The views: every file of the folder, the same bytes again, and no program."""
    path, = package("luci")
    assert os.path.basename(path) == f"luci-app-dnstapd_{version()}-r1_all.ipk" and os.path.getsize(
        path) < 20 << 10
    with open(path, "rb") as file:
        first = file.read()
    outer = members(first)
    inside = {member.name[2:]: raw for member, raw in outer}
    data, control = (plain(members(inside[name]), outer[0][0].mtime)
                     for name in ("data.tar.gz", "control.tar.gz"))
    app = os.path.join(TOP, "cross/luci-app-dnstapd")
    sources = {}
    for folder, place in (("htdocs", "www"), ("root", "")):
        for at, _, names in os.walk(f"{app}/{folder}"):
            for name in names:
                whole = os.path.join(at, name)
                with open(whole, "rb") as file:
                    sources[os.path.normpath(os.path.join(place,
                                                          os.path.relpath(whole,
                                                                          f"{app}/{folder}")))] = file.read()
    assert {name: raw for name, (_, raw) in data.items()} == sources
    assert {name
            for name, (member, _) in data.items()
            if member.mode == 0o755} == {"usr/libexec/rpcd/luci.dnstapd"}
    assert set(control) == {"control", "postinst"} and control["postinst"][0].mode == 0o755
    fields = control["control"][1].decode()
    assert "\nDepends: luci-base, dnstapd\n" in fields and "\nArchitecture: all\n" in fields
    assert "Require-User" not in fields
    # The menu leads to views that are there, and asks for rights that the access list gives.
    read_json = lambda name: json.loads(data[name][1])
    menu, access = read_json("usr/share/luci/menu.d/luci-app-dnstapd.json"), read_json(
        "usr/share/rpcd/acl.d/luci-app-dnstapd.json")
    views = [entry["action"]["path"] for entry in menu.values() if entry["action"]["type"] == "view"]
    assert sorted(f"www/luci-static/resources/view/{view}.js" for view in views) == sorted(
        name for name in data if name.endswith(".js"))
    assert {acl for entry in menu.values() for acl in entry.get("depends", {}).get("acl", [])} == set(access)
    package("luci", env={**os.environ, "TZ": "Asia/Tokyo"}, umask=0o077)
    with open(path, "rb") as file:
        assert file.read() == first
    assert package("--format", "tar", "luci") == []
    # The Makefile of the feed says the same.
    makefile = read(f"{app}/Makefile")
    assert f"PKG_VERSION:={version()}\n" in makefile
    assert "+luci-base +dnstapd" in makefile and "feeds/luci/luci.mk" in makefile
    return f"{len(first)} bytes"


def test_apk_form():
    """Debian has no apk: a stand-in takes its words and keeps what would be packed."""
    with tempfile.TemporaryDirectory() as top:
        write(f"{top}/apk", f"""#!/bin/sh
[ "$1" = mkpkg ] || exit 9
[ "$2" != --help ] || exit 0
printf '%s\\n' "$@" >{top}/words
while [ $# -gt 0 ]; do
    case $1 in
        --files) tar -cf {top}/files.tar -C "$2" --sort=name . ;;
        --script) cp "${{2#*:}}" "{top}/${{2%%:*}}" ;;
        --output) out=$2 ;;
    esac
    shift
done
cat {top}/files.tar >"$out"
""", mode=0o755)

        def made(*words):
            path, = package("--format",
                            "apk",
                            *words,
                            env={
                                **os.environ, "PATH": f"{top}:{os.environ['PATH']}"
                            })
            with tarfile.open(f"{top}/files.tar") as archive:
                files = {
                    member.name[2:]: (member.mode, archive.extractfile(member).read())
                    for member in archive
                    if member.isfile()
                }
                assert {(member.uid, member.gid) for member in archive} == {(0, 0)}
            os.remove(path)
            words = read(f"{top}/words").splitlines()
            return os.path.basename(path), files, {
                word.split(":")[0]: word.split(":", 1)[1]
                for before, word in zip(words, words[1:])
                if before == "--info"
            }

        name, files, info = made(NATIVE)
        assert (
            name == f"dnstapd-{version()}-r1_x86_64.apk"
            and info["arch"] == "x86_64"
            and info["version"] == f"{version()}-r1"
        )
        own = {
            f"lib/apk/packages/dnstapd.{kind}"
            for kind in ("list", "rusers", "conffiles", "conffiles_static")
        }
        assert {
            path: mode
            for path, (mode, _) in files.items()
            if path not in own
        } == OPENWRT | {
            NOTICES: 0o644
        }
        assert own <= set(files) and files["lib/apk/packages/dnstapd.rusers"][1] == b"dnstapd:dnstapd\n"
        assert set(OPENWRT) <= {
            path[1:]
            for path in files["lib/apk/packages/dnstapd.list"][1].decode().splitlines()
        }
        assert "PKG_UPGRADE=1" in read(f"{top}/post-upgrade") and "default_prerm" in read(
            f"{top}/pre-deinstall")
        name, files, info = made("luci")
        assert name == f"luci-app-dnstapd-{version()}-r1_noarch.apk"
        assert (info["name"], info["arch"], info["depends"]) == ("luci-app-dnstapd", "noarch",
                                                                 "luci-base dnstapd")
        listed = files.pop("lib/apk/packages/luci-app-dnstapd.list")[1].decode().splitlines()
        assert listed == sorted(f"/{path}" for path in files) and "/usr/libexec/rpcd/luci.dnstapd" in listed
        assert {path
                for path, (mode, _) in files.items()
                if mode == 0o755} == {"usr/libexec/rpcd/luci.dnstapd"}
        script = read(f"{top}/post-install")
        assert script.startswith("#!/bin/sh\n") and "killall -HUP rpcd" in script
        run("sh", "-n", f"{top}/post-install")


def test_the_feeds_makefile():
    """What the package Makefile installs is what the .ipk holds. OpenWrt's makefiles are no package: a few
    lines stand for those used."""
    with tempfile.TemporaryDirectory() as top:
        write(f"{top}/rules.mk",
              "INSTALL_DIR=install -d -m 0755\nINSTALL_BIN=install -m 0755\nINSTALL_DATA=install -m 0644\n"
                                 f"INSTALL_CONF=install -m 0600\nINCLUDE_DIR={top}\n"
                                 f"PKG_INSTALL_DIR={top}/installed\nPKG_BUILD_DIR={top}/build\nCP=cp -fpR\n")
        write(f"{top}/package.mk",
              "define BuildPackage\nall:\n\t$$(call Build/Prepare)\n"
              "\t$$(call Package/$(1)/install,$(TOPDIR)/root)\n"
                                   "\t@echo '$$(PKG_VERSION) $$(strip $$(call Package/$(1)/conffiles)) "
                                   "$$(CARGO_RUSTFLAGS)'\nendef\n")
        write(f"{top}/feeds/packages/lang/rust/rust-package.mk",
              "RUST_ARCH_DEPENDS:=@(x86_64)\nCARGO_RUSTFLAGS+=-Ctarget-feature=-crt-static\n"
              "define RustBinPackage\nendef\n")
        write(f"{top}/installed/bin/dnstapd", "program")
        make = lambda arch: run("make", "--no-print-directory", "-C", os.path.join(TOP, "cross/openwrt"),
                                f"TOPDIR={top}", f"ARCH={arch}").splitlines()[-1]
        assert make("x86_64") == f"{version()} /etc/config/dnstapd -Ctarget-feature=-crt-static", (
            make("x86_64"))
        assert make("mips").endswith(" --cfg fix_y2038") and make("mipsel").endswith(" --cfg fix_y2038")
        found = {os.path.relpath(os.path.join(folder, name),
                                 f"{top}/root"): stat.S_IMODE(os.stat(os.path.join(folder, name)).st_mode)
                 for folder, _, names in os.walk(f"{top}/root") for name in names}
        assert found == OPENWRT, found
        # And what it takes along is enough for cargo.
        run("cargo", "metadata", "--locked", "--offline", "--no-deps", "--format-version", "1",
            "--manifest-path", f"{top}/build/Cargo.toml")
        missing = [name for name in run("git", "-C", TOP, "ls-files", "Cargo.toml", "Cargo.lock", "build.rs",
                                        "src", "proto/dnstap.proto").splitlines()
                   if not os.path.exists(f"{top}/build/{name}")]
        assert not missing, missing


# ---- The others
# ---------------------------------------------------------------------------------------------

def test_tarball():
    path, = package("--format", "tar", NATIVE)
    with open(path, "rb") as file:
        listed = members(file.read())
    top = f"dnstapd-{version()}"
    found = {name.removeprefix(top + "/"): member.mode for name,
             (member, _) in plain(listed, listed[0][0].mtime).items()}
    assert found.pop("dnstapd") == 0o755 and found["configs/openwrt/dnstapd.init"] == 0o755
    for name in ("README.md", "LICENSE", "CHANGELOG.md", "configs/dnstap.toml", "configs/dnstapd.service",
                 "configs/dnstapd-sniffer.conf",
                 "configs/openwrt/dnstapd.config", "configs/openwrt/dnstapd.json", "notices.gz"):
        assert found[name] == 0o644, (name, found)


def test_two_builds_are_equal():
    def hashes(**more):
        made = package(NATIVE, **more)
        assert len(made) == 3, made
        return run("sha256sum", *made)
    first = hashes()
    other = {**os.environ, "TZ": "Asia/Tokyo", "LC_ALL": "C.UTF-8", "TMPDIR": "/var/tmp"}
    assert hashes(env=other, umask=0o077) == first
    assert hashes(env={**os.environ, "SOURCE_DATE_EPOCH": "1600000000"}) != first


def test_release():
    """Of the commit that is checked out, but for the builds: a program that is there stands for both."""
    with tempfile.TemporaryDirectory() as top:
        write(f"{top}/cross", f"""#!/bin/sh
[ "$1 $2 $3" = "--set default {NATIVE}" ] && [ $# = 3 ] || exit 3
folder=target/cross/{NATIVE}/default
mkdir -p $folder && cp {TOP}/$folder/dnstapd $folder/dnstapd
[ -z "$SPOIL" ] || [ -z "$CROSS_BUILD" ] || echo >>$folder/dnstapd
""", mode=0o755)
        environment = {**os.environ, "CROSS": f"{top}/cross"}
        script, out = os.path.join(TOP, "scripts/release"), f"{top}/out/release"
        told = run(script, "--out", out, NATIVE, env=environment)
        number = version()
        bill = f"dnstapd-{number}-{NATIVE}.cdx.json"
        expected = {
            f"dnstapd_{number}-r1_x86_64.ipk", f"dnstapd_{number}-1_amd64.deb",
            f"dnstapd-{number}-{NATIVE}.tar.gz", f"luci-app-dnstapd_{number}-r1_all.ipk", bill, "SHA256SUMS"
        }
        assert set(os.listdir(out)) - {f"dnstapd-{number}-r1_x86_64.apk"} == expected, os.listdir(out)
        assert f"the same byte for byte: {len(os.listdir(out)) - 1} files" in told, told
        run("sha256sum", "--check", "--strict", "SHA256SUMS", cwd=out)
        assert len(read(f"{out}/SHA256SUMS").splitlines()) == len(os.listdir(out)) - 1
        check_bill(json.loads(read(f"{out}/{bill}")))
        # What is there stays, and what differs is named and not released.
        run(script, "--out", out, NATIVE, env=environment, status=2)
        run(script,
            "--twice",
            "vax-unknown-linux-musl",
            "--out",
            f"{top}/other",
            NATIVE,
            env=environment,
            status=2)
        done = subprocess.run([script, "--format", "ipk", "--twice", NATIVE, "--out", f"{top}/other", NATIVE],
                              env={
                                  **environment, "SPOIL": "1"
                              },
                              capture_output=True,
                              text=True,
                              timeout=300)
        assert done.returncode == 1 and not os.path.exists(f"{top}/other"), done
        told = f"dnstapd_{number}-r1_x86_64.ipk: not the same when it is built again"
        assert told in done.stderr, done.stderr
        assert "luci-app-dnstapd" not in done.stderr.split(
            "not the same")[-1] and bill + ": not" not in done.stderr


def check_bill(bill):
    """The form of CycloneDX 1.6, and that it speaks of what is linked."""
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.6", 1)
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", bill["serialNumber"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", bill["metadata"]["timestamp"])
    own = bill["metadata"]["component"]
    assert (own["name"], own["version"], own["type"]) == ("dnstapd", version(), "application")
    names = {part["name"] for part in bill["components"]}
    assert names >= {"smol", "rustls", "ring", "musl", "rust-std"
                     } and not names & {"proptest", "syn", "minifier"}, names
    references = [part["bom-ref"] for part in [own, *bill["components"]]]
    assert len(references) == len(set(references))
    needs = {one["ref"]: one["dependsOn"] for one in bill["dependencies"]}
    assert set(needs) <= set(references) and all(set(some) <= set(references) for some in needs.values())
    reached, left = set(), [own["bom-ref"]]
    while left:
        one = left.pop()
        if one not in reached:
            reached.add(one)
            left += needs[one]
    assert reached == set(needs), set(needs) - reached
    for part in bill["components"]:
        assert part["licenses"][0]["expression"] != "NOASSERTION", part
        assert part["name"] in ("musl", "rust-std") or re.fullmatch(r"[0-9a-f]{64}",
                                                                    part["hashes"][0]["content"]), part


def test_names_of_functions():
    """What the compiler is told of a crate is the same in any folder and for any target; what runs while it
    is built is left alone."""
    wrapper = os.path.join(TOP, "cross/rustc")
    named = {**os.environ, "CARGO_PKG_NAME": "foldhash", "CARGO_PKG_VERSION": "0.2.0"}
    words = ["--crate-name", "foldhash", "-C", "metadata=89ab", "--cfg", 'feature="std b"']
    assert run(wrapper, "echo", *words, env=named).strip() == " ".join(words)
    told = run(wrapper, "echo", *words, "--target", NATIVE, env=named).strip()
    assert told == " ".join([*words, "--target", NATIVE]).replace("metadata=89ab", "metadata=foldhash-0.2.0")
    named.update(CROSS_COUNTING="/counting", CARGO_PKG_NAME="dnstapd")
    assert "-C profile-generate" in run(wrapper, "echo", *words, "--target", NATIVE, env=named)
    assert "profile-generate" not in run(wrapper, "echo", *words, env=named)


def test_wrong_words():
    run(os.path.join(TOP, "scripts/profile"), "huge", status=2)
    run(os.path.join(TOP, "scripts/cross"), "--instrumented", "huge", status=2)
    script = os.path.join(TOP, "scripts/package")
    for words in (["--set", "huge", NATIVE], ["--format", "rpm", NATIVE], ["vax-unknown-linux-musl"]):
        run(script, *words, status=2)


def test_container():
    with tempfile.TemporaryDirectory() as top:
        storage = ["buildah", "--storage-driver", "vfs", "--root", f"{top}/root", "--runroot", f"{top}/run"]
        image = run(*storage, "bud", "--quiet", "--isolation", "chroot", "--format", "docker", "--file",
                    "cross/Dockerfile", TOP, cwd=TOP).strip()
        container = run(*storage, "from", "--pull-never", image).strip()
        config = json.loads(run(*storage, "inspect", container))["Docker"]["config"]
        assert config["User"] == "65532:65532", config
        assert set(config["ExposedPorts"]) == {"6000/tcp", "8080/tcp"}, config
        files = run(*storage, "mount", container).strip()
        found = sorted(os.path.relpath(os.path.join(folder, name), files) for folder, _,
                       names in os.walk(files) for name in names)
        assert found == ["etc/dnstapd/dnstap.toml", "usr/sbin/dnstapd", "var/lib/dnstapd/.keep"], found
        assert os.stat(f"{files}/var/lib/dnstapd").st_uid == 65532 and "/var/lib/dnstapd" in config["Volumes"]

        volume = f"{top}/volume"
        os.mkdir(volume)
        os.chown(volume, 65532, 65532)
        os.chmod(top, 0o755)
        inside = [
            *storage, "run", "--isolation", "chroot", "--volume", f"{volume}:/var/lib/dnstapd", container,
            "--"
        ]
        check, kind = config["Healthcheck"]["Test"][1:], config["Healthcheck"]["Test"][0]
        assert kind == "CMD"
        assert "Connection refused" in subprocess.run([*inside, *check], capture_output=True,
                                                      text=True).stderr
        with subprocess.Popen([*inside, *config["Entrypoint"], *(config["Cmd"] or [])],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as daemon:
            try:
                healthy()
                # On all addresses: of the network, and of IPv6.
                for address in (network.CLIENTS4[0], "::1"):
                    assert fetch("/health", address)[0] == 200
                    harness.Sender((network.CLIENTS4[0], 6000))
                made = os.stat(f"{volume}/password")
                assert (stat.S_IMODE(made.st_mode), made.st_uid) == (0o600, 65532)
                password = run(*inside, "/usr/sbin/dnstapd", "password").rstrip("\n")
                assert fetch("/metrics", headers=basic("admin", password))[0] == 200
                check_nothing_is_shipped()
                run(*inside, *check)
                process = run("pgrep", "--full", "--exact", "/usr/sbin/dnstapd").split()[-1]
                assert re.search(r"(?m)^Uid:\t65532\t65532\t65532\t65532$", read(f"/proc/{process}/status"))
            finally:
                for process in subprocess.run(["pgrep", "--full", "--exact", "/usr/sbin/dnstapd"],
                                              capture_output=True, text=True).stdout.split():
                    os.kill(int(process), signal.SIGTERM)
                daemon.communicate(timeout=20)
        assert daemon.returncode == 0, daemon.returncode
        run(*storage, "umount", "--all")


def test_shellcheck():
    """Every shell script there is; busybox runs those of OpenWrt."""
    scripts = []
    for name in run("git", "-C", TOP, "ls-files").splitlines():
        with open(os.path.join(TOP, name), "rb") as file:
            first = file.readline()
        if re.match(rb"#!(?:/usr/bin/env bash|/bin/(?:ba)?sh)\b", first):
            scripts.append(name)
    assert len(scripts) > 15, scripts
    run("shellcheck", *scripts, cwd=TOP)
    return f"{len(scripts)} scripts"
