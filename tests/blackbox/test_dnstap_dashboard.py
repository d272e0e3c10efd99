#!/usr/bin/env python3
"""The program dnstap-dashboard, as it is on PyPI, in a terminal emulator (pyte) against a running daemon."""
import contextlib
import importlib.util
import os
import re
import shutil
import sys

import yaml

from harness import temporary_folder
from test_top import Screen, traffic


@contextlib.contextmanager
def dashboard(daemon, size):
    """The program with a configuration that knows the daemon; its code is untouched."""
    with temporary_folder() as folder:
        package = os.path.join(folder, "dnstap_dashboard")
        shutil.copytree(os.path.dirname(importlib.util.find_spec("dnstap_dashboard").origin), package)
        path = os.path.join(package, "dashboard.conf")
        with open(path) as file:
            keys = yaml.safe_load(file)
        keys["refresh-interval"] = 1
        keys["dnstap-receiver"] = {"api-ip": daemon.api[0], "api-port": daemon.api[1], "api-key": "changeme"}
        with open(path, "w") as file:
            yaml.safe_dump(keys, file)
        start = (f"import sys; sys.path.insert(0, {folder!r}); from dnstap_dashboard.dashboard import "
                 f"start_dashboard; start_dashboard()")
        with Screen(size=size, program=[sys.executable, "-Bc", start],
                    environment={"TERM": "linux", "LANG": "C.UTF-8"}) as screen:
            yield screen


def header(text):
    """The numbers at the top, by the names of the API."""
    found = re.search(r"queries: (\d+) total, (\d+) qps, (\d+) udp, (\d+) tcp, (\d+) ip4, (\d+) ip6, (\d+) "
                      r"clients\s+"
                      r"responses: (\d+) total, (\d+) udp, (\d+) tcp, (\d+) ip4, (\d+) ip6\s+domains: (\d+) "
                      r"total, (\d+) noerror, (\d+) nxdomain", text)
    names = ("query qps query/udp query/tcp query/inet query/inet6 clients response response/udp "
             "response/tcp response/inet "
             "response/inet6 domains response/noerror response/nxdomain")
    return found and dict(zip(names.split(), map(int, found.groups())))


def test_its_screen_shows_our_numbers():
    more = ("more=query/udp,query/tcp,query/inet,query/inet6,response/udp,response/tcp,response/inet,"
            "response/inet6")
    with traffic() as daemon, dashboard(daemon, (132, 100)) as screen:
        screen.wait(header)
        screen.wait(lambda text: header(text)["qps"] > 0)
        # Between two answers of the API: what only grows is between theirs.
        before = daemon.json(f"/counters?{more}")["counters"]
        screen.pump(2.5)
        shown, text = header(screen.text()), screen.text()
        after = daemon.json(f"/counters?{more}")["counters"]
        for name in set(shown) - {"qps"}:
            assert before[name] <= shown[name] <= after[name], (name, before[name], shown[name], after[name])
        assert "stream: all" in text
        for title in ("TOP DOMAINS IN QUERIES", "TOP NXDOMAIN", "TOP DNS RETURN CODES",
                      "TOP RESOURCE RECORD TYPES", "TOP CLIENT IP", "TOP BANDWIDTH"):
            assert title in text, text
        # The first row of each table is one of the first that the API has, a moment later.
        tables = daemon.json("/tables?n=5")["tables"]
        heads = {"TOP DOMAINS IN QUERIES": tables["domains"]["noerror/query"],
                 "TOP NXDOMAIN": tables["domains"]["nxdomain/response"],
                 "TOP DNS RETURN CODES": tables["rcodes"]["hit/response"],
                 "TOP RESOURCE RECORD TYPES": tables["rrtypes"]["hit/response"],
                 "TOP CLIENT IP": tables["clients"]["hit/ip"],
                 "TOP BANDWIDTH": tables["clients"]["length/ip"]}
        lines = text.splitlines()
        for head, rows in heads.items():
            line = next(number for number, line in enumerate(lines) if head in line)
            at = lines[line].index(head)
            assert re.match(r"1\. (\S+) +\d",
                            lines[line + 1][at:]).group(1) in [name for name, _ in rows], (head, rows, text)
        screen.keep("dnstap-dashboard")
        # A stream of its own, and the end.
        first = daemon.json("/streams")["streams"][0]
        screen.press("\x1b[C")
        screen.wait(f"[stream: {first}]")
        check_nothing_went_wrong(screen)
        screen.press("q")
        assert screen.end() == 0


def check_nothing_went_wrong(screen):
    """It lives, and has not said anything beside its screen. (At its end it resets the terminal twice, and
    says that this failed.)"""
    screen.pump(0.1)
    assert not re.search(rb"Traceback|Error|ERROR", screen.raw), screen.raw


def test_it_shows_every_stream():
    with traffic() as daemon, dashboard(daemon, (100, 40)) as screen:
        screen.wait(header)
        for stream in daemon.json("/streams")["streams"]:
            screen.press("\x1b[C")
            text = screen.wait(f"[stream: {stream}]")
            screen.pump(1.2)
            shown = header(screen.text())
            counters = daemon.json(f"/counters?stream={stream}")["counters"]
            assert shown["clients"] <= counters["clients"], (stream, text)
            assert 0 < shown["query"] + shown["response"] <= counters["query"] + counters["response"], (
                stream, text)
        check_nothing_went_wrong(screen)
        screen.press("q")
        assert screen.end() == 0
