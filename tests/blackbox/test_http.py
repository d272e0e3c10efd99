"""The web API of the whole program, against real clients: Prometheus and its promtool, curl, and the requests
of dnstap-dashboard."""
import base64
import glob
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.parse

from harness import (BINARY, DATA, FINISH, MACHINE, STOP, Daemon, Sender, capture_frames, control, dns, frame,
                     message, natively, temporary_folder)

# The names in the reference's order, section 8.5, without labels and for each stream.
COUNTERS = """queries_bytes_total responses_bytes_total queries queries_udp queries_tcp queries_inet
queries_inet6 queries_a queries_aaaa queries_svr queries_srv responses response_udp response_tcp
response_inet response_inet6 responses_noerror responses_nxdomain responses_servfail responses_refused
latency0_1 latency1_10 latency10_50 latency50_100 latency100_1000 latency_slow""".split()
GAUGES = "pps qps rps pps_1m qps_1m rps_1m pps_5m qps_5m rps_5m domains clients".split()
DAEMON = {
    "gauge": """
        dnstapd_build_info dnstapd_connections dnstapd_output_queued dnstapd_output_queue_bytes
        dnstapd_output_connected process_resident_memory_bytes process_open_fds process_start_time_seconds""",
    "counter": """
        dnstapd_frames_total dnstapd_input_bytes_total dnstapd_received_total dnstapd_filtered_total
        dnstapd_rejected_total dnstapd_malformed_total dnstapd_connections_total
        dnstapd_output_delivered_total dnstapd_output_dropped_total dnstapd_output_reconnects_total
        dnstapd_evicted_total dnstapd_log_dropped_total dnstapd_sniffer_kernel_drops_total
        process_cpu_seconds_total""",
}


def captures():
    return sorted(glob.glob(os.path.join(DATA, "*.fstrm")))


def scrape(daemon):
    answer, body = daemon.request("/metrics")
    assert answer.status == 200 and answer.getheader("Content-Type") == ("text/plain; version=0.0.4; "
                                                                         "charset=utf-8")
    return body


def types(body):
    return dict(line.split()[2:] for line in body.splitlines() if line.startswith("# TYPE "))


def check_with_promtool(body):
    """promtool finds no parse error; it may find names that do not end as it likes."""
    done = subprocess.run(["promtool", "check", "metrics"], input=body.encode(), capture_output=True)
    complaints = done.stderr.decode().splitlines()
    assert done.returncode in (0, 3), (done.returncode, complaints)
    assert all(re.fullmatch(r'dnstap_\S+ counter metrics should have "_total" suffix', line)
               for line in complaints), complaints


def test_promtool_reads_every_scrape():
    with Daemon() as daemon:
        check_with_promtool(scrape(daemon))
        sender = Sender(daemon.tcp)
        for path in captures():
            sender.send(*capture_frames(path))
        sender.send(*(message(identity=identity) for identity in
                      (b'"', b"\\", b"\n", b"a b", b"\xff" * 128, "Zürich".encode(), b"", b'{x="y"} 1',
                       b"\\n", None)))
        sender.stop()
        daemon.settle()
        body = scrape(daemon)
        check_with_promtool(body)
        assert len(body) > 50_000 and body.endswith("\n")


def test_names_and_types_of_the_contract():
    with Daemon() as daemon:
        Sender(daemon.tcp).send(message(identity=b"lb1"))
        daemon.settle()
        body = scrape(daemon)
        kinds, values = types(body), daemon.metrics()
        for kind, names in (("counter", COUNTERS), ("gauge", GAUGES)):
            for name in names:
                assert kinds[f"dnstap_{name}"] == kind, name
                assert f"dnstap_{name}" in values and f'dnstap_{name}{{identity="lb1"}}' in values, name
        assert kinds["dnstap_latency_seconds"] == "histogram"
        for bound in ("0.001", "0.01", "0.05", "0.1", "1", "+Inf"):
            assert f'dnstap_latency_seconds_bucket{{le="{bound}"}}' in values
            assert f'dnstap_latency_seconds_bucket{{identity="lb1",le="{bound}"}}' in values
        assert values['dnstap_last_message_timestamp_seconds{identity="lb1"}'] == 1600282313.591736
        for kind, names in DAEMON.items():
            for name in names.split():
                assert kinds[name] == kind and any(re.match(name + r"(\{|$)", key) for key in values), name
        # One HELP and TYPE a family, and its samples right after.
        families = re.findall(r"^# HELP (\S+) .+\n# TYPE (\S+) \w+\n((?:[^#].*\n)+)", body, re.M)
        assert "".join(f"# HELP {name}" for name, _,
                       _ in families).count("#") == body.count("# HELP ") == len(kinds)
        for name, typed, samples in families:
            assert name == typed and all(line.startswith(name) for line in samples.splitlines()), name
        build = re.search(r'^dnstapd_build_info\{version="(.+?)",target="(.+?)",features="(.*?)"\} 1$', body,
                          re.M)
        assert build and build.group(2).split("-")[0] in MACHINE, body


