"""Output http against a real HTTP server: each format, and what a server may do to a client."""
import base64
import contextlib
import gzip
import json
import os
import re
import socketserver
import subprocess
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler

import pytest

from certificates import Authority, server_context
from harness import Daemon, Sender, dns, free_port, message, needs, temporary_folder
from peers import Subject, delivered, dropped, faults, send, wait_delivered


class Server:
    """Keeps the requests it is sent; `script` says in turn what becomes of them, then all is well."""

    def __init__(self, *script, port=0, old=False, context=None):
        self.script, self.requests, self.times, self.connections = list(script), [], [], 0
        self.lock, server = threading.Lock(), self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.0" if old else "HTTP/1.1"

            def setup(self):
                super().setup()
                server.connections += 1

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                plain = gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body
                with server.lock:
                    step = server.script.pop(0) if server.script else 204
                    server.times.append(time.monotonic())
                    server.requests.append((self, step, plain.decode()))
                if callable(step):
                    return step(self, plain)
                answer(self, step)

            def log_message(self, *_):
                pass

        class Threads(socketserver.ThreadingTCPServer):
            allow_reuse_address = daemon_threads = True

        self.listener = Threads(("127.0.0.1", port), Handler)
        if context:
            self.listener.socket = context.wrap_socket(self.listener.socket, server_side=True)
        self.port = self.listener.server_address[1]
        threading.Thread(target=self.listener.serve_forever, args=(0.05,), daemon=True).start()

    def bodies(self, status=204):
        with self.lock:
            return [body for _, step, body in self.requests if step == status]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown()
        self.listener.server_close()


def answer(handler, status, body=b"", **headers):
    handler.send_response(status)
    if status != 204:
        handler.send_header("Content-Length", str(len(body)))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def http_output(port, more="", path="/", scheme="http"):
    return f"[output.http]\nenable = true\nurl = '{scheme}://127.0.0.1:{port}{path}'\n{more}\n"


def numbers(bodies):
    return [int(json.loads(line)["qname"].split(".")[0][1:]) for body in bodies
            for line in body.splitlines()]


def test_ndjson_is_what_stdout_prints():
    with Server() as server, temporary_folder() as folder:
        for name in ("password", "token"):
            with open(os.path.join(folder, name), "w") as file:
                file.write(f"top{name}\nmore\n")
        more = f"user = 'me'\npassword-file = '{folder}/password'\nbatch = '4K'\n" \
               "headers = { X-Scope-OrgID = 'home' }"
        with Daemon(extra=http_output(server.port, more, "/in put?a=b")) as daemon:
            send(daemon, 500)
            wait_delivered(daemon, "http", 500)
            assert daemon.stop() == 0
            with open(daemon.out) as file:
                assert "".join(server.bodies()) == file.read()
            assert "toppassword" not in daemon.log()
        request = server.requests[0][0]
        assert (request.path, request.headers["Host"]) == ("/in%20put?a=b", f"127.0.0.1:{server.port}")
        assert request.headers["Content-Type"] == "application/x-ndjson"
        assert request.headers["Content-Encoding"] == "gzip" and request.headers["X-Scope-OrgID"] == "home"
        assert request.headers["Authorization"] == "Basic " + base64.b64encode(b"me:toppassword").decode()
        assert all(len(body) <= 4096 for body in server.bodies()) and len(server.bodies()) > 20
        assert server.connections == 1, "the connection stays open"
        with Daemon(fmt=None, extra=http_output(server.port, f"bearer-file = '{folder}/token'")) as daemon:
            send(daemon, 1)
            wait_delivered(daemon, "http", 1)
        assert server.requests[-1][0].headers["Authorization"] == "Bearer toptoken"


def test_clickhouse_rows():
    with Server() as server:
        with Daemon(extra=http_output(server.port, "format = 'clickhouse'\ncompress = 'none'",
                                      "/?query=INSERT INTO dns FORMAT JSONEachRow")) as daemon:
            sender = Sender(daemon.unix)
            sender.send(message(), message(kind=6, asked=(1600282313, 590736000)),
                        message(when=None, port=None))
            sender.stop()
            wait_delivered(daemon, "http", 3)
            records = daemon.records()
        assert server.requests[0][0].path == "/?query=INSERT%20INTO%20dns%20FORMAT%20JSONEachRow"
        assert server.requests[0][0].headers["Content-Encoding"] is None
        rows = [json.loads(line) for line in "".join(server.bodies()).splitlines()]
        for row, record in zip(rows, records, strict=True):
            assert list(row) == [key.replace("-", "_") for key in record]
            for key, value in record.items():
                if key == "timestamp":
                    value = None if value == "-" else value.replace("T", " ").removesuffix("+00:00")
                    assert value is None or re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}", value)
                elif value == "-" and key in ("latency", "query-port", "response-port"):
                    value = None
                assert row[key.replace("-", "_")] == value, key
        assert [row["latency"] for row in rows] == [None, 0.001, None] and rows[2]["query_port"] is None


