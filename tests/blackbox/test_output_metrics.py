"""Output metrics: its lines."""
import os
import re
import sys

from harness import Daemon, main
from peers import folder, lines_of, send


LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (\d+) QUERIES, (\d+\.\d) QPS, (\d+) CLIENTS, (\d+) INET, (\d+) INET6, "
                  r"(\d+) UDP, (\d+) TCP, (\d+) DOMAINS")


def test_metrics_lines():
    for cumulative in (True, False):
        with folder() as top:
            path = os.path.join(top, "metrics")
            more = f"[output.metrics]\nenable = true\ninterval = 1\ncumulative = {str(cumulative).lower()}\nfile = '{path}'\n"
            with Daemon(fmt=None, extra=more) as daemon:
                numbers = lambda: [LINE.fullmatch(line).groups() for line in lines_of(path)]
                send(daemon, 30)
                daemon.wait(lambda: any(float(row[1]) > 0 for row in numbers()), 5)
                daemon.wait(lambda: numbers()[-1][1] == "0.0", 5)
                send(daemon, 10, first=25)
                daemon.wait(lambda: numbers()[-1][1] != "0.0", 5)
                last = numbers()[-1]
                if cumulative:
                    assert last[0] == last[3] == last[5] == "40" and last[2] == "1" and last[7] == "35", last
                    assert sum(float(row[1]) for row in numbers()) > 30
                else:
                    queries = [int(row[0]) for row in numbers()]
                    assert sum(queries) == 40 and last[0] == last[7] == "10" and last[2] == "1", queries
                    assert daemon.json("/counters")["counters"]["query"] == 40, "nothing else is reset"
                assert "output=\"metrics\"" not in daemon.request("/metrics")[1]
                assert daemon.stop() == 0
    with Daemon(fmt=None, extra="[output.metrics]\nenable = true\ninterval = 1\n") as daemon:
        daemon.wait(lambda: lines_of(daemon.out))
        assert LINE.fullmatch(lines_of(daemon.out)[0]).group(1) == "0"


if __name__ == "__main__":
    sys.exit(main(globals()))
