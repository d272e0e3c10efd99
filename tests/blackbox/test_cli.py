#!/usr/bin/env python3
"""Command line, exit statuses, --check, reload, the log: the contract's first two sections."""
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

from harness import BINARY, DATA, TOP, Daemon, Sender, message, run_binary, temporary_folder


def test_help_and_version():
    for option in ("-h", "--help"):
        status, out, err = run_binary(option)
        assert status == 0 and "--config" in out and "--check" in out and not err, (out, err)
        assert "`dnstapd top` shows a running daemon" in out, out
    status, out, _ = run_binary("--version")
    assert status == 0 and re.fullmatch(r"dnstapd \d+\.\d+\.\d+\n", out), out


def test_usage_errors():
    for words in (["--bogus"], ["-p", "70000"], ["-p", "x"], ["-l", "nowhere"], ["-c"], ["extra"],
                  ["--port="], ["top", "--bogus"]):
        status, out, err = run_binary(*words)
        assert status == 2 and err and not out and "panick" not in err, (words, status, err)


def test_configuration_errors():
    cases = [
        ("[web-api]\nlocal-prt = 1\n", ["dnstap.toml:2:1", "local-prt", "local-port"]),
        ("[output.stdout]\nformat = 'xml'\n",
         ["dnstap.toml:2:", "output.stdout.format", "text", "json", "yaml"]),
        ("[input.tcp-socket]\nlocal-port = 70000\n", ["dnstap.toml:2:", "input.tcp-socket.local-port"]),
        ("[filter]\nqname-regex = '('\n", ["dnstap.toml:2:", "filter.qname-regex"]),
        ("[output.kafka]\nenable = true\ntopic = 't'\n[output.kafka.rdkafka-config]\n"
         "'bootstrap.servers' = 'a:1'\n",
         ["dnstap.toml:2:1", "output.kafka.enable", "needs the cargo feature `kafka`"]),
        ("[input.sniffer]\nenable = true\n", ["input.sniffer.eth-name", "missing"]),
        ("[web-api]\nlocal-address = '0.0.0.0'\n", ["changeme"]),
        ("[web-api]\nlocal-address = '0.0.0.0'\napi-key = ''\npassword = ''\n", ["web-api"]),
        ("[input.tcp-socket]\nenable = false\n", ["no input"]),
        ("web-api:\n  enable: true\n", ["YAML", "yaml2toml"]),
        ("[limits]\nstreams = 0\n", ["dnstap.toml:2:", "limits.streams"]),
    ]
    for text, words in cases:
        status, out, err = run_binary(config=text)
        assert status == 2 and not out, (text, status, err)
        for word in words:
            assert word in err, (text, word, err)
        assert len(err.strip().splitlines()) == 1, err


def test_errors_of_the_machine():
    status, _, err = run_binary("-c", "/nonexistent.toml")
    assert status == 1 and "/nonexistent.toml" in err, err
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    port = taken.getsockname()[1]
    status, _, err = run_binary("-p", str(port), config="[web-api]\nenable = false\n")
    assert status == 1 and "input.tcp-socket" in err and str(port) in err, err
    status, _, err = run_binary("-p", "0", config=f"[web-api]\nlocal-port = {port}\n")
    assert status == 1 and "web-api" in err and str(port) in err, err
    for more in ((), ("--check",)):
        status, _, err = run_binary("-u",
                                    "/nonexistent/folder/s.sock",
                                    *more,
                                    config="[web-api]\nenable = false\n")
        assert status == 1 and "/nonexistent/folder/s.sock" in err, err
        assert "there is no folder /nonexistent/folder" in err, err
    for path, word in (("/nonexistent.fstrm", "No such file"), ("/etc/passwd", "not a capture"),
                       ("/dev/zero", "neither a file")):
        status, _, err = run_binary(config=f"[input.file]\nenable = true\npath = '{path}'\n[web-api]\n"
                                           f"enable = false\n")
        assert status == 1 and path in err and word in err, err
    status, _, err = run_binary(config="[trace]\nfile = '/nonexistent/log'\n")
    assert status == 1 and "trace.file" in err, err


