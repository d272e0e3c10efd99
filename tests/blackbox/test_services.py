#!/usr/bin/env python3
"""Service definitions: systemd's own opinion of the unit, and the procd script against the calls it makes.

What stands for OpenWrt is in openwrt.py.
"""
import json
import os
import re
import subprocess

import harness
from harness import TOP, temporary_folder
from openwrt import OPENWRT, Router

ENABLED = r"""
config dnstapd main
option enabled 1
config limits limits
option profile small
config web_api web_api
option enable 0
option password 'a\b"c $HOME 12'
config input tcp_socket
option enable yes
option local_port 0
list access_control_list 127.0.0.0/8
list access_control_list ::1
config input sniffer
option enable off
list dns_port 53
list dns_port 5353
config statistics statistics
list default_top 'noerror/query'
config output syslog
option enable 0
option remote_address 192.0.2.1
option remote_port 514
config output kafka
list rdkafka_config 'bootstrap.servers=a:1,b:2'
list rdkafka_config 'linger.ms=5'
option topic dns
"""


def test_systemd_unit():
    unit = os.path.join(TOP, "configs/dnstapd.service")
    with temporary_folder() as top:
        for name in ("dnstapd.service", "dnstapd.service.d/sniffer.conf"):
            source = unit if name.endswith("service") else os.path.join(TOP, "configs/dnstapd-sniffer.conf")
            os.makedirs(os.path.dirname(os.path.join(top, name)), exist_ok=True)
            with open(source) as file, open(os.path.join(top, name), "w") as copy:
                copy.write(file.read().replace("/usr/sbin/dnstapd", harness.BINARY))
            os.chmod(os.path.join(top, name), 0o644)
            done = subprocess.run(["systemd-analyze", "verify", os.path.join(top, "dnstapd.service")],
                                  capture_output=True, text=True)
            assert done.returncode == 0 and not done.stderr, done.stderr
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", unit], capture_output=True,
                          text=True)
    score = float(re.search(r"exposure level for dnstapd.service: ([0-9.]+)", done.stdout).group(1))
    with open(os.path.join(TOP, "docs/install.md")) as file:
        said = float(re.search(r"`systemd-analyze security` (?:gives|says) ([0-9.]+)", file.read()).group(1))
    # Releases of systemd differ by a few tenths.
    assert abs(score - said) <= 0.5, (score, said)


def test_procd_instance():
    with open(os.path.join(OPENWRT, "dnstapd.config")) as file:
        uci = file.read().replace("option enable '1'\n\toption eth_name",
                                  "option enable '0'\n\toption eth_name")
    router = Router(uci)
    uci = uci.replace("/var/run/dnstapd", f"{router.top}/run").replace("/etc/dnstapd", f"{router.top}/kept")
    uci = uci.replace("/tmp/dnstapd", f"{router.top}/history")
    router.configure(uci.replace("option user 'dnstapd'", "option user 'nobody'"))
    for shell in ("dash", "busybox ash"):
        calls = router.call("start_service", shell=shell)
        given = [call for call in calls if call[-1].endswith(".put")]
        assert [os.path.basename(call[-1])
                for call in given] == ["dnstapd.toml.put", "dnstapd.in-force.toml.put"]
        calls = [call for call in calls if call not in given]
        conf = f"{router.top}/var/dnstapd.toml"
        assert calls == [
            ("chown", "nobody", f"{router.top}/run"),
            ("open",),
            ("command", harness.BINARY, "--config", conf),
            ("respawn", "3600", "5", "5"),
            ("stderr", "1"),
            ("capabilities", "/etc/capabilities/dnstapd.json"),
            ("no_new_privs", "1"),
            ("term_timeout", "8"),
            ("close",),
        ], calls
    assert router.call("service_triggers") == [
        ("trigger", "dnstapd"), ("raw_trigger", "interface.*.up", "2000", "/etc/init.d/dnstapd", "reload"),
    ]
    config = router.rendered()
    assert config["process"]["user"] == "nobody", config
    # The other programs find it, and what the owner has written there stays.
    found = f"{router.top}/kept/dnstap.toml"
    assert os.readlink(found) == conf
    os.unlink(found)
    router.write("kept/dnstap.toml", "mine")
    router.call("start_service")
    assert not os.path.islink(found)
    assert config["input"]["sniffer"] == {"enable": False, "eth-name": "br-lan"}, config
    assert config["output"]["stdout"] == {"enable": False} and config["limits"] == {"profile": "small"}
    with open(os.path.join(OPENWRT, "dnstapd.json")) as file:
        sets = json.load(file)
    assert sets["bounding"] == sets["effective"] == sets["permitted"] and "CAP_NET_RAW" in sets["bounding"]


def test_procd_configuration():
    for shell in ("dash", "busybox ash"):
        router = Router(ENABLED)
        router.call("start_service", shell=shell)
        assert router.rendered() == {
            "limits": {"profile": "small"},
            "web-api": {"enable": False, "password": 'a\\b"c $HOME 12'},
            "input": {"tcp-socket": {"enable": True, "local-port": 0,
                                     "access-control-list": ["127.0.0.0/8", "::1"]},
                      "sniffer": {"enable": False, "dns-port": [53, 5353]}},
            "statistics": {"default-top": ["noerror/query"]},
            "output": {"syslog": {"enable": False, "remote-address": "192.0.2.1", "remote-port": 514},
                       "kafka": {"rdkafka-config": {"bootstrap.servers": "a:1,b:2", "linger.ms": "5"},
                                 "topic": "dns"}},
        }, router.rendered()