def test_values_of_a_known_stream():
    with Daemon() as daemon:
        sender = Sender(daemon.tcp)
        at = lambda milliseconds: (1000 + milliseconds // 1000, milliseconds % 1000 * 1_000_000)
        sizes = {5: 0, 6: 0}
        def send(kind, **keys):
            flags = keys.pop("flags", 0x8180 if kind == 6 else 0x0100)
            payload = dns(keys.pop("qname", "www.example.com."), keys.pop("qtype", 1), flags=flags)
            sizes[kind] += len(payload)
            sender.send(message(kind, payload=payload, **keys))
        for number, (took, rcode) in enumerate([(1, 0), (2, 3), (10, 2), (50, 5), (51, 0), (100, 0),
                                                (1000, 0), (1001, 0), (59_000, 0)]):
            send(6, flags=0x8180 | rcode, asked=at(0), when=at(took), address=bytes([192, 0, 2, number]),
                 protocol=2)
        send(5, qtype=33)
        send(5, qtype=28, qname="other.example.", family=2, address=b"\x20\x01\x0d\xb8" + bytes(12),
             protocol=2)
        daemon.settle()
        values = daemon.metrics()
        expected = dict(queries=2, queries_udp=1, queries_tcp=1, queries_inet=1, queries_inet6=1, queries_a=0,
                        queries_aaaa=1,
                        queries_svr=1, queries_srv=1, responses=9, response_udp=0, response_tcp=9,
                        response_inet=9,
                        response_inet6=0, responses_noerror=6, responses_nxdomain=1, responses_servfail=1,
                        responses_refused=1,
                        latency0_1=1, latency1_10=2, latency10_50=1, latency50_100=2, latency100_1000=1,
                        latency_slow=2,
                        domains=2, clients=11, queries_bytes_total=sizes[5], responses_bytes_total=sizes[6])
        assert set(expected) == set(COUNTERS) | {"domains", "clients"}
        for name, value in expected.items():
            for key in (f"dnstap_{name}", f'dnstap_{name}{{identity="lb1"}}'):
                assert values[key] == value, (key, values[key], value)
        buckets = [values[f'dnstap_latency_seconds_bucket{{le="{le}"}}']
                   for le in ("0.001", "0.01", "0.05", "0.1", "1", "+Inf")]
        assert buckets == [1, 3, 4, 6, 7, 9] and values["dnstap_latency_seconds_count"] == 9
        assert abs(values["dnstap_latency_seconds_sum"] - 61.215) < 1e-9
        # The same by their names in /counters.
        names = {"queries_bytes_total": "query/bytes", "queries_srv": "query/srv",
                 "queries_inet6": "query/inet6",
                 "response_tcp": "response/tcp", "responses_refused": "response/refused",
                 "latency_slow": "response/latency_slow"}
        counters = daemon.json("/counters?more=" + ",".join(names.values()))["counters"]
        assert {name: counters[path] for name, path in names.items()} == {name: expected[name]
                                                                          for name in names}


def test_rates_are_of_the_last_second():
    with Daemon() as daemon:
        sender = Sender(daemon.tcp)
        sender.send(*[message()] * 300, *[message(kind=6)] * 100)
        seen = []
        daemon.wait(lambda: seen.append(daemon.json("/counters?more=rps,pps")["counters"]) or seen[-1]["qps"],
                    3)
        now = seen[-1]
        assert 250 <= now["qps"] <= 310, now
        assert 80 <= now["rps"] <= 105, now
        assert now["pps"] == now["qps"] + now["rps"], now
        daemon.wait(lambda: daemon.json("/counters?more=pps")["counters"]["pps"] == 0, 3)


def test_averages_go_on_when_the_traffic_does_not():
    names = "qps-1m,rps-1m,pps-1m,qps-5m,rps-5m,pps-5m"
    with Daemon() as daemon:
        sender = Sender(daemon.tcp)
        for _ in range(20):
            sender.send(*[message()] * 30, *[message(kind=6)] * 10)
            time.sleep(0.1)
        # 800 messages in two seconds, of some three or four that the daemon has seen.
        daemon.wait(lambda: daemon.json("/counters")["counters"]["qps"] == 0, 3)
        for path in ("/counters?", "/counters?stream=lb1&"):
            now = daemon.json(f"{path}more={names}")["counters"]
            for period in ("1m", "5m"):
                assert 100 < now[f"qps-{period}"] < 310, now
                assert abs(now[f"rps-{period}"] - now[f"qps-{period}"] / 3) < 0.1, now
                assert abs(now[f"pps-{period}"] - now[f"qps-{period}"] * 4 / 3) < 0.1, now
            assert abs(now["qps-1m"] / now["qps-5m"] - 1) < 0.05, now
        values = daemon.metrics()
        for name in names.split(","):
            metric = "dnstap_" + name.replace("-", "_")
            assert values[metric] == values[f'{metric}{{identity="lb1"}}'] > 20, (name, values[metric])
        assert daemon.request("/reset", "DELETE")[0].status == 204
        assert set(daemon.json(f"/counters?more={names}")["counters"].values()) == {0}


def test_percentiles_of_the_latency():
    """Against those of the latencies that were sent, for each stream and all."""
    names = [f"latency-p{percent}" for percent in (50, 95, 99)]
    milliseconds = {b"fast": [n % 10 + 1 for n in range(1000)], b"slow": [20 + n for n in range(1000)]}
    at = 1600282313
    with Daemon() as daemon:
        assert [daemon.json("/counters?more=" + name)["counters"][name] for name in names] == [0] * 3
        sender = Sender(daemon.tcp)
        for identity, latencies in milliseconds.items():
            sender.send(*(message(6, asked=(at, 0), when=(at + ms // 1000, ms % 1000 * 1_000_000),
                                  identity=identity) for ms in latencies))
        daemon.settle()
        for stream, latencies in ((None, sum(milliseconds.values(), [])), *milliseconds.items()):
            suffix = "" if stream is None else "&stream=" + stream.decode()
            counters = daemon.json(f"/counters?more={','.join(names)}{suffix}")["counters"]
            for name, percent in zip(names, (50, 95, 99)):
                exact = sorted(latencies)[len(latencies) * percent // 100 - 1] / 1000
                assert abs(counters[name] / exact - 1) <= 1 / 16, (stream, name, counters[name], exact)


def test_old_spellings_name_the_same_table():
    pairs = [("tsla/query", "tlsa/query"), ("noimp/response", "notimp/response"),
             ("none/query", "type0/query")]
    for kept in (0, 1):
        with Daemon(extra=f"[statistics]\ntrack = {json.dumps([pair[kept] for pair in pairs])}\n") as daemon:
            sender = Sender(daemon.tcp)
            sender.send(message(payload=dns(qtype=52)), message(payload=dns("b.org.", qtype=0)),
                        message(6, payload=dns("c.net.", flags=0x8184)))
            daemon.settle()
            for old, new in pairs:
                answers = [daemon.json(f"/tables?more={flag}&detail=1") for flag in (old, new)]
                assert answers[0] == answers[1], answers
                assert len(answers[0]["tables"]["domains"][(old, new)[kept]]) == 1, answers[0]
            counters = daemon.json("/counters?more=query/tsla,query/tlsa,response/noimp,response/notimp,"
                                   "query/none,query/type0")["counters"]
            assert [counters[name] for name in list(counters)[-6:]] == [1] * 6, counters
            assert daemon.request("/tables?more=tlsa/response")[0].status == 400


def test_the_requests_of_dnstap_dashboard():
    """What the one known client asks, with its headers, and the keys it takes out of the answers."""
    more = "query/udp,query/tcp,response/udp,response/tcp,query/inet,query/inet6,response/inet,response/inet6"
    keys = ["query", "qps", "response", "clients", "domains", "response/noerror", "response/nxdomain",
            *more.split(",")]
    with Daemon() as daemon:
        sender = Sender(daemon.tcp)
        identities = [b"lb1", b"ns 1", "zürich".encode()]
        sender.send(*(message(kind, identity=identity) for identity in identities for kind in (5, 6)))
        daemon.settle()
        ask = lambda path: daemon.request(path, headers={"X-API-Key": "changeme"}, auth=False)
        answer, body = ask("/streams")
        assert answer.getheader("Content-Type") == "application/json; charset=utf-8"
        streams = json.loads(body)["streams"]
        assert streams == ["lb1", "ns\\0321", "zürich"]
        for stream in [None, *streams]:
            suffix = "" if stream is None else "&stream=" + urllib.parse.quote(stream)
            answer, body = ask(f"/counters?more={more}{suffix}")
            document = json.loads(body)
            assert document["stream"] == stream and list(document) == ["stream", "counters"]
            counters = document["counters"]
            assert set(keys) == set(counters)
            assert counters["query"] == counters["response/udp"] == (3 if stream is None else 1)
        # With its parameters encoded whole, as the requests library does.
        query = urllib.parse.urlencode({"more": more, "stream": "ns\\0321"})
        assert set(json.loads(ask(f"/counters?{query}")[1])["counters"]) == set(keys)


def test_more_acts_on_its_own_request_only():
    with Daemon() as daemon:
        before = daemon.json("/counters")
        assert list(before["counters"]) == ["clients", "domains", "query", "response", "qps",
                                            "response/noerror", "response/nxdomain"]
        assert list(daemon.json("/counters?more=rps,query/a")["counters"])[-2:] == ["rps", "query/a"]
        assert daemon.json("/counters") == before
    with Daemon(extra='[statistics]\ndefault-counters = ["query/aaaa", "query", "query"]') as daemon:
        assert daemon.json("/counters")["counters"] == {"query/aaaa": 0, "query": 0}


def test_the_configuration_in_force_without_secrets_and_the_memory_map():
    extra = '[names.static]\n"192.0.2.1" = "tv"\n[process]\nseccomp = false\n'
    with Daemon(fmt=None, extra=extra) as daemon:
        answer = daemon.json("/config")
        keys = dict(answer["keys"])
        assert answer["file"] == daemon.config and answer["left-out"] == 0, answer
        assert keys['names.static."192.0.2.1"'] == '"tv"' and keys["process.seccomp"] == "false", keys
        assert keys["input.tcp-socket.local-port"] == "0" and list(keys) == sorted(keys), keys
        checked = subprocess.run([BINARY, "-c", daemon.config, "--check"],
                                 capture_output=True,
                                 text=True,
                                 check=True)
        rows = [
            line.split(maxsplit=1)
            for line in checked.stdout.partition("memory, in bytes:\n")[2].splitlines()
        ]
        assert [[what, int(number)] for number, what in rows[:-1]] == answer["memory"], (rows, answer)
        assert answer["total"] == int(rows[-1][0]) == sum(number for _, number in answer["memory"])
        # What a reload takes over is in force then, what waits for a restart is not.
        with open(daemon.config) as file:
            text = file.read()
        daemon.write(text.replace('"tv"', '"radio"').replace("seccomp = false", "seccomp = true")
                     .replace("[web-api]\n", '[web-api]\nscrape-key = "topsecret"\n'))
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_for_log("Reloaded")
        keys = dict(daemon.json("/config")["keys"])
        assert keys['names.static."192.0.2.1"'] == '"radio"' and keys["process.seccomp"] == "false", keys
        assert "web-api.scrape-key" not in keys
        assert daemon.request("/config?a=1")[0].status == 400 and daemon.request("/config",
                                                                                 auth=False)[0].status == 401
    with Daemon(fmt=None, api='scrape-key = "topsecret"') as daemon:
        answer, body = daemon.request("/config")
        assert dict(json.loads(body)["keys"])["web-api.scrape-key"] is None and "topsecret" not in body


def test_reset():
    with Daemon() as daemon:
        sender = Sender(daemon.tcp)
        sender.send(message(), message(identity=b"ns1"))
        daemon.settle()
        answer, body = daemon.request("/reset", "DELETE")
        assert answer.status == 204 and body == ""
        assert daemon.json("/streams") == {"streams": ["lb1", "ns1"]}
        values = daemon.metrics()
        assert values["dnstap_queries"] == values["dnstap_clients"] == 0
        assert values['dnstap_domains{identity="lb1"}'] == 0
        assert values['dnstapd_received_total{input="tcp-socket"}'] == 2
        sender.send(message())
        daemon.settle()
        assert daemon.metrics()["dnstap_queries"] == 1


def test_credentials_of_the_configuration():
    basic = lambda text: {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}
    with temporary_folder() as folder:
        for name, text in (("key", "from a file\nsecond line\n"), ("password", "pässword:1\n")):
            with open(os.path.join(folder, name), "w") as file:
                file.write(text)
        api = f'login = "opérateur"\napi-key-file = "{folder}/key"\npassword-file = "{folder}/password"'
        with Daemon(api=api) as daemon:
            for headers, expected in (({"X-API-Key": "from a file"}, 200),
                                      (basic("opérateur:pässword:1"), 200),
                                      (basic("opérateur:pässword"), 401), ({"X-API-Key": "changeme"}, 401),
                                      (basic("admin:changeme"), 401), ({}, 401)):
                answer, _ = daemon.request("/streams", headers=headers, auth=False)
                assert answer.status == expected, headers
                challenge = answer.getheader("WWW-Authenticate")
                assert challenge == (None if expected == 200 else 'Basic realm="dnstapd"')
    with Daemon(api='api-key = ""\npassword = ""') as daemon:
        assert daemon.request("/streams", auth=False)[0].status == 200


def test_errors_are_json():
    with Daemon() as daemon:
        for path, method, status, allow in (("/nowhere", "GET", 404, None),
                                            ("/counters?stream=nope", "GET", 404, None),
                                            ("/counters?more=%ZZ", "GET", 400, None),
                                            ("/metrics", "POST", 405, "GET, HEAD"),
                                            ("/reset", "GET", 405, "DELETE"),
                                            ("/health", "DELETE", 405, "GET, HEAD")):
            answer, body = daemon.request(path, method)
            assert (answer.status, answer.getheader("Allow")) == (status, allow), path
            assert list(json.loads(body)) == ["error"], body


def test_ready_tells_which_output_is_down():
    reader, writer = os.pipe()
    with Daemon(stdout=writer) as daemon:
        os.close(writer)
        assert daemon.request("/ready", auth=False)[1] == "ok"
        os.close(reader)
        Sender(daemon.tcp).send(*[message()] * 10)
        daemon.wait(lambda: daemon.request("/ready", auth=False)[0].status == 503, 5)
        assert daemon.request("/ready", auth=False)[1] == "output stdout is down"
        answer, body = daemon.request("/health", auth=False)
        assert (answer.status, body) == (200, "ok")


def curl(*arguments):
    done = subprocess.run(["curl", "-sS", "--max-time", "10", *arguments], capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


def test_curl():
    with Daemon() as daemon:
        Sender(daemon.tcp).send(*(message(identity=b"server-%d" % number) for number in range(60)))
        daemon.settle()
        url = "http://%s:%d" % daemon.api
        user = ["-u", "admin:changeme"]
        # Without rates and the daemon's own, which change between two scrapes.
        traffic = lambda body: "".join(line for line in body[:body.index("# HELP dnstapd_")].splitlines(True)
                                       if not re.match("dnstap_[qrp]ps", line))
        whole = traffic(scrape(daemon))
        assert len(whole) > 100_000
        assert traffic(curl(*user, url + "/metrics")) == traffic(curl(*user, "--http1.0",
                                                                      url + "/metrics")) == whole
        assert traffic(curl(*user, "--compressed", url + "/metrics")) == whole
        # Two on one connection.
        two = curl(*user, "-w", "[%{num_connects}]", url + "/health", url + "/streams")
        assert two.startswith("ok[1]{") and two.endswith("[0]"), two
        assert curl(*user, "-I", url + "/metrics").startswith("HTTP/1.1 200")
        assert curl(*user, "-X", "DELETE", "-w", "%{http_code}", url + "/reset") == "204"
        # A body that nobody wants, with and without a length.
        sized = ["-X", "POST", "--data-binary", "@-", "-w", "%{http_code}", "-o", "/dev/null"]
        for length, extra, expected in ((1000, [], "405"), (60_000, [], "405"),
                                        (200_000, ["-H", "Expect:"], "413"),
                                        (1000, ["-H", "Transfer-Encoding: chunked"], "501")):
            done = subprocess.run(["curl", "-sS", "--max-time", "10", *user, *sized, *extra,
                                   url + "/metrics"],
                                  input=b"x" * length, capture_output=True)
            assert done.stdout.decode().startswith(expected), (length, extra, done)


def test_a_real_prometheus():
    """A Prometheus server scrapes, stores and gives back what was counted."""
    with Daemon() as daemon, temporary_folder() as folder:
        Sender(daemon.tcp).send(*[message(identity=b'a "b"\\')] * 3)
        daemon.settle()
        with open(os.path.join(folder, "prometheus.yml"), "w") as file:
            file.write(f"""
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
- job_name: dnstapd
  basic_auth: {{username: admin, password: changeme}}
  static_configs: [{{targets: ["{daemon.api[0]}:{daemon.api[1]}"]}}]
""")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with open(os.path.join(folder, "log"), "wb") as log:
            server = subprocess.Popen(["prometheus", f"--config.file={folder}/prometheus.yml",
                                       f"--storage.tsdb.path={folder}/data",
                                       f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
        def query(text):
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                connection.request("GET", "/api/v1/query?" + urllib.parse.urlencode({"query": text}))
                return json.loads(connection.getresponse().read())["data"]["result"]
            except (OSError, ValueError, KeyError):
                return []
        try:
            daemon.wait(lambda: query("up == 1"), 30,
                        lambda: open(os.path.join(folder, "log")).read()[-2000:])
            daemon.wait(lambda: query("dnstap_queries"), 10)
            found = {row["metric"].get("identity"): row["value"][1] for row in query("dnstap_queries")}
            assert found == {None: "3", 'a\\032\\"b\\"\\\\': "3"}, found
            assert query("sum(dnstapd_frames_total) == sum(dnstapd_received_total) + "
                         "sum(dnstapd_rejected_total)")
            assert query("histogram_quantile(0.5, dnstap_latency_seconds_bucket)")
            assert abs(float(query("process_start_time_seconds - time()")[0]["value"][1])) < 60
        finally:
            server.terminate()
            server.wait(20)


def test_scrapes_under_full_load_cost_no_frame():
    """Two clients scrape without a pause while frames come as fast as they can; every scrape is
    consistent."""
    with Daemon(fmt="text", stdout=open("/dev/null", "wb")) as daemon:
        sender = Sender(daemon.unix)
        identities = [b"server-%02d" % number for number in range(50)]
        batch = b"".join(frame(message(kind, identity=identity)) for identity in identities
                         for kind in (5, 6)) * 20
        batches, done, bodies, failures = 100, threading.Event(), [], []
        def ask():
            try:
                while not done.is_set():
                    bodies.append(scrape(daemon))
            except Exception as failure:  # shown below
                failures.append(failure)
        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        for _ in range(batches):
            sender.sock.sendall(batch)
        daemon.settle()
        done.set()
        for thread in threads:
            thread.join()
        assert not failures and len(bodies) >= 5, (failures, len(bodies))
        for body in bodies:
            total = lambda family: sum(float(line.rsplit(" ", 1)[1]) for line in body.splitlines()
                                       if line.startswith(family + "{"))
            received = total("dnstapd_received_total")
            assert (total("dnstapd_frames_total")
                    == received + total("dnstapd_rejected_total") + total("dnstapd_filtered_total"))
            assert received == sum(total(f"dnstapd_output_{part}")
                                   for part in ("delivered_total", "dropped_total", "queued"))
        values = daemon.check_accounts()
        frames = batches * len(identities) * 2 * 20
        assert values['dnstapd_received_total{input="unix-socket"}'] == frames
        assert sum(value for key, value in values.items() if key.startswith("dnstapd_output_dropped")) == 0


@natively("a full load leaves an emulated program no time")
def test_a_scrape_of_16_streams_under_full_load_delays_no_frame_for_long():
    """The time from a frame to the queues: that from sending it, and STOP behind it, to FINISH, while others
    send all they can."""
    with Daemon(fmt="text", stdout=open("/dev/null", "wb")) as daemon:
        batch = b"".join(frame(message(kind, identity=b"server-%02d" % number)) for number in range(16)
                         for kind in (5, 6)) * 30
        done, scrapes = threading.Event(), []

        def load():
            sender = Sender(daemon.unix)
            while not done.is_set():
                sender.sock.sendall(batch)
            sender.stop()

        def scrape_on():
            while not done.is_set():
                scrapes.append(len(scrape(daemon)))

        def slowest(frames):
            delays = []
            for _ in range(frames):
                probe = Sender(daemon.unix)
                sent = time.monotonic()
                probe.sock.sendall(frame(message(identity=b"server-00")) + control(STOP))
                assert probe.read_control() == (FINISH, b"")
                delays.append(time.monotonic() - sent)
                probe.sock.close()
            return 1000 * max(delays)

        threads = [threading.Thread(target=load)]
        begun = time.monotonic()
        threads[0].start()
        daemon.wait(lambda: daemon.metrics()["dnstap_queries"] > 10_000)
        quiet = slowest(300)
        threads.append(threading.Thread(target=scrape_on))
        threads[1].start()
        busy = slowest(300)
        speed = daemon.metrics()["dnstap_queries"] * 2 / (time.monotonic() - begun)
        done.set()
        for thread in threads:
            thread.join()
        values = daemon.check_accounts()
        print(f"{speed:.0f} messages a second, {len(scrapes)} scrapes of {scrapes[-1]} bytes; "
              f"slowest of 300 frames to the queue: {busy:.1f} ms, {quiet:.1f} ms without scrapes")
        assert sum(value for key, value in values.items() if key.startswith("dnstapd_output_dropped")) == 0
        assert len(scrapes) >= 5 and busy < 500, (len(scrapes), busy)


def test_stalled_clients_do_not_lock_others_out():
    with Daemon() as daemon:
        stalled = [socket.create_connection(daemon.api, timeout=20) for _ in range(8)]
        for client in stalled:
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\nX-Slow: ")
        started = time.monotonic()
        connection = http.client.HTTPConnection(*daemon.api, timeout=20)
        connection.request("GET", "/health")
        assert connection.getresponse().status == 200
        waited = time.monotonic() - started
        assert waited < 0.5, waited
        assert any(client.recv(100) == b"" for client in stalled)


def test_hostile_requests():
    with Daemon() as daemon:
        for request, status in (
            (b"GET /%FF HTTP/1.1\r\nHost: a\r\n\r\n", b"401"),
            (b"GET /health HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551615\r\n\r\n",
             b"413"), (b"GET /health HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775807\r\n\r\n",
                       b"413"), (b"GET /%FF HTTP/1.1\r\nHost: a\r\nX-API-Key: changeme\r\n\r\n", b"404"),
            (b"GET /counters?stream=%FF HTTP/1.1\r\nHost: a\r\nX-API-Key: changeme\r\n\r\n",
             b"400"), (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
                       b"400"), (b"\0" * 5000, b"400"), (b"\x16\x03\x01\r\n\r\n", b"400")):
            client = socket.create_connection(daemon.api, timeout=15)
            client.sendall(request)
            assert client.recv(4096).startswith(b"HTTP/1.1 " + status), request
            client.close()
        assert daemon.request("/health")[1] == "ok"


@natively("the emulator grows by what it translates")
def test_memory_stays_through_many_requests():
    with Daemon() as daemon:
        Sender(daemon.tcp).send(*(message(identity=b"server-%d" % number) for number in range(60)))
        daemon.settle()
        resident = lambda: daemon.metrics()["process_resident_memory_bytes"]
        connection = http.client.HTTPConnection(*daemon.api, timeout=10)
        def ask(times):
            for number in range(times):
                path = ("/metrics", "/counters?more=query/a,nonsense", "/streams", "/nowhere")[number % 4]
                connection.request("GET", path, headers={"X-API-Key": "changeme"})
                connection.getresponse().read()
        ask(200)
        before = resident()
        ask(4000)
        assert resident() - before <= 64 << 10, (before, resident())
        assert daemon.metrics()["process_open_fds"] < 30


def test_ipv6_and_stop():
    with Daemon(api='local-address = "[::1]"') as daemon:
        port = int(re.search(r"Webserver: listening on \[::1\]:(\d+)", daemon.log()).group(1))
        connection = http.client.HTTPConnection("::1", port, timeout=5)
        connection.request("GET", "/health")
        assert connection.getresponse().read() == b"ok"
        # An idle connection does not hold up the stop.
        started = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - started < 0.5
        assert connection.sock.recv(10) == b""
