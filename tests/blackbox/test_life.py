"""Start, reload and stop: what ends, what stays in force, and what a person is told."""
import os
import pty
import re
import resource
import signal
import socket
import stat
import subprocess
import time

import harness
from harness import Daemon, Sender, message, needs, run_binary


def reload(daemon, text, said):
    daemon.write(text)
    before = daemon.log().count(said)
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait(lambda: daemon.log().count(said) > before, why=daemon.log)


def test_protections_do_not_vanish_by_a_reload():
    """From a file that is empty, half written, or without what keeps somebody out."""
    acl = '[input.tcp-socket]\nenable = true\nlocal-port = 0\naccess-control-list = ["192.0.2.1"]\n'

    regex = "[filter]\nexclude-qname-regex = 'secret'\n"
    with Daemon(inputs=False, extra=acl.replace("[input", "\n[input") + regex) as daemon:
        whole = open(daemon.config).read()

        def is_closed():
            with socket.create_connection(daemon.tcp, 5) as peer:
                peer.settimeout(5)
                return peer.recv(1) == b""

        assert is_closed()
        for text, why in (
            ("", "the file holds no key"),
            ("# nothing but this\n", "the file holds no key"),
            (whole[:whole.index("access-control-list")] + regex,
             "input.tcp-socket.access-control-list is in force"),
            (whole.replace(regex, ""), "filter.exclude-qname-regex is in force and no longer in the file"),
            (whole + "[[", "Not reloaded: "),
        ):
            reload(daemon, text, "Not reloaded: ")
            assert why in daemon.log(), daemon.log()
            assert is_closed()
        reload(daemon, whole.replace("'secret'", "''"), "Reloaded; taken over: filter.exclude-qname-regex")
        reload(daemon, whole.replace('["192.0.2.1"]', '["0.0.0.0/0", "::/0"]').replace("'secret'", "''"),
               "Reloaded; taken over: input.tcp-socket.access-control-list")
        assert daemon.stop() == 0



def test_a_stop_takes_at_most_five_seconds():
    """While one peer of the web API owes a byte, another does not read, and an output's peer takes
    nothing."""
    with socket.socket() as peer:
        peer.bind(("127.0.0.1", 0))
        peer.listen(1)
        extra = ("[output.tcp-socket]\nenable = true\nremote-address = '127.0.0.1'\n"
                 f"remote-port = {peer.getsockname()[1]}\n")
        with Daemon(extra=extra) as daemon:
            sender = Sender(daemon.unix)
            for _ in range(2000):
                sender.send(message())
            waiting = [socket.create_connection(daemon.api) for _ in range(3)]
            waiting[0].sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n")
            waiting[1].sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-API-Key: changeme\r\n\r\n" *
                               50)
            time.sleep(0.5)
            started = time.monotonic()
            daemon.process.send_signal(signal.SIGTERM)
            assert daemon.process.wait(10) == 0
            assert time.monotonic() - started < 5


def test_closing_the_terminal_ends_it():
    with harness.temporary_folder() as top:
        config = os.path.join(top, "config")
        with open(config, "w") as file:
            file.write("[input.tcp-socket]\nlocal-port = 0\n[web-api]\nlocal-port = 0\n")
        main, terminal = pty.openpty()
        process = subprocess.Popen([harness.BINARY, "-c", config], stdin=terminal, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, **harness.UNPRIVILEGED)
        try:
            # A system without a filter for system calls says so first.
            first = [process.stderr.readline().decode()]
            if "seccomp" in first[0]:
                first.append(process.stderr.readline().decode())
            assert re.search(r"Web page: http://127\.0\.0\.1:\d+/, login admin", first[-1]), first
            assert not any("changeme" in line for line in first)
            process.send_signal(signal.SIGHUP)
            assert process.wait(10) == 0
        finally:
            process.kill()
            os.close(main)
            os.close(terminal)
    with Daemon() as daemon:
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_for_log("Reloaded")
        assert "INFO Web page: http://127.0.0.1:" in daemon.log()
        assert daemon.stop() == 0


def test_the_limit_of_descriptors_is_raised_or_named():
    def limit(soft, hard):
        return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    for soft, hard, named in ((64, 4096, False), (64, 64, True)):
        with harness.temporary_folder() as top:
            config, log = os.path.join(top, "config"), os.path.join(top, "log")
            with open(config, "w") as file:
                file.write("[input.tcp-socket]\nlocal-port = 0\n[web-api]\nlocal-port = 0\n")
            with open(log, "wb") as file:
                process = subprocess.Popen([harness.BINARY, "-c", config],
                                           stdin=subprocess.DEVNULL,
                                           stderr=file,
                                           preexec_fn=limit(soft, hard),
                                           **harness.UNPRIVILEGED)
            end = time.monotonic() + 10
            while "Web page" not in open(log).read() and time.monotonic() < end:
                time.sleep(0.05)
            now = int(
                re.search(r"Max open files\s+(\d+)",
                          open(f"/proc/{process.pid}/limits").read()).group(1))
            process.terminate()
            assert process.wait(10) == 0
            said = open(log).read()
            assert ("open files are needed, and the limit is 64" in said) == named, said
            assert (now > 64) != named, now


