"""The dashboard, in a real browser and over a real connection."""
import http.client
import http.server
import os
import re
import subprocess
import tempfile
import threading
import time

import pytest
from playwright.sync_api import Error

from certificates import Authority, client_context
from harness import TOP, Daemon, Sender, dns, field, message
from pages import CONTRASTS, LOGIN, Traffic, Watched, browser, restart

# Long enough for a tick of the page, and for one of everything that it asks for less often.
TICK, ROUND = 2.5, 11


def send(daemon, *messages):
    sender = Sender(daemon.tcp)
    sender.send(*messages)
    daemon.settle()
    return sender


def number(text):
    return float(text.rstrip("/s").replace(",", "").replace("–", "nan"))


def test_numbers_are_live_and_right():
    with Daemon(fmt=None) as daemon, browser() as chromium, Watched(chromium, daemon) as page:
        page.live()
        page.until(lambda: "No messages yet" in page.page.locator("#rate svg").get_attribute("aria-label"))
        now = lambda: page.page.locator("#figures > div:nth-child(1)").inner_text()
        page.page.get_by_text("Since start", exact=True).click()
        with Traffic(daemon, qps=100):
            page.until(lambda: 40 < number(re.search(r"([0-9.,]+)/s now", now()).group(1)) < 200,
                       why="no rate of queries")
            page.until(lambda: page.page.locator("#rate path.line").count() == 2, why="no plot")
            before = page.page.locator("#rate path.line").first.get_attribute("d")
            page.until(lambda: page.page.locator("#rate path.line").first.get_attribute("d") != before,
                       why="the plot does not move")
            assert "Queries: last" in page.page.locator("#rate svg").get_attribute("aria-label")
            assert "q/s" in page.page.title()
        daemon.settle()
        counters = daemon.json("/counters?more=response/nxdomain,query/aaaa,query/a,query")["counters"]
        page.until(lambda: dict((row[0], row[1]) for row in page.rows("#rcodes")).get("NXDOMAIN")
                   == f"{counters['response/nxdomain']:,}")
        page.until(lambda: page.figure("Asked, since start") == f"{counters['query']:,}", why="other queries")
        percentiles = daemon.json("/counters?more=latency-p50,latency-p95,latency-p99")["counters"]
        shown = re.findall(r"([0-9.]+)\s([mµ]?)s",
                           page.page.locator("#figures > div:nth-child(3)").inner_text())
        shown = [float(value) / {"m": 1000, "µ": 1e6, "": 1}[unit] for value, unit in shown]
        assert len(shown) == 3 and all(abs(value - percentiles[name]) < 0.001 for value, name in
                                       zip(shown, ("latency-p50", "latency-p95",
                                                   "latency-p99"))), (shown, percentiles)
        types = {row[0]: row[1] for row in page.rows("#types")}
        assert types["A"] == f"{counters['query/a']:,}" and types["AAAA"] == f"{counters['query/aaaa']:,}"
        page.check()


def test_top_tables_are_those_of_the_daemon():
    track = '[statistics]\ntrack = ["hit/query"]\n'
    with Daemon(fmt=None, extra=track) as daemon, browser() as chromium, Watched(chromium, daemon) as page:
        names = ["often.example.", "sometimes.example.", "xn--mnchen-3ya.org."]
        send(daemon, *(message(payload=dns(name), address=bytes([192, 0, 2, place])) for place,
                       name in enumerate(names, 1) for _ in range(10 - 3 * place)))
        page.until(lambda: page.rows("#domains")[:1] != [["Nothing yet."]], why="no domains")
        assert ([row[:2] for row in page.rows("#domains")]
                == [["often.example", "7"], ["sometimes.example", "4"],
                    ["xn--mnchen-3ya.org (münchen.org)", "1"]])
        assert "by queries" in page.text("#h-domains")
        assert page.page.locator("#domains a").first.get_attribute("href").startswith("#/domain?name=often")
        page.check()