def test_web_api_at_several_addresses():
    """One that the machine does not have is bound all the same; one beside all addresses is one of them."""
    for addresses, expected in (("['127.0.0.1', '192.0.2.77']", ["127.0.0.1", "192.0.2.77"]),
                                ("['127.0.0.1', '0.0.0.0', '192.0.2.77']", ["0.0.0.0"])):
        with Daemon(api=f"local-address = {addresses}\napi-key = 'another'\npassword = ''") as daemon:
            daemon.wait(lambda: re.findall(r"Webserver: listening on ([\d.]+):", daemon.log()) == expected,
                        why=daemon.log)
            assert daemon.request("/health", auth=False)[0].status == 200


def test_options_override_the_file():
    with temporary_folder() as folder:
        path = os.path.join(folder, "u.sock")
        with Daemon(inputs=False, extra="[input.tcp-socket]\nlocal-port = 1",
                    arguments=["--port=0", "-l127.0.0.1", "-u", path]) as daemon:
            assert daemon.tcp is not None and os.path.exists(path)
            sender = Sender(path)
            sender.send(message())
            sender.stop()
            assert len(daemon.records()) == 1


def test_verbose_start():
    with Daemon() as daemon:
        log = daemon.log()
        for line in ("Start dnstapd...", "External config file loaded", "Output handler: stdout",
                     "Input handler: tcp socket",
                     "Input handler: listening on 127.0.0.1:", "Webserver: listening on 127.0.0.1:"):
            assert line in log, (line, log)
        for line in log.splitlines():
            assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (DEBUG|INFO|WARN|ERROR) \S", line), line


def test_check():
    config = """
[input.unix-socket]
enable = true
path = "/tmp/dnstapd-check.sock"
[web-api]
local-port = 0
api-key = "very-secret-key"
password = "very-secret-password"
"""
    status, out, err = run_binary("--check", config=config)
    assert status == 0, err
    assert "/tmp/dnstapd-check.sock" in out and "secret" not in out + err, out
    rows = [int(line.split()[0]) for line in out.splitlines() if re.match(r" *\d+  ", line)]
    assert len(rows) > 5 and rows[-1] == sum(rows[:-1]), out
    assert rows[-1] < 4_456_448, (
        "the default, history and health included, must fit 4.5 MiB with what is no table"
    )
    assert run_binary("--check", config="[nonsense]\n")[0] == 2
    assert run_binary("--check", config="[input.file]\nenable = true\npath = '/nonexistent'\n")[0] == 1
    for name in os.listdir(os.path.join(TOP, "configs")):
        if name.endswith(".toml"):
            status, _, err = run_binary("--check", "-c", os.path.join(TOP, "configs", name), cwd=TOP)
            # The container's password is in its volume (tests/packages has one).
            mounted = name == "container.toml" and "web-api.password-file: /var/lib/dnstapd/password: " in err
            assert status == (1 if mounted else 0), err


def test_replay_ends_and_repeats():
    capture = os.path.join(DATA, "demo.fstrm")
    once = f"[input.file]\nenable = true\npath = '{capture}'\n"
    status, out, err = run_binary(config=once + "[web-api]\nenable = false\n")
    assert status == 0 and out, err
    frames = len(out.splitlines())
    with Daemon(inputs=False, extra=once + "loop = true\nrate = 2000", fmt="text") as daemon:
        daemon.wait(lambda: daemon.metrics()['dnstapd_received_total{input="file"}'] > 2 * frames)
        assert daemon.stop() == 0
        with open(daemon.out) as file:
            lines = file.read().splitlines()
        assert lines[:frames] == out.splitlines() and lines[frames:2 * frames] == out.splitlines()
    with Daemon(inputs=False, extra=once + "at-end = 'stay'", fmt="text") as daemon:
        daemon.wait(lambda: "replayed" in daemon.log())
        assert daemon.process.poll() is None
        assert len(daemon.lines()) == frames
        assert daemon.stop() == 0