CLICKHOUSE = "/usr/sbin/clickhouse-server"


class ClickHouse:
    """Debian's server, with nothing on but HTTP; it can be stopped and started again. `settings` are its users'."""

    def __init__(self, folder, settings=""):
        self.folder, self.port, self.process = folder, free_port(), None
        with open(f"{folder}/config.xml", "w") as file:
            file.write(
                f"""<yandex><logger><level>error</level><console>1</console></logger><http_port>{self.port}</http_port>
                <listen_host>127.0.0.1</listen_host><path>{folder}/data/</path><tmp_path>{folder}/tmp/</tmp_path>
                <kafka><auto_offset_reset>earliest</auto_offset_reset></kafka>
                <users_config>{folder}/users.xml</users_config><default_profile>default</default_profile>
                <default_database>default</default_database><mark_cache_size>1000000</mark_cache_size></yandex>"""
            )
        with open(f"{folder}/users.xml", "w") as file:
            file.write(f"""<yandex><profiles><default>{settings}</default></profiles><quotas><default/></quotas><users>
                <default><password></password><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota></default>
                <writer><password>topsecret</password><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota></writer>
                </users></yandex>""")

    def start(self):
        self.process = subprocess.Popen([CLICKHOUSE, f"--config-file={self.folder}/config.xml"],
                                        stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL,
                                        cwd=self.folder)
        end = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError):
                return self.ask("SELECT 1")
            assert self.process.poll() is None and time.monotonic() < end
            time.sleep(0.1)

    def ask(self, sql):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", sql.encode(), timeout=10) as found:
            return [line.split("\t") for line in found.read().decode().splitlines()]

    def end(self):
        """As a service manager does it."""
        self.process.terminate()
        self.process.wait(30)

    def stop(self):
        self.process.kill()
        self.process.wait()


@pytest.mark.skipif(not os.path.exists(CLICKHOUSE), reason="no ClickHouse here")
def test_rows_in_a_real_clickhouse():
    """Of 2018: a DateTime has no fractions yet, so microseconds are a column of their own. It goes and comes
    back."""
    with temporary_folder() as folder:
        database = ClickHouse(folder)
        database.start()
        try:
            database.ask(
                """CREATE TABLE rows (timestamp String, identity String, message String, qname String, query_ip String,
                query_port Nullable(UInt16), latency Nullable(Float64), id UInt16, length UInt32, flags String,
                time DateTime MATERIALIZED toDateTime(substring(timestamp, 1, 19), 'UTC'),
                micros UInt32 MATERIALIZED toUInt32(substring(timestamp, 21, 6))) ENGINE = Log""")
            with open(f"{folder}/password", "w") as file:
                file.write("topsecret\n")
            os.chmod(f"{folder}/password", 0o644)
            target = "/?query=INSERT INTO rows FORMAT JSONEachRow&input_format_skip_unknown_fields=1"
            more = f"format = 'clickhouse'\nretry = 1\nuser = 'writer'\npassword-file = '{folder}/password'"
            with Daemon(fmt=None, extra=http_output(database.port, more, target)) as daemon:
                sender = Sender(daemon.unix)
                sender.send(*(message(6, dns(f"n{number}.test", flags=0x8180), asked=(1600282313, 590736000))
                              for number in range(200)))
                sender.send(message(port=None))
                wait_delivered(daemon, "http", 201, 30)
                database.stop()
                sender.send(*(message(5, dns(f"n{number}.test")) for number in range(200, 500)))
                sender.stop()
                daemon.wait(lambda: daemon.metrics()['dnstapd_output_connected{output="http"}'] == 0, 20)
                database.start()
                wait_delivered(daemon, "http", 501, 40)
                daemon.check_accounts()
            counted = database.ask(
                "SELECT count(), uniq(qname), min(time), sum(micros), countIf(query_port IS NULL) FROM rows")
            assert counted == [["501", "501", "2020-09-16 18:51:53", str(501 * 591736), "1"]]
            assert database.ask(
                "SELECT count(), min(latency), max(latency) FROM rows WHERE latency IS NOT NULL") == [[
                    "200", "0.001", "0.001"
                ]]
        finally:
            database.stop()


