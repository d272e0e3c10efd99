#!/usr/bin/env python3
"""Rights that the daemon gives up, as the kernel tells of them, and what it tells a service manager."""
import grp
import os
import pwd
import signal
import socket
import subprocess
import tempfile
import time

import pytest

import harness
from certificates import self_signed
from harness import AsRoot, Daemon, Sender, message, run_binary

NOBODY = pwd.getpwnam("nobody")
assert os.geteuid() == 0, "these tests give up root's rights, so they need them"


def status(daemon):
    with open(f"/proc/{daemon.process.pid}/status") as file:
        return {key: value.split() for key, value in (line.rstrip("\n").split(":", 1) for line in file)}


def rights(daemon):
    """The same for all threads."""
    found = set()
    for thread in os.listdir(f"/proc/{daemon.process.pid}/task"):
        with open(f"/proc/{daemon.process.pid}/task/{thread}/status") as file:
            keys = ("Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs",
                    "Seccomp")
            found.add(tuple(line.rstrip() for line in file if line.split(":")[0] in keys))
    return found


@harness.natively("the emulator has a thread of its own, which keeps its rights")
def test_nothing_is_left():
    with AsRoot(), Daemon('[process]\nuser = "nobody"') as daemon:
        Sender(daemon.unix).send(message())
        assert len(daemon.lines()) == 1
        now = status(daemon)
        assert now["Uid"] == [str(NOBODY.pw_uid)] * 4 and now["Gid"] == [str(NOBODY.pw_gid)] * 4, now
        assert now["Groups"] == [str(NOBODY.pw_gid)], now["Groups"]
        for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(now[key][0], 16) == 0, (key, now[key])
        assert now["NoNewPrivs"] == ["1"] and now["Seccomp"] == harness.SECCOMP, now
        assert len(rights(daemon)) == 1, rights(daemon)
        assert daemon.stop() == 0, daemon.log()


def test_a_group_of_its_own():
    group = grp.getgrnam("daemon").gr_gid
    with AsRoot(), Daemon('[process]\nuser = 65534\ngroup = "daemon"') as daemon:
        assert status(daemon)["Uid"][0] == "65534" and status(daemon)["Gid"][0] == str(group)
    with AsRoot(), Daemon('[process]\ngroup = "daemon"') as daemon:
        assert status(daemon)["Uid"][0] == "0" and status(daemon)["Gid"] == [str(group)] * 4


def test_who_stays():
    """Without a user nobody else is become, and root keeps what it has."""
    with AsRoot(), Daemon("[process]\nseccomp = false") as daemon:
        now = status(daemon)
        assert now["Uid"][0] == "0" and int(now["CapEff"][0], 16) != 0 and now["Seccomp"] == ["0"], now
        assert now["NoNewPrivs"] == ["1"]
    with Daemon() as daemon:
        assert status(daemon)["Seccomp"] == harness.SECCOMP and status(daemon)["NoNewPrivs"] == ["1"]


def test_who_is_not_there():
    with AsRoot():
        for key, text in (("user", "no user is called `nobody-here`"),
                          ("group", "no group is called `nobody-here`")):
            code, _, err = run_binary(config=f'[process]\n{key} = "nobody-here"\n[input.tcp-socket]\n'
                                             f'local-port = 0\n')
            assert code == 1 and err.strip() == f"process.{key}: {text}", (code, err)
    if harness.USER:
        code, _, err = run_binary(config='[process]\nuser = "root"\n[input.tcp-socket]\nlocal-port = 0\n'
                                         '[web-api]\nlocal-port = 0\n')
        assert code == 1 and "process.user" in err and "not permitted" in err, (code, err)