def test_the_rate_of_a_replay():
    capture = os.path.join(DATA, "demo.fstrm")
    with Daemon(inputs=False,
                extra=f"[input.file]\nenable = true\npath = '{capture}'\nloop = true\nrate = 50",
                fmt="text") as daemon:
        time.sleep(1)
        before, start = daemon.metrics()['dnstapd_received_total{input="file"}'], time.monotonic()
        time.sleep(3)
        after, end = daemon.metrics()['dnstapd_received_total{input="file"}'], time.monotonic()
        assert 45 < (after - before) / (end - start) < 55


def test_a_truncated_capture():
    with open(os.path.join(DATA, "demo.fstrm"), "rb") as file:
        raw = file.read()
    with temporary_folder() as folder:
        path = os.path.join(folder, "cut.fstrm")
        with open(path, "wb") as cut:
            cut.write(raw[:-30])
        status, out, err = run_binary(config=f"[input.file]\nenable = true\npath = '{path}'\n[web-api]\n"
                                             f"enable = false\n")
        assert status == 0 and out and "in the middle of a frame" in err, err


def replayed(path, **more):
    """Replays what is at a path: the status, how many records came, and the log."""
    config = f"[input.file]\nenable = true\npath = '{path}'\n[web-api]\nenable = false\n"
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(config)
        file.flush()
        os.chmod(file.name, 0o644)
        done = subprocess.run([BINARY, "-c", file.name], capture_output=True, timeout=60, **more)
    return done.returncode, len(done.stdout.splitlines()), done.stderr.decode()


def test_a_replay_of_a_folder_a_pipe_and_standard_input():
    demo = os.path.join(DATA, "demo.fstrm")
    status, count, _ = replayed(demo)
    assert status == 0 and count > 0
    with temporary_folder() as folder:
        os.chmod(folder, 0o755)
        captures = os.path.join(folder, "captures")
        os.mkdir(captures)
        status, _, err = replayed(captures)
        assert status == 1 and "there is no file in this folder" in err, err
        for name in ("b.fstrm", "a.fstrm"):
            shutil.copy(demo, os.path.join(captures, name))
        status, number, err = replayed(captures)
        assert (status, number) == (0, 2 * count), err
        assert err.index("a.fstrm: replayed") < err.index("b.fstrm: replayed"), err
        # Not a capture: named, the others are read, and the status says that something is missing.
        with open(os.path.join(captures, "c.txt"), "w") as file:
            file.write("hello")
        status, number, err = replayed(captures)
        assert (status, number) == (1, 2 * count) and "c.txt: not a capture" in err, err
        fifo = os.path.join(folder, "pipe")
        os.mkfifo(fifo)
        os.chmod(fifo, 0o666)
        with open(demo, "rb") as file:
            data = file.read()

        def write():
            time.sleep(0.5)
            with open(fifo, "wb") as pipe:
                pipe.write(data[:100])
                pipe.flush()
                time.sleep(0.3)
                pipe.write(data[100:])
        writer = threading.Thread(target=write)
        writer.start()
        assert replayed(fifo)[:2] == (0, count)
        writer.join()
        assert replayed("-", input=data)[:2] == (0, count)
        with open(demo, "rb") as file:
            assert replayed("-", stdin=file)[:2] == (0, count)
        # Another content type: nothing of it is ours.
        other = os.path.join(folder, "other.fstrm")
        with open(other, "wb") as file:
            file.write(data.replace(b"protobuf:dnstap.Dnstap", b"protobuf:other.Message"))
        status, number, err = replayed(other)
        assert (status, number) == (1, 0) and "content type" in err, err


