"""Output mqtt against mosquitto, over MQTT 5 and 3.1.1, and against a broker that breaks off."""
import contextlib
import json
import os
import re
import socket
import subprocess
import threading
import time

import pytest

from certificates import Authority
from harness import Daemon, free_port, needs, temporary_folder
from peers import Peer, Subject, delivered, dropped, faults, send, wait_delivered

MOSQUITTO = "/usr/sbin/mosquitto"
pytestmark = pytest.mark.skipif(not os.path.exists(MOSQUITTO), reason="no mosquitto here")


class Broker:
    """A mosquitto on a port of its own."""

    def __init__(self, port=0, more="allow_anonymous true"):
        self.port, self.keeper = port or free_port(), temporary_folder()
        path = os.path.join(self.keeper.name, "mosquitto.conf")
        with open(path, "w") as file:
            file.write(f"listener {self.port} 127.0.0.1\nuser root\npersistence false\n{more}\n")
        self.process = subprocess.Popen([MOSQUITTO, "-c", path], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        end = time.monotonic() + 10
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            assert time.monotonic() < end and self.process.poll() is None
            time.sleep(0.02)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


class Listener:
    """All that is published, by mosquitto_sub."""

    def __init__(self, broker, *arguments):
        self.messages = []
        self.process = subprocess.Popen(["mosquitto_sub", "-p", str(broker.port), "-t", "#", "-q", "1", "-F",
                                         "%r %q %t %p", *arguments], stdout=subprocess.PIPE, text=True)
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        for line in self.process.stdout:
            retained, qos, rest = line.rstrip("\n").split(" ", 2)
            topic, _, payload = rest.partition(" ")
            self.messages.append((topic, payload, retained == "1", int(qos)))

    def of(self, topic):
        return [payload for at, payload, _, _ in self.messages if at == topic]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def mqtt_output(port, more=""):
    return (f"[output.mqtt]\nenable = true\nremote-address = '127.0.0.1'\nremote-port = {port}\nretry = 1\n"
            f"client-id = 'box-1'\n{more}\n")


def names(payloads):
    return [int(json.loads(payload)["qname"].split(".")[0][1:]) for payload in payloads]


@pytest.mark.parametrize("version, qos", [("5", 0), ("5", 1), ("3.1.1", 0), ("3.1.1", 1)])
def test_status_state_records_and_discovery(version, qos):
    more = f"version = '{version}'\nqos = {qos}\nrecords = true\ninterval = 1\ntopic = 'home/dns'"
    with Broker() as broker, Listener(broker) as early:
        with Daemon(fmt=None, extra=mqtt_output(broker.port, more)) as daemon:
            daemon.wait(lambda: early.of("home/dns/status") == ["online"])
            send(daemon, 300)
            wait_delivered(daemon, "mqtt", 300)
            daemon.wait(lambda: names(early.of("home/dns/record")) == list(range(300)))
            daemon.wait(lambda: json.loads(early.of("home/dns/state")[-1])["query"] == 300)
            daemon.check_accounts()
            assert {at: q for at, _, _, q in early.messages}["home/dns/record"] == qos
            # Who comes later hears what is retained, and that alone.
            with Listener(broker) as late:
                daemon.wait(lambda: late.of("home/dns/state"))
                assert ("home/dns/status", "online", True, qos) in late.messages
                sensors = {at: json.loads(payload) for at, payload, retained, _ in late.messages
                           if at.startswith("homeassistant/") and retained}
                assert not any(retained for at, _, retained, _ in late.messages if at == "home/dns/state")
            counters = json.loads(early.of("home/dns/state")[-1])
            assert counters["clients"] == 1 and counters["domains"] == 300 and len(sensors) == len(
                counters) > 8
            for topic, sensor in sensors.items():
                key = re.fullmatch(r"homeassistant/sensor/box-1_([a-zA-Z0-9_-]+)/config", topic).group(1)
                counter = re.fullmatch(r"\{\{ value_json\['([^']+)'\] \}\}",
                                       sensor["value_template"]).group(1)
                assert re.sub("[^a-z0-9]", "_", counter) == key and counter in counters
                assert sensor["state_topic"] == "home/dns/state" and sensor["unique_id"] == f"box-1_{key}"
                assert sensor["availability_topic"] == "home/dns/status" and sensor["name"]
                assert sensor["device"]["identifiers"] == ["box-1"]
            # Home Assistant was started again.
            before = len(early.of("homeassistant/sensor/box-1_query/config"))
            subprocess.run(
                ["mosquitto_pub", "-p",
                 str(broker.port), "-t", "homeassistant/status", "-m", "online"],
                check=True)
            daemon.wait(lambda: len(early.of("homeassistant/sensor/box-1_query/config")) == before + 1)
            assert daemon.stop() == 0
            assert dropped(daemon, "mqtt") == 0 if daemon.process.poll() is None else True
        wait_for(lambda: early.of("home/dns/status")[-1:] == ["offline"])


def wait_for(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_will_speaks_for_who_was_killed():
    with Broker() as broker, Listener(broker) as listener:
        with Daemon(fmt=None, extra=mqtt_output(broker.port, "discovery = false")) as daemon:
            daemon.wait(lambda: listener.of("dnstapd/status") == ["online"])
            daemon.process.kill()
            wait_for(lambda: listener.of("dnstapd/status") == ["online", "offline"])
        assert not [at for at, *_ in listener.messages if at.startswith("homeassistant")]


def test_a_state_stands_for_the_messages_before_it():
    with Broker() as broker, Listener(broker) as listener:
        with Daemon(fmt=None, extra=mqtt_output(broker.port, "interval = 3600")) as daemon:
            daemon.wait(lambda: listener.of("dnstapd/state"))
            send(daemon, 20)
            metrics = daemon.check_accounts()
            assert metrics['dnstapd_output_queued{output="mqtt"}'] == 20
            assert daemon.stop() == 0
        wait_for(lambda: len(listener.of("dnstapd/state")) == 2)
        assert json.loads(listener.of("dnstapd/state")[-1])["query"] == 20
        assert not listener.of("dnstapd/record")


@pytest.mark.parametrize("qos", [0, 1])
def test_a_broker_that_goes_and_comes(qos):
    port = free_port()
    with Daemon(fmt="text", extra=mqtt_output(port, f"qos = {qos}\nrecords = true")) as daemon:
        daemon.wait_for_log("Output mqtt: 127.0.0.1")
        send(daemon, 200)
        assert daemon.check_accounts()['dnstapd_output_queued{output="mqtt"}'] == 200
        assert daemon.request("/ready", auth=False)[0].status == 503
        with Broker(port) as broker, Listener(broker, "-i", "listener") as listener:
            wait_delivered(daemon, "mqtt", 200, 20)
        daemon.wait(lambda: daemon.metrics()['dnstapd_output_connected{output="mqtt"}'] == 0)
        send(daemon, 100, first=200)
        with Broker(port), Listener(broker) as listener:
            daemon.wait(lambda: daemon.metrics()['dnstapd_output_queued{output="mqtt"}'] == 0, 20)
            metrics = daemon.check_accounts()
        assert metrics['dnstapd_output_delivered_total{output="mqtt"}'] == 300
        assert metrics['dnstapd_output_reconnects_total{output="mqtt"}'] == 1


def test_a_broker_that_acknowledges_a_part():
    """Whatever was not acknowledged goes out again, on the next connection."""
    go_on, closed = threading.Event(), threading.Event()

    def half(connection, into):
        def read(count):
            while into.count(b"CLIENT_QUERY") < count:
                into.extend(connection.recv(4096))
        acknowledge = lambda number: connection.sendall(b"\x40\x02" + numbers()[number])
        numbers = lambda: [
            into[found.end():found.end() + 2] for found in re.finditer(b"dnstapd/record", into)
        ]
        connection.settimeout(20)
        connection.recv(4096)
        connection.sendall(b"\x20\x03\0\0\0")
        read(1)
        go_on.wait(20)
        acknowledge(0)
        read(5)
        # Of the other four two: the first and the third.
        acknowledge(1)
        acknowledge(3)
        time.sleep(0.5)
        closed.set()
        connection.close()

    peer = Peer(serve=half)
    more = "qos = 1\nrecords = true\ndiscovery = false\nwhen-full = 'wait'"
    with Daemon(fmt=None, extra=mqtt_output(peer.port, more)) as daemon:
        daemon.wait(lambda: daemon.metrics()['dnstapd_output_connected{output="mqtt"}'] == 1)
        send(daemon, 1)
        daemon.wait(lambda: peer.received and b"CLIENT_QUERY" in peer.received[0])
        send(daemon, 4, first=1)
        daemon.wait(lambda: daemon.metrics()['dnstapd_output_queued{output="mqtt"}'] == 5)
        go_on.set()
        assert closed.wait(20)
        assert delivered(daemon, "mqtt") == 3
        peer.close()
        with Broker(peer.port) as broker, Listener(broker) as listener:
            daemon.wait(lambda: delivered(daemon, "mqtt") == 5, 20)
            daemon.check_accounts()
            heard = {name for name in names(listener.of("dnstapd/record"))}
            assert heard <= {2, 4}


def packet_of(connection):
    """The next packet of MQTT: its first byte, and what follows the length."""
    def take(count):
        data = b""
        while len(data) < count:
            piece = connection.recv(count - len(data))
            if not piece:
                raise OSError("it was closed")
            data += piece
        return data

    kind, length, shift = take(1)[0], 0, 0
    while True:
        byte = take(1)[0]
        length, shift = length | (byte & 0x7F) << shift, shift + 7
        if byte < 0x80:
            return kind, take(length)


def welcome(connection):
    assert packet_of(connection)[0] == 0x10
    connection.sendall(b"\x20\x02\0\0")


def keep_records(connection, into):
    """The half of a broker that takes what is published, and nothing else; version 3.1.1."""
    reader = connection.makefile("rb", 1 << 16)
    buffered = type("Buffered", (), {"recv": staticmethod(reader.read1), "sendall": connection.sendall})
    while True:
        kind, rest = packet_of(buffered)
        topic, payload = rest[2:2 + int.from_bytes(rest[:2], "big")], rest[2 +
                                                                           int.from_bytes(rest[:2], "big"):]
        if kind & 0xF0 == 0x30 and topic == b"dnstapd/record":
            into += payload + b"\n"
        elif kind == 0xC0:
            connection.sendall(b"\xd0\0")


@needs("records")
@faults()
def test_faults(fault):
    def config(port, address="127.0.0.1"):
        more = ("version = '3.1.1'\nrecords = true\ndiscovery = false\nqueue = '64K'\nfields = ['qname']\n"
                "interval = 3600")
        return mqtt_output(port, more).replace("127.0.0.1", address)

    fault(Subject("mqtt", config, greet=welcome, serve=keep_records,
                  records=lambda peer: names(peer.lines())))


def test_credentials_and_refusals():
    with temporary_folder() as folder:
        users, secret = os.path.join(folder, "users"), os.path.join(folder, "secret")
        subprocess.run(["mosquitto_passwd", "-b", "-c", users, "me", "topsecret"], check=True)
        with open(secret, "w") as file:
            file.write("topsecret\n")
        with Broker(more=f"allow_anonymous false\npassword_file {users}") as broker:
            for version in ("5", "3.1.1"):
                with Daemon(fmt=None, extra=mqtt_output(broker.port, f"version = '{version}'")) as daemon:
                    daemon.wait_for_log("the broker refuses, reason")
                more = f"version = '{version}'\nuser = 'me'\npassword-file = '{secret}'"
                with Daemon(fmt=None, extra=mqtt_output(broker.port, more)) as daemon:
                    daemon.wait_for_log("Output mqtt: connected to")
                    assert "topsecret" not in daemon.log()


def test_tls():
    authority = Authority()
    certificate, key = authority.sign("server")
    with Broker(more=f"allow_anonymous true\ncertfile {certificate}\nkeyfile {key}") as broker:
        more = f"tls-support = true\ntls-ca = '{authority.ca}'\nrecords = true"
        with Daemon(fmt=None, extra=mqtt_output(broker.port, more)) as daemon:
            send(daemon, 100)
            wait_delivered(daemon, "mqtt", 100)