def test_every_view_says_what_it_lacks_and_keeps_the_period():
    with Daemon(fmt=None, extra="[history]\nenable = false\n") as daemon, \
            browser() as chromium, Watched(chromium, daemon, fragment="#/overview?period=month") as page:
        page.live()
        page.page.evaluate("location.hash = '/device?client=192.0.2.10'")
        page.until(
            lambda: page.rows("#first") == [["History is off, or not in this build."]] == page.rows("#pairs"),
            40, "a device")
        page.page.evaluate("location.hash = '/overview?period=month'")
        for view, words in (("Log", "[history] is off"), ("Devices", "[history] is off"),
                            ("System", "tcp-socket"), ("Overview", "Response codes")):
            page.page.get_by_role("link", name=view, exact=True).click()
            page.until(lambda: words in page.text("#main"), why=view)
            assert "period=month" in page.page.url
            width, inner = page.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
            assert width <= inner, view
        page.check()


def test_from_the_log_to_a_name_and_a_device():
    with Daemon(fmt=None) as daemon, browser() as chromium, Watched(chromium, daemon,
                                                                    fragment="#/log") as page:
        for number, name in enumerate(("www.example.com.", "other.example.org.")):
            send(daemon, *(message(kind, dns(name, ident=number, flags=0x8180 if kind == 6 else 0x0100))
                           for kind in (5, 6)))
        page.until(lambda: page.page.locator(".row").count() == 2, why="no log")
        assert page.page.locator(".row").first.locator("a").all_inner_texts()[1:4] == [
            "A", "other.example.org", "answered"
        ]
        page.page.locator(".row a", has_text="www.example.com").click()
        page.until(lambda: "#/domain?name=www.example.com" in page.page.url
                   and page.page.locator(".row").count() == 1, why="not the domain's log")
        page.page.locator(".row a").first.click()
        page.until(lambda: "#/device?client=192.0.2.10" in page.page.url
                   and page.page.locator(".row").count() == 2, why="not the device's log")
        page.page.locator(".row button").first.click()
        assert "other.example.org" in page.text("#dialog")
        page.check()


def test_what_failed_has_names_and_an_alarm_its_exchanges():
    """A device that is called tv asks for a name, and for one that is blocked; the daemon has just begun."""
    extra = '[names]\nfiles = []\n[names.static]\n"192.0.2.10" = "tv"\n[health.new-device]\nenable = true\n'
    with Daemon(fmt=None, extra=extra) as daemon, browser() as chromium, Watched(chromium, daemon) as page:
        for ident, name in enumerate(("www.example.com.", "ads.example.net.")):
            answer = dns(name, ident=ident, flags=0x8180)
            if ident:
                answer = answer[:7] + b"\1" + answer[8:] + b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\0\0\0\0"
            send(daemon, message(5, dns(name, ident=ident), when=(int(time.time()), 0)),
                 message(6, answer, when=(int(time.time()), 9_000_000), asked=(int(time.time()), 0)))
        # What one minute alone has is seen in the plot.
        page.until(lambda: any(len(set(re.findall(r"[ML]([\d.]+),", path.get_attribute("d")))) > 1
                               for path in page.page.locator("#rate path").all()), why="an empty plot")
        go = lambda view: page.page.evaluate("view => { location.hash = '/' + view; }", view)
        go("device?client=tv")
        page.until(lambda: [row[:2] for row in page.rows("#errors")] == [["ads.example.net", "1"]],
                   why="not what was blocked")
        assert sorted(row[0] for row in page.rows("#pairs")) == ["ads.example.net", "www.example.com"]
        assert page.rows("#rcode") == [["NOERROR", "2", "100 %"]
                                       ] and page.rows("#rrtype")[0][:2] == ["A", "2"]
        assert "client=tv&type=A" in page.page.locator("#rrtype a").get_attribute("href")
        go("domain?name=ads.example.net")
        page.until(lambda: [row[:2] for row in page.rows("#errors")] == [["tv", "1"]] ==
                   [row[:2] for row in page.rows("#pairs")],
                   why="not who asked")
        assert [row[:2] for row in page.rows("#qname")] == [["ads.example.net", "1"]]
        go("health")
        page.until(lambda: page.text("#alarms a") == "new-device: tv was not seen before", why="no alarm")
        page.page.locator("#alarms a").click()
        page.until(
            lambda: "#/device?client=192.0.2.10" in page.page.url and page.page.locator(".row").count() == 2,
            why="not its log")
        page.check()


