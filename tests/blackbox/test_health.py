#!/usr/bin/env python3
"""Upstream servers and alarms: what /upstreams, /alarms and the metrics say of scripted scenes."""
import base64
import os
import random
import socket
import struct

from harness import Daemon, Sender, dns, field, message, run_binary, temporary_folder

CLIENT_QUERY, CLIENT_RESPONSE, FORWARDER_QUERY, FORWARDER_RESPONSE = 5, 6, 7, 8
NOW = 1700000000
SERVER = field(5, bytes([203, 0, 113, 53])) + field(7, 53)


def send(daemon, *messages):
    sender = Sender(daemon.unix)
    sender.send(*messages)
    sender.stop()
    daemon.settle()


def upstream(kind, number, when, rcode=0):
    payload = dns(f"n{number}.example.com.", ident=number, flags=0x8180 | rcode if kind % 2 == 0 else 0x0100)
    return message(kind, payload, when=when, address=bytes([198, 51, 100, 7]), more=SERVER)


def kinds(daemon):
    return [(alarm["kind"], alarm["subject"], alarm["count"]) for alarm in daemon.json("/alarms")["alarms"]]


def client(kind, name, number=1, when=NOW, flags=None, answer=b""):
    payload = bytearray(
        dns(name, ident=number, flags=flags or (0x8180 if kind % 2 == 0 else 0x0100)) + answer)
    payload[7] = 1 if answer else 0
    return message(kind, bytes(payload), when=(when, 0))


def test_upstreams():
    with Daemon(fmt=None) as daemon:
        messages = []
        for number in range(100):
            messages.append(upstream(FORWARDER_QUERY, number, (NOW, 0)))
            if number < 90:
                messages.append(
                    upstream(FORWARDER_RESPONSE, number, (NOW, 50_000_000), {
                        0: 2,
                        1: 5
                    }.get(number, 0)))
        # A minute and more later by the messages' time: ten were never answered.
        messages.append(upstream(FORWARDER_QUERY, 1000, (NOW + 100, 0)))
        messages.append(upstream(FORWARDER_RESPONSE, 1000, (NOW + 100, 50_000_000)))
        send(daemon, *messages)
        daemon.wait(lambda: daemon.json("/upstreams")["upstreams"][0]["timeouts"] == 10,
                    why=lambda: daemon.json("/upstreams"))
        (server,) = daemon.json("/upstreams")["upstreams"]
        assert list(server) == [
            "server", "port", "stream", "queries", "responses", "timeouts", "servfail", "refused",
            "latency-p50", "latency-p95", "latency-p99"
        ]
        assert (server["server"], server["port"], server["stream"]) == ("203.0.113.53", 53, "lb1")
        assert [server[key] for key in ("queries", "responses", "servfail", "refused")] == [101, 91, 1, 1]
        assert abs(server["latency-p95"] / 0.05 - 1) < 0.063, server
        metrics = daemon.metrics()
        for name, value in (("queries", 101), ("responses", 91), ("timeouts", 10), ("servfail", 1),
                            ("refused", 1)):
            assert metrics[f'dnstap_upstream_{name}_total{{server="203.0.113.53"}}'] == value
        assert (
            0.047 < metrics['dnstap_upstream_latency_seconds{server="203.0.113.53",quantile="0.99"}'] < 0.054
        )


def test_a_latency_that_is_not_known_is_not_said_to_be_0():
    with Daemon(fmt=None) as daemon:
        send(daemon, upstream(FORWARDER_QUERY, 1, (NOW, 0)))
        daemon.wait(lambda: daemon.json("/upstreams")["upstreams"])
        (server,) = daemon.json("/upstreams")["upstreams"]
        assert [server[f"latency-p{percent}"] for percent in (50, 95, 99)] == [None] * 3, server
        assert not any(key.startswith("dnstap_upstream_latency_seconds{") for key in daemon.metrics())


