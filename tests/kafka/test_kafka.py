"""The Kafka output against a real Apache Kafka broker, on loopback in a network namespace, read by an
independent client.

The broker is killed, restarted, frozen. In each case the accounting equations hold by the metrics alone, and
the output to a file beside loses nothing.
"""
import collections
import contextlib
import json
import os
import shlex
import signal
import subprocess
import tempfile
import time

import pytest
from kafka.partitioner.default import murmur2

import harness
from broker import PASSWORD, PLAIN, SASL, TLS, USER
from harness import Sender, message, natively, run_binary

HERE = os.path.dirname(os.path.abspath(__file__))
# For a program with the cargo feature `kafka-plain`, which has neither TLS nor SCRAM.
IS_PLAIN = "DNSTAPD_KAFKA_PLAIN" in os.environ
encrypted = pytest.mark.skipif(IS_PLAIN, reason="kafka-plain has no OpenSSL")
broker = None
BASE = {"bootstrap.servers": PLAIN, "enable.idempotence": True, "reconnect.backoff.max.ms": 500}
TOPICS = (f"topic-{number}" for number in range(1_000))


@pytest.fixture(scope="session", autouse=True)
def running_broker(real_broker):
    global broker
    broker = real_broker
    with tempfile.TemporaryDirectory() as folder:
        if harness.EMULATOR:
            harness.BINARY = emulated(harness.BINARY, folder)
        yield


def emulated(binary, folder):
    """A program that has the emulator run this one."""
    path = os.path.join(folder, "dnstapd")
    with open(path, "w") as script:
        script.write(f'#!/bin/sh\nexec {harness.EMULATOR} {shlex.quote(binary)} "$@"\n')
    os.chmod(path, 0o755)
    return path


def value(setting):
    return json.dumps(setting)  # TOML's strings, numbers and booleans are JSON's here


def section(topic, keys="", **rdkafka):
    settings = {**BASE, **{name.replace("_", "."): setting for name, setting in rdkafka.items()}}
    lines = "".join(f"{json.dumps(name)} = {value(setting)}\n" for name, setting in settings.items())
    return f"[output.kafka]\nenable = true\ntopic = '{topic}'\n{keys}\n[output.kafka.rdkafka-config]\n{lines}"


class Daemon(harness.Daemon):
    """A dnstapd with the Kafka output, and one to a file beside."""

    def __init__(self, topic, keys="", fmt="json", more="", **rdkafka):
        super().__init__(section(topic, f"format = '{fmt}'\n{keys}", **rdkafka) + more, fmt=fmt)
        self.sent = 0

    def metrics(self):
        """The same; the account of each output is exact whenever one looks."""
        metrics = super().metrics()
        received = sum(n for name, n in metrics.items() if name.startswith("dnstapd_received_total{"))
        for output in ("kafka", "stdout"):
            parts = [n for name, n in metrics.items() if f'output="{output}"' in name
                     and name.startswith(("dnstapd_output_delivered_", "dnstapd_output_dropped_",
                                          "dnstapd_output_queued"))]
            assert sum(parts) == received, (output, received, parts)
        return metrics

    def send(self, number, sender=None, identity=b"lb1"):
        """Messages of 20 clients in turn, each with a number of its own."""
        sender = sender or Sender(self.tcp)
        for at in range(self.sent, self.sent + number):
            sender.send(message(address=client(at), payload=harness.dns(f"n{at}.example.com."),
                                identity=identity))
        self.sent += number
        self.wait(lambda: self.kafka("received") == self.sent, 20)
        return sender

    def kafka(self, what, **labels):
        """One counter of the output, or all that arrived."""
        metrics, total = self.metrics(), 0
        if what == "received":
            return sum(n for name, n in metrics.items() if name.startswith("dnstapd_received_total{"))
        for name, number in metrics.items():
            if name.startswith(f"dnstapd_output_{what}{{") and 'output="kafka"' in name:
                if all(f'{label}="{text}"' in name for label, text in labels.items()):
                    total += number
        return total

    def delivered(self, number, seconds=30):
        self.wait(lambda: self.kafka("delivered_total") == number, seconds,
                  lambda: f"{self.account()}\n{self.log()}")

    def account(self):
        metrics = self.metrics()
        return {name: number for name, number in metrics.items() if 'output="kafka"' in name}

    def account_holds(self):
        """The equations, and that the output beside lost nothing."""
        metrics = self.check_accounts()
        assert metrics['dnstapd_output_delivered_total{output="stdout"}'] == self.sent
        return metrics