def test_the_system_shows_what_is_in_force_and_what_memory_it_takes():
    extra = '[names.static]\n"192.0.2.10" = "tv"\n'
    with Daemon(fmt=None, api='scrape-key = "topsecret"', extra=extra) as daemon, browser() as chromium, \
            Watched(chromium, daemon, fragment="#/system") as page:
        page.until(lambda: "names.static" in page.text("#config"), 40, "no configuration")
        text = page.text("#config")
        assert "web-api.scrape-key\nsecret" in text and "topsecret" not in text and '"tv"' in text, text
        config = daemon.json("/config")
        rows = page.rows("#memory")
        assert {row[0]
                for row in rows} == {what
                                     for what, number in config["memory"]
                                     if number} and rows[0][2].endswith("%")
        assert f"{config['total'] / (1 << 20):.1f} MiB" in page.text("#h-memory")
        # A heading sorts, and once more the other way round.
        sort = lambda: page.page.locator("#memory thead button").first.click()
        sort()
        names = [row[0] for row in page.rows("#memory")]
        assert names == sorted(names) and names != [row[0] for row in rows]
        sort()
        assert [row[0] for row in page.rows("#memory")] == names[::-1]
        page.check()


def test_what_is_new_of_a_device_and_how_a_name_is_answered():
    extra = ('[history]\nanswers = true\n[names]\nfiles = []\n[names.static]\n"192.0.2.10" = "tv"\n'
             "[health.resolver-bypass]\nenable = true\n")
    now = int(time.time())

    def exchange(name, ident, age, kind=5, more=b""):
        answer = dns(name, ident=ident, flags=0x8180)
        answer = answer[:7] + b"\1" + answer[8:] + b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xcb\0\x71\x07"
        return (message(kind, dns(name, ident=ident), when=(now - age, 0), port=ident, more=more),
                message(kind + 1,
                        answer,
                        when=(now - age, 24_000_000),
                        asked=(now - age, 0),
                        port=ident,
                        more=more))

    with Daemon(fmt=None, extra=extra) as daemon, browser() as chromium:
        past = field(5, bytes([9, 9, 9, 9]))  # a response address that is not of this network
        send(daemon, *exchange("old.example.", 1, 100_000), *exchange("old.example.", 2, 60),
             *exchange("new.example.", 3, 50), *exchange("new.example.", 4, 50, kind=3),
             *exchange("new.example.", 5, 40, more=past))
        with Watched(chromium, daemon, fragment="#/device?client=tv") as page:
            page.until(lambda: [row[:2] for row in page.rows("#first")] == [["new.example", "3"]], 40,
                       "not what is new")
            assert "24 hours" in page.text("#h-first")
            page.until(lambda: "tv asks a server elsewhere: 9.9.9.9" in page.text("#bypass"), 40,
                       "no resolver past the router")
            page.page.locator("#first a").first.click()
            page.until(lambda: page.rows("#legs") == [["lb1 RESOLVER", "1", "0", "0", "24 ms"]], 40,
                       "no upstream leg")
            assert page.rows("#answer") == [["203.0.113.7", "2"]] and "24 ms" in page.text("#speed")
            page.page.locator(".row button").nth(2).click()  # the first one asked the resolver
            page.until(lambda: "Upstream: RESOLVER_RESPONSE, answered in 24 ms" in page.text("#dialog"), 40,
                       "no leg of the exchange")
            assert "answered at" in page.text("#dialog")
            page.check()


