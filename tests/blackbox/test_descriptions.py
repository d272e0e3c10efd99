"""What configs/ says of the API and the metrics, against the running daemon; and what it has for Prometheus
and Grafana, in a real Prometheus.

    BLESS=1 tests/python -m pytest tests/blackbox -k metrics_txt_is_what_the_daemon_says

writes configs/metrics.txt anew.
"""
import http.client
import json
import os
import re
import subprocess
import time
import urllib.parse

import jsonschema
import openapi_spec_validator
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

import harness
from harness import (TOP, Daemon, Sender, dns, field, free_port, has, message, natively, needs,
                     temporary_folder)

CONFIGS = os.path.join(TOP, "configs")


def read(name):
    with open(os.path.join(CONFIGS, name), encoding="utf-8") as file:
        return file.read()


# ------------ openapi.json ------------

API = json.loads(read("openapi.json"))
ADMIN = {"X-API-Key": "changeme"}


def operations():
    return [(method.upper(), path) for path, item in API["paths"].items() for method in item]


def check_answer(daemon, method, target, headers=ADMIN, expected=200):
    """Asks, and holds the answer against what is written of it."""
    path = target.split("?")[0]
    answer, body = daemon.request(target, method, headers, auth=False)
    assert answer.status == expected, (method, target, answer.status, body)
    if expected == 405:
        written = API["components"]["responses"]["MethodNotAllowed"]
    else:
        written = API["paths"][path][method.lower()]["responses"][str(expected)]
        if "$ref" in written:
            written = API["components"]["responses"][written["$ref"].rsplit("/", 1)[1]]
    for header, keys in written.get("headers", {}).items():
        value = answer.getheader(header)
        assert value is not None, (method, target, header, value)
        assert value == keys["schema"].get("const", value), (method, target, header, value)
    content = written.get("content", {})
    assert answer.getheader("Content-Type") == next(iter(content), None), (method, target,
                                                                           answer.getheader("Content-Type"))
    if content and method != "HEAD":
        (kind, keys), = content.items()
        value = json.loads(body) if kind.startswith("application/json") else body
        jsonschema.Draft202012Validator({**keys["schema"], "components": API["components"]}).validate(value)
        return value
    assert body == "", (method, target, body)


def test_the_description_of_the_api_is_valid():
    openapi_spec_validator.validate(API)
    jsonschema.Draft202012Validator.check_schema(API["components"]["schemas"]["Tables"])
    identifiers = [item[method]["operationId"] for item in API["paths"].values() for method in item]
    assert len(set(identifiers)) == len(identifiers)


def test_every_operation_answers_as_described():
    with Daemon() as daemon:
        Sender(daemon.tcp).send(*(message(kind, identity=b"lb1",
                                          payload=dns(name, flags=0x8180 if kind == 6 else 0x0100))
                                  for kind in (5, 6)
                                  for name in ("www.example.com.", "\u00e9.test.", "a\"b.org.")))
        daemon.settle()
        for number, (method, path) in enumerate(operations()):
            if path == "/live" and method == "GET":
                continue  # it does not end; test_history.py has readers of it
            needed = "?name=example.com" if path == "/pairs" else ""
            check_answer(daemon, method, path + needed, expected=204 if method == "DELETE" else 200)
            if path not in ("/health", "/ready"):
                browser = {"Accept": "text/html"} if path == "/" else {}
                check_answer(daemon, method, path, headers=browser, expected=401)
                if number < 10:  # the eleventh guess would be 429
                    check_answer(daemon,
                                 method,
                                 path,
                                 headers={
                                     **browser, "X-API-Key": "wrong"
                                 },
                                 expected=401)
            assert not any("X-API-Key" in str(keys)
                           for keys in API["paths"][path][method.lower()].get("parameters", []))
        for path in API["paths"]:
            for method in {"GET", "HEAD", "POST", "PUT", "DELETE",
                           "PATCH"} - {method for method, other in operations() if other == path}:
                check_answer(daemon, method, path, expected=405)
        etag = daemon.request("/")[0].getheader("ETag")
        assert daemon.request("/", headers={"If-None-Match": etag})[0].status == 304
        assert "304" in API["paths"]["/"]["get"]["responses"]