def test_loki_push():
    with Server() as server:
        with Daemon(extra=http_output(server.port, "format = 'loki'", "/loki/api/v1/push")) as daemon:
            sender = Sender(daemon.unix)
            for number in range(6):
                identity = (b"lb1", b"lb1", b'a "b')[number % 3] if number < 5 else None
                sender.send(message(payload=dns(f'n{number}."x".test'), identity=identity))
            sender.stop()
            wait_delivered(daemon, "http", 6)
            records = daemon.lines()
        assert server.requests[0][0].headers["Content-Type"] == "application/json"
        seen = []
        for body in server.bodies():
            push = json.loads(body)
            assert list(push) == ["streams"]
            for stream in push["streams"]:
                assert list(stream) == ["stream", "values"] and list(stream["stream"]) == ["job", "identity"]
                assert stream["stream"]["job"] == "dnstapd" and stream["values"]
                for time_text, line in stream["values"]:
                    assert time_text == "1600282313591736000"
                    assert json.loads(line)["identity"] == stream["stream"]["identity"]
                    seen.append(line)
        assert seen == records
        assert r"a\032\"b" in json.loads(server.bodies()[0])["streams"][1]["stream"]["identity"]


def bulk(*statuses):
    def step(handler, body):
        items = [{"create": {"_index": "dns", "status": status, **({"error": {"type": "x", "status": 1}} if
                                                                   status > 299 else {})}}
                 for status, _ in zip(statuses, body.splitlines()[1::2])]
        answer(handler, 200, json.dumps({"took": 1, "errors": True, "items": items}).encode())
    return step


@needs("records")
def test_elastic_items_are_judged_singly():
    first = bulk(201, 429, 400, 201, 503)
    second = bulk(201, 429)
    with Server(first, second) as server:
        with Daemon(fmt=None, extra=http_output(server.port, "format = 'elastic'", "/dns/_bulk")) as daemon:
            send(daemon, 5)
            daemon.wait(lambda: len(server.requests) == 3)
            daemon.wait(lambda: delivered(daemon, "http") == 4)
            metrics = daemon.check_accounts()
            assert metrics['dnstapd_output_dropped_total{output="http",reason="refused"}'] == 1
            assert daemon.metrics()['dnstapd_output_queue_bytes{output="http"}'] == 0
        documents = [body.splitlines() for _, _, body in server.requests]
        assert all(json.loads(line) == {"create": {}} for lines in documents for line in lines[::2])
        first, second, third = (lines[1::2] for lines in documents)
        assert len(first) == 5 and second == [first[1], first[4]] and third == [first[4]]
        document = json.loads(first[0])
        assert document["ecs"]["version"].startswith("8.11") and document["@timestamp"]
        assert document["dns"]["question"]["name"] == "n0.test"