def test_health_names_who_gets_no_answer():
    now, server = int(time.time()), field(5, bytes([192, 0, 2, 53])) + field(7, 53)
    with Daemon(fmt=None) as daemon, browser() as chromium:
        send(
            daemon, message(5, dns("gone.example."), when=(now - 90, 0)),
            message(5, dns("late.example.", ident=2), when=(now, 0), port=2),
            message(3, dns("up.example.", ident=3), when=(now, 0), port=3, more=server),
            message(4,
                    dns("up.example.", ident=3, flags=0x8180),
                    when=(now, 9_000_000),
                    asked=(now, 0),
                    port=3,
                    more=server))
        with Watched(chromium, daemon, fragment="#/health") as page:
            page.until(lambda: [row[:2] for row in page.rows("#silent")] == [["192.0.2.10", "1"]], 40,
                       "nobody waits in vain")
            page.until(lambda: page.page.locator("#upstreams .trend").count() == 1, 40, "no trend")
            assert page.rows("#upstreams")[0][1:4] == ["1", "0", "0"]
            assert "message=RESOLVER" in page.page.locator("#upstreams a").first.get_attribute("href")
            page.check()


def test_a_cell_leaves_out_what_it_says():
    def exchange(daemon, name):
        send(daemon, *(message(kind, dns(name, flags=0x8180 if kind == 6 else 0x0100)) for kind in (5, 6)))

    with Daemon(fmt=None) as daemon, browser() as chromium, Watched(chromium, daemon,
                                                                    fragment="#/log") as page:
        exchange(daemon, "www.example.com.")
        exchange(daemon, "other.example.org.")
        page.until(lambda: page.page.locator(".row").count() == 2, why="no log")
        page.page.locator(".row a", has_text="www.example.com").click(button="right")
        page.until(
            lambda: "not=name%3Awww.example.com" in page.page.url and page.page.locator(".row").count() == 1,
            why="it is still there")
        exchange(daemon, "www.example.com.")
        exchange(daemon, "third.example.net.")
        page.until(lambda: page.page.locator(".row", has_text="third.example.net").count() == 1,
                   why="nothing new")
        assert page.page.locator(".row").count() == 2
        page.page.get_by_role("button", name="not www.example.com").click()
        page.until(lambda: page.page.locator(".row").count() == 4, why="it does not come back")
        page.check()


def test_the_pill_follows_ready():
    away = "[output.tcp-socket]\nenable = true\nremote-address = '127.0.0.1'\nremote-port = 9\n"
    with Daemon(fmt=None, extra=away) as daemon, browser() as chromium, Watched(chromium, daemon) as page:
        page.until(lambda: page.text("#state") == "Down: output tcp-socket is down", why="the pill is wrong")
        page.check()


def test_one_stream_of_several():
    with Daemon(fmt=None) as daemon, browser() as chromium, Watched(chromium, daemon) as page:
        odd = "Zürich \"1\" & <b>+/?#%".encode()
        send(daemon, *[message(identity=b"lb1")] * 3,
             *[message(identity=odd, address=b"\xc0\x00\x02\x01"), message(identity=odd)] * 2)
        page.until(lambda: len(page.page.locator("#stream option").all()) == 3,
                   why="no streams to choose from")
        page.until(lambda: page.rows("#types") == [["A", "7", "100 %"]], why="not all streams")
        page.page.locator("#stream").select_option(index=1)
        page.until(lambda: page.rows("#types") == [["A", "3", "100 %"]], why="not the first stream")
        assert page.page.url.endswith("stream=lb1")
        page.page.locator("#stream").select_option(index=2)
        page.until(lambda: page.rows("#types") == [["A", "4", "100 %"]], why="not the second stream")
        # The address remembers.
        page.page.reload()
        page.until(lambda: page.rows("#types") == [["A", "4", "100 %"]], why="the stream is forgotten")
        assert "Zürich" in page.page.locator("#stream option:checked").inner_text()
        page.page.locator("#stream").select_option(index=0)
        page.until(lambda: page.rows("#types") == [["A", "7", "100 %"]], why="not all streams")
        page.check()