def test_reload_after_the_drop():
    """Files that root opened go to the user, who opens them again."""
    with tempfile.TemporaryDirectory() as top:
        os.chown(top, NOBODY.pw_uid, -1)
        log, out = os.path.join(top, "log"), os.path.join(top, "out")
        with AsRoot(), Daemon(f"[process]\nuser = 'nobody'\n[trace]\nfile = '{log}'\n[output.file]\n"
                              f"enable = true\nfile = '{out}'",
                              log=log) as daemon:
            sender = Sender(daemon.unix)
            sender.send(message())
            daemon.wait(lambda: os.path.getsize(out) > 0)
            for path in (log, out):
                assert os.stat(path).st_uid == NOBODY.pw_uid
                os.rename(path, path + ".1")
            os.chmod(daemon.folder.name, 0o755)
            daemon.process.send_signal(signal.SIGHUP)
            daemon.wait(lambda: os.path.exists(log) and "Reloaded" in open(log).read())
            sender.send(message())
            daemon.wait(lambda: os.path.exists(out) and os.path.getsize(out) > 0)
            assert daemon.stop() == 0


def test_what_cannot_be_opened_again():
    with tempfile.TemporaryDirectory() as top:
        os.chmod(top, 0o755)
        log, out = os.path.join(top, "log"), os.path.join(top, "out")
        with AsRoot():
            config = (f"[process]\nuser = 'nobody'\n[input.tcp-socket]\nlocal-port = 0\n[web-api]\n"
                      f"local-port = 0\n[output.file]\nenable = true\nfile = '{out}'\n")
            code, _, err = run_binary(config=config)
            assert code == 1 and (f"output.file.file: {top}: this user may not make files there, as rotation "
                                  f"needs") in err, err
            with Daemon(f"[process]\nuser = 'nobody'\n[trace]\nfile = '{log}'\n", log=log) as daemon:
                with open(log) as file:
                    assert (f"WARN trace.file: {top}: this user may not make files there; once moved away"
                            in file.read())
                assert daemon.stop() == 0


@pytest.mark.parametrize("key", ["output.file.file", "output.metrics.file", "trace.file", "process.pid-file"])
def test_a_link_of_the_user_gives_nothing_of_roots_away(key):
    """Whoever took the user over can put links into its folder before the next start as root."""
    with tempfile.TemporaryDirectory() as top:
        os.chmod(top, 0o755)
        victim, folder = os.path.join(top, "victim"), os.path.join(top, "theirs")
        os.mkdir(folder)
        os.chown(folder, NOBODY.pw_uid, NOBODY.pw_gid)
        with open(victim, "w") as file:
            file.write("root's\n")
        os.chmod(victim, 0o600)
        link = os.path.join(folder, "link")
        os.symlink(victim, link)
        os.lchown(link, NOBODY.pw_uid, NOBODY.pw_gid)
        section, name = key.rsplit(".", 1)
        config = {"process": 'user = "nobody"\n', "input.tcp-socket": "local-port = 0\n",
                  "web-api": "local-port = 0\n"}
        enable = "enable = true\n" if section.startswith("output.") else ""
        config[section] = config.get(section, "") + f'{name} = "{link}"\n' + enable
        with AsRoot():
            path = os.path.join(top, "config")
            with open(path, "w") as file:
                file.write("".join(f"[{section}]\n{keys}" for section, keys in config.items()))
            process = subprocess.Popen([harness.BINARY, "-c", path], stderr=subprocess.PIPE, text=True)
            time.sleep(1)
            process.terminate()
            err = process.communicate(timeout=10)[1]
        if key != "process.pid-file":  # which is made anew, in the link's place
            assert process.returncode == 1 and section in err, (process.returncode, err)
        found = os.stat(victim)
        assert (found.st_uid, found.st_mode & 0o777) == (0, 0o600), found
        with open(victim) as file:
            assert file.read() == "root's\n"


