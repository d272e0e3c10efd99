"""The log of the page: what it shows of an exchange as it goes on, what it exports, and that it bears many
rows and bad lines."""
import csv
import io
import time

from harness import Daemon, Sender, dns, message
from pages import Traffic, Watched, browser, restart

ROWS = 50_000


def query(name, ident=1, **more):
    return message(5, dns(name, ident=ident), **more)


def response(name, ident=1, **more):
    return message(6, dns(name, ident=ident, flags=0x8180), **more)


def exchange(name, ident=1, **more):
    return query(name, ident, **more), response(name, ident, **more)


def send(daemon, *messages):
    Sender(daemon.tcp).send(*messages)
    daemon.settle()


def test_what_waits_for_a_response_is_completed_where_it_is():
    with Daemon(fmt=None) as daemon, browser() as chromium:
        # Each round at a moment of its own: an exchange is known by what stands in its row.
        moments = [(1_600_282_313 + at, 0) for at in range(2)]
        send(daemon, query("waits.example.", when=moments[0]), *exchange("other.example.", 2))
        with Watched(chromium, daemon, fragment="#/log") as page:
            statuses = lambda: page.page.locator(".row .status").all_inner_texts()
            for how, when in zip(("a stream", "questions again and again"), moments):
                page.until(lambda: statuses().count("pending") == 1, why=how)
                rows = len(statuses())
                if how != "a stream":
                    page.page.evaluate("log.source?.close(); log.source = null; state.off.live = true")
                else:
                    page.until(lambda: page.page.evaluate("log.source?.readyState") == 1, why="no stream")
                send(daemon, response("waits.example.", when=when))
                page.until(lambda: "pending" not in statuses(), why=f"still pending by {how}")
                assert len(statuses()) == rows, statuses()
                if how == "a stream":
                    send(daemon, query("waits.example.", when=moments[1]))
                    page.page.reload()
            page.check()


def test_what_is_left_out_is_not_exported():
    names = '[names]\nfiles = []\nneighbours = false\n[names.static]\n"192.0.2.10" = "the, \\"tv\\""'
    with Daemon(fmt=None, extra=names) as daemon, browser() as chromium, \
            Watched(chromium, daemon, fragment="#/log?not=name:www.example.com,type:AAAA") as page:
        send(daemon, *exchange("www.example.com.", 1), *exchange("=cmd.example.org.", 2),
             *exchange("third.example.net.", 3), query("third.example.net.", 4, port=4),
             message(5, dns("six.example.net.", 28, 5)))
        page.until(lambda: page.page.locator(".row").count() == 3, why="no log")
        with page.page.expect_download() as download:
            page.page.get_by_role("link", name="CSV").click()
        with open(download.value.path(), encoding="utf-8", newline="") as file:
            text = file.read()
        whole = daemon.request("/log?format=csv&limit=0")[1]
        assert text =="".join(line for line in whole.splitlines(keepends=True)
                              if "www." not in line and "AAAA" not in line)
        rows = list(csv.DictReader(io.StringIO(text)))
        assert [row["qname"]
                for row in rows] == ["third.example.net.", "third.example.net.", "'=cmd.example.org."], text
        assert download.value.suggested_filename == "dnstapd.csv"
        page.page.goto(page.origin + "/#/log?not=" + "client:the%252C%2520%2522tv%2522")
        page.until(lambda: "Nothing matches" in page.text("#main"), why="a device is not left out")
        page.check()