def test_a_stream_without_tables_says_so():
    with Daemon(fmt=None, extra='[limits]\nprofile = "tiny"\n') as daemon, browser() as chromium, \
            Watched(chromium, daemon, fragment="#/overview?stream=second") as page:
        send(daemon, message(identity=b"first"), message(identity=b"second"))
        page.until(lambda: "Not kept for this stream" in page.text("#domains"), why="no word of it")
        assert "limits.profile" in page.text("#domains") and page.rows("#types") == [["A", "1", "100 %"]]
        page.page.locator("#stream").select_option(index=1)
        page.until(lambda: "Not kept" not in page.text("#domains"), why="the first has tables")
        page.check()


def test_without_the_password_there_is_nothing():
    with Daemon(fmt=None) as daemon, browser() as chromium:
        for login in (None, dict(LOGIN, password="wrong")):
            with Watched(chromium, daemon, login=login, opened=False) as page:
                try:
                    assert page.page.goto(page.origin + "/").status == 401
                except Error as error:  # how the browser says that it has no other password to try
                    assert "ERR_INVALID_AUTH_CREDENTIALS" in str(error), error
                assert not page.page.locator("#stream").count()


def test_a_password_that_changes_under_the_page():
    with (Daemon(fmt=None, api='password = "changeme"') as daemon,
          browser() as chromium,
          Watched(chromium, daemon) as page):
        page.live()
        restart(daemon, lambda text: text.replace('password = "changeme"', 'password = "another"'))
        page.until(lambda: page.text("#state") == "Signed out", why="the page does not notice")
        assert "password was refused" in page.text("#problem") and page.page.title().startswith("Signed out")
        asked = len(page.asked)
        page.page.wait_for_timeout(1000 * 2 * TICK)
        assert len(page.asked) == asked, page.asked[asked:]
        assert page.page.get_by_role("button", name="Sign in").is_visible()
        page.screenshot("refused")
        page.check("401|ERR_CONNECTION_REFUSED")


def test_a_restart_under_the_page():
    with Daemon(fmt=None) as daemon, browser() as chromium, Watched(chromium, daemon,
                                                                    fragment="#lb1") as page:
        send(daemon, *[message(identity=b"lb1")] * 3)
        page.until(lambda: page.rows("#types") == [["A", "3", "100 %"]], why="no numbers")
        daemon.stop()
        page.until(lambda: page.text("#state") == "No connection", why="the page does not notice the end")
        assert "No connection to the daemon since" in page.text("#problem")
        assert page.page.title().startswith("No connection")
        page.screenshot("lost")
        restart(daemon)
        page.until(lambda: page.text("#state") == "All well", 20, why="the page does not come back")
        assert "The daemon was restarted" in page.text("#news")
        page.until(lambda: "seen nothing of the stream lb1" in page.text("#problem"),
                   why="the stream is not missed")
        page.screenshot("restarted")
        send(daemon, *[message(identity=b"lb1")] * 2)
        page.until(lambda: page.rows("#types") == [["A", "2", "100 %"]] and page.text("#problem") == "",
                   why="the stream does not come back")
        page.page.get_by_role("button", name="Dismiss").click()
        assert page.text("#news") == ""
        page.check("ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|status of 404")


def test_a_reset_is_said():
    with Daemon(fmt=None) as daemon, browser() as chromium, Watched(chromium, daemon) as page:
        send(daemon, *[message()] * 3)
        page.until(lambda: page.rows("#types") == [["A", "3", "100 %"]], why="no numbers")
        daemon.request("/reset", "DELETE")
        page.until(lambda: "Counters were reset" in page.text("#news"), why="the page does not notice")
        page.until(lambda: page.rows("#types") == [["Nothing yet."]], why="old numbers stay")
        page.check()