def test_reload():
    with Daemon(extra='[filter]\nqname-regex = "www"') as daemon:
        sender = Sender(daemon.unix)
        from harness import dns
        odd = message(payload=dns("mail.example.com"))
        sender.send(message(), odd)
        assert len(daemon.records()) == 1
        with open(daemon.config) as file:
            text = file.read()
        daemon.write(text.replace('"www"', '"mail"').replace("[output.stdout]",
                                                             "[limits]\nstreams = 7\n[output.stdout]"))
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_for_log("Reloaded")
        assert "limits.streams" in daemon.log() and "filter.qname-regex" in daemon.log()
        sender.send(message(), odd, odd)
        assert len(daemon.records()) == 3
        daemon.write("[filter]\nqname-regex = 5")
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_for_log("Not reloaded")
        sender.send(odd)
        assert len(daemon.records()) == 4
        metrics = daemon.check_accounts()
        assert metrics['dnstapd_filtered_total{input="unix-socket",filter="qname-regex"}'] == 2
        sender.stop()


def test_log_file_is_opened_anew():
    with temporary_folder() as folder:
        log = os.path.join(folder, "d.log")
        path = os.path.join(folder, "dnstap.toml")
        import subprocess
        from harness import BINARY
        with open(path, "w") as file:
            file.write(f"[trace]\nfile = '{log}'\nverbose = true\n[input.tcp-socket]\nlocal-port = 0\n"
                       f"[web-api]\nenable = false\n")
        process = subprocess.Popen([BINARY, "-c", path], stdout=subprocess.DEVNULL)
        try:
            end = time.monotonic() + 5
            while not (os.path.exists(log) and "listening" in open(log).read()):
                assert time.monotonic() < end
                time.sleep(0.05)
            os.rename(log, log + ".1")
            process.send_signal(signal.SIGHUP)
            while not (os.path.exists(log) and "Reloaded" in open(log).read()):
                assert time.monotonic() < end
                time.sleep(0.05)
        finally:
            process.terminate()
            assert process.wait(5) == 0


def test_filters():
    from harness import dns
    with Daemon(extra="""
[filter]
dnstap-identities = "ns1|ns2"
exclude-identities = "ns2-old"
qname-regex = ".*\\\\.com"
exclude-qname-regex = "ads\\\\."
message-types = ["CLIENT_QUERY"]
""") as daemon:
        sender = Sender(daemon.unix)
        keep = dict(identity=b"ns1-bis")
        sender.send(message(**keep), message(identity=b"my-ns1"), message(identity=b"ns2-old"),
                    message(6, **keep),
                    message(payload=dns("www.example.org"), **keep),
                    message(payload=dns("ads.example.com"), **keep),
                    message(identity=None))
        sender.stop()
        assert [record["identity"] for record in daemon.records()] == ["ns1-bis"]
        metrics = daemon.check_accounts()
        filtered = {key.split('filter="')[1].rstrip('"}'): value for key, value in metrics.items()
                    if "dnstapd_filtered_total" in key and "unix" in key and value}
        assert filtered == {"message-types": 1, "dnstap-identities": 2, "exclude-identities": 1,
                            "qname-regex": 1, "exclude-qname-regex": 1}, filtered


def test_check_says_what_a_pattern_costs():
    status, out, err = run_binary("--check", config=r"""
[filter]
qname-regex = '(.*\.)?example\.(com|net)\.$'
exclude-qname-regex = '[0-9]+\.'
""")
    assert status == 0 and "filter: qname-regex, plain text" in out, (out, err)
    assert "filter: exclude-qname-regex, regular expression" in out, out


def test_sampling():
    with Daemon(extra="[filter]\nsample-rate = 10") as daemon:
        sender = Sender(daemon.unix)
        sender.send(*[message()] * 995)
        sender.stop()
        assert len(daemon.records()) == 100
        assert (daemon.check_accounts()['dnstapd_filtered_total{input="unix-socket",filter="sample-rate"}']
                == 895)