def test_an_answer_with_another_port_is_no_timeout():
    """As Unbound tells it, where several questions are open at once."""
    with Daemon(fmt=None) as daemon:
        said = lambda kind, number, port: message(
            kind,
            dns(f"n{number}.example.", ident=number, flags=0x8180 if kind % 2 == 0 else 0x0100),
            when=(NOW, 0),
            port=port,
            more=SERVER)
        send(daemon, *(said(FORWARDER_QUERY, number, 2000 + number) for number in range(20)),
             *(said(FORWARDER_RESPONSE, number, 2019) for number in range(1, 20)),
             upstream(FORWARDER_QUERY, 1000, (NOW + 100, 0)))
        daemon.wait(lambda: daemon.json("/upstreams")["upstreams"][0]["timeouts"] > 0,
                    why=lambda: daemon.json("/upstreams"))
        assert daemon.json("/upstreams")["upstreams"][0]["timeouts"] == 1, daemon.json("/upstreams")


def test_a_slow_upstream():
    with Daemon(fmt=None, extra="[health.slow-upstream]\nthreshold = 0.5") as daemon:
        send(
            daemon,
            *(one for number in range(30)
              for one in (upstream(FORWARDER_QUERY, number, (NOW, 0)),
                          upstream(FORWARDER_RESPONSE, number, (NOW, 800_000_000)))))
        daemon.wait(lambda: kinds(daemon), why=lambda: "no alarm")
        ((kind, subject, count),) = kinds(daemon)
        assert (kind, subject) == ("slow-upstream", "203.0.113.53") and 750 <= count <= 850


def test_random_subdomains_and_tunnels():
    with Daemon(fmt=None) as daemon:
        benign = [
            client(CLIENT_QUERY, f"www.site{number % 150}.example{number % 300}.org.")
            for number in range(2000)
        ]
        send(daemon, *benign)
        assert kinds(daemon) == []
        send(daemon, *(client(CLIENT_QUERY, f"x{number}.victim.net.") for number in range(400)))
        (alarm,) = daemon.json("/alarms")["alarms"]
        assert (alarm["kind"], alarm["subject"]) == ("random-subdomains", "victim.net."), alarm
        assert alarm["first"] == "2023-11-14T22:13:20.000000+00:00" and "victim.net." in alarm["text"]
        send(
            daemon,
            *(client(CLIENT_QUERY,
                     f"{'%02x' % number * 30}.{'%02x' % number * 30}.t.exit.com.",
                     when=NOW + number * 60) for number in range(60)))
        assert [(kind, subject)
                for kind, subject, _ in kinds(daemon)] == [("tunnel", "exit.com."),
                                                           ("random-subdomains", "victim.net.")]
        assert daemon.metrics()['dnstapd_alarms_total{kind="tunnel"}'] == 1


def test_a_stream_of_responses_alone_is_watched_too():
    extra = "[health.new-device]\nenable = true"
    with Daemon(fmt=None, extra=extra) as daemon:
        send(daemon,
             *(client(CLIENT_RESPONSE, f"x{number}.victim.net.", flags=0x8183) for number in range(250)))
        assert {kind[:2]
                for kind in kinds(daemon)} == {("random-subdomains", "victim.net."),
                                               ("new-device", "192.0.2.10")}


def test_a_hold_off_below_a_minute_is_a_minute():
    with Daemon(fmt=None, extra="[health.nxdomain-burst]\nthreshold = 1\nhold-off = 0") as daemon:
        send(
            daemon,
            *(client(CLIENT_RESPONSE, "n.example.com.", flags=0x8183, when=NOW + second)
              for second in range(0, 120, 10)))
        assert [alarm["first"][14:19] for alarm in daemon.json("/alarms")["alarms"]] == ["14:20", "13:20"]