def test_over_tls_with_a_private_authority():
    authority = Authority("Page CA")
    certificate, key = authority.sign("daemon")
    options = f'tls-support = true\ntls-server-cert = "{certificate}"\ntls-server-key = "{key}"'
    with Daemon(fmt=None, api=options,
                context=client_context(authority)) as daemon, tempfile.TemporaryDirectory() as home:
        store = os.path.join(home, ".pki/nssdb")
        os.makedirs(store)
        for words in (["-N", "--empty-password"], ["-A", "-t", "C,,", "-n", "page", "-i", authority.ca]):
            subprocess.run(["certutil", "-d", f"sql:{store}", *words], check=True)
        with browser(home) as chromium, Watched(chromium, daemon) as page:
            page.live()
            send(daemon, *[message()] * 3)
            page.until(lambda: page.rows("#types") == [["A", "3", "100 %"]], why="no numbers over TLS")
            assert page.page.evaluate("isSecureContext && location.protocol") == "https:"
            page.check()
        with (tempfile.TemporaryDirectory() as stranger,
              browser(stranger) as chromium,
              Watched(chromium, daemon, opened=False) as page):
            try:
                page.page.goto(page.origin + "/")
                raise AssertionError("the certificate of an unknown authority is accepted")
            except Error as error:
                assert "ERR_CERT_AUTHORITY_INVALID" in str(error), error


