"""axe-core, which looks for what keeps people out of a page, in every view of the dashboard."""
import os

import pytest

from harness import TOP, Daemon, Sender, dns, message
from pages import Traffic, Watched, browser

AXE = os.path.join(TOP, "target/axe/axe_playwright_python/axe.min.js")
# Rules of WCAG 2.2 up to AA, and those that axe calls best practice.
VIEWS = [
    "overview", "overview?period=start", "log", "log?status=blocked&not=type%3AA", "log?name=nowhere.example",
    "devices", "device?client=192.168.1.2", "domain?name=www.example.com", "health", "system"
]


def violations(page, what):
    found = page.page.evaluate(
        "axe.run(document, {resultTypes: ['violations']}).then(found => found.violations.map("
        "each => [each.id, each.nodes.map(node => node.html.slice(0, 160) + ' | ' + (node.any[0] || "
        "{}).message)]))"
    )
    return [(what, *each) for each in found]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_axe_finds_nothing(width, scheme):
    with open(AXE, encoding="utf-8") as file:
        axe = file.read()
    extra = (
        "[health]\nnew-device = { enable = true }\n"
        "[output.tcp-socket]\nenable = true\nremote-address = '127.0.0.1'\nremote-port = 9\nqueue = '8K'\n")
    with Daemon(fmt=None, extra=extra) as daemon, browser() as chromium, Traffic(daemon), \
            Watched(chromium, daemon, width=width, scheme=scheme) as page:
        blocked = b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\0\0\0\0"
        sender = Sender(daemon.tcp)
        for number in range(3):
            answer = bytearray(dns("ads.example.net.", ident=number, flags=0x8180) + blocked)
            answer[7] = 1
            sender.send(message(5, dns("ads.example.net.", ident=number)), message(6, bytes(answer)),
                        message(3, dns("up.example.net.", ident=number)),
                        message(4, dns("up.example.net.", ident=number, flags=0x8182)))
        page.live()
        page.page.evaluate(axe)
        found = []
        for view in VIEWS:
            page.page.evaluate("view => { location.hash = '/' + view; }", view)
            page.until(lambda: page.page.evaluate("state.view") == view.split("?")[0], why=view)
            page.page.wait_for_timeout(300)
            if view in ("overview", "log"):
                selector = "#devices tbody th" if view == "overview" else ".row"
                page.until(lambda: page.page.locator(selector).count() > 1, why=view)
            found += violations(page, view)
        page.page.keyboard.press("?")
        page.until(lambda: page.page.locator("#dialog").is_visible(), why="no help")
        found += violations(page, "help")
        page.page.keyboard.press("Escape")
        page.page.evaluate("location.hash = '/log'")
        page.until(lambda: page.page.locator(".row").count() > 3, why="no log")
        page.page.locator(".row button").nth(2).click()
        page.until(lambda: page.page.locator("#dialog").is_visible(), why="no exchange")
        found += violations(page, "an exchange")
        page.page.keyboard.press("Escape")
        page.page.evaluate("state.lost = new Date(); tell('The daemon was restarted.'); showState()")
        found += violations(page, "lost")
        page.page.evaluate("document.querySelector('main').append(document.createElement('button'))")
        assert any(rule == "button-name"
                   for _, rule, _ in violations(page, "a fault")), "axe finds nothing at all"
        assert not found, "\n".join(str(each) for each in found)