def test_rebinding():
    record = lambda address: b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + bytes(address)
    with Daemon(fmt=None) as daemon:
        send(daemon, client(CLIENT_RESPONSE, "nas.lan.", answer=record([192, 168, 1, 2])),
             client(CLIENT_RESPONSE, "www.example.com.", answer=record([192, 0, 2, 1])),
             client(CLIENT_RESPONSE, "ads.example.com.", answer=record([0, 0, 0, 0])))
        assert kinds(daemon) == []
        send(daemon, client(CLIENT_RESPONSE, "evil.example.com.", answer=record([192, 168, 1, 1])))
        assert kinds(daemon) == [("rebinding", "evil.example.com.", 1)]


def test_bursts_and_new_devices():
    extra = "[health.nxdomain-burst]\nthreshold = 50\n[health.new-device]\nenable = true"
    with Daemon(fmt=None, extra=extra) as daemon:
        send(daemon,
             *(client(CLIENT_RESPONSE, f"n{number}.example.com.", flags=0x8183) for number in range(120)))
        assert kinds(daemon) == [("nxdomain-burst", "lb1", 120), ("new-device", "192.0.2.10", 1)]
        send(daemon, *[client(CLIENT_QUERY, "www.example.com.")] * 3)
        assert len(kinds(daemon)) == 2


def random_subdomains(domain="victim.net.", when=NOW):
    return [client(CLIENT_QUERY, f"x{number}.{domain}", when=when) for number in range(300)]


def test_alarms_go_to_the_outputs_that_want_them():
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)  # room for all of them
    server.bind(("127.0.0.1", 0))
    server.settimeout(20)
    syslog = (
        f"[output.syslog]\nenable = true\nalarms = true\nremote-address = '127.0.0.1'\nformat = 'text'\n"
        f"remote-port = {server.getsockname()[1]}\n")
    with temporary_folder() as folder:
        path = os.path.join(folder, "plain")
        files = f"[output.file]\nenable = true\nformat = 'json'\nfile = '{path}'\n"
        with Daemon(extra=syslog + files, stdout_keys="alarms = true") as daemon:
            send(daemon, *random_subdomains())
            (alarm,) = [record for record in daemon.records() if record["message"] == "ALARM"]
            assert list(alarm) == ["timestamp", "message", "kind", "subject", "count", "first", "last"]
            (listed,) = daemon.json("/alarms")["alarms"]
            assert (alarm["kind"], alarm["subject"]) == ("random-subdomains", "victim.net."), alarm
            assert alarm["timestamp"] == alarm["first"] == listed["first"], (alarm, listed)
            # 4 is the severity, whatever that of the messages is.
            told = [line for line in (server.recv(9000) for _ in range(301)) if b" ALARM " in line]
            assert len(told) == 1 and told[0].startswith(
                f"<28>1 {alarm['first']} - dnstapd - - - ALARM ".encode()), told
            fields = told[0].split(b" - - - ")[1].split(b" ")
            assert fields[1:3] == [b"random-subdomains", b"victim.net."] and len(fields) == 6, fields
            with open(path) as file:
                assert "ALARM" not in file.read()
            metrics = daemon.metrics()
            for which, alarms in (("stdout", 1), ("syslog", 1), ("file", 0)):
                label = f'output="{which}"'
                assert metrics[f"dnstapd_output_alarms_total{{{label}}}"] == alarms
                delivered = metrics[f"dnstapd_output_delivered_total{{{label}}}"]
                assert delivered + metrics[f"dnstapd_output_queued{{{label}}}"] == 300 + alarms, which
            # Within the hold-off nothing is told again.
            send(daemon, *random_subdomains(when=NOW + 120))
            assert daemon.metrics()['dnstapd_output_alarms_total{output="stdout"}'] == 1


def test_outputs_that_cannot_take_alarms():
    for section in ("[output.dnstap]\nenable = true\nremote-address = 'localhost'\nremote-port = 1\n",
                    "[output.metrics]\nenable = true\n",
                    "[output.file]\nenable = true\nformat = 'dnstap'\nfile = '/tmp/x'\n"):
        status, out, err = run_binary("--check", config=section + "alarms = true\n")
        assert status == 2 and "alarms" in err and not out, (section, err)