def test_behind_a_proxy_at_a_path():
    with Daemon(fmt=None) as daemon, browser() as chromium:
        class Proxy(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                assert self.path.startswith("/dns/")
                keep = {name: value for name, value in self.headers.items()
                        if name.lower() in ("authorization", "accept-encoding")}
                connection = http.client.HTTPConnection(*daemon.api)
                connection.request("GET", self.path.removeprefix("/dns"), headers=keep)
                answer = connection.getresponse()
                body = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("transfer-encoding", "content-length"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        with Watched(chromium, daemon, opened=False) as page:
            page.origin = f"http://127.0.0.1:{proxy.server_port}"
            page.page.goto(page.origin + "/dns/")
            send(daemon, *[message()] * 3)
            page.until(lambda: page.rows("#types") == [["A", "3", "100 %"]],
                       why="no numbers through the proxy")
            page.check()
        proxy.shutdown()


def test_names_are_text_and_never_markup():
    evil = ['<img/src=x/onerror=hit=1>', '"><script>hit=1</script>', "'-hit=1-'", "${hit=1}", "__proto__",
            "javascript:hit=1", "</title><svg/onload=hit=1>"]
    with Daemon(fmt=None) as daemon, browser() as chromium, Watched(chromium, daemon) as page:
        send(daemon,
             *(message(identity=text.encode(),
                       payload=dns(wire_name=bytes([len(text)]) + text.encode() + b"\0")) for text in evil))
        page.until(lambda: len(page.page.locator("#stream option").all()) == len(evil) + 1, why="no streams")
        options = page.page.locator("#stream option").all_inner_texts()
        for place, text in enumerate(evil, 1):
            assert options[place] == text, options[place]
            page.page.locator("#stream").select_option(index=place)
            page.until(lambda: page.rows("#types") == [["A", "1", "100 %"]], why=f"no numbers of {text}")
            if not page.has_tables():
                continue
            page.until(lambda: page.rows("#domains")[:1] == [[text, "1"]],
                       why=f"the name is not shown: {text}")
        assert page.page.evaluate("typeof hit") == "undefined"
        assert page.page.locator("img, main script, iframe, svg[onload]").count() == 0
        # A script that came in all the same would not run.
        page.page.evaluate("""() => {
            const script = document.createElement("script"), image = document.createElement("img");
            script.textContent = "hit = 1"; document.body.append(script);
            image.setAttribute("onerror", "hit = 1"); image.src = "/x"; document.body.append(image);
        }""")
        page.page.wait_for_timeout(200)
        assert page.page.evaluate("typeof hit") == "undefined"
        assert any("Content Security Policy" in line for line in page.complaints), page.complaints
        page.check("Content Security Policy")


def test_weight_and_what_is_asked():
    with Daemon(fmt=None) as daemon, browser() as chromium:
        with Watched(chromium, daemon, opened=False) as page:
            loaded = []
            page.page.on("response", lambda answer: loaded.append(answer))
            page.page.goto(page.origin + "/")
            page.live()
            first = loaded[0]
            assert first.url == page.origin + "/" and first.header_value("content-encoding") == "gzip"
            assert len(first.body()) <= 64 << 10, len(first.body())
            weight = int(first.header_value("content-length"))
            assert weight <= 22 << 10, weight
            print(f"     the page: {len(first.body())} bytes, {weight} in gzip")
            # A round: counters each tick, the rest less often, one request at a time.
            start, began = len(page.asked), time.monotonic()

            def asked():
                paths = [url.removeprefix(page.origin).split("?")[0] for url in page.asked[start:]]
                return {path: paths.count(path) for path in set(paths)}

            wanted = {"/counters", "/tables", "/metrics", "/streams", "/ready"}
            page.until(lambda: wanted <= set(asked()) and asked()["/counters"] >= 4,
                       seconds=60, why=f"it does not ask for {wanted}")
            counts, rounds = asked(), (time.monotonic() - began) / ROUND
            assert counts["/counters"] <= 6 * rounds + 1, (counts, rounds)
            for path in ("/tables", "/metrics", "/streams"):
                assert counts[path] <= 3 * rounds + 1, (counts, rounds)
            # Nothing while nobody looks.
            page.page.evaluate("""() => {
                Object.defineProperty(document, "hidden", {value: true, configurable: true});
                document.dispatchEvent(new Event("visibilitychange"));
            }""")
            page.page.wait_for_timeout(300)
            start = len(page.asked)
            page.page.wait_for_timeout(1000 * 2 * TICK)
            assert len(page.asked) == start, page.asked[start:]
            page.page.evaluate("""() => {
                Object.defineProperty(document, "hidden", {value: false, configurable: true});
                document.dispatchEvent(new Event("visibilitychange"));
            }""")
            page.until(lambda: len(page.asked) > start, why="it does not go on")
            # The second time the page itself is not sent again.
            page.page.reload()
            page.live()
            page.check()
        answer, _ = daemon.request("/", headers={"If-None-Match": first.header_value("etag")})
        assert answer.status == 304


def test_memory_is_bounded():
    with Daemon(fmt=None) as daemon, browser() as chromium, Watched(chromium, daemon) as page:
        page.live()
        page.page.get_by_role("button", name="Pause").click()
        sizes = page.page.evaluate("""() => {
            const counters = Object.fromEntries(names.map(name => [name, 0]));
            const size = () => [state.samples.length, document.getElementsByTagName("*").length];
            const seen = [];
            for (let round = 0; round < 600; round++) {
                take({...counters, query: round * 100, "query/a": round * 100, response: round * 90});
                if (round % 200 === 199) seen.push(size());
            }
            return seen;
        }""")
        assert all(samples <= 151 for samples, _ in sizes) and sizes[1] == sizes[2], sizes
        page.check()


def test_by_keyboard():
    with Daemon(fmt=None) as daemon, browser() as chromium, Watched(chromium, daemon) as page:
        keys = page.page.keyboard
        focused = lambda what="id": page.page.evaluate(f"document.activeElement.{what}")
        page.live()
        keys.press("Tab")
        assert focused("textContent") == "Overview"
        outline = page.page.evaluate("getComputedStyle(document.activeElement).outlineStyle + "
                                     "getComputedStyle(document.activeElement).outlineWidth")
        assert outline == "solid2px", outline
        for key, view in (("l", "log"), ("d", "devices"), ("h", "health"), ("s", "system"), ("o",
                                                                                             "overview")):
            keys.press("g")
            keys.press(key)
            page.until(lambda: f"#/{view}" in page.page.url, why=f"no view {view} by keyboard")
        keys.press("/")
        assert focused() == "search"
        keys.type("192.0.2.1")
        keys.press("Enter")
        page.until(lambda: "#/device?client=192.0.2.1" in page.page.url, why="no search")
        page.page.evaluate("document.activeElement.blur()")
        keys.press("?")
        page.until(lambda: page.page.locator("#dialog").is_visible(), why="no help")
        keys.press("Escape")
        keys.press("p")
        page.until(lambda: page.text("#state") == "Paused", why="no pause by keyboard")
        assert page.page.get_by_role("button", name="Resume").get_attribute("aria-pressed") == "true"
        page.page.wait_for_timeout(500)
        asked = len(page.asked)
        page.page.wait_for_timeout(1000 * TICK)
        assert len(page.asked) == asked
        page.check()


def test_what_a_screen_reader_is_told():
    with Daemon(fmt=None) as daemon, browser() as chromium, Watched(chromium,
                                                                    daemon) as page, Traffic(daemon):
        page.until(lambda: page.shows("#rcodes", "NOERROR"),
                   why="no traffic")
        page.until(lambda: ": last " in page.page.locator("#rate svg").get_attribute("aria-label"),
                   why="the plot tells nothing")
        tree = page.context.new_cdp_session(page.page).send("Accessibility.getFullAXTree")["nodes"]
        told = [(node["role"]["value"], node.get("name", {}).get("value", ""),
                 {entry["name"]: entry["value"].get("value") for entry in node.get("properties", [])})
                for node in tree if not node.get("ignored") and "role" in node]
        for role, name, properties in told:
            assert name or role not in ("button", "combobox", "radio", "image", "table", "heading", "region",
                                        "group"), (role, properties)
            assert name or not properties.get("focusable") or role == "RootWebArea", (role, properties)
        roles = [role for role, _, _ in told]
        for role in ("banner", "main", "contentinfo", "status", "table", "rowheader", "columnheader", "image",
                     "radio", "combobox"):
            assert role in roles, (role, sorted(set(roles)))
        images = [name for role, name, _ in told if role == "image"]
        assert any("Queries" in name and "last" in name
                   for name in images), images
        assert page.page.evaluate("document.documentElement.lang") == "en"
        page.check()


def test_contrast_of_all_text():
    with Daemon(fmt=None,
                extra="[output.tcp-socket]\nenable = true\nremote-address = '127.0.0.1'\nremote-port = 9\n"
                      "queue = '8K'\n") as daemon, \
            browser() as chromium, Traffic(daemon):
        for scheme in ("light", "dark"):
            with Watched(chromium, daemon, scheme=scheme) as page:
                page.until(
                    lambda: page.shows("#rcodes", "NOERROR") and len(page.page.evaluate(CONTRASTS)) > 50,
                    why="no traffic")
                page.page.evaluate("tell('The daemon was restarted.'); state.gone = true; state.stream = "
                                   "'x'; showState()")
                found = page.page.evaluate(CONTRASTS)
                assert len(found) > 40, len(found)
                low = [(text, round(ratio, 2)) for text, ratio in found if ratio < 4.5]
                assert not low, (scheme, low)
                print(f"     {scheme}: {len(found)} texts, the lowest contrast is "
                      f"{min(ratio for _, ratio in found):.1f}")


@pytest.mark.long
@pytest.mark.parametrize("state, streams", [
    ("empty", None), ("real", [b"ns1", b"ns2", b"lb1"]),
    ("fifty", [b"resolver-%02d.zone.example.net" % place for place in range(50)])],
    ids=["empty", "real", "fifty"])
def test_pictures_wide_and_narrow(state, streams):
    """Screenshots for people; and nothing is wider than the window."""
    output = "[output.tcp-socket]\nenable = true\nremote-address = '127.0.0.1'\nremote-port = 9\n"
    output = output if state == "real" else ""
    with Daemon(extra=output) as daemon, browser() as chromium:
        traffic = Traffic(daemon, streams) if streams else None
        if traffic:
            traffic.__enter__()
        sizes = [("wide", 1440, "light"), ("wide", 1440, "dark"), ("narrow", 390, "light"),
                 ("narrow", 390, "dark"), ("narrowest", 320, "light")]
        opened = [(name, scheme, Watched(chromium, daemon, width=width, height=900, scheme=scheme)) for name,
                  width, scheme in sizes]
        opened[0][2].page.wait_for_timeout(1000 * (ROUND if traffic else 2 * TICK))
        for name, scheme, page in opened:
            page.page.bring_to_front()
            page.live()
            assert len(page.page.locator("#stream option").all()) == len(streams or []) + 1
            page.page.wait_for_timeout(100)
            page.screenshot(f"{state}-{name}-{scheme}")
            width, inner = page.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
            assert width <= inner, (state, name, width, inner)
            page.check()
        if traffic:
            traffic.__exit__()