def client(at):
    return bytes([192, 0, 2, 100 + at % 20])


def number_of(record):
    return int(json.loads(record.value)["qname"].split(".")[0][1:])


def in_order(records):
    """No number twice, and those of each partition rising."""
    numbers = [number_of(record) for record in records]
    assert len(set(numbers)) == len(numbers)
    by_partition = collections.defaultdict(list)
    for record in records:
        by_partition[record.partition].append(number_of(record))
    assert all(numbers == sorted(numbers) for numbers in by_partition.values())
    return sorted(numbers)


def test_everything_arrives_once_and_in_order_for_each_client():
    topic = broker.create(next(TOPICS), partitions=6)
    with Daemon(topic, 'key = "query-ip"\nqueue = "8M"', partitioner="murmur2_random") as daemon:
        daemon.wait(lambda: daemon.kafka("connected") == 1)
        daemon.send(10_000)
        daemon.delivered(10_000)
        metrics = daemon.account_holds()
        assert metrics['dnstapd_output_connected{output="kafka"}'] == 1
        records = broker.read(topic, 10_000)
        assert in_order(records) == list(range(10_000))
        assert len({record.partition for record in records}) > 1
        for record in records:
            assert record.key.decode() == json.loads(record.value)["query-ip"]
            assert record.partition == (murmur2(record.key) & 0x7FFFFFFF) % 6
        assert daemon.stop() == 0


def records_beside(daemon, fmt):
    """What the output beside wrote, record by record."""
    text = "\n".join(daemon.lines())
    return [f"---{part}".rstrip("\n")
            for part in text.split("---")[1:]] if fmt == "yaml" else text.split("\n")


def test_every_format_and_every_key():
    for fmt in ("text", "json", "yaml"):
        for key, named in (("none", None), ("identity", rb"lb\0321"), ("query-ip", b"192.0.2.1"),
                           ("qname", b"Ns.Example.")):
            topic = broker.create(next(TOPICS))
            with Daemon(topic, f'key = "{key}"', fmt) as daemon:
                Sender(daemon.tcp).send(
                    message(identity=b"lb 1", address=bytes([192, 0, 2, 1]),
                            payload=harness.dns("Ns.Example.")),
                    message(identity=None, address=None, payload=b""))
                daemon.delivered(2)
                records = broker.read(topic, 2)
                assert [record.key for record in records] == [named, None], (key, records)
                values = [record.value.decode().rstrip("\n") for record in records]
                assert values == records_beside(daemon, fmt), (fmt, values)


def consumer_of_the_readme(begins, topic):
    """A consumer as the README shows it, at work, and the file that it prints to."""
    with open(os.path.join(HERE, "../../docs/outputs.md")) as readme:
        line = next(line for line in readme if line.startswith(f"    {begins} "))
    words = [{"10.0.0.3:9092": PLAIN, "dnstap": topic}.get(word, word) for word in shlex.split(line)]
    if begins == "kafka-console-consumer.sh":
        words[:1] = [*broker.java(), "org.apache.kafka.tools.consumer.ConsoleConsumer"]
    path = os.path.join(broker.folder, begins)
    with open(path, "w") as out:
        return subprocess.Popen(words, stdout=out, stderr=subprocess.DEVNULL), path


def test_the_consumers_of_the_readme():
    """Both, in one group: each message comes to one of them, and those of a client come to the same one, in
    order."""
    topic = broker.create(next(TOPICS), partitions=6)
    consumers = [consumer_of_the_readme(begins, topic) for begins in ("kcat", "kafka-console-consumer.sh")]
    try:
        broker.wait_for_members("dns", 2)
        with Daemon(topic, 'key = "query-ip"\nqueue = "8M"', partitioner="murmur2_random") as daemon:
            daemon.send(2_000)
            daemon.delivered(2_000)
        time.sleep(3)
    finally:
        for consumer, _ in consumers:
            consumer.terminate()
    by_client = collections.defaultdict(list)
    for place, (consumer, path) in enumerate(consumers):
        consumer.wait(20)
        with open(path) as out:
            lines = out.read().splitlines()
        assert len(lines) > 100, (place, lines[:3])
        for line in lines:
            key, value = line.split("\t") if place else line.split(" ", 3)[2:]
            record = json.loads(value)
            assert key == record["query-ip"], line
            by_client[place, key].append(int(record["qname"].split(".")[0][1:]))
    assert len(by_client) == 20, by_client.keys()
    assert all(numbers == sorted(numbers) for numbers in by_client.values())
    assert sorted(number for numbers in by_client.values() for number in numbers) == list(range(2_000))


