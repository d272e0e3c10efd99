"""A real Apache Kafka: one node in KRaft mode, its topics, and an independent client that reads them."""
import base64
import contextlib
import os
import signal
import socket
import subprocess
import time
import uuid

import kafka
import kafka.admin
import kafka.errors

CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "dnstapd-tests/kafka")
PLAIN, CONTROLLER, SASL, TLS = (f"127.0.0.1:{port}" for port in (9092, 9093, 9094, 9095))
USER, PASSWORD = "dnstapd", "a secret of the tests"


class Broker:
    """Is there from `start` to `kill`; keeps its records in a folder meanwhile."""

    def __init__(self, folder):
        self.folder, self.process = folder, None
        self.certificates()
        self.config = os.path.join(folder, "server.properties")
        with open(self.config, "w") as file:
            file.write(f"""
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{CONTROLLER}
controller.listener.names=CONTROLLER
listeners=PLAIN://{PLAIN},CONTROLLER://{CONTROLLER},SASL://{SASL},TLS://{TLS}
listener.security.protocol.map=PLAIN:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SSL
inter.broker.listener.name=PLAIN
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256
listener.name.sasl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{PASSWORD}";
listener.name.sasl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.type=PEM
ssl.keystore.location={folder}/broker.pem
log.dirs={folder}/data
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
""")
        number = base64.urlsafe_b64encode(uuid.UUID(int=uuid.uuid4().int >> 8).bytes).decode().rstrip("=")
        subprocess.run([*self.java(), "kafka.tools.StorageTool", "format", "-t", number, "-c", self.config,
                        "--add-scram", f"SCRAM-SHA-256=[name={USER},password={PASSWORD}]"],
                       check=True, capture_output=True)

    def certificates(self):
        """An authority, and the broker's key and certificate in one file."""
        path = lambda name: os.path.join(self.folder, name)
        run = lambda *words: subprocess.run(["openssl", *words], check=True, capture_output=True)
        new = ("req", "-newkey", "rsa:2048", "-nodes", "-days", "2")
        for name in ("ca", "other-ca"):
            run(*new, "-x509", "-subj", f"/CN={name}", "-keyout", path(f"{name}.key"), "-out",
                path(f"{name}.pem"))
        run(*new, "-x509", "-subj", "/CN=broker", "-CA", path("ca.pem"), "-CAkey", path("ca.key"),
            "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", path("broker.key"), "-out",
            path("broker.crt"))
        with open(path("broker.pem"), "w") as file:
            file.writelines(open(path(name)).read() for name in ("broker.key", "broker.crt", "ca.pem"))

    def java(self):
        return ["java", "-Xmx400m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{CACHE}/lib/*"]

    def start(self):
        """Does nothing when it runs."""
        if self.process:
            return self
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.process = subprocess.Popen([*self.java(), "kafka.Kafka", self.config], stdout=log,
                                            stderr=log)
        end = time.monotonic() + 60
        while True:
            assert self.process.poll() is None and time.monotonic() < end, "the broker does not start"
            with contextlib.suppress(OSError,
                                     kafka.errors.KafkaError), contextlib.closing(self.admin()) as admin:
                admin.list_topics()
                return self
            time.sleep(0.2)

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    @contextlib.contextmanager
    def frozen(self):
        """Connected, and silent."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def admin(self):
        host, port = PLAIN.split(":")
        # Fails at once where the client would try for long.
        socket.create_connection((host, int(port)), 1).close()
        return kafka.KafkaAdminClient(bootstrap_servers=PLAIN, request_timeout_ms=5000)

    def create(self, topic, partitions=1, **settings):
        settings = {name.replace("_", "."): str(value) for name, value in settings.items()}
        with contextlib.closing(self.admin()) as admin:
            admin.create_topics([kafka.admin.NewTopic(topic, partitions, 1, topic_configs=settings)])
        return topic

    def wait_for_members(self, group, number, seconds=30):
        """Waits until a group has so many members, which all know their partitions."""
        end = time.monotonic() + seconds
        with contextlib.closing(self.admin()) as admin:
            while time.monotonic() < end:
                # The first group takes the broker some time.
                with contextlib.suppress(kafka.errors.KafkaError):
                    described = admin.describe_groups([group])[group]
                    if described["group_state"] == "Stable" and len(described["members"]) == number:
                        return
                time.sleep(0.2)
        raise AssertionError(f"{group} never had {number} members")

    def read(self, topic, number, seconds=20):
        """The records of a topic, partition by partition, once there are so many; then a look for more."""
        consumer = kafka.KafkaConsumer(bootstrap_servers=PLAIN, auto_offset_reset="earliest",
                                       enable_auto_commit=False)
        with contextlib.closing(consumer):
            partitions = [kafka.TopicPartition(topic, at)
                          for at in sorted(consumer.partitions_for_topic(topic))]
            consumer.assign(partitions)
            found, end = {partition: [] for partition in partitions}, time.monotonic() + seconds
            count = lambda: sum(map(len, found.values()))
            while count() < number and time.monotonic() < end:
                for partition, records in consumer.poll(200).items():
                    found[partition] += records
            for partition, records in consumer.poll(300).items():
                found[partition] += records
        assert count() == number, f"{count()} records in {topic}, not {number}"
        return [record for partition in partitions for record in found[partition]]
