"""The pictures of the README, of the page as it is: BLESS=1 puts them into docs/images."""
import math
import os
import random
import shutil
import tempfile
import time

import pytest

from harness import TOP, Daemon, Sender, dns, message
from pages import SCREENSHOTS, Traffic, Watched, browser

IMAGES = os.path.join(TOP, "docs/images")
# What a page with them still loads fast.
OCTETS = 150 << 10
HOME = {
    2: "tv",
    3: "anna-phone",
    4: "thermostat",
    5: "laptop",
    6: "printer",
    7: "tablet",
    8: "console",
    9: "ben-phone"
}
BLOCKED = ["ads.example.net.", "telemetry.example.org.", "track.example.com."]
STATIC = "[names]\nfiles = []\n[names.static]\n" +"".join(f'"192.168.1.{last}" = "{name}"\n'
                                                          for last, name in HOME.items())


def small(path):
    assert 10 << 10 < os.path.getsize(path) < OCTETS, (path, os.path.getsize(path))


def day(daemon):
    """What a home asks within a day, up to now: little at night, most in the evening. It comes within
    seconds, so the series by the minute are made of the same messages: (when, outcome, latency) of each."""
    chance, sender, now = random.Random(1), Sender(daemon.tcp), time.time()
    seen = []
    names = [*Traffic.QNAMES[:3], *BLOCKED, *Traffic.QNAMES[3:-1]]
    weights = [1 / (place % 20 + 1) for place in range(len(names))]
    for minute in range(-24 * 60, 0):
        hour = time.gmtime(now + 60 * minute).tm_hour
        busy = 1 + 5 * math.exp(-((hour - 20) % 24 - 0) ** 2 / 18) + 2 * math.exp(-(hour - 8) ** 2 / 8)
        frames = []
        for _ in range(round(busy * chance.uniform(.5, 1.5))):
            name = chance.choices(names, weights)[0]
            began = now + 60 * minute + chance.uniform(0, 55)
            ended = began + chance.lognormvariate(2, 1) / 1000
            asked, when = ((int(at), int(at % 1 * 1e9)) for at in (began, ended))
            qtype = chance.choices([1, 28, 65], [5, 3, 2])[0]
            rcode = 3 if name in BLOCKED else chance.choices([0, 3, 2], [96, 3, 1])[0]
            ident = chance.randrange(65536)
            outcome = "blocked" if name in BLOCKED else {0: "answered", 3: "nxdomain", 2: "servfail"}[rcode]
            seen.append((began, outcome, ended - began))
            keys = dict(identity=b"router",
                        address=bytes([192, 168, 1,
                                       chance.choices([*HOME], [9, 7, 2, 5, 1, 4, 3, 6])[0]]))
            frames += [
                message(5, dns(name, qtype, ident), when=asked, **keys),
                message(6, dns(name, qtype, ident, flags=0x8180 | rcode), when=when, asked=asked, **keys)
            ]
        sender.send(*frames)
    daemon.settle()
    return seen


def series(daemon, seen):
    """The daemon's answer, as if the messages had come when they say."""
    found = daemon.json("/series?period=day")
    slots = len(found["queries"])
    of = [[] for _ in range(slots)]
    for when, *rest in seen:
        at = slots - 1 - math.floor((found["end"] - when) / found["step"])
        if 0 <= at < slots:
            of[at].append(rest)
    count = lambda outcome: [sum(one == outcome for one, _ in slot) for slot in of]
    quantile = lambda part: [
        sorted(took for _, took in slot)[math.floor(len(slot) * part)] if slot else None for slot in of
    ]
    found |= {
        "queries": list(map(len, of)),
        "responses": list(map(len, of)),
        "nxdomain": count("nxdomain"),
        "blocked": count("blocked"),
        "servfail": count("servfail"),
        "clients": [min(8, len(slot)) for slot in of],
        "latency-p50": quantile(.5),
        "latency-p95": quantile(.95)
    }
    return found


@pytest.mark.long
def test_pictures_of_the_readme():
    with tempfile.NamedTemporaryFile("w", suffix=".list") as blocked:
        blocked.write("".join(f"{name}\n" for name in BLOCKED))
        blocked.flush()
        os.chmod(blocked.name, 0o644)
        extra = f'{STATIC}[statistics]\nblocked-names = ["{blocked.name}"]\n'
        with Daemon(fmt=None, extra=extra) as daemon, browser() as chromium:
            made = series(daemon, day(daemon))
            with Watched(chromium, daemon, width=1200, height=640, opened=False) as page:
                page.page.route("**/series?**", lambda route: route.fulfill(json=made))
                page.page.goto(page.origin + "/")
                page.live()
                page.until(lambda: page.shows("#rcodes", "NOERROR"), why="no traffic")
                page.page.wait_for_timeout(1000)
                shoot(page, "overview")
                page.page.get_by_role("link", name="Log", exact=True).click()
                page.until(lambda: page.page.locator(".row").count() > 15, why="no rows")
                shoot(page, "log")
                page.check()
    for name in ("overview", "log"):
        if os.environ.get("BLESS"):
            os.makedirs(IMAGES, exist_ok=True)
            shutil.copy(os.path.join(SCREENSHOTS, f"readme-{name}.png"), os.path.join(IMAGES, f"{name}.png"))
        small(os.path.join(SCREENSHOTS, f"readme-{name}.png"))
        small(os.path.join(IMAGES, f"{name}.png"))


def shoot(page, name):
    os.makedirs(SCREENSHOTS, exist_ok=True)
    page.page.screenshot(path=os.path.join(SCREENSHOTS, f"readme-{name}.png"))
