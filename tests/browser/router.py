"""A router with LuCI for the browser: serves the views, and ubus over JSON-RPC.

No image of OpenWrt is at hand. What is ours is run as it is: the views in the browser, the rpcd script and
the init script in busybox' ash, and dnstapd. What stands for OpenWrt's own: luci.js and luci.css for LuCI,
this server for uhttpd, rpcd and its access lists, JSHN for libubox' JSON in the shell, openwrt.py for UCI's
shell library.
"""
import http.server
import json
import os
import re
import shlex
import subprocess
import sys
import threading

from harness import BINARY, TOP, free_port
from openwrt import Router

HERE = os.path.dirname(os.path.abspath(__file__))
APP = os.path.join(TOP, "cross/luci-app-dnstapd")
NAME = "luci-app-dnstapd"

# libubox' jshn.sh, by Python instead of by its program in C: the calls are noted, and made JSON in the end.
JSHN = rf"""
NOTES=$HOME/json
json_init() {{ : >"$NOTES"; }}
json_add_string() {{ printf 'string\0%s\0%s\0' "$1" "$2" >>"$NOTES"; }}
json_add_int() {{ printf 'int\0%s\0%s\0' "$1" "$2" >>"$NOTES"; }}
json_add_boolean() {{ printf 'boolean\0%s\0%s\0' "$1" "$2" >>"$NOTES"; }}
json_add_object() {{ printf 'object\0%s\0\0' "$1" >>"$NOTES"; }}
json_close_object() {{ printf 'close\0\0\0' >>"$NOTES"; }}
json_dump() {{ {sys.executable} -B {HERE}/jshn.py dump <"$NOTES"; }}
json_load() {{ printf '%s' "$1" >"$NOTES" && {sys.executable} -B {HERE}/jshn.py get '' <"$NOTES" >/dev/null; }}
json_get_var() {{ eval "$1=\$({sys.executable} -B {HERE}/jshn.py get $2 <$NOTES)"; }}
"""


def parsed(text):
    """Sections of a UCI file, in order."""
    sections = {}
    for line in text.splitlines():
        words = shlex.split(line, comments=True)
        if not words:
            continue
        if words[0] == "config":
            current = sections[words[2]] = {".type": words[1], ".name": words[2], ".anonymous": False}
        elif words[0] == "option":
            current[words[1]] = words[2]
        else:
            current.setdefault(words[1], []).append(words[2])
    return sections


def written(sections):
    """A UCI file of these."""
    lines = []
    for name, options in sections.items():
        lines.append(f"config {options['.type']} {shlex.quote(name)}")
        for option, value in options.items():
            if not option.startswith("."):
                kind, values = ("list", value) if isinstance(value, list) else ("option", [value])
                lines += [f"\t{kind} {option} {shlex.quote(one)}" for one in values]
    return "\n".join(lines) + "\n"