def test_a_folder_of_the_user_leads_nowhere():
    """A link to a folder of root's, on the way to whatever is made as root; `--check` refuses it, too."""
    with tempfile.TemporaryDirectory() as top:
        os.chmod(top, 0o755)
        roots, theirs = os.path.join(top, "roots"), os.path.join(top, "theirs")
        for folder in (roots, theirs):
            os.mkdir(folder)
        os.chown(theirs, NOBODY.pw_uid, NOBODY.pw_gid)
        link = os.path.join(theirs, "link")
        os.symlink(roots, link)
        os.lchown(link, NOBODY.pw_uid, NOBODY.pw_gid)
        base = {
            "process": "user = 'nobody'",
            "input.tcp-socket": "local-port = 0",
            "web-api": "local-port = 0"
        }
        for section, keys in (("trace", "file = 'AT'"), ("output.file", "enable = true\nfile = 'AT'"),
                              ("output.metrics", "enable = true\nfile = 'AT'"),
                              ("process", "pid-file = 'AT'"), ("input.unix-socket",
                                                               "enable = true\npath = 'AT'"),
                              ("web-api", "api-key = ''\npassword-file = 'AT'"), ("history", "path = 'AT'")):
            keys = keys.replace("AT", os.path.join(link, "made"))
            config = {**base, section: "\n".join(filter(None, (base.get(section), keys)))}
            text = "".join(f"[{name}]\n{more}\n" for name, more in config.items())
            with AsRoot():
                for arguments in (["--check"], []):
                    code, _, err = run_binary(*arguments, config=text)
                    assert code == 1 and section in err, (section, arguments, code, err)
            assert os.listdir(roots) == [] and os.stat(roots).st_uid == 0, section


def test_the_pid_file_and_the_socket_are_removed_or_it_is_said():
    with tempfile.TemporaryDirectory() as top:
        os.chmod(top, 0o755)
        theirs, roots = os.path.join(top, "theirs"), os.path.join(top, "roots")
        for folder in (theirs, roots):
            os.mkdir(folder)
            os.chmod(folder, 0o755)
        os.chown(theirs, NOBODY.pw_uid, NOBODY.pw_gid)
        for folder, stays in ((theirs, False), (roots, True)):
            pid, sock = os.path.join(folder, "pid"), os.path.join(folder, "sock")
            with AsRoot(), Daemon(f"[process]\nuser = 'nobody'\npid-file = '{pid}'\n",
                                  arguments=("-u", sock)) as daemon:
                assert int(open(pid).read()) == daemon.process.pid
                found = os.stat(sock)
                assert (found.st_uid, found.st_mode & 0o777) == (NOBODY.pw_uid, 0o660), found
                for key, path in (("process.pid-file", pid), ("input.unix-socket", sock)):
                    said = f"WARN {key}: {path}: stays after the end" in daemon.log()
                    assert said == stays, daemon.log()
                assert daemon.stop() == 0
            assert sorted(os.listdir(folder)) == (["pid", "sock"] if stays else [])


def test_two_starts_on_one_stale_socket():
    """One of them runs."""
    with harness.temporary_folder() as top:
        path = os.path.join(top, "sock")
        stale = socket.socket(socket.AF_UNIX)
        stale.bind(path)
        stale.close()
        config = os.path.join(top, "config")
        with open(config, "w") as file:
            file.write(f'[web-api]\nenable = false\n[input.unix-socket]\nenable = true\npath = "{path}"\n')
        for _ in range(5):
            started = [
                subprocess.Popen([harness.BINARY, "-c", config], stderr=subprocess.DEVNULL,
                                 **harness.UNPRIVILEGED)
                for _ in range(4)
            ]
            time.sleep(1.5)
            running = [process for process in started if process.poll() is None]
            for process in running:
                process.kill()
            for process in started:
                process.wait()
            assert len(running) == 1


def test_a_full_backlog_is_not_waited_for():
    with harness.temporary_folder() as top:
        path = os.path.join(top, "sock")
        with (socket.socket(socket.AF_UNIX) as owner,
              socket.socket(socket.AF_UNIX) as first,
              socket.socket(socket.AF_UNIX) as second):
            owner.bind(path)
            os.chmod(path, 0o777)
            owner.listen(0)
            for waiting in (first, second):
                waiting.setblocking(False)
                try:
                    waiting.connect(path)
                except BlockingIOError:
                    pass
            code, _, err = run_binary("-u", path, config="[web-api]\nenable = false\n")
            assert code == 1 and "another program listens on this socket" in err, err


