#!/usr/bin/env python3
"""Service definitions: systemd's own opinion of the unit, and the procd script against the calls it makes.

OpenWrt's shell library is no package of Debian, so a few lines stand for it here: they read a UCI file, call
back as its `config_load` does, and write down every procd call.
"""
import json
import os
import re
import subprocess
import tomllib

import harness
from harness import TOP, temporary_folder

OPENWRT = os.path.join(TOP, "configs/openwrt")
LIBRARY = r"""
reset_cb() { config_cb() { :; }; option_cb() { :; }; list_cb() { :; }; }
reset_cb
config() { section_name=$2; config_cb "$1" "$2"; }
option() { eval "got_${section_name}_$1=\$2"; option_cb "$1" "$2"; }
list() { list_cb "$1" "$2"; }
config_load() { [ ! -e "$UCI/$1" ] || . "$UCI/$1"; config_cb; }
config_get() { eval "$1=\${got_$2_$3:-\$4}"; }
config_get_bool() { config_get "$@"; case $(eval "echo \$$1") in 1|on|true|yes|enabled) eval "$1=1";; *) eval "$1=0";; esac; }
note() { for word in "$@"; do printf '%s|' "$word"; done >>"$CALLS"; echo >>"$CALLS"; }
procd_open_instance() { note open "$@"; }
procd_set_param() { note "$@"; }
procd_close_instance() { note close; }
procd_add_reload_trigger() { note trigger "$@"; }
procd_add_raw_trigger() { note raw_trigger "$@"; }
procd_send_signal() { note signal "$@"; }
running() { :; }
restart() { note restart "$@"; }
logger() { note logger "$@"; }
chown() { note chown "$@"; }
. "$SCRIPT"
"$@"
"""
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


class Router:
    """A folder that stands for a router's file system."""

    def __init__(self, uci):
        self.keeper = temporary_folder()
        self.top = self.keeper.name
        with open(os.path.join(OPENWRT, "dnstapd.init")) as file:
            script = file.read()
        # The program and /var of this machine.
        for name, path in (("PROG", harness.BINARY), ("RENDERED", f"{self.top}/var/dnstapd.toml"),
                           ("FOLDER", f"{self.top}/run"), ("KEPT", f"{self.top}/kept")):
            script, count = re.subn(rf"(?m)^{name}=.*$", f"{name}={path}", script)
            assert count == 1, name
        self.write("init", script)
        self.write("library", LIBRARY)
        self.configure(uci)

    def write(self, name, text):
        with open(os.path.join(self.top, name), "w") as file:
            file.write(text)

    def configure(self, uci):
        # UCI's own quoting is the shell's, with indents that the shell does not mind.
        self.write("dnstapd", uci)

    def call(self, *arguments, shell="dash"):
        calls = os.path.join(self.top, "calls")
        self.write("calls", "")
        environment = {"PATH": os.environ["PATH"], "UCI": self.top, "CALLS": calls,
                       "SCRIPT": os.path.join(self.top, "init")}
        command = [*shell.split(), os.path.join(self.top, "library"), *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0 and done.stderr == "", (done.returncode, done.stderr)
        with open(calls) as file:
            return [tuple(line.rstrip("\n").split("|")[:-1]) for line in file]

    def rendered(self):
        with open(os.path.join(self.top, "var/dnstapd.toml"), "rb") as file:
            return tomllib.load(file)


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
        uci = file.read().replace("option enable '1'\n\toption eth_name", "option enable '0'\n\toption eth_name")
    router = Router(uci)
    uci = uci.replace("/var/run/dnstapd", f"{router.top}/run").replace("/etc/dnstapd", f"{router.top}/kept")
    uci = uci.replace("/tmp/dnstapd", f"{router.top}/history")
    router.configure(uci.replace("option user 'dnstapd'", "option user 'nobody'"))
    for shell in ("dash", "busybox ash"):
        calls = router.call("start_service", shell=shell)
        given = [call for call in calls if call[-1].endswith(".put")]
        assert [os.path.basename(call[-1]) for call in given] == ["dnstapd.toml.put", "dnstapd.in-force.toml.put"]
        calls = [call for call in calls if call not in given]
        conf = f"{router.top}/var/dnstapd.toml"
        assert calls == [
            ("chown", "nobody", f"{router.top}/run"),
            ("chown", "nobody", f"{router.top}/history"),
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


def test_procd_names():
    for shell in ("dash", "busybox ash"):
        for section in ("", "config names names\nlist static '192.168.1.5=tv'\nlist static 'aa:bb:cc:dd:ee:ff=phone'\n"):
            router = Router(section + ENABLED)
            router.write("dhcp", "config dnsmasq\noption leasefile /tmp/dhcp.leases\nconfig odhcpd odhcpd\noption leasefile /srv/odhcpd\n")
            router.call("start_service", shell=shell)
            names = router.rendered()["names"]
            assert names["files"][0] == "/tmp/dhcp.leases" and names["files"][5:] == ["/srv/odhcpd"], names
            assert not section or names["static"] == {"192.168.1.5": "tv", "aa:bb:cc:dd:ee:ff": "phone"}, names


def test_procd_switched_off():
    router = Router("config dnstapd main\noption enabled 0\n")
    assert router.call("start_service") == []


def test_procd_a_file_of_its_own():
    router = Router("config dnstapd main\noption file /etc/mine.toml\n")
    assert ("command", harness.BINARY, "--config", "/etc/mine.toml") in router.call("start_service")


def test_procd_reload():
    """A SIGHUP where that is enough, a restart where it is not, and nothing where the configuration is wrong."""
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
