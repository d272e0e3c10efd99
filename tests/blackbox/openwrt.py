"""OpenWrt's side of the procd script: its shell library, as far as the script uses it, and a router's files.

The library is no package of Debian, so a few lines stand for it: they read a UCI file, call back as its
`config_load` does, and write down every procd call.
"""
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
extra_command() { note extra "$@"; }
network_get_ipaddrs() { [ "$2" != lan ] || eval "$1='192.0.2.1 192.0.2.2'"; [ "$2" = lan ]; }
uci() { [ "$*" != "-q get network.guest.ipaddr" ] || echo 198.51.100.1/24; }
logger() { note logger "$@"; }
chown() { note chown "$@"; }
. "$SCRIPT"
"$@"
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
        """The calls that a command of the script makes, which must succeed."""
        done = self.run(*arguments, shell=shell)
        assert done.returncode == 0 and done.stderr == "", (done.returncode, done.stderr)
        with open(os.path.join(self.top, "calls")) as file:
            calls = [tuple(line.rstrip("\n").split("|")[:-1]) for line in file]
        assert calls.pop(0)[:2] == ("extra", "check")
        return calls

    def run(self, *arguments, shell="dash"):
        calls = os.path.join(self.top, "calls")
        self.write("calls", "")
        environment = {"PATH": os.environ["PATH"], "UCI": self.top, "CALLS": calls,
                       "SCRIPT": os.path.join(self.top, "init")}
        command = [*shell.split(), os.path.join(self.top, "library"), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)

    def rendered(self):
        with open(os.path.join(self.top, "var/dnstapd.toml"), "rb") as file:
            return tomllib.load(file)