def test_a_password_is_made_at_the_first_start():
    with harness.temporary_folder() as top:
        path = os.path.join(top, "password")
        api = f"api-key = ''\npassword-file = '{path}'"
        done = run_binary("--check", config=f"[web-api]\n{api}\n")
        assert done[0] == 0 and "it will be made, with a new password" in done[1], done
        assert not os.path.exists(path)
        with Daemon(api=api) as daemon:
            made = os.stat(path)
            assert stat.S_IMODE(made.st_mode) == 0o600
            password = open(path).read().strip()
            assert len(password) >= 16 and password not in daemon.log()
            assert harness.USER is None or made.st_uid == harness.USER
            shown = run_binary("password", "-c", daemon.config)
            assert shown[:2] == (0, password + "\n") and "login: admin" in shown[2], shown
            new = run_binary("password", "--new", "-c", daemon.config)
            assert new[0] == 0 and new[1].strip() not in ("", password), new
            assert open(path).read() == new[1] and stat.S_IMODE(os.stat(path).st_mode) == 0o600
            daemon.process.send_signal(signal.SIGHUP)
            daemon.wait_for_log("Reloaded")
            assert daemon.stop() == 0
        empty = os.path.join(top, "empty")
        with open(empty, "w"):
            pass
        code, _, err = run_binary("password", "-c", empty)
        assert code == 1 and "web-api.password-file: unset" in err, err


def test_check_against_what_is_in_force():
    with harness.temporary_folder() as top:
        def write(name, text):
            path = os.path.join(top, name)
            with open(path, "w") as file:
                file.write(text)
            return path

        old = write("old", "[filter]\nqname-regex = 'a'\n[web-api]\nlocal-port = 0\n")
        for text, status, said in (
            ("[filter]\nqname-regex = 'a'\n[web-api]\nlocal-port = 0\n", 0, "no change"),
            ("[filter]\nqname-regex = 'b'\n[web-api]\nlocal-port = 0\n", 0,
             "taken over by SIGHUP: filter.qname-regex"),
            ("[filter]\nqname-regex = 'b'\n[web-api]\nlocal-port = 1234\n", 3,
             "needs a restart: web-api.local-port"),
            ("[web-api]\nlocal-port = 0\n", 3, "filter.qname-regex is in force"),
            ("[web-api]\nlocal-prt = 0\n", 2, ""),
        ):
            code, out, err = run_binary("--check", "--against", old, config=text)
            assert (code, said in out) == (status, True), (text, code, out, err)
        code, out, _ = run_binary("--check", "--against", os.path.join(top, "absent"), config="")
        assert code == 3 and "cannot read it" in out, out


@needs("geoip")
def test_check_names_all_that_a_start_would_refuse():
    config = """[process]
pid-file = "/absent/pid"
user = "nobody-here"
[trace]
file = "/absent/log"
[input.unix-socket]
enable = true
path = "/absent/sock"
owner = "nobody-here"
[output.file]
enable = true
file = "/absent/out"
[geoip]
enable = true
city-database = "/absent/mmdb"
"""
    code, _, err = run_binary("--check", config=config)
    lines = err.splitlines()
    keys = [line.split(": ")[1] for line in lines]
    assert code == 1, err
    # Each with the line of its key, or of its section.
    assert [int(line.split(": ")[0].split(":")[1]) for line in lines] == [2, 3, 5, 6, 9, 10, 15], err
    assert keys == [
        "process.pid-file", "process.user", "trace.file", "input.unix-socket", "input.unix-socket.owner",
        "output.file", "geoip.city-database"
    ], err
    for arguments in (["--check"], []):
        code, _, err = run_binary(*arguments, "-u", "/tmp/" + "x" * 120, config="[web-api]\nenable = false\n")
        assert code == 1 and "input.unix-socket: /tmp/xxx" in err, (arguments, code, err)
    code, out, err = run_binary("--check", "-i", "absent0")
    if code == 0:
        assert "warning: input.sniffer.eth-name: there is no absent0 yet; it will be waited for" in out, out
    else:  # who may not open packet sockets
        assert code == 1 and "input.sniffer: absent0" in err, err


def test_a_file_is_replayed_by_an_option():
    code, out, err = run_binary("-r",
                                os.path.join(harness.DATA, "knot.fstrm"),
                                config="[web-api]\nenable = false\n")
    assert code == 0 and len(out.splitlines()) > 10, (code, out, err)