def test_a_key_that_only_root_reads_is_named_at_the_start():
    """It is in force, and the first reload would not find it."""
    with tempfile.TemporaryDirectory() as top:
        os.chmod(top, 0o755)
        cert, key = self_signed(top, "localhost", "DNS:localhost")
        os.chmod(key, 0o600)
        tls = f"tls-support = true\ntls-server-cert = '{cert}'\ntls-server-key = '{key}'\n"
        for section in ("web-api", "input.tcp-socket"):
            config = {"process": "user = 'nobody'\n", "input.tcp-socket": "local-port = 0\n",
                      "web-api": "local-port = 0\n"}
            config[section] += tls
            path = os.path.join(top, "config")
            with open(path, "w") as file:
                file.write("".join(f"[{name}]\n{keys}" for name, keys in config.items()))
            os.chmod(path, 0o644)
            process = subprocess.Popen([harness.BINARY, "-c", path], stderr=subprocess.PIPE,
                                       stdin=subprocess.DEVNULL, text=True)
            said = []
            while not said or "Web page: " not in said[-1]:
                said.append(process.stderr.readline())
                assert said[-1], said
            process.terminate()
            process.communicate(timeout=10)
            assert process.returncode == 0
            warnings = [line for line in said if " WARN " in line and key in line]
            assert len(warnings) == 1 and "this user may not read it, so a reload cannot" in warnings[0], said
            assert not any(cert in line for line in said), said


def test_a_fifo_is_not_waited_for():
    """As configuration, secret, certificate, list, log or output, or where a folder should be; nor by
    `--check`."""
    with harness.temporary_folder() as top:
        fifo = os.path.join(top, "fifo")
        os.mkfifo(fifo)
        os.chmod(fifo, 0o666)
        started = time.monotonic()
        tls = f"tls-support = true\ntls-server-cert = '{fifo}'\ntls-server-key = '{fifo}'"
        for config in (f"[trace]\nfile = '{fifo}'", f"[web-api]\npassword-file = '{fifo}'",
                       f"[web-api]\n{tls}", f"[output.file]\nenable = true\nfile = '{fifo}'",
                       f"[output.file]\nenable = true\nformat = 'dnstap'\nfile = '{fifo}'",
                       f"[process]\npid-file = '{fifo}'", f"[history]\npath = '{fifo}'",
                       f"[filter]\nnames-file = '{fifo}'", f"[filter]\nexclude-names-file = '{fifo}'",
                       f"[statistics]\nblocked-names = ['{fifo}']",
                       f"[input.unix-socket]\nenable = true\npath = '{fifo}/below'"):
            if "history" in config or "blocked" in config:
                if not harness.has("history"):
                    continue
            for arguments in ([], ["--check"]):
                code, _, err = run_binary(*arguments,
                                          config=config + "\n[input.tcp-socket]\nlocal-port = 0\n")
                assert code == 1 and (fifo in err or "blocked-names" in err), (config, arguments, code, err)
        code, _, err = run_binary("-c", fifo)
        assert code == 1 and "it is a pipe, and nothing comes" in err, (code, err)
        assert time.monotonic() - started < 20 * harness.PATIENCE


def test_service_manager():
    """sd_notify(3), by a socket as systemd makes one."""
    with harness.temporary_folder() as top:
        path = os.path.join(top, "notify")
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        manager.settimeout(10)
        manager.bind(path)
        os.environ.update(NOTIFY_SOCKET=path, WATCHDOG_USEC="3000000")
        try:
            with Daemon() as daemon:
                assert manager.recv(4096).decode().split("\n")[0] == "READY=1"
                started = time.monotonic()
                assert manager.recv(4096) == b"WATCHDOG=1\n" and manager.recv(4096) == b"WATCHDOG=1\n"
                assert time.monotonic() - started < 4
                daemon.process.send_signal(signal.SIGHUP)
                said = [manager.recv(4096).decode().split("\n") for _ in range(3)]
                said = [lines for lines in said if lines[0] != "WATCHDOG=1"]
                assert said[0][0] == "RELOADING=1" and said[0][1].startswith("MONOTONIC_USEC="), said
                assert abs(int(said[0][1].split("=")[1]) / 1e6 - time.monotonic()) < 10, said
                assert said[1][0] == "READY=1", said
                daemon.process.send_signal(signal.SIGTERM)
                while (last := manager.recv(4096)) == b"WATCHDOG=1\n":
                    pass
                assert last == b"STOPPING=1\n", last
                assert daemon.process.wait(10) == 0
        finally:
            del os.environ["NOTIFY_SOCKET"], os.environ["WATCHDOG_USEC"]
