"""What the tests of the dashboard share: a browser, a page that is watched, and traffic for it to show."""
import contextlib
import math
import os
import random
import re
import subprocess
import threading
import time

from playwright.sync_api import sync_playwright

import harness
from harness import TOP, Sender, dns, message

SCREENSHOTS = os.path.join(TOP, "target/browser")
CHROMIUM = "/usr/bin/chromium"
LOGIN = {"username": "admin", "password": "changeme"}

# In the page: all text that is seen, with the contrast to what is behind it (WCAG 2.2, 1.4.3).
CONTRASTS = """() => {
  const parse = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b]
    .map(part => (part /= 255) <= .04045 ? part / 12.92 : ((part + .055) / 1.055) ** 2.4)
    .reduce((sum, part, place) => sum + part * [.2126, .7152, .0722][place], 0);
  const behind = element => {
    for (let at = element; at; at = at.parentElement) {
      const [r, g, b, a = 1] = parse(getComputedStyle(at).backgroundColor);
      if (a > 0) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement, text = walker.currentNode.textContent.trim();
    if (!text || !element.checkVisibility()) continue;
    if (element.closest("script, style, noscript, .hidden, option")) continue;
    const style = getComputedStyle(element), color = parse(element.closest("svg") ? style.fill : style.color);
    const grounds = [behind(element)];
    if (element.closest("tbody th"))
      if (getComputedStyle(element.closest("th")).backgroundImage !== "none")
        grounds.push(parse(getComputedStyle(element.closest("th")).backgroundImage));
    for (const ground of grounds) {
      const [high, low] = [light(color), light(ground)].sort((a, b) => b - a);
      found.push([text, (high + .05) / (low + .05)]);
    }
  }
  return found;
}"""


@contextlib.contextmanager
def browser(home=None):
    """Chromium; with a home of its own it trusts what is in the store of certificates there."""
    environment = dict(os.environ, **({"HOME": home} if home else {}))
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"],
                                              env=environment)
        try:
            yield chromium
        finally:
            chromium.close()