def test_newly_observed_domains_are_told_after_a_week():
    day = 86_400
    with Daemon(fmt=None, extra="[health.newly-observed]\nenable = true") as daemon:
        send(
            daemon,
            *(client(CLIENT_QUERY, f"www.site{hour % 24}.org.", when=NOW + hour * 3600)
              for hour in range(7 * 24 + 1)))
        assert kinds(daemon) == []
        send(daemon, *(client(CLIENT_QUERY, name, when=NOW + 8 * day)
                       for name in ("www.site1.org.", "a.b.fresh.net.", "c.fresh.net.", "mail.site2.org.")))
        assert kinds(daemon) == [("newly-observed", "fresh.net.", 1)]
        assert "192.0.2.10" in daemon.json("/alarms")["alarms"][0]["text"]


def test_what_was_seen_outlives_a_restart():
    """The domains that were seen, for how long it learned, and what was seen first when."""
    day = 86_400
    with temporary_folder() as folder:
        extra = f"[health.newly-observed]\nenable = true\n[history]\npath = '{folder}'\n"
        with Daemon(fmt=None, extra=extra) as daemon:
            send(
                daemon,
                *(client(CLIENT_QUERY, f"www.site{hour % 24}.org.", when=NOW + hour * 3600)
                  for hour in range(7 * 24 + 1)))
            send(daemon, client(CLIENT_QUERY, "a.early.net.", when=NOW + 8 * day),
                 client(CLIENT_QUERY, "a.late.net.", when=NOW + 8 * day + 5))
            listed = daemon.json("/alarms")["alarms"]
            assert daemon.stop() == 0
        path = os.path.join(folder, "seen.seg")
        assert os.stat(path).st_mode & 0o777 == 0o600
        for _ in range(2):
            with Daemon(fmt=None, extra=extra, stdout_keys="alarms = true") as daemon:
                again = daemon.json("/alarms")["alarms"]
                without_example = lambda alarm: {**alarm, "text": alarm["text"].split(":")[0]}
                assert again == [without_example(alarm) for alarm in listed] and len(again) == 2, again
                send(
                    daemon,
                    *(client(CLIENT_QUERY, name, when=NOW + 9 * day)
                      for name in ("x.SITE1.org.", "b.early.net.", "mail.site2.org.")))
                assert daemon.json("/alarms")["alarms"] == again
                assert daemon.metrics()['dnstapd_alarms_total{kind="newly-observed"}'] == 0
                assert daemon.stop() == 0
        with Daemon(fmt=None, extra=extra) as daemon:
            send(daemon, client(CLIENT_QUERY, "a.fresh.net.", when=NOW + 9 * day))
            assert [subject for _, subject, _ in kinds(daemon)] == ["fresh.net.", "late.net.", "early.net."]
            assert daemon.stop() == 0
        with open(path, "r+b") as file:
            file.seek(30)
            file.write(b"bent")
        with Daemon(fmt=None, extra=extra) as daemon:
            daemon.wait_for_log("it is set aside")
            assert kinds(daemon) == [] and os.path.exists(os.path.join(folder, "seen.broken"))


def test_a_restart_makes_no_device_new():
    with temporary_folder() as folder:
        extra = f"[health.new-device]\nenable = true\n[history]\npath = '{folder}'\n"
        addresses = (bytes([192, 0, 2, 65]), bytes([192, 0, 2, 97]), bytes(15) + b"\x41")
        asks = lambda: (message(
            CLIENT_QUERY, when=(NOW, 0), address=address, family=1 if len(address) == 4 else 2)
                        for address in addresses)
        for expected in (3, 0):
            with Daemon(fmt=None, extra=extra) as daemon:
                send(daemon, *asks())
                assert len(kinds(daemon)) == expected, kinds(daemon)
                assert daemon.stop() == 0