def test_fifty_thousand_rows():
    with Daemon(fmt=None, extra='[history]\nlog = "2M"') as daemon, browser() as chromium:
        sender = Sender(daemon.tcp)
        for start in range(0, ROWS + 500, 1_500):
            sender.send(*(frame for number in range(start, start + 1_500) for frame in exchange(
                f"{number % 700}.example.", number % 65536,
                when=(1_790_000_000 + number // 100, number % 100 * 10_000_000))))
        daemon.settle()
        with Watched(chromium, daemon, fragment="#/log") as page:
            page.until(lambda: page.page.locator(".row").count() > 10, why="no log")
            page.page.evaluate("""() => {
                seen = {draws: [], nodes: 0};
                const draw = log.draw;
                log.draw = function() { const at = performance.now(); draw.call(this); seen.draws.push(performance.now() - at);
                                        seen.nodes = Math.max(seen.nodes, document.getElementsByTagName("*").length); };
            }""")
            # To the end and on, as far as there is more.
            page.until(lambda: page.page.evaluate("(log.box.scrollTop = 1e9, log.rows.length)") == ROWS, 120,
                       "not all rows")
            page.page.wait_for_timeout(300)
            assert page.page.evaluate("log.rows.length") == ROWS
            # Through all of them, a screen at each picture.
            page.page.evaluate("""() => new Promise(done => {
                let at = log.box.scrollHeight;
                const step = () => { at -= 10 * log.box.clientHeight; log.box.scrollTop = at; at > 0 ? requestAnimationFrame(step) : done(); };
                step();
            })""")
            seen = page.page.evaluate("({...seen, draws: seen.draws.sort((a, b) => a - b)})")
            median, draws = seen["draws"][len(seen["draws"]) // 2], len(seen["draws"])
            assert draws > 150 and seen["nodes"] < 1000, (draws, seen["nodes"])
            assert median < 100, f"{median} ms for a picture"
            # Those that come are at the top, and the oldest go.
            page.until(lambda: page.page.evaluate("log.source?.readyState") == 1, why="no stream")
            for number in range(1, 4):
                sender.send(*(frame for ident in range(300) for frame in exchange(
                    f"new-{number}.example.", ident, when=(1_791_000_000 + number, ident * 1_000_000))))
                page.until(lambda: f"new-{number}.example" in page.text(".row:first-child"),
                           why="nothing new")
            assert page.page.evaluate("log.rows.length") == ROWS
            page.check()
            return f"{draws} pictures, {median:.1f} ms each, at most {seen['nodes']} elements"


def test_a_restart_under_the_log():
    with Daemon(fmt=None) as daemon, browser() as chromium, Watched(chromium, daemon,
                                                                    fragment="#/log") as page:
        send(daemon, *exchange("before.example."))
        page.until(lambda: page.page.locator(".row").count() == 1, why="no log")
        restart(daemon)
        page.until(lambda: page.page.evaluate("log.source?.readyState") == 1, 40, "no stream again")
        send(daemon, *exchange("after.example.", 2))
        page.until(lambda: page.page.locator(".row").count() == 2, why="it does not go on")
        assert "after.example" in page.text(".row:first-child")
        page.check(
            "ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|ERR_INCOMPLETE_CHUNKED_ENCODING")


def test_a_slow_network():
    """0.8 s from here to there, and 20 kB/s: the page opens, asks one thing after the other, and keeps the
    log live."""
    with Daemon(fmt=None) as daemon, browser() as chromium, Traffic(daemon,
                                                                    qps=20), Watched(chromium,
                                                                                     daemon,
                                                                                     opened=False) as page:
        line = page.context.new_cdp_session(page.page)
        line.send("Network.enable")
        line.send("Network.emulateNetworkConditions", {
            "offline": False,
            "latency": 800,
            "downloadThroughput": 20_000,
            "uploadThroughput": 20_000
        })
        waiting, most = set(), [0]

        def asks(request):
            if "/live" not in request.url and not request.url.startswith("data:"):
                waiting.add(request)
                most[0] = max(most[0], len(waiting))

        page.page.on("request", asks)
        for event in ("requestfinished", "requestfailed"):
            page.page.on(event, lambda request: waiting.discard(request))
        start = time.monotonic()
        page.page.goto(page.origin + "/", timeout=60_000)
        page.until(lambda: page.text("#figures > div:nth-child(1) dd:nth-child(2)") not in ("", "–"), 60,
                   "no numbers")
        opened = time.monotonic() - start
        page.until(lambda: page.text("#state") == "All well", 60, "it does not say how it is")
        page.page.evaluate("location.hash = '/log'")
        page.until(lambda: page.page.locator(".row").count() > 10, 60, "no log")
        first = page.text(".row:first-child")
        page.until(lambda: page.text(".row:first-child") != first, 60, "the log is not live")
        # The first page of the log is fetched beside the round that was under way, and again when the
        # stream is open.
        assert most[0] <= 3, most
        page.check()
        return f"first numbers after {opened:.1f} s"
