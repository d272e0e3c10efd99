#!/usr/bin/env python3
"""`dnstapd cat`, completions, man pages: the programs for people."""
import os
import re
import shlex
import shutil
import subprocess
import time

import pytest

from harness import (BINARY, CONTENT_TYPE, DATA, START, STOP, TOP, control, dns, frame, message, natively,
                     run_binary, temporary_folder)
from test_top import Screen

ANY = os.path.join(DATA, "unbound.fstrm")


def capture(folder, *messages):
    path = os.path.join(folder, "capture.fstrm")
    with open(path, "wb") as file:
        file.write(control(START, CONTENT_TYPE) + b"".join(map(frame, messages)) + control(STOP))
    return path


def exchanges():
    """Ten queries and their responses: two NXDOMAIN, one with 0.0.0.0, after 50 ms."""
    for number in range(10):
        name = f"n{number}.example.com." if number % 2 else f"n{number}.example.org."
        client = bytes([192, 0, 2, number])
        qtype = 28 if number == 5 else 1
        yield message(5, dns(name, qtype, number), when=(1700000000 + number, 0), address=client)
        rcode = 3 if number in (3, 4) else 0
        answer = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\0\0\0\0" if number == 7 else b""
        payload = bytearray(dns(name, qtype, number, flags=0x8180 | rcode) + answer)
        payload[7] = 1 if answer else 0
        yield message(6, bytes(payload), when=(1700000000 + number, 50_000_000), address=client)


def test_cat_prints_what_a_replay_prints():
    with temporary_folder() as folder:
        path = capture(folder, *exchanges())
        status, out, err = run_binary("cat", path)
        assert status == 0 and err == "", (status, err)
        lines = out.splitlines()
        assert len(lines) == 20
        assert lines[1] == (
            "2023-11-14T22:13:20.050000+00:00 lb1 CLIENT_RESPONSE NOERROR 192.0.2.0 50000 INET UDP 32b "
            "n0.example.org. A 0.050"), lines[1]
        with open(path, "rb") as file:
            read = subprocess.run([BINARY, "cat", "-"],
                                  stdin=file,
                                  capture_output=True,
                                  text=True,
                                  timeout=20)
        assert (read.returncode, read.stdout) == (0, out), read.stderr
        status, json_lines, _ = run_binary("cat", "--format=json", path)
        assert status == 0 and json_lines.count('"message":"CLIENT_QUERY"') == 10
        config = ("[web-api]\nenable = false\n[output.stdout]\nenable = true\n"
                  f"[input.file]\nenable = true\npath = '{path}'\n")
        assert run_binary(config=config)[1] == out


def test_cat_takes_the_conditions_of_the_log():
    with temporary_folder() as folder:
        path = capture(folder, *exchanges())
        for words, number in [
            (["name=example.com"], 10),
            (["name=n3.example.com,n4.*"], 4),
            (["type=AAAA"], 2),
            (["rcode=NXDOMAIN"], 2),
            (["status=blocked"], 1),
            (["status=blocked,nxdomain"], 3),
            (["message=CLIENT_QUERY"], 10),
            (["client=192.0.2.0/30"], 8),
            (["client=192.0.2.1", "client=192.0.2.2"], 4),
            (["stream=lb1"], 20),
            (["stream=lb2"], 0),
            (["protocol=TCP"], 0),
            (["min-latency=0.04"], 10),
            (["min-latency=0.1"], 0),
            (["since=2023-11-14T22:13:28Z"], 4),
            (["until=2023-11-14T22:13:20Z"], 1),
            (["since=-60"], 0),
            (["name=example.com", "status=nxdomain"], 1),
        ]:
            filters = [word for one in words for word in ("--filter", one)]
            status, out, err = run_binary("cat", *filters, path)
            assert status == 0 and len(out.splitlines()) == number, (words, out, err)


def test_cat_says_what_is_wrong():
    with temporary_folder() as folder:
        text = os.path.join(folder, "text")
        with open(text, "w") as file:
            file.write("no capture")
        for words, expected, why in [
            (["/nonexistent"], 1, "/nonexistent"),
            ([text], 1, "not a capture"),
            (["--format", "xml", text], 2, "xml"),
            (["--filter", "colour=red", text], 2, "min-latency"),
            (["--filter", "type", text], 2, "KEY=VALUE"),
            (["--filter", "type=NOTYPE!", text], 2, "`type`"),
            (["--limit", "3", text], 2, "--limit"),
            ([text, text], 2, "Usage"),
        ]:
            status, out, err = run_binary("cat", *words)
            assert status == expected and why in err and not out, (words, status, err)