def test_an_alarm_goes_on_while_its_cause_does():
    """The count is the most, `last` the latest, and the example who did it last."""
    with Daemon(fmt=None) as daemon:
        send(daemon, *(message(CLIENT_QUERY, dns(f"{'%03d' % number * 15}.exit.com."), when=(NOW + number, 0),
                               address=bytes([10, 0, 0, number])) for number in range(200)))
        (alarm,) = daemon.json("/alarms")["alarms"]
        # A name may be taken for one that came before: the last ones may have been.
        latest = int(alarm["text"].rsplit(".", 1)[1])
        assert alarm["kind"] == "tunnel" and 7000 < alarm["count"] < 11000 and 180 < latest < 200, alarm
        assert (
            alarm["first"] < "2023-11-14T22:15:20"
            and "2023-11-14T22:16:20" < alarm["last"] < "2023-11-14T22:16:40"
        ), alarm


def test_a_burst_of_servfail_and_a_client_that_asks_elsewhere():
    extra = "[health.servfail-burst]\nthreshold = 40\n[health.resolver-bypass]\nenable = true"
    asks = lambda server, when: message(
        CLIENT_QUERY, dns("www.example.com."), when=(when, 0), more=field(5, bytes(server)) + field(7, 53))
    with Daemon(fmt=None, extra=extra) as daemon:
        send(daemon, *(client(CLIENT_RESPONSE, "n.example.com.", flags=0x8182) for _ in range(39)),
             *(client(CLIENT_RESPONSE, "n.example.com.", flags=0x8182, when=NOW + 60) for _ in range(39)))
        assert kinds(daemon) == [], "not in one minute"
        send(daemon,
             *(client(CLIENT_RESPONSE, "n.example.com.", flags=0x8182, when=NOW + 61) for _ in range(5)))
        assert kinds(daemon) == [("servfail-burst", "lb1", 44)]
        send(daemon, asks([192, 168, 1, 1], NOW),
             *[asks([8, 8, 8, 8], NOW + number) for number in range(100)])
        assert kinds(daemon)[0] == ("resolver-bypass", "192.0.2.10", 1) and len(kinds(daemon)) == 2
        alarm = daemon.json("/alarms")["alarms"][0]
        assert "8.8.8.8" in alarm["text"] and alarm["last"].startswith("2023-11-14T22:14:59"), alarm


def test_a_subject_is_told_of_once_a_minute_at_most_in_any_format_and_case():
    """Alarms of the shortest hold-off to outputs of each format, for names in mixed case."""
    outputs = "".join(
        f"[[output.file]]\nname = '{fmt}'\nenable = true\nalarms = true\nformat = '{fmt}'\n"
        f"file = '{{}}/{fmt}'\n"
        for fmt in ("text", "json", "yaml"))
    with temporary_folder() as folder:
        extra = "[health.rebinding]\nhold-off = 60\n" + outputs.format(*[folder] * 3)
        record = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + bytes([10, 0, 0, 1])
        with Daemon(fmt=None, extra=extra) as daemon:
            send(
                daemon,
                *(client(CLIENT_RESPONSE,
                         "eViL.example.com." if second % 2 else "Evil.Example.com.",
                         when=NOW + second,
                         answer=record) for second in range(180)))
            firsts = [alarm["first"][17:19] for alarm in daemon.json("/alarms")["alarms"]]
            assert firsts == ["20"] * 3, firsts
            assert daemon.metrics()['dnstapd_alarms_total{kind="rebinding"}'] == 3
            daemon.stop()
        text, yaml = (open(os.path.join(folder, name)).read() for name in ("text", "yaml"))
        moment = "2023-11-14T22:13:20.000000+00:00"
        assert [line for line in text.splitlines() if " ALARM " in line
                ][0] == f"{moment} - ALARM rebinding evil.example.com. 1 {moment} {moment}"
        assert (
            f'---\ntimestamp: "{moment}"\nmessage: "ALARM"\nkind: "rebinding"\nsubject: "evil.example.com."\n'
            f'count: 1\n'
            f'first: "{moment}"\nlast: "{moment}"\n') in yaml, yaml[:1000]
        with open(os.path.join(folder, "json")) as file:
            alarms = [line for line in file if '"ALARM"' in line]
        assert len(alarms) == 3 and alarms[0] == (
            f'{{"timestamp":"{moment}","message":"ALARM","kind":"rebinding","subject":"evil.example.com.",'
            f'"count":1,"first":"{moment}","last":"{moment}"}}\n')