def test_every_parameter_does_what_is_described():
    places = f'[geoip]\nenable = true\ncity-database = "{TOP}/tests/data/places.mmdb"\n' if has(
        "geoip") else ""
    with Daemon(extra=f'[statistics]\ntrack = ["hit/query"]\n{places}') as daemon:
        Sender(daemon.tcp).send(*[message(identity=b"lb1")] * 3, message(identity=b"lb2"))
        daemon.settle()
        # The examples work.
        for path, item in API["paths"].items():
            for parameter in item.get("get", {}).get("parameters", []):
                if "example" in parameter and path != "/live":
                    check_answer(
                        daemon, "GET",
                        f"{path}?{parameter['name']}={urllib.parse.quote(str(parameter['example']))}")
        assert check_answer(daemon, "GET", "/counters?stream=lb1&more=query/a")["counters"]["query/a"] == 3
        answer = check_answer(daemon, "GET", "/tables?n=1&stream=lb1&more=hit/query,hit/device&detail=1")
        assert answer["stream"] == "lb1", answer
        assert answer["tables"]["domains"]["hit/query"] == [["www.example.com.", 3]], answer
        described = API["components"]["schemas"]["Tables"]["properties"]["tables"]["properties"]
        for group, tables in described.items():
            flags = [flag for flag in answer["tables"][group] if not flag.endswith("/detail")]
            assert flags, (group, answer)
            assert all(f"{flag}/detail" in answer["tables"][group] for flag in flags
                       if not flag.endswith("/names")), (group, answer)
            assert set(tables.get("properties", flags)) == set(flags), (group, flags)
        assert check_answer(daemon, "GET", "/metrics?only=process_").count("# HELP ") == 4
        for target, status in (("/counters?stream=nobody", 404), ("/tables?stream=nobody", 404),
                               ("/counters?more=%zz", 400),
                               ("/counters?stream=%zz", 400), ("/metrics?only=%zz", 400),
                               ("/tables?n=x", 400), ("/tables?n=-1", 400),
                               ("/tables?detail=2", 400), ("/tables?more=nothing", 400),
                               ("/tables?more=length/query", 400)):
            check_answer(daemon, "GET", target, expected=status)


def test_ready_says_what_is_down():
    with Daemon(extra=f'[output.tcp-socket]\nenable = true\nremote-address = "127.0.0.1"\n'
                      f'remote-port = {free_port()}\n') as daemon:
        assert check_answer(daemon, "GET", "/ready", headers={}, expected=503) == "output tcp-socket is down"


# ------------ metrics.txt ------------

# Every kind of input and output that a build has by default.
EVERYTHING = """
[geoip]
enable = true
city-database = "{top}/tests/data/places.mmdb"
[input.tcp-client]
enable = true
remote-address = "127.0.0.1"
remote-port = {port}
[input.file]
enable = true
path = "{top}/tests/data/demo.fstrm"
at-end = "stay"
{sniffer}
[output.file]
enable = true
format = "text"
file = "{folder}/file"
[output.tcp-socket]
enable = true
remote-address = "127.0.0.1"
remote-port = {port}
[output.syslog]
enable = true
remote-address = "127.0.0.1"
remote-port = {port}
[output.dnstap]
enable = true
remote-address = "127.0.0.1"
remote-port = {port}
[output.metrics]
enable = true
file = "{folder}/metrics"
"""
SNIFFER = '[input.sniffer]\nenable = true\neth-name = "lo"\n'
HEADING = """# One scrape of dnstapd with every input and output on, but Kafka's, made by tests/blackbox/test_descriptions.py,
# which holds names, types, helps and labels equal to those of the running daemon.
"""


def families(text):
    """Name: type, help, and the labels of its samples."""
    found = {}
    for line in text.splitlines():
        if match := re.match(r"# (HELP|TYPE) (\S+) (.*)", line):
            found.setdefault(match[2], {})[match[1]] = match[3]
            last = match[2]
        elif line and line[0] != "#":
            sample, _ = line.rsplit(" ", 1)
            if last == "dnstapd_build_info":
                sample = re.sub(r'"[^"]*"', '""', sample)
            found[last].setdefault("samples", []).append(sample)
    return found