def test_cat_ends_when_nobody_reads():
    with temporary_folder() as folder:
        path = capture(folder, *exchanges(), *[message()] * 50_000)
        cat = subprocess.Popen([BINARY, "cat", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert b"n0.example.org." in cat.stdout.readline()
        cat.stdout.close()
        assert cat.wait(30) == 0 and cat.stderr.read() == b""


@natively("an emulator gives no terminal")
@pytest.mark.parametrize("environment, coloured", [({"TERM": "xterm"}, True),
                                                   ({"TERM": "xterm", "NO_COLOR": "1"}, False)])
def test_on_a_terminal_it_is_aligned_and_coloured(environment, coloured):
    with temporary_folder() as folder:
        path = capture(folder, message(5, dns("a.example.", ident=1), port=7),
                       message(6, dns("bbbb.example.", flags=0x8183)))
        screen = Screen(size=(160, 24), environment=environment, program=[BINARY, "cat", path])
        end = time.monotonic() + 20
        while b"bbbb.example." not in screen.raw and time.monotonic() < end:
            screen.pump(0.1)
        rows = [row.rstrip() for row in screen.screen.display if "lb1" in row]
        assert len(rows) == 2, screen.raw
        assert rows[0].index(" A") == rows[1].index(
            " A") and "NOERROR  192.0.2.10     7 INET" in rows[0], rows
        assert (b"\x1b[33mNXDOMAIN\x1b[0m" in screen.raw) == coloured, screen.raw
        assert (b"\x1b[3" in screen.raw) == coloured, screen.raw


def options(*words):
    status, out, _ = run_binary("help", *words)
    assert status == 0
    return set(re.findall(r"--[a-z-]+", out.split("Options:")[1]))


def test_completions_know_every_option():
    programs = ["top", "cat", "password"]
    for shell in ("bash", "zsh", "fish"):
        status, out, err = run_binary("completions", shell)
        assert status == 0 and not err
        for program in [None, *programs]:
            for option in options(*[program] if program else []):
                assert option in out or f"-l {option[2:]}" in out, (shell, program, option)
        assert all(program in out for program in [*programs, "completions"])
        if shutil.which(shell):
            subprocess.run([shell, "-n"], input=out, text=True, check=True, timeout=20)
    for words in ([], ["tcsh"], ["bash", "zsh"]):
        status, out, err = run_binary("completions", *words)
        assert status == 2 and "bash|zsh|fish" in err and not out


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
def test_completions_of_bash():
    def complete(*words):
        script = f"""eval "$("$0" completions bash)"; COMP_WORDS=("$@"); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
            compopt() {{ :; }}; _dnstapd; printf '%s\\n' "${{COMPREPLY[@]}}" """
        return subprocess.run(["bash", "-c", script, BINARY, "dnstapd", *words],
                              capture_output=True,
                              text=True,
                              timeout=60).stdout.split()

    if not os.environ.get("DNSTAPD_EMULATOR"):
        assert complete("c") == ["cat", "completions"]
        assert complete("--ch") == ["--check"]
        assert complete("cat", "--fi") == ["--filter"]
        assert complete("cat", "--format", "j") == ["json"]
        assert complete("cat", "--filter", "mi") == ["min-latency="]


@pytest.mark.skipif(not shutil.which("fish"), reason="no fish")
def test_completions_of_fish():
    def complete(line):
        script = f"{BINARY} completions fish | source; complete -C {shlex.quote(line)}"
        with temporary_folder() as home:
            done = subprocess.run(["fish", "-c", script],
                                  capture_output=True,
                                  text=True,
                                  timeout=60,
                                  env={
                                      **os.environ, "HOME": home
                                  })
        assert done.returncode == 0 and not done.stderr, done
        return [found.split("\t")[0] for found in done.stdout.splitlines()]

    assert complete("dnstapd c") == ["cat", "completions"]
    assert complete("dnstapd --ch") == ["--check"]
    assert complete("dnstapd cat --format j") == ["json"]
    assert complete("dnstapd cat --filter mi") == ["min-latency="]
    assert complete("dnstapd top --api") == ["--api-key-file"]


@pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh")
def test_completions_of_zsh():
    with temporary_folder() as top:
        with open(os.path.join(top, "_dnstapd"), "w") as file:
            file.write(run_binary("completions", "zsh")[1])
        script = ("fpath=($0 $fpath); autoload -Uz compinit; compinit -u -D; "
                  "print $_comps[dnstapd]; autoload +X _dnstapd")
        done = subprocess.run(["zsh", "-f", "-c", script, top], capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout, done.stderr) == (0, "_dnstapd\n", ""), done


def test_reference_and_man_pages():
    done = subprocess.run([os.path.join(TOP, "scripts/reference"), "--check"],
                          capture_output=True,
                          text=True,
                          timeout=60)
    assert done.returncode == 0, f"{done.stderr}\nscripts/reference makes them anew"
    pages = [os.path.join(TOP, "configs/man", name) for name in ("dnstapd.1", "dnstap.toml.5")]
    if shutil.which("mandoc"):
        done = subprocess.run(["mandoc", "-Tlint", "-Wwarning", *pages],
                              capture_output=True,
                              text=True,
                              timeout=60)
        assert not done.stdout, done.stdout
    with open(pages[0], encoding="utf-8") as file:
        page = file.read().replace("\\-", "-")
    for program in ("top", "cat", "password"):
        for option in options(program) | options():
            assert f"Fl {option[1:]}" in page, (program, option)