class LuciRouter(Router):
    """The router's files, its dnstapd, and a web server with LuCI."""

    def __init__(self):
        with open(os.path.join(TOP, "configs/openwrt/dnstapd.config")) as file:
            sections = parsed(file.read())
        super().__init__("")
        self.tcp, self.port = ("127.0.0.1", free_port()), free_port()
        sections["process"]["user"] = "root"
        sections["web_api"] |= {"local_port": str(self.port), "password_file": f"{self.top}/kept/password"}
        sections["web_api"].pop("interface")
        sections["history"]["path"] = f"{self.top}/history"
        sections["sniffer"]["enable"] = "0"
        sections["unix_socket"]["path"] = f"{self.top}/run/dnstap.sock"
        sections["tcp_socket"] = {".type": "input", "enable": "1", "local_port": str(self.tcp[1])}
        self.configure(written(sections))
        self.called, self.staged, self.daemon = [], {}, None
        self.install_rpcd()
        self.call("start_service", shell="busybox ash")
        self.start()
        with open(f"{APP}/root/usr/share/rpcd/acl.d/{NAME}.json") as file:
            self.access = json.load(file)[NAME]
        with open(f"{APP}/root/usr/share/luci/menu.d/{NAME}.json") as file:
            self.menu = json.load(file)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.origin = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def start(self):
        self.daemon = subprocess.Popen([BINARY, "-c", f"{self.top}/var/dnstapd.toml"],
                                       stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL,
                                       stderr=open(f"{self.top}/log", "wb"))

    def stop(self):
        self.daemon.terminate()
        assert self.daemon.wait(20) == 0

    def install_rpcd(self):
        with open(f"{APP}/root/usr/libexec/rpcd/luci.dnstapd") as file:
            script = file.read()
        for name, path in (("PROG", BINARY), ("INIT", f"{self.top}/service"),
                           ("RENDERED", f"{self.top}/var/dnstapd.toml"), ("JSHN", f"{self.top}/jshn.sh")):
            script, count = re.subn(rf"(?m)^{name}=.*$", f"{name}={path}", script)
            assert count == 1, name
        self.write("luci.dnstapd", script)
        self.write("jshn.sh", JSHN)
        self.write("service", f"""#!/bin/sh
[ "$1" != running ] || exec kill -0 "$DAEMON" 2>/dev/null
export UCI={self.top} CALLS={self.top}/calls SCRIPT={self.top}/init
exec busybox ash {self.top}/library "$1"
""")
        self.write("uci", "#!/bin/sh\nexit 1\n")
        for name in ("service", "uci"):
            os.chmod(f"{self.top}/{name}", 0o755)

    def rpcd(self, *words, given=""):
        """As rpcd runs it; a folder for each call, for several run at once."""
        folder = f"{self.top}/call-{threading.get_ident()}"
        os.makedirs(folder, exist_ok=True)
        environment = {
            "PATH": f"{self.top}:{os.environ['PATH']}",
            "HOME": folder,
            "DAEMON": str(self.daemon.pid)
        }
        done = subprocess.run(["busybox", "ash", f"{self.top}/luci.dnstapd", *words],
                              input=given,
                              env=environment,
                              capture_output=True,
                              text=True,
                              timeout=60)
        assert done.stderr == "", done
        return done

    def is_allowed(self, object_name, method):
        return any(method in self.access[way]["ubus"].get(object_name, []) for way in ("read", "write"))

    def ubus(self, object_name, method, params):
        """The result of a call: its status, and what it answers."""
        if object_name == "luci.dnstapd":
            if not self.is_allowed(object_name, method):
                return [6]
            done = self.rpcd("call", method, given=json.dumps(params))
            return [0, json.loads(done.stdout)] if done.returncode == 0 else [3]
        assert object_name == "uci", (object_name, method)
        way = "read" if method == "get" else "write"
        if method != "apply" and params["config"] not in self.access[way]["uci"]:
            return [6]
        with open(f"{self.top}/dnstapd") as file:
            sections = parsed(file.read())
        if method == "get":
            return [0, {"values": sections}]
        if method == "set":
            self.staged.setdefault(params["section"], {}).update(params["values"])
            return [0]
        for name, values in self.staged.items():
            for option, value in values.items():
                if value in ("", []):
                    sections[name].pop(option, None)
                else:
                    sections[name][option] = value
        self.staged = {}
        self.configure(written(sections))
        return [0]

    def page(self, view):
        tabs = [(path, entry) for path, entry in self.menu.items() if entry["action"]["type"] == "view"]
        links = "".join(f'<a href="/cgi-bin/luci/{path}">{entry["title"]}</a>' for path, entry in tabs)
        path = next((entry["action"]["path"] for path, entry in tabs if path == view), None)
        return path and (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" '
            f'content="width=device-width">'
            f'<title>LuCI</title><link rel="stylesheet" href="/luci.css"><link rel="icon" href="data:,">'
            f'<body data-view="{path}"><nav>{links}</nav><main id="view"></main><script '
            f'src="/luci.js"></script>'
        )

    def handler(router):
        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self, text, kind):
                raw = text.encode()
                self.send_response(200 if text else 404)
                self.send_header("Content-Type", kind + "; charset=utf-8")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def do_GET(self):
                path = self.path.split("?")[0]
                static = {
                    "/luci.js": f"{HERE}/luci.js",
                    "/luci.css": f"{HERE}/luci.css"
                }.get(path, f"{APP}/htdocs{path}")
                if path.startswith("/cgi-bin/luci/"):
                    return self.answer(router.page(path.removeprefix("/cgi-bin/luci/")) or "", "text/html")
                with open(static) as file:
                    self.answer(file.read(), "text/css" if path.endswith("css") else "text/javascript")

            def do_POST(self):
                assert self.path == "/cgi-bin/luci/admin/ubus", self.path
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                _, object_name, method, params = asked["params"]
                router.called.append((object_name, method, params))
                result = router.ubus(object_name, method, params)
                self.answer(json.dumps({
                    "jsonrpc": "2.0",
                    "id": asked["id"],
                    "result": result
                }), "application/json")

            def log_message(self, *_):
                pass
        return Handler

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.daemon.kill()
        self.daemon.wait()