def test_what_librdkafka_refuses_is_refused_in_its_words():
    check = lambda **rdkafka: run_binary("--check", config=section("t", **rdkafka))
    for rdkafka, words in (
            ({"no_such_thing": 1}, 'No such configuration property: "no.such.thing"'),
            ({"compression_codec": "zip"},
             'Invalid value "zip" for configuration property "compression.codec"'),
            ({"acks": 1}, "`acks` must be set to `all` when `enable.idempotence` is true"),
            ({"linger_ms": -5}, "value -5 is outside allowed range 0..900000"),
            ({"transactional_id": "a"}, "transactional.id")):
        status, _, errors = check(**rdkafka)
        assert status == 2 and words in errors and "dnstap.toml:" in errors, (rdkafka, status, errors)
    status, out, errors = check(**{"security.protocol": "sasl_plaintext", "sasl.mechanism": "PLAIN",
                                   "sasl.username": USER, "sasl.password": "hush hush", "client.id": "x"})
    assert status == 0 and f"output: kafka, topic t at {PLAIN}, json" in out, (status, out, errors)
    assert "hush" not in out + errors and "queue and buffers of output kafka" in out


@encrypted
def test_what_librdkafka_refuses_of_tls():
    check = lambda **rdkafka: run_binary("--check", config=section("t", **rdkafka))
    status, _, errors = check(security_protocol="sasl_ssl", sasl_mechanism="GSSAPI")
    assert status == 2 and "sasl" in errors and "dnstap.toml:" in errors, (status, errors)
    status, _, errors = check(**{"security.protocol": "ssl", "ssl.ca.location": "/nowhere.pem"})
    assert status == 1 and "output.kafka: " in errors and "ssl.ca.location" in errors, (status, errors)


@pytest.mark.skipif(not IS_PLAIN, reason="for kafka-plain")
def test_without_openssl():
    for rdkafka in ({"security_protocol": "ssl"},
                    {"security_protocol": "sasl_plaintext", "sasl_mechanism": "SCRAM-SHA-256"},
                    {"ssl_ca_location": "/ca.pem"}):
        status, _, errors = run_binary("--check", config=section("t", **rdkafka))
        assert status == 2 and "dnstap.toml:" in errors and "build" in errors, (rdkafka, status, errors)


def test_a_broker_that_is_absent_at_start():
    topic = broker.create(next(TOPICS))
    broker.kill()
    try:
        with Daemon(topic) as daemon:
            daemon.send(500)
            time.sleep(1)
            metrics = daemon.account_holds()
            assert metrics['dnstapd_output_queued{output="kafka"}'] == 500
            assert metrics['dnstapd_output_queue_bytes{output="kafka"}'] > 500 * 200
            assert metrics['dnstapd_output_connected{output="kafka"}'] == 0
            # One line a kind, however often it fails.
            assert 1 <= sum("FAIL" in line for line in daemon.log().splitlines()) <= 2, daemon.log()
            broker.start()
            daemon.delivered(500)
            assert in_order(broker.read(topic, 500)) == list(range(500))
            daemon.wait(lambda: daemon.kafka("connected") == 1, 5)
            assert daemon.kafka("reconnects_total") == 0
            assert daemon.kafka("queue_bytes") == 0
    finally:
        broker.start()


def test_a_broker_that_is_killed_and_comes_back():
    topic = broker.create(next(TOPICS), partitions=3)
    with Daemon(topic, 'key = "query-ip"\nqueue = "8M"') as daemon:
        daemon.wait(lambda: daemon.kafka("connected") == 1)
        sender = daemon.send(2_000)
        broker.kill()
        daemon.send(2_000, sender)
        daemon.wait(lambda: daemon.kafka("connected") == 0, 5)
        daemon.account_holds()
        broker.start()
        daemon.send(2_000, sender)
        daemon.delivered(6_000)
        assert daemon.kafka("reconnects_total") >= 1
        daemon.account_holds()
        assert in_order(broker.read(topic, 6_000)) == list(range(6_000))


