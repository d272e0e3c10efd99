"""The SQL of configs/fleet in chDB, which is ClickHouse as a library: records of a running dnstapd come in as
from the topic and as rows over HTTP, and the views have the same totals.

Runs where chDB is installed: `tests/python -m pip install chdb`.
"""
import json
import os
import re
import tempfile
import time

import pytest

from harness import TOP, Daemon, Sender, dns, message
from peers import wait_delivered
from test_output_http import Server, http_output

session = pytest.importorskip("chdb.session")
# Of today: what is older than the tables keep goes at once.
BEGIN = int(time.time()) - 3_600
FLEET = os.path.join(TOP, "configs/fleet")


def run(database, name, change=lambda text: text):
    with open(os.path.join(FLEET, name)) as file:
        text = change(re.sub(r"--[^\n]*", "", file.read()))
    for statement in text.split(";\n"):
        if statement.strip():
            database.query(statement)


def rows(database, sql):
    return [json.loads(line) for line in str(database.query(sql, "JSONCompactEachRow")).splitlines()]


@pytest.fixture(name="database", scope="module")
def made():
    database = session.Session()
    database.query("SET output_format_json_quote_64bit_integers = 1")  # whatever the version's own choice is
    run(database, "10-tables.sql")
    # chDB has no Kafka: what it would bring is inserted.
    run(database, "20-kafka.sql",
        lambda text: re.sub(r"ENGINE = Kafka\s+SETTINGS[^;]*;", "ENGINE = Null;", text))
    run(database, "30-http.sql")
    return database


def test_records_and_rows_fill_the_tables(database):
    with Server() as server, Daemon(extra=http_output(server.port, "format = 'clickhouse'")) as daemon:
        sender = Sender(daemon.unix)
        for number in range(100):
            when = (BEGIN + number, 5000)
            sender.send(message(payload=dns(f"n{number % 10}.Example."), when=when),
                        message(kind=6, payload=dns(f"n{number % 10}.Example.", flags=0x8183), when=when,
                                asked=(when[0] - 1, 5000)))
        sender.send(message(payload=b"", when=None, address=None, port=None, identity=None))
        sender.stop()
        wait_delivered(daemon, "http", 201)
        records = daemon.lines()
    quoted = ["('" + line.replace("\\", "\\\\").replace("'", "\\'") + "')" for line in records]
    database.query("INSERT INTO dns.queue VALUES " + ",".join(quoted))
    # The one without a time has that of its arrival.
    every = ("SELECT if(client = '::', toDateTime64(0, 6), time) AS time, * EXCEPT time "
             "FROM dns.messages ORDER BY ALL")
    seen = rows(database, every)
    assert len(seen) == 201
    assert rows(database,
                "SELECT count() FROM dns.messages WHERE client = '::' AND time > now() - 600") == [["1"]]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write("".join(server.bodies()))
        file.flush()
        database.query("SET input_format_skip_unknown_fields = 1")
        database.query(f"INSERT INTO dns.rows FROM INFILE '{file.name}' FORMAT JSONEachRow")
    twice = rows(database, every)
    assert twice == sorted(seen + seen, key=twice.index), "both ways lead to the same rows"
    assert rows(
        database, "SELECT sum(queries), sum(responses), sum(nxdomain), uniqMerge(clients) FROM dns.minutes "
        "WHERE identity = 'lb1'") == [["200", "200", "200", "1"]]
    first = "SELECT qname, sum(responses) FROM dns.names GROUP BY qname ORDER BY qname LIMIT 1"
    assert rows(database, first) == [["n0.example.", "20"]]
    assert rows(database,
                "SELECT sum(queries) FROM dns.clients WHERE client = toIPv6('192.0.2.10')") == [["200"]]
    assert rows(database, "SELECT tld, sum(messages) FROM dns.kinds GROUP BY tld ORDER BY tld")[-1] \
        == ["example", "400"]


def test_the_dashboards_questions_have_answers(database):
    with open(os.path.join(FLEET, "grafana.json")) as file:
        panels = json.load(file)["panels"]
    for panel in panels:
        sql = panel["targets"][0]["rawSql"]
        sql = re.sub(r"\$__timeFilter\((\w+)\)", rf"\1 > toDateTime({BEGIN - 7_200})", sql)
        sql = re.sub(r"\$__timeInterval\((\w+)\)", r"toStartOfInterval(\1, INTERVAL 60 second)", sql)
        sql = sql.replace("$__interval_s", "60").replace("$router", "'lb1'")
        found = rows(database, sql)
        assert found or "NOERROR" in sql, panel["title"]