@natively("qemu-user has no ring of packets for the sniffer")
@needs("geoip")
def test_metrics_txt_is_what_the_daemon_says():
    sniffer = os.geteuid() == 0
    rights, harness.UNPRIVILEGED = harness.UNPRIVILEGED, {}  # the sniffer needs them all
    try:
        body = scrape_of_everything(sniffer)
    finally:
        harness.UNPRIVILEGED = rights
    if os.environ.get("BLESS"):
        with open(os.path.join(CONFIGS, "metrics.txt"), "w") as file:
            file.write(HEADING + body)
    written, said = families(read("metrics.txt").removeprefix(HEADING)), families(body)
    if not sniffer:
        for name, family in list(written.items()):
            family["samples"] = [sample for sample in family["samples"] if 'input="sniffer"' not in sample]
            if not family["samples"]:
                del written[name]
    assert list(written) == list(said), (f"configs/metrics.txt is old, see the top of this file: "
                                         f"{set(written) ^ set(said)}")
    for name in said:
        assert written[name] == said[name], f"configs/metrics.txt is old, see the top of this file: {name}"


def scrape_of_everything(sniffer):
    with temporary_folder() as folder:
        everything = EVERYTHING.format(port=free_port(), top=TOP, folder=folder, sniffer=SNIFFER if sniffer
                                       else "")
        with Daemon(extra=everything) as daemon:
            daemon.wait(lambda: daemon.metrics().get('dnstapd_received_total{input="file"}'))
            daemon.settle()
            return daemon.request("/metrics")[1]


# ------------ prometheus.yml, grafana.json ------------

class Prometheus:
    """A server with our configuration, which scrapes one daemon every second."""

    def __init__(self, daemon, folder):
        text = read("prometheus.yml")
        assert text.count("127.0.0.1:8080") == 1 and "scrape_interval: 15s" in text
        text = text.replace("127.0.0.1:8080", f"127.0.0.1:{daemon.api[1]}")
        text = text.replace("scrape_interval: 15s", "scrape_interval: 1s")
        path = os.path.join(folder, "prometheus.yml")
        with open(path, "w") as file:
            file.write(text)
        self.port = free_port()
        self.log = open(os.path.join(folder, "prometheus.log"), "wb")
        self.process = subprocess.Popen(["prometheus", f"--config.file={path}",
                                         f"--storage.tsdb.path={folder}/data",
                                         f"--web.listen-address=127.0.0.1:{self.port}"], stdout=self.log,
                                        stderr=self.log)

    def ask(self, path, **parameters):
        """The data of an answer, or what is wrong with the question."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", f"/api/v1/{path}?" + urllib.parse.urlencode(parameters))
            answer = json.loads(connection.getresponse().read())
        except (OSError, ValueError):
            return []
        finally:
            connection.close()
        assert answer["status"] == "success", (parameters, answer)
        return answer["data"]

    def query(self, text):
        data = self.ask("query", query=text)
        return data and data["result"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)


def panels(dashboard):
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def test_promtool_takes_the_configuration():
    done = subprocess.run(["promtool", "check", "config", os.path.join(CONFIGS, "prometheus.yml")],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_takes_the_rules():
    """The alerts come and go over an hour of made-up series, and name only metrics that there are."""
    for words in (["check", "rules", os.path.join(CONFIGS, "alerts.yml")],
                  ["test", "rules", os.path.join(TOP, "tests/data/alerts.yml")]):
        done = subprocess.run(["promtool", *words], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
    with open(os.path.join(TOP, "docs/metrics.md"), encoding="utf-8") as file:
        known = set(re.findall(r"`(dnstapd?_\w+)", file.read()))
    expressions = re.sub(r"(record|alert|summary): .*", "", read("alerts.yml")).split("groups:")[1]
    named = set(re.findall(r"(?<![\w:])dnstapd?_\w+(?![\w:])", expressions))
    assert named and named <= known, named - known


def test_the_dashboard_is_one_for_grafana():
    """Grafana's own schema, in the form of its library, takes the file and gives it back."""
    dashboard = json.loads(read("grafana.json"))
    plugins.register_default_plugins()
    model = Dashboard.from_json(dashboard)
    assert model.title == "dnstapd" and len(model.panels) == len(dashboard["panels"])
    identifiers = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(identifiers)) == len(identifiers)
    places = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & places and max(x for x, _ in cells) < 24, panel["title"]
        places |= cells
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    assert variables == {"datasource", "job", "instance", "identity"}
    for panel in panels(dashboard):
        assert panel["datasource"]["uid"] == "${datasource}", panel["title"]
        for target in panel["targets"]:
            assert set(re.findall(r"\$(?!__)(\w+)", target["expr"])) <= variables, target["expr"]
    # Whatever of the traffic is exported has its place, except under the misspelt name.
    expressions = " ".join(target["expr"] for panel in panels(dashboard) for target in panel["targets"])
    rates = {f"dnstap_{what}ps{period}" for what in "pqr" for period in ("", "_1m", "_5m")}
    kept_out = rates | {"dnstap_queries_svr", "dnstapd_input_bytes_total", "dnstapd_received_total",
                "dnstapd_connections_total", "dnstapd_connections_refused_total", "dnstapd_output_queued",
                        "dnstapd_output_reconnects_total",
                "dnstapd_sample_rate", "dnstapd_geoip_build_timestamp_seconds", "process_start_time_seconds",
                        "dnstap_response_udp", "dnstap_response_tcp", "dnstap_response_inet",
                "dnstap_response_inet6", "dnstapd_packets_ignored_total"}
    for name in families(read("metrics.txt").removeprefix(HEADING)):
        assert re.search(rf"\b{name}(_bucket|_sum|_count)?\b", expressions) or name in kept_out, name