def broken(handler, _):
    """Half an answer."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    handler.close_connection = True


def silent(handler, _):
    handler.close_connection = True


def strange(handler, _):
    handler.wfile.write(b"SSH-2.0-dropbear\r\n")
    handler.close_connection = True


@pytest.mark.parametrize("fault", [408, 429, 500, 503, broken, silent, strange])
def test_batches_go_out_again_as_they_were(fault):
    with Server(fault, fault) as server:
        with Daemon(fmt=None, extra=http_output(server.port)) as daemon:
            send(daemon, 20)
            daemon.wait(lambda: server.requests)
            send(daemon, 20, first=20)
            wait_delivered(daemon, "http", 40, 20)
            assert daemon.check_accounts()['dnstapd_output_queued{output="http"}'] == 0
            assert daemon.request("/ready", auth=False)[0].status == 200
        bodies = [body for _, _, body in server.requests]
        again = bodies.count(bodies[0])
        assert again >= 3 or fault in (broken, silent) and again >= 2
        assert sorted(set(numbers(bodies))) == list(range(40)) and numbers(server.bodies()) == list(range(40))


def test_retry_after_is_kept():
    wait = lambda handler, _: answer(handler, 429, Retry_After="3")
    with Server(wait) as server:
        with Daemon(fmt=None, extra=http_output(server.port)) as daemon:
            send(daemon, 3)
            daemon.wait(lambda: server.requests)
            assert daemon.metrics()['dnstapd_output_queued{output="http"}'] == 3
            wait_delivered(daemon, "http", 3)
        assert 2.9 < server.times[1] - server.times[0] < 30


def test_refused_batches_are_dropped():
    with Server(400, 404, 401, 302) as server:
        with Daemon(fmt=None, extra=http_output(server.port)) as daemon:
            for number in range(4):
                send(daemon, 5, first=5 * number)
                daemon.wait(lambda: dropped(daemon, "http") == 5 * number + 5)
            send(daemon, 5, first=20)
            wait_delivered(daemon, "http", 5)
            metrics = daemon.check_accounts()
            assert metrics['dnstapd_output_dropped_total{output="http",reason="refused"}'] == 20
            assert "5 records were refused, the answer is 400" in daemon.log()
        assert len(server.requests) == 5 and numbers(server.bodies()) == list(range(20, 25))


def test_a_server_that_is_away_old_and_slow():
    port = free_port()
    with Daemon(fmt="text", extra=http_output(port, "queue = '64K'\nbatch = '8K'")) as daemon:
        daemon.wait_for_log("Output http: http://127.0.0.1")
        send(daemon, 100)
        assert daemon.check_accounts()['dnstapd_output_queued{output="http"}'] == 100
        assert daemon.request("/ready", auth=False)[0].status == 503
        slow = lambda handler, _: (time.sleep(1), answer(handler, 204))
        with Server(slow, port=port, old=True) as server:
            wait_delivered(daemon, "http", 100, 20)
            started = time.monotonic()
            server.script = [slow] * 100
            send(daemon, 20_000, first=100)
            assert time.monotonic() - started < 30, "the input keeps its speed"
            metrics = daemon.check_accounts()
            assert metrics['dnstapd_output_dropped_total{output="http",reason="full"}'] > 0
            assert metrics['dnstapd_output_delivered_total{output="stdout"}'] == 20_100, "others lose nothing"
            assert server.connections == len(server.requests), "a connection each"
            server.script = []
            daemon.wait(lambda: daemon.metrics()['dnstapd_output_queued{output="http"}'] == 0, 20)


def test_wait_loses_nothing_and_a_stop_drains():
    with Server(503) as server:
        more = "queue = '8K'\nbatch = '2K'\nwhen-full = 'wait'\nflush-interval = 60"
        with Daemon(fmt=None, extra=http_output(server.port, more)) as daemon:
            send(daemon, 3000)
            daemon.wait(lambda: delivered(daemon, "http") > 2900, 30)
            daemon.settle()
            started = time.monotonic()
            assert daemon.stop() == 0 and time.monotonic() - started < 15
        assert numbers(server.bodies()) == list(range(3000))


def serve_requests(connection, into):
    """Answers well, and keeps the bodies."""
    raw = bytearray()

    def more():
        piece = connection.recv(1 << 16)
        if not piece:
            raise OSError("it was closed")
        raw.extend(piece)

    while True:
        while (end := raw.find(b"\r\n\r\n") + 4) < 4:
            more()
        length = int(re.search(rb"Content-Length: (\d+)", raw[:end])[1])
        while len(raw) < end + length:
            more()
        into += raw[end:end + length]
        del raw[:end + length]
        connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")


@needs("records")
@faults()
def test_faults(fault):
    def config(port, address="127.0.0.1"):
        more = "queue = '64K'\ncompress = 'none'\nbatch = '32K'\nfields = ['qname']\nretry = 1"
        return http_output(port, more).replace("127.0.0.1", address)

    fault(
        Subject("http", config, serve=serve_requests,
                records=lambda peer: numbers(["\n".join(peer.lines())])))


def test_tls():
    authority = Authority()
    with Server(context=server_context(authority.sign("server"))) as server:
        with Daemon(fmt=None, extra=http_output(server.port, f"tls-ca = '{authority.ca}'",
                                                scheme="https")) as daemon:
            send(daemon, 50)
            wait_delivered(daemon, "http", 50)
        assert numbers(server.bodies()) == list(range(50))
