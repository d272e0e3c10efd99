"""The table of the boards' numbers, printed at the end of a run, and put into docs/sizing.md when
DNSTAPD_BOARD_README is set."""
import os

from harness import TOP

HEAD = ["| board, 64 MB, emulated | start, ms | resident KiB | of it anonymous | by `--check` | messages/s |",
        "|---|---|---|---|---|---|"]


def pytest_terminal_summary(terminalreporter):
    passed = sorted(terminalreporter.getreports("passed"), key=lambda report: report.nodeid)
    rows = [text for report in passed for name, text in report.user_properties if name == "row"
            and report.when == "call"]
    if not rows:
        return
    table = "\n".join([*HEAD, *rows])
    terminalreporter.write_line(table)
    if "DNSTAPD_BOARD_README" in os.environ and not terminalreporter.getreports("failed"):
        path = os.path.join(TOP, "docs/sizing.md")
        with open(path) as file:
            head, rest = file.read().split("<!-- boards -->\n")
        with open(path, "w") as file:
            file.write(head + "<!-- boards -->\n" + table + "\n<!-- /boards -->"
                       + rest.split("<!-- /boards -->")[1])
