"""The way past one machine, whole: dnstapd, a real Kafka, and a real ClickHouse that reads by its own Kafka
engine.

Debian's ClickHouse is of 2018: it knows neither JSONAsString nor DateTime64, and a view does not see what
another one inserts, so its tables are simpler than those of configs/fleet, which test_fleet.py tries in a
newer one that has no Kafka engine. Topic, records and engine are the same.
"""
import os
import tempfile
import time

import pytest

from broker import PLAIN
from harness import Sender, dns, message, natively
from test_kafka import Daemon
from test_output_http import CLICKHOUSE, ClickHouse

TABLES = (
    """CREATE TABLE queue (timestamp String, identity String, message String, qname String, rcode String)
       ENGINE = Kafka SETTINGS kafka_broker_list = '{brokers}', kafka_topic_list = '{topic}',
       kafka_group_name = 'clickhouse', kafka_format = 'JSONEachRow', kafka_row_delimiter = '\\n'""",
    """CREATE TABLE messages (time DateTime, identity String, message String, qname String, rcode String)
       ENGINE = MergeTree PARTITION BY toDate(time) ORDER BY (toStartOfHour(time), identity, qname, time)""",
    """CREATE MATERIALIZED VIEW queue_view TO messages AS SELECT
       toDateTime(substring(timestamp, 1, 19), 'UTC') AS time, identity, message, qname, rcode FROM queue""",
)


class Fleet:
    """Routers that send through one daemon, and what the database should have of it."""

    def __init__(self, daemon):
        self.sender, self.sent, self.kinds = Sender(daemon.tcp), 0, {}

    def send(self, number):
        for _ in range(number):
            router, is_answer, rcode = self.sent % 7, self.sent % 2, (0, 3)[self.sent % 3 == 0]
            flags = 0x8180 | rcode if is_answer else 0x0100
            self.sender.send(message(6 if is_answer else 5, dns(f"n{self.sent}.example.", flags=flags),
                                     identity=b"router-%d" % router, when=(1_600_000_000 + self.sent, 0)))
            kind = (f"router-{router}", "CLIENT_RESPONSE" if is_answer else "CLIENT_QUERY",
                    "NXDOMAIN" if is_answer and rcode else "NOERROR")
            self.kinds[kind] = self.kinds.get(kind, 0) + 1
            self.sent += 1


def wait_for_rows(database, number, seconds=90):
    end = time.monotonic() + seconds
    while (found := database.ask("SELECT count() FROM messages")) != [[str(number)]]:
        assert time.monotonic() < end, (found, number)
        time.sleep(0.3)


@natively("its broker and its database are no faster for it")
@pytest.mark.skipif(not os.path.exists(CLICKHOUSE), reason="no ClickHouse here")
def test_a_fleet_in_a_real_clickhouse(real_broker):
    broker = real_broker.start()
    topic = broker.create("fleet", partitions=6)
    with tempfile.TemporaryDirectory() as folder:
        setting = "input_format_skip_unknown_fields"
        database = ClickHouse(folder, f"<{setting}>1</{setting}>")
        database.start()
        try:
            for sql in TABLES:
                database.ask(sql.format(brokers=PLAIN, topic=topic))
            with Daemon(topic, "key = 'identity'\nqueue = '4M'") as daemon:
                fleet = Fleet(daemon)
                fleet.send(3_000)
                wait_for_rows(database, fleet.sent)
                broker.kill()
                fleet.send(2_000)
                broker.start()
                wait_for_rows(database, fleet.sent)
                database.end()
                fleet.send(3_000)
                daemon.delivered(fleet.sent)
                database.start()
                wait_for_rows(database, fleet.sent)
                fleet.sender.stop()
            assert len(broker.read(topic, fleet.sent)) == fleet.sent
            assert database.ask("SELECT uniqExact(qname) FROM messages") == [[str(fleet.sent)]]
            rows = database.ask("""SELECT identity, message, rcode, count() FROM messages
                                   GROUP BY identity, message, rcode""")
            assert {tuple(row[:3]): int(row[3]) for row in rows} == fleet.kinds
        finally:
            database.stop()
