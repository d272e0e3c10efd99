"""configs/compose.yml without a container: its files are there, and what it starts works together on this
machine."""
import contextlib
import json
import os
import re
import signal
import subprocess
import tempfile
import time
import urllib.request

import yaml

import network
from harness import TOP
from test_packages import NATIVE, basic, fetch, read, until, write

FOLDER = os.path.join(TOP, "configs")
PROGRAM = os.path.join(TOP, "target/cross", NATIVE, "default/dnstapd")


def described():
    return yaml.safe_load(read(f"{FOLDER}/compose.yml"))


def test_what_it_names_is_there():
    found = described()
    addresses = set()
    for name, service in found["services"].items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert os.path.isfile(os.path.join(FOLDER, source)), (name, source)
            else:
                assert source in found["volumes"], (name, source)
        assert set(service.get("depends_on", [])) <= set(found["services"])
        addresses.add(service["networks"]["dns"]["ipv4_address"])
        # Nothing is open to the network by itself.
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        build = service.get("build", {})
        assert "dockerfile" not in build or os.path.isfile(
            os.path.join(FOLDER, build["context"], build["dockerfile"]))
    assert len(addresses) == len(found["services"])
    for name in ("unbound.conf", "prometheus.yml", "grafana-source.yml"):
        used = set(re.findall(r"172\.28\.53\.\d+", read(f"{FOLDER}/compose/{name}")))
        assert used and used <= addresses, (name, used)
    for name in ("grafana-source.yml", "grafana-dashboards.yml"):
        assert yaml.safe_load(read(f"{FOLDER}/compose/{name}"))["apiVersion"] == 1
    places = {volume.split(":")[1] for volume in found["services"]["grafana"]["volumes"]}
    assert found["services"]["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] in places


@contextlib.contextmanager
def running(*words, log):
    with open(log, "wb") as file:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def test_it_works_together():
    """The same files, but for folders: a question to Unbound comes to dnstapd, and Prometheus reads it
    there."""
    network.check("tests/packages/run")
    services = described()["services"]
    with tempfile.TemporaryDirectory() as top:
        for service in services.values():
            subprocess.run(
                ["ip", "address", "add", f"{service['networks']['dns']['ipv4_address']}/32", "dev", "lo"],
                check=True)
        put = lambda source, name, *changes: write(f"{top}/{name}",
                                                   changed(read(f"{FOLDER}/{source}"), changes))
        put("container.toml", "dnstap.toml", ("/var/lib/dnstapd", top))
        put("compose/unbound.conf", "unbound.conf",
            ('root-hints: "/usr/share/dns/root.hints"', 'local-data: "www.example.com. A 192.0.2.1"'))
        put("compose/prometheus.yml", "prometheus.yml", ("/var/lib/dnstapd", top),
            ("scrape_interval: 15s", "scrape_interval: 1s"))
        put("alerts.yml", "alerts.yml")
        subprocess.run(["unbound-checkconf", f"{top}/unbound.conf"], check=True, capture_output=True)
        with running(PROGRAM, "-c", f"{top}/dnstap.toml", log=f"{top}/dnstapd.log"):
            until(lambda: fetch("/health", "172.28.53.2")[0] == 200)
            login = basic("admin", read(f"{top}/password").strip())
            with running("unbound", "-d", "-c", f"{top}/unbound.conf", log=f"{top}/unbound.log"), \
                    running("prometheus", f"--config.file={top}/prometheus.yml",
                            f"--storage.tsdb.path={top}/data", "--web.listen-address=172.28.53.4:9090",
                            log=f"{top}/prometheus.log"):
                until(lambda: counted(login), 30)
                until(lambda: scraped() > 0, 60)


def changed(text, changes):
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text


def counted(login):
    """Whether one more question was seen, of those that are asked until then."""
    subprocess.run(["dig", "@172.28.53.3", "+time=1", "+tries=1", "www.example.com"], capture_output=True)
    time.sleep(.5)
    return json.loads(fetch("/counters?stream=unbound&more=query", "172.28.53.2",
                            login)[1]).get("counters", {}).get("query", 0) > 0


def scraped():
    """The queries that Prometheus has."""
    with urllib.request.urlopen(
            "http://172.28.53.4:9090/api/v1/query?query=dnstap_queries%7Bidentity%3D%22unbound%22%7D",
            timeout=5) as answer:
        result = json.load(answer)["data"]["result"]
    return float(result[0]["value"][1]) if result else 0