def test_records_that_are_too_large():
    long = b"".join(bytes([63]) + b"\x07" * 63 for _ in range(3)) + b"\0"
    # librdkafka's own limit, then the broker's.
    for settings, rdkafka, reason in (({}, {"message_max_bytes": 1000}, "oversize"),
                                      ({"max_message_bytes": 700}, {"batch_num_messages": 1}, "delivery")):
        topic = broker.create(next(TOPICS), **settings)
        with Daemon(topic, **rdkafka) as daemon:
            daemon.send(3)
            Sender(daemon.tcp).send(message(payload=harness.dns(wire_name=long)))
            daemon.sent += 1
            daemon.delivered(3)
            daemon.wait(lambda: daemon.kafka("dropped_total", reason=reason) == 1)
            assert daemon.kafka("dropped_total") == 1
            daemon.send(3)
            daemon.delivered(6)
            daemon.account_holds()
            broker.read(topic, 6)


def test_a_topic_that_does_not_exist():
    with Daemon("nobody-made-me", **{"topic.metadata.propagation.max.ms": 1000}) as daemon:
        daemon.send(100)
        daemon.wait(lambda: daemon.kafka("dropped_total", reason="delivery") == 100, 30)
        daemon.account_holds()
        assert sum("not delivered" in line for line in daemon.log().splitlines()) == 1, daemon.log()


def test_a_full_queue_of_librdkafka_leaves_records_in_ours():
    topic = broker.create(next(TOPICS))
    with Daemon(topic, queue_buffering_max_messages=10) as daemon:
        sender = daemon.send(20)
        daemon.delivered(20)
        with broker.frozen():
            daemon.send(500, sender)
            metrics = daemon.account_holds()
            assert metrics['dnstapd_output_queued{output="kafka"}'] == 500
            assert daemon.kafka("dropped_total") == 0
        daemon.delivered(520)
        assert in_order(broker.read(topic, 520)) == list(range(520))


def test_our_queue_is_full_too():
    topic = broker.create(next(TOPICS))
    with Daemon(topic, 'queue = "16K"', queue_buffering_max_messages=10) as daemon:
        sender = daemon.send(20)
        daemon.delivered(20)
        with broker.frozen():
            daemon.send(2_000, sender)
            metrics = daemon.account_holds()
            lost = daemon.kafka("dropped_total", reason="full")
            assert lost > 1_500 and metrics['dnstapd_output_queued{output="kafka"}'] == 2_000 - lost
        daemon.delivered(2_020 - lost)
        daemon.account_holds()
        in_order(broker.read(topic, 2_020 - lost))
    topic = broker.create(next(TOPICS))
    with Daemon(topic, 'queue = "16K"\nwhen-full = "wait"', queue_buffering_max_messages=10) as daemon:
        sender = daemon.send(20)
        daemon.delivered(20)
        with broker.frozen():
            frames = [message(address=client(at), payload=harness.dns(f"n{at}.example.com."))
                      for at in range(20, 2_020)]
            sender.send(*frames)
            time.sleep(1)
            assert daemon.kafka("received") < 1_000, "the input waits"
        daemon.delivered(2_020)
        daemon.sent = 2_020
        daemon.account_holds()
        assert in_order(broker.read(topic, 2_020)) == list(range(2_020))


def test_sasl_plain():
    signed_in("PLAIN")


@encrypted
def test_scram():
    signed_in("SCRAM-SHA-256")


def signed_in(mechanism):
    topic = broker.create(next(TOPICS))
    sasl = {"bootstrap.servers": SASL, "security.protocol": "sasl_plaintext", "sasl.mechanism": mechanism,
            "sasl.username": USER}
    with Daemon(topic, **sasl, **{"sasl.password": PASSWORD}) as daemon:
        daemon.send(50)
        daemon.delivered(50)
    with Daemon(topic, **sasl, **{"sasl.password": "wrong"}) as daemon:
        daemon.send(50)
        daemon.wait_for_log("SASL authentication error")
        assert daemon.kafka("queued") == 50 and daemon.kafka("connected") == 0
        assert "wrong" not in daemon.log()
    broker.read(topic, 50)


