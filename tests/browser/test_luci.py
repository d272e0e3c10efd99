"""The views of luci-app-dnstapd in a real browser, down to a running dnstapd; what stands for OpenWrt is in
router.py."""
import contextlib
import json
import os
import subprocess
import time
import tomllib

from harness import Sender, dns, message
from pages import SCREENSHOTS, browser
from router import APP, LuciRouter

EVIL = "<img/src=x/onerror=hit=1>"


def wire(text):
    return bytes([len(text)]) + text.encode() + b"\0"


class Views:
    """A page of the router that is watched."""

    def __init__(self, chromium, router, width=1280, height=900):
        self.router, self.complaints, self.asked = router, [], []
        self.context = chromium.new_context(viewport={"width": width, "height": height})
        self.page = self.context.new_page()
        self.page.on("console", lambda line: self.complaints.append(f"{line.type}: {line.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("request", lambda request: self.asked.append(request.url))

    def open(self, view):
        self.page.goto(f"{self.router.origin}/cgi-bin/luci/admin/services/dnstapd/{view}")
        self.ready()

    def ready(self):
        self.page.wait_for_selector("body[data-ready]")

    def text(self):
        return self.page.locator("#view").inner_text()

    def until(self, condition, why, seconds=20):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"{why}\n{self.text()}\n{self.complaints}"
            self.page.wait_for_timeout(50)

    def rows(self, title):
        """The body of the table below a heading."""
        found = self.page.locator(".cbi-section",
                                  has=self.page.get_by_role("heading", name=title,
                                                            exact=True)).locator("tr:has(td)")
        return found.evaluate_all(
            "rows => rows.map(row => [...row.cells].map(cell => cell.innerText.trim()))")

    def log(self):
        return self.page.locator("tr:has(td)").evaluate_all(
            "rows => rows.map(row => [...row.cells].map(cell => cell.innerText.trim()))")

    def screenshot(self, name):
        os.makedirs(SCREENSHOTS, exist_ok=True)
        self.page.screenshot(path=os.path.join(SCREENSHOTS, name + ".png"), full_page=True)

    def check(self):
        assert self.complaints == [], self.complaints
        assert all(url.startswith((self.router.origin + "/", "data:")) for url in self.asked), self.asked
        width, inner = self.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert width <= inner, (width, inner)
        assert self.page.evaluate("typeof hit") == "undefined"


@contextlib.contextmanager
def router_with_traffic():
    with LuciRouter() as router:
        for _ in range(600):
            with contextlib.suppress(OSError):
                sender = Sender(router.tcp)
                break
            time.sleep(.05)
        asked = int(time.time())
        for number, (name, address, rcode, times) in enumerate(
            (("www.example.com.", 10, 0, 5), ("ads.example.net.", 10, 3, 2), ("cdn.example.org.", 11, 0, 3),
             (EVIL, 12, 0, 1))):
            for turn in range(times):
                payload = dict(wire_name=wire(EVIL)) if name == EVIL else dict(qname=name)
                keys = dict(address=bytes([192, 168, 1, address]), when=(asked, 0))
                ident = number * 16 + turn
                sender.send(
                    message(5, dns(ident=ident, **payload), **keys),
                    message(6,
                            dns(ident=ident, flags=0x8180 | rcode, **payload),
                            asked=(asked, 0),
                            **keys | dict(when=(asked, 4000000))))
        yield router


def test_the_object_on_ubus():
    """The rpcd script by itself: what it lists is what the access list names, and it hands answers and
    complaints on."""
    with router_with_traffic() as router:
        listed = json.loads(router.rpcd("list").stdout)
        named = {method for way in ("read", "write") for method in router.access[way]["ubus"]["luci.dnstapd"]}
        assert set(listed) == named and listed["log"] == {"query": ""} and listed["status"] == {}, listed
        call = lambda method, **params: json.loads(
            router.rpcd("call", method, given=json.dumps(params)).stdout)
        end = time.monotonic() + 20
        while call("counters", query="more=response").get("counters", {}).get("response") != 11:
            assert time.monotonic() < end, call("counters", query="more=response")
            time.sleep(.1)
        status = call("status")
        assert status["running"] is True and status["ready"] == "ok" and status["version"].startswith(
            "dnstapd "), status
        assert [row["qname"]
                for row in call("log", query="name=example.net&limit=9")["log"]] == ["ads.example.net."] * 2
        assert len(call("devices")["devices"]) == 3
        assert "parameters" in call("log", query="colour=red")["error"]
        for wrong in ("$(id)", "a b", "`id`", "a'b", 'a"b', "a;b", "a\\b", "ä"):
            assert "not encoded" in call("log", query=wrong)["error"], wrong
        assert "\ninput: tcp-socket" in call("check")["text"] and call("check")["code"] == 0
        with open(f"{router.top}/kept/password") as file:
            assert call("password") == {"code": 0, "text": f"login: admin\n{file.read().strip()}"}
        assert router.rpcd("call", "metrics", given="{}").returncode == 1
        router.stop()
        assert "refused" in call("counters")["error"] and call("status")["running"] is False
        assert "refused" in call("status")["error"]


def test_overview_and_log():
    with router_with_traffic() as router, browser() as chromium:
        views = Views(chromium, router)
        views.open("overview")
        views.until(lambda: ["Queries", "11"] in views.rows("Since the start"), "no numbers")
        assert ["Service", "well"] in views.rows("State")
        devices = views.rows("Devices that ask most")
        assert [row[:2] for row in devices] == [["192.168.1.10", "7"], ["192.168.1.11", "3"],
                                                ["192.168.1.12", "1"]], devices
        names = views.rows("Names that are asked for most")
        assert names[0] == ["www.example.com", "5"] and [EVIL, "1"] in names, names
        assert views.rows("Names that do not exist") == [["ads.example.net", "2"]]
        views.check()
        views.screenshot("luci-overview")
        # A device leads to its exchanges.
        views.page.get_by_role("link", name="192.168.1.11").click()
        views.ready()
        assert [row[1:5] for row in views.log()] == [
            ["192.168.1.11", "cdn.example.org", "A", "answered"]
        ] * 3, views.log()
        assert views.log()[0][5] == "4.0 ms", views.log()
        views.page.locator("[name=client]").fill("")
        views.page.locator("[name=status]").select_option("nxdomain")
        views.page.get_by_role("button", name="Search").click()
        views.until(lambda: {row[2] for row in views.log()} == {"ads.example.net"}, "no search")
        views.page.locator("[name=status]").select_option("")
        views.page.locator("[name=type]").fill("no 'type'()")
        views.page.get_by_role("button", name="Search").click()
        views.until(lambda: "type" in views.page.locator(".alert-message").inner_text(), "no complaint")
        views.page.locator("[name=type]").fill("")
        views.page.get_by_role("button", name="Search").click()
        views.until(lambda: len(views.log()) == 11, "not all")
        # What is new comes by itself, and older pages stay.
        sender = Sender(router.tcp)
        sender.send(*(message(5, dns("late.example.", ident=ident), when=(int(time.time()), 0))
                      for ident in range(60)))
        views.until(lambda: views.log()[0][2] == "late.example", "nothing new")
        views.page.get_by_role("button", name="Older").click()
        views.until(lambda: len(views.log()) == 21, "no older page")
        views.page.get_by_role("button", name="Newest").click()
        views.until(lambda: len(views.log()) == 50, "no way back")
        views.check()
        views.screenshot("luci-log")
        router.stop()
        views.open("overview")
        assert ["Service", "not running"
                ] in views.rows("State") and "refused" in views.page.locator(".alert-message").inner_text()


def test_on_a_phone():
    with router_with_traffic() as router, browser() as chromium:
        for view in ("overview", "log", "settings"):
            views = Views(chromium, router, 360, 720)
            views.open(view)
            views.until(lambda: view == "settings" or "example.com" in views.text(), "nothing")
            views.screenshot(f"luci-{view}-phone")
            views.check()


def test_settings():
    with LuciRouter() as router, browser() as chromium:
        views = Views(chromium, router)
        views.open("settings")
        option = lambda name: views.page.locator(f'[data-name="{name}"]')
        assert not option("sniffer.eth_name").is_visible()
        option("sniffer.enable").check()
        option("sniffer.eth_name").fill("lo")
        option("web_api.interface").fill("lan")
        option("limits.profile").select_option("tiny")
        option("names.static").fill("192.168.1.5=tv\n192.168.1.6=it's $HOME")
        option("syslog.enable").check()
        option("syslog.transport").select_option("tcp")
        option("syslog.remote_address").fill("logs.example")
        option("syslog.format").select_option("json")
        views.screenshot("luci-settings")
        views.page.get_by_role("button", name="Save & Apply").click()
        views.page.wait_for_selector("body[data-applied]")
        assert ("uci", "apply", {"rollback": True, "timeout": 90}) in router.called
        views.open("settings")
        assert option("limits.profile").input_value() == "tiny" and option("syslog.enable").is_checked()
        # What the procd script makes of it.
        done = router.run("render", shell="busybox ash")
        assert done.returncode == 0 and done.stderr == "", done
        made = tomllib.loads(done.stdout)
        assert made["input"]["sniffer"] == {"enable": True, "eth-name": "lo"}
        assert made["web-api"]["local-address"] == ["127.0.0.1", "192.0.2.1", "192.0.2.2"]
        assert made["limits"] == {"profile": "tiny"}
        assert made["names"]["static"] == {"192.168.1.5": "tv", "192.168.1.6": "it's $HOME"}
        assert made["output"]["syslog"] == {
            "enable": True,
            "transport": "tcp",
            "remote-address": "logs.example",
            "format": "json"
        }
        views.page.get_by_role("button", name="Check").click()
        views.until(lambda: "output: syslog" in views.page.get_by_role("dialog").inner_text(), "no check")
        views.page.get_by_role("button", name="Dismiss").click()
        views.page.get_by_role("button", name="Show").click()
        with open(f"{router.top}/kept/password") as file:
            password = file.read().strip()
        views.until(lambda: password in views.page.get_by_role("dialog").inner_text(), "no password")
        views.check()


def test_every_option_of_the_form_is_known():
    """By the program itself: a key that it does not have is an error of --check."""
    with open(f"{APP}/htdocs/luci-static/resources/view/dnstapd/settings.js") as file:
        source = file.read()
    with open(os.path.join(os.path.dirname(APP), "../configs/dnstap.toml")) as file:
        reference = file.read()
    section, missing = None, []
    for line in source.splitlines():
        words = line.strip().split("'")
        if line.strip().startswith("section('"):
            section = f"{words[3]}.{words[1]}" if words[3] in ("input", "output") else words[3]
        elif line.strip().startswith(("flag('", "value('", "choice('", "list('")) and section != "dnstapd":
            body = reference.split(f"[{section.replace('_', '-')}]\n")[1].split("\n[")[0]
            if f"\n{words[1].replace('_', '-')} = " not in "\n" + body.replace("\n# ", "\n"):
                missing.append(f"{section}.{words[1]}")
    assert missing == ["web_api.interface", "names.static"], missing  # the procd script's own, and a table


def test_syntax():
    """What older browsers and LuCI's minifier do not take is not used."""
    for folder, _, names in os.walk(f"{APP}/htdocs"):
        for name in names:
            with open(f"{folder}/{name}") as file:
                text = file.read()
            assert text.startswith(
                "'use strict';\n"
            ) and "`" not in text and "?." not in text and "??" not in text and "//" not in text.replace(
                "://", "")
    done = subprocess.run(["du", "-sb", "--apparent-size", f"{APP}/htdocs", f"{APP}/root"],
                          capture_output=True,
                          text=True,
                          check=True)
    assert sum(
        os.path.getsize(os.path.join(folder, name))
        for folder, _, names in os.walk(APP)
        for name in names) < 20 << 10, done.stdout