def test_procd_networks():
    """The page is there for the networks that are named, at the addresses they have or will have."""
    for shell in ("dash", "busybox ash"):
        for words, expected in (
            ("list interface lan", ["127.0.0.1", "192.0.2.1", "192.0.2.2"]),
            ("list interface lan\nlist interface guest\noption local_address ::1",
             ["::1", "192.0.2.1", "192.0.2.2", "198.51.100.1"]),
            ("list interface wan\nlist local_address 127.0.0.1\nlist local_address 192.0.2.9",
             ["127.0.0.1", "192.0.2.9"]),
            ("list interface lan\nlist local_address 192.0.2.2", ["192.0.2.2", "192.0.2.1"]),
        ):
            router = Router(ENABLED.replace("config web_api web_api\n", f"config web_api web_api\n{words}\n"))
            router.call("start_service", shell=shell)
            assert router.rendered()["web-api"]["local-address"] == expected, (words, router.rendered())


def test_procd_check():
    """`service dnstapd check` says what would run, or what is wrong, and changes nothing."""
    for shell in ("dash", "busybox ash"):
        router = Router(ENABLED)
        done = router.run("check", shell=shell)
        assert done.returncode == 0 and "\ninput: tcp-socket " in done.stdout and done.stderr == "", done
        router.configure(ENABLED.replace("profile small", "profile huge"))
        done = router.run("check", shell=shell)
        assert done.returncode == 2 and "limits.profile" in done.stderr, done
        assert os.listdir(f"{router.top}/var") == []
        router.configure("config dnstapd main\noption file /nowhere.toml\n")
        assert "/nowhere.toml" in router.run("check", shell=shell).stderr


def test_procd_names():
    for shell in ("dash", "busybox ash"):
        for section in (
                "",
                "config names names\nlist static '192.168.1.5=tv'\nlist static 'aa:bb:cc:dd:ee:ff=phone'\n"):
            router = Router(section + ENABLED)
            router.write(
                "dhcp",
                "config dnsmasq\noption leasefile /tmp/dhcp.leases\nconfig odhcpd odhcpd\n"
                "option leasefile /srv/odhcpd\n"
            )
            router.call("start_service", shell=shell)
            names = router.rendered()["names"]
            assert names["files"][0] == "/tmp/dhcp.leases" and names["files"][5:] == ["/srv/odhcpd"], names
            assert not section or names["static"] == {
                "192.168.1.5": "tv",
                "aa:bb:cc:dd:ee:ff": "phone"
            }, names


def test_procd_switched_off():
    router = Router("config dnstapd main\noption enabled 0\n")
    assert router.call("start_service") == []


def test_procd_a_file_of_its_own():
    router = Router("config dnstapd main\noption file /etc/mine.toml\n")
    assert ("command", harness.BINARY, "--config", "/etc/mine.toml") in router.call("start_service")


def test_procd_reload():
    """A SIGHUP where that is enough, a restart where it is not, and nothing where the configuration is
    wrong."""
    for shell in ("dash", "busybox ash"):
        router = Router(ENABLED)
        router.call("start_service", shell=shell)
        kept = lambda: [call for call in router.call("reload_service", shell=shell) if call[0] != "chown"]
        assert kept() == [("signal", "dnstapd", "*", "HUP")]
        filtered = ENABLED + "config filter filter\nlist message_types CLIENT_QUERY\n"
        router.configure(filtered)
        assert kept() == [("signal", "dnstapd", "*", "HUP")]
        assert router.rendered()["filter"] == {"message-types": ["CLIENT_QUERY"]}
        router.configure(filtered.replace("profile small", "profile tiny"))
        assert kept() == [("restart",)]
        router.configure(filtered.replace("profile small", "profile huge"))
        complaint, = kept()
        assert complaint[0] == "logger" and "limits.profile" in complaint[-1]
        assert router.rendered()["limits"] == {"profile": "small"}


def test_procd_keeps_what_works():
    router = Router(ENABLED)
    router.call("start_service")
    before = router.rendered()
    router.configure(ENABLED.replace("profile small", "profile huge"))
    calls = router.call("start_service")
    complaint = [call for call in calls if call[0] == "logger"]
    assert len(complaint) == 1 and "limits.profile" in complaint[0][-1] and "tiny" in complaint[0][-1], calls
    assert ("close",) in calls and router.rendered() == before


def test_every_key_has_its_type():
    """What the script writes without quotes is what the configuration says is a number or a truth value."""
    with open(os.path.join(OPENWRT, "dnstapd.init")) as file:
        script = file.read()
    words = lambda name: set(re.search(rf'(?m)^{name}="([^"]*)"', script).group(1).split())
    with open(os.path.join(TOP, "configs/dnstap.toml")) as file:
        lines = [match.groups() for match in re.finditer(r"(?m)^(?:# )?([a-z-]+) = (\S+)", file.read())]
    key = lambda name: name.replace("-", "_")
    flags = {key(name) for name, value in lines if value in ("true", "false")}
    numbers = {key(name) for name, value in lines if re.fullmatch(r"\d+", value)} | {"dns_port"}
    assert words("FLAGS") == flags, words("FLAGS") ^ flags
    assert words("NUMBERS") == numbers, words("NUMBERS") ^ numbers