@encrypted
def test_tls():
    topic = broker.create(next(TOPICS))
    tls = {"bootstrap.servers": TLS, "security.protocol": "ssl"}
    with Daemon(topic, **tls, **{"ssl.ca.location": os.path.join(broker.folder, "ca.pem")}) as daemon:
        daemon.send(50)
        daemon.delivered(50)
    with Daemon(topic, **tls, **{"ssl.ca.location": os.path.join(broker.folder, "other-ca.pem")}) as daemon:
        daemon.send(50)
        daemon.wait_for_log("SSL handshake failed")
        assert daemon.kafka("queued") == 50 and daemon.kafka("connected") == 0
    broker.read(topic, 50)


@natively("the emulator has a thread of its own, which keeps its rights")
@encrypted
def test_rights_are_given_up_after_the_key_is_read():
    path = lambda name: os.path.join(broker.folder, name)  # nobody else may look into
    topic = broker.create(next(TOPICS))
    tls = {"bootstrap.servers": TLS, "security.protocol": "ssl", "ssl.ca.location": path("ca.pem"),
           "ssl.certificate.location": path("broker.crt"), "ssl.key.location": path("broker.key")}
    with Daemon(topic, more='[process]\nuser = "nobody"\n', **tls) as daemon:
        daemon.send(50)
        daemon.delivered(50)
        tasks = f"/proc/{daemon.process.pid}/task"
        for task in os.listdir(tasks):
            status = dict(line.split(":", 1) for line in open(f"{tasks}/{task}/status"))
            assert "0" not in status["Uid"].split(), status
            assert int(status["CapEff"], 16) == 0, status
            assert status["Seccomp"].strip() == "2", status
    broker.read(topic, 50)


def test_a_reload_leaves_it_alone():
    topic = broker.create(next(TOPICS))
    with Daemon(topic) as daemon:
        sender = daemon.send(50)
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_for_log("Reloaded")
        with open(daemon.config) as file:
            daemon.write(file.read().replace(topic, "another"))
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_for_log("in force after a restart only: output.kafka")
        daemon.send(50, sender)
        daemon.delivered(100)
    broker.read(topic, 100)


def test_a_stop_sends_what_is_queued():
    topic = broker.create(next(TOPICS))
    with Daemon(topic, linger_ms=60_000) as daemon:
        daemon.wait(lambda: daemon.kafka("connected") == 1)
        daemon.send(300)
        assert daemon.kafka("queued") == 300
        started = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - started < 3
    assert in_order(broker.read(topic, 300)) == list(range(300))


def test_a_stop_without_a_broker_ends_in_time():
    for server, held in (("127.0.0.1:9", contextlib.nullcontext),
                         ("nowhere.invalid:9092", contextlib.nullcontext), (PLAIN, broker.frozen)):
        with held(), Daemon("t", bootstrap_servers=server) as daemon:
            daemon.send(300)
            assert daemon.kafka("queued") == 300
            started = time.monotonic()
            assert daemon.stop() == 0
            assert 4 < time.monotonic() - started < 8
            assert "Output kafka: 300 records were not taken in time" in daemon.log()


@natively("the emulator grows by what it translates")
def test_memory_stays_while_nobody_takes_a_million_records():
    frames = [message(address=client(at), payload=harness.dns(f"n{at}.example.com.")) for at in range(1_000)]
    with Daemon("t", bootstrap_servers="127.0.0.1:9") as daemon:
        sender, resident = Sender(daemon.tcp), []
        for turn in range(1, 1_101):
            sender.send(*frames)
            if turn in (100, 1_100):
                daemon.sent = turn * 1_000
                daemon.wait(lambda: daemon.kafka("received") == daemon.sent, 60)
                resident.append(daemon.metrics()["process_resident_memory_bytes"])
        daemon.account_holds()
        assert resident[-1] - resident[0] < 256 << 10, resident


def test_nothing_to_do_is_nothing_done():
    topic = broker.create(next(TOPICS))
    with Daemon(topic) as daemon:
        daemon.send(10)
        daemon.delivered(10)
        time.sleep(1)
        before = wake_ups(daemon.process.pid)
        time.sleep(8)
        woken = wake_ups(daemon.process.pid) - before
        # Once a second each: the ticker, and librdkafka's statistics.
        assert woken <= 4 * 8, f"{woken} wake-ups in 8 s"


def wake_ups(process):
    """How often the thread that does the work began to wait."""
    with open(f"/proc/{process}/task/{process}/status") as status:
        return int(next(line.split()[1] for line in status if line.startswith("voluntary_ctxt_switches")))