class Watched:
    """The dashboard of a daemon in a browser: notes requests, and what the console complains of."""

    def __init__(self, chromium, daemon, login=LOGIN, width=1440, height=1000, scheme="light", fragment="",
                 scale=1, opened=True):
        self.daemon, self.complaints, self.asked = daemon, [], []
        place = "https://localhost" if daemon.context else "http://127.0.0.1"
        self.origin = f"{place}:{daemon.api[1]}"
        self.context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme,
                                            http_credentials=login, device_scale_factor=scale)
        self.page = self.context.new_page()
        self.page.on("console", lambda line: self.complaints.append(f"{line.type}: {line.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("request", lambda request: self.asked.append(request.url))
        if opened:
            answer = self.page.goto(self.origin + "/" + fragment)
            assert answer.status == 200, answer.status

    def text(self, selector):
        return self.page.locator(selector).inner_text().replace("\u00a0", " ")

    def figure(self, label):
        """One of the large numbers."""
        box = self.page.locator("#figures > div",
                                has=self.page.locator("dt", has_text=re.compile(f"^{label}")))
        return box.locator("dd").first.inner_text().replace("\u00a0", " ")

    def rows(self, selector):
        """The body of a table."""
        return self.page.locator(f"{selector} tbody tr").evaluate_all(
            r"rows => rows.map(row => [...row.cells].filter(cell => !cell.hidden).map(cell => "
            r"cell.innerText.trim().replace('\u00a0', ' ')))")

    def shows(self, selector, *names):
        """Whether these are the first names of a table."""
        return [row[0] for row in self.rows(selector)[:len(names)]] == list(names)

    def until(self, condition, seconds=15, why="it did not happen"):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                self.screenshot("failed")
                raise AssertionError(f"{why}\n{self.page.locator('body').inner_text()}\n{self.complaints}")
            self.page.wait_for_timeout(50)

    def live(self):
        self.until(lambda: self.text("#state") not in
                   ("", "Connecting", "No connection") and "dnstapd" in self.text("#daemon"),
                   why="the page is not live")

    def screenshot(self, name):
        os.makedirs(SCREENSHOTS, exist_ok=True)
        self.page.screenshot(path=os.path.join(SCREENSHOTS, name + ".png"), full_page=True)

    def has_tables(self):
        return self.daemon.request("/tables")[0].status != 501  # while they are not built

    def check(self, allowed=None):
        """Nobody else was asked, and the console is clean but for what is allowed."""
        allowed = "status of (400|404|501|503)" + (f"|{allowed}" if allowed else "")
        foreign = [url for url in self.asked if not url.startswith((self.origin + "/", "data:"))]
        assert not foreign, foreign
        complaints = [line for line in self.complaints if not (allowed and re.search(allowed, line))]
        assert not complaints, complaints

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.close()


class Traffic:
    """Queries and responses as a small network makes them, in the background."""

    QNAMES = [f"{host}.{domain}." for domain in ("example.com", "wikipedia.org", "debian.org", "openwrt.org",
                                                 "bbc.co.uk", "heise.de", "admin.ch")
              for host in ("www", "api", "mail", "cdn", "img", "static", "time")] + \
             ["a-name-of-many-labels.and-of-great-length.some-content-delivery-network."
              "region-eu-west-1.compute.example.net."]

    def __init__(self, daemon, streams=(b"ns1", b"ns2", b"lb1"), qps=200):
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run, args=(Sender(daemon.tcp), streams, qps))

    def run(self, sender, streams, qps):
        chance = random.Random(1)
        weights = [1 / (place + 1) for place in range(len(self.QNAMES))]
        batch = 0
        # Every stream is there from the start.
        sender.send(*(message(identity=identity, when=(int(time.time()), 0)) for identity in streams))
        while not self.ended.wait(.1):
            batch += 1
            exchanges = (self.exchange(chance, chance.choice(streams),
                                       chance.choices(self.QNAMES, weights)[0])
                         for _ in range(round(qps / 10 * (1 + .4 * math.sin(batch / 25)))))
            try:
                sender.send(*(frame for pair in exchanges for frame in pair))
            except OSError:
                return

    @staticmethod
    def exchange(chance, identity, qname):
        qtype = chance.choices([1, 28, 65, 12, 15, 16, 33, 6], [50, 25, 12, 6, 2, 2, 1, 1])[0]
        rcode = chance.choices([0, 3, 2, 5], [85, 12, 2, 1])[0]
        began = time.time() - 10
        ended = began + chance.lognormvariate(2, 1.6) / 1000
        asked, when = ((int(at), int(at % 1 * 1e9)) for at in (began, ended))
        keys = dict(identity=identity, address=bytes([192, 168, 1, int(chance.paretovariate(1)) % 60 + 2]),
                    protocol=chance.choices([1, 2], [9, 1])[0])
        ident = chance.randrange(65536)
        return (message(5, dns(qname, qtype, ident), when=asked, **keys),
                message(6, dns(qname, qtype, ident, flags=0x8180 | rcode), when=when, asked=asked, **keys))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()


def restart(daemon, change=lambda text: text, pause=0):
    """Stops the daemon and starts it anew where it was, with a changed configuration."""
    daemon.stop()
    time.sleep(pause)
    with open(daemon.config) as file:
        text = re.sub(r"(\[web-api\]\n)local-port = \d+", rf"\1local-port = {daemon.api[1]}", file.read())
    daemon.write(change(text))
    daemon.process = subprocess.Popen([harness.BINARY, "-v", "-c", daemon.config], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.DEVNULL,
                                      stderr=open(daemon.log_path, "wb"))
    daemon.wait_for_log("Webserver: listening on ")
    daemon.tcp = ("127.0.0.1",
                  int(re.search(r"Input handler: listening on 127\S+:(\d+)", daemon.log()).group(1)))