def test_every_panel_has_data_in_a_real_prometheus():
    dashboard = json.loads(read("grafana.json"))
    with (Daemon(extra="[filter]\nexclude-identities = 'nobody'\n") as daemon,
          temporary_folder() as folder,
          Prometheus(daemon, folder) as prometheus):
        sender = Sender(daemon.tcp)
        at = int(time.time())
        server = field(5, bytes([192, 0, 2, 53])) + field(7, 53)
        def send():
            for identity in (b"ns1", b"ns 2"):
                sender.send(
                    message(identity=identity, when=(at, 0)),
                    message(identity=identity, payload=dns(qtype=28), when=(at, 0)),
                    *(message(6,
                              payload=dns(flags=0x8180 | rcode),
                              asked=(at, 0),
                              when=(at, 20_000_000),
                              identity=identity) for rcode in (0, 2, 3, 5)),
                    message(7, when=(at, 0), identity=identity, more=server),
                    message(8,
                            payload=dns(flags=0x8180),
                            asked=(at, 0),
                            when=(at, 20_000_000),
                            identity=identity,
                            more=server))
        send()
        daemon.wait(lambda: prometheus.query("up == 1"), 30, lambda: "Prometheus does not scrape")
        for _ in range(10):
            send()
            time.sleep(.5)
        values = {"$__rate_interval": "5s", "$job": "dnstapd", "$instance": ".+", "$identity": ".+"}
        def concrete(text):
            for name, value in values.items():
                text = text.replace(name, value)
            return text
        asked = 0
        for panel in panels(dashboard):
            for target in panel["targets"]:
                rows = prometheus.query(concrete(target["expr"]))
                assert rows, (panel["title"], concrete(target["expr"]))
                assert all(row["value"][1] != "NaN" for row in rows), (panel["title"], target["expr"], rows)
                for label in re.findall(r"{{(\w+)}}", target["legendFormat"]):
                    assert all(row["metric"].get(label) for row in rows), (panel["title"], label, rows)
                asked += 1
        # The choices at the top of the page.
        for name, expected in (("job", ["dnstapd"]), ("instance", [f"127.0.0.1:{daemon.api[1]}"]),
                               ("identity", ["ns 2".replace(" ", "\\032"), "ns1"])):
            text = next(variable["query"]["query"] for variable in dashboard["templating"]["list"]
                        if variable["name"] == name)
            selector, label = re.fullmatch(r"label_values\((.+), (\w+)\)", text).groups()
            found = prometheus.ask(f"label/{label}/values", **{"match[]": concrete(selector)})
            assert sorted(found) == sorted(expected), (name, found)
        # One stream, as it is chosen.
        values["$identity"] = "ns1"
        rows = prometheus.query(concrete(next(panel for panel in panels(dashboard)
                                              if panel["title"] == "Queries a second")["targets"][0]["expr"]))
        assert [row["metric"]
                for row in rows] == [{"identity": "ns1"}] and float(rows[0]["value"][1]) > 0, rows
        print(f"     {asked} queries of {len(panels(dashboard))} panels have data")