def test_the_list_keeps_256_alarms_newest_first():
    with Daemon(fmt=None, extra="[health.new-device]\nenable = true") as daemon:
        send(
            daemon,
            *(message(CLIENT_QUERY,
                      when=(NOW + number, 0),
                      address=bytes([10, 0, number // 256, number % 256])) for number in range(300)))
        assert [subject for _, subject, _ in kinds(daemon)] == [
            f"10.0.{number // 256}.{number % 256}" for number in range(299, 43, -1)
        ]


def test_detectors_take_64_kib():
    every = "".join(f"[health.{kind}]\nenable = true\n" for kind in ("new-device", "resolver-bypass",
                                                                     "newly-observed"))
    status, out, _ = run_binary("--check", config=every)
    bytes_of = {
        line.strip().split("  ", 1)[1]: int(line.split()[0])
        for line in out.splitlines()
        if "health:" in line
    }
    assert status == 0 and bytes_of["health: upstream servers, detectors, alarms"] <= 64 << 10, bytes_of
    assert bytes_of["health: the last 100000 domains"] == 256 << 10, bytes_of


def test_a_paced_tunnel_is_named_within_an_hour():
    """A byte a second: eight bytes of it each eight seconds, in base32 behind a counter, among what others
    ask."""
    chance = random.Random(3)
    with Daemon(fmt=None) as daemon:
        sender = Sender(daemon.unix)
        for second in range(0, 3600, 8):
            payload = base64.b32encode(chance.randbytes(8)).decode().rstrip("=").lower()
            others = [
                client(CLIENT_QUERY,
                       f"{chance.choice(('www', 'api', 'cdn'))}.site{int(chance.paretovariate(0.6))}.net.",
                       when=NOW + second) for _ in range(12)
            ]
            sender.send(client(CLIENT_QUERY, f"{second // 8:03d}{payload}.exit.org.", when=NOW + second),
                        *others)
        daemon.settle()
        assert [kind[:2] for kind in kinds(daemon)] == [("tunnel", "exit.org.")], kinds(daemon)


def test_the_cache_of_a_resolver():
    """Three fetched, two from the cache; of a stream without an upstream side nothing is said."""
    def answer(number, name, when, identity):
        return message(6,
                       dns(name, ident=number, flags=0x8180),
                       when=(NOW + when, 60_000_000),
                       asked=(NOW + when, 0),
                       identity=identity)

    with Daemon(fmt=None) as daemon:
        messages = []
        for when, (name, fetched) in enumerate(
            (("a.example.", True), ("a.example.", False), ("b.example.", True), ("c.example.", True),
             ("b.example.", False))):
            if fetched:
                messages.append(
                    message(7,
                            dns(name, ident=99),
                            when=(NOW + when, 10_000_000),
                            identity=b"both",
                            more=SERVER))
            messages += [answer(when, name, when, b"both"), answer(when, name, when, b"one-sided")]
        send(daemon, *messages)
        for stream, expected in (("both", [2, 3]), ("one-sided", [0, 0])):
            counters = daemon.json(
                f"/counters?stream={stream}&more=response/cached,response/fetched")["counters"]
            assert [counters["response/cached"], counters["response/fetched"]] == expected, (stream, counters)
        metrics = daemon.metrics()
        assert (metrics["dnstap_responses_cached"], metrics["dnstap_responses_fetched"]) == (2, 3)


def test_off():
    with Daemon(fmt=None, extra="[health]\nenable = false") as daemon:
        send(daemon, upstream(FORWARDER_QUERY, 1, (NOW, 0)))
        assert daemon.json("/upstreams") == {"upstreams": []} and daemon.json("/alarms") == {"alarms": []}
        assert not any(key.startswith("dnstap_upstream") for key in daemon.metrics())
