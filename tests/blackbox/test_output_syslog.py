"""Output syslog against rsyslog and syslog-ng, and against servers that misbehave."""
import contextlib
import os
import re
import socket
import struct
import subprocess
import threading
import time

import pytest

from certificates import Authority, server_context
from harness import TOP, Daemon, dns, message
from peers import (OwnNames, Peer, Subject, dropped, faults, folder, free_port, lines_of, read, send,
                   send_frames, socket_of, syslog_output,
                   trouble, wait_delivered)


SYSLOG_NG = os.environ.get("SYSLOG_NG", os.path.join(TOP, "target/syslog-ng"))
AUTHORITY = Authority()
SERVER = AUTHORITY.sign("server")
CLIENT = AUTHORITY.sign("client")


@contextlib.contextmanager
def running(command, **more):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **more)
    try:
        time.sleep(0.5)
        yield
    finally:
        process.terminate()
        process.wait(10)


@contextlib.contextmanager
def rsyslog(transport, port):
    """rsyslog, writing what it understood of each message: priority, time, host, program, process, kind,
    text."""
    module = "udp" if transport == "udp" else "tcp"
    room = 'rcvbufSize="8m"' if module == "udp" else ""  # what it has no room for is lost, as UDP is
    tls, driver = "", ""
    if transport == "tls":
        tls = f"""defaultNetstreamDriverCAFile="{AUTHORITY.ca}" defaultNetstreamDriverCertFile="{SERVER[0]}"
                  defaultNetstreamDriverKeyFile="{SERVER[1]}" """
        driver = 'StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.AuthMode="x509/certvalid"'
    with folder() as top:
        path, config = os.path.join(top, "messages"), os.path.join(top, "rsyslog.conf")
        with open(config, "w") as file:
            file.write(f"""
global(workDirectory="{top}" maxMessageSize="16k" parser.escapeControlCharactersOnReceive="off" {tls})
module(load="im{module}" {driver})
input(type="im{module}" address="127.0.0.1" port="{port}" {room})
template(name="fields" type="string" string="%pri-text%|%timereported:::date-rfc3339%|%hostname%|%app-name%|%procid%|%msgid%|%msg%\\n")
template(name="classic" type="string" string="%TIMESTAMP% %HOSTNAME% %syslogtag%%msg%\\n")
action(type="omfile" file="{path}" template="fields")
template(name="raw" type="string" string="%rawmsg%\\n")
action(type="omfile" file="{path}.classic" template="classic")
action(type="omfile" file="{path}.raw" template="raw")
""")
        with running(["rsyslogd", "-n", "-f", config, "-i", os.path.join(top, "pid")]):
            yield path


@contextlib.contextmanager
def syslog_ng(transport, port, header="rfc5424"):
    """syslog-ng, writing the same. Its driver `syslog` expects a length before each message, over UDP apart,
    and `network` a newline behind it."""
    tls = (f'tls(key-file("{SERVER[1]}") cert-file("{SERVER[0]}") ca-file("{AUTHORITY.ca}") '
           f'peer-verify(required-trusted))')
    room = "so-rcvbuf(8388608)" if transport == "udp" else "log-iw-size(10000)"
    driver = "syslog" if header == "rfc5424" or transport == "tls" else "network"
    # What `syslog` takes is RFC 5424, unless it is told to look at it later or not at all.
    flags = "flags(no-parse)" if header == "none" or (driver, header) == ("syslog", "rfc3164") else ""
    parser = "parser { syslog-parser(); };" if flags and header == "rfc3164" else ""
    with folder() as top:
        path, config = os.path.join(top, "messages"), os.path.join(top, "syslog-ng.conf")
        with open(config, "w") as file:
            file.write(f"""@version: 3.38
options {{
    keep-hostname(yes); frac-digits(6); time-zone("+00:00"); log-msg-size(16384); log-fifo-size(20000);
}};
source s {{
    {driver}(ip("127.0.0.1") port({port}) transport("{transport}") {room} {flags}
        {tls if transport == "tls" else ""});
}};
destination d {{
    file("{path}" template("$FACILITY.$PRIORITY|$ISODATE|$HOST|$PROGRAM|$PID|$MSGID|$MSG\\n"));
    file("{path}.classic" template("$DATE $HOST $MSGHDR$MSG\\n"));
    file("{path}.raw" template("$MSG\\n"));
}};
log {{ source(s); {parser} destination(d); }};
""")
        libraries = ":".join(f"{SYSLOG_NG}/usr/lib/{place}"
                             for place in ("syslog-ng", "x86_64-linux-gnu", "syslog-ng/3.38"))
        command = [f"{SYSLOG_NG}/usr/sbin/syslog-ng", "-F", "--no-caps", "-f", config, "-p", f"{top}/pid",
                   "-R", f"{top}/persist",
                   "-c", f"{top}/control", "--module-path", f"{SYSLOG_NG}/usr/lib/syslog-ng/3.38"]
        with running(command, env={**os.environ, "LD_LIBRARY_PATH": libraries}):
            yield path


def text_of(number):
    """What a text record says behind timestamp and identity."""
    return f"CLIENT_QUERY NOERROR 192.0.2.10 50000 INET UDP {24 + len(str(number))}b n{number}.test. A -"


def check(path, more, header, fmt, process="-", identifier="-"):
    """What a server understood of 200 records."""
    for name in (path, path + ".classic", path + ".raw"):
        with contextlib.suppress(FileNotFoundError):
            os.truncate(name, 0)
    more = f"{more}header = '{header}'\nformat = '{fmt}'\nfacility = 'local3'\nseverity = 'notice'"
    with Daemon(fmt=fmt, extra=syslog_output(more)) as daemon:
        send(daemon, 200)
        wait_delivered(daemon, "syslog", 200)
        daemon.wait(lambda: len(lines_of(path)) == 200, why=lambda: lines_of(path)[:3] + [daemon.log()])
        assert daemon.stop() == 0
        records = read(daemon.out)
    if header == "none":
        assert lines_of(path + ".raw") == records, (lines_of(path + ".raw")[:2], records[:2])
        return
    for number, line in enumerate(read(path)):
        fields = line.split("|", 6)
        assert (fields[0], fields[2]) == ("local3.notice", "lb1"), line
        if header == "rfc5424":
            text = text_of(number) if fmt == "text" else records[number]
            assert fields[1] == "2020-09-16T18:51:53.591736+00:00", line
            assert fields[3:] == ["dnstapd", process, identifier, text], line
    if header == "rfc3164":
        # Syslog-ng's own digits.
        classic = [line.replace(".000000", "") for line in lines_of(path + ".classic")]
        assert classic == [f"Sep 16 18:51:53 lb1 {text_of(number)}" for number in range(200)], classic[:2]


def remote(transport, port, framing="octet-counting"):
    more = (f"remote-address = '127.0.0.1'\nremote-port = {port}\ntransport = '{transport}'\n"
            f"framing = '{framing}'\n")
    if transport == "tls":
        more += (f"tls-ca = '{AUTHORITY.ca}'\ntls-client-cert = '{CLIENT[0]}'\n"
                 f"tls-client-key = '{CLIENT[1]}'\n")
    return more


def test_syslog_to_rsyslog():
    for transport, framing in (("udp", "octet-counting"), ("tcp", "octet-counting"), ("tcp", "newline"),
                               ("tls", "octet-counting")):
        port = free_port()
        with rsyslog(transport, port) as path:
            for header, fmt in (("rfc5424", "text"), ("rfc3164", "text"), ("rfc5424", "json"),
                                ("none", "json"), ("none", "text")):
                # Without a header, what begins with the digits of a date would be taken for a length.
                if (header, fmt, framing) != ("none", "text", "newline"):
                    check(path, remote(transport, port, framing), header, fmt)


def test_syslog_to_syslog_ng():
    for transport in ("udp", "tcp", "tls"):
        port = free_port()
        with syslog_ng(transport, port) as path:
            for fmt in ("text", "json"):
                # What is missing is empty there.
                check(path, remote(transport, port), "rfc5424", fmt, process="", identifier="")
    for transport, framing in (("udp", "octet-counting"), ("tcp", "newline"), ("tls", "octet-counting")):
        for header, formats in (("rfc3164", ["text"]), ("none", ["text", "json"])):
            port = free_port()
            with syslog_ng(transport, port, header) as path:
                for fmt in formats:
                    check(path, remote(transport, port, framing), header, fmt)


def test_syslog_local_socket():
    """A datagram socket such as /dev/log: absent, there, stopped, there again."""
    with folder() as top:
        path = os.path.join(top, "log")

        def listen():
            server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            server.settimeout(10)
            server.bind(path)
            return server

        def drain(server):
            with contextlib.suppress(OSError):
                while server.recv(9000):
                    pass

        with Daemon(fmt=None, extra=syslog_output(f"path = '{path}'\nheader = 'rfc3164'")) as daemon:
            send(daemon, 5)
            daemon.wait(lambda: "trying again" in daemon.log())
            assert daemon.check_accounts()['dnstapd_output_queued{output="syslog"}'] == 5
            server = listen()
            assert [server.recv(9000).decode() for _ in range(5)] == \
                [f"<30>Sep 16 18:51:53 lb1 {text_of(number)}" for number in range(5)]
            # Nobody reads: the socket is full, records are dropped and counted.
            send(daemon, 20_000)
            metrics = daemon.check_accounts()
            assert metrics['dnstapd_output_dropped_total{output="syslog",reason="full"}'] > 0
            server.close()
            os.unlink(path)
            daemon.wait(lambda: daemon.metrics()['dnstapd_output_connected{output="syslog"}'] == 0)
            server = listen()
            daemon.wait(lambda: daemon.metrics()['dnstapd_output_connected{output="syslog"}'] == 1)
            threading.Thread(target=drain, args=(server,), daemon=True).start()
            daemon.wait(lambda: daemon.metrics()['dnstapd_output_queued{output="syslog"}'] == 0)
            daemon.check_accounts()


def zone_file(hours):
    """A file of a zone without changes, so many hours west of Greenwich (RFC 9636)."""
    part = b"TZif2" + bytes(15) + struct.pack(">6I", 0, 0, 0, 0, 1, 4) + struct.pack(
        ">iBB", -3600 * hours, 0, 0) + b"ABC\0"
    return part + part + b"\nABC%d\n" % hours


@pytest.mark.parametrize("where, more, hour", [
    ("TZ=XXX5", "", 13), ("TZ=XXX5", "utc = true", 18), ("TZ=:{top}/zone", "", 16), ("TZ=nowhere", "", 18),
    ("/etc/TZ", "", 15), ("/etc/localtime", "", 16), ("/etc/TZ and /etc/localtime", "", 15),
    ("nowhere", "", 18)],
    ids=lambda value: str(value) or "local")
def test_the_header_of_rfc3164_has_local_time(where, more, hour):
    with folder() as top:
        path, zone = os.path.join(top, "log"), os.path.join(top, "zone")
        with open(zone, "wb") as file:
            file.write(zone_file(2))
        if where.startswith("TZ"):
            under = ("env", where.format(top=top))
        else:
            # An /etc of its own, with what is asked for in it.
            script = "mount -t tmpfs tmpfs /etc"
            script += " && echo XXX3 >/etc/TZ" if "/etc/TZ" in where else ""
            script += f" && cp {zone} /etc/localtime" if "/etc/localtime" in where else ""
            under = ("env", "-u", "TZ", "unshare", "--mount", "sh", "-c", f'{script} && exec "$@"', "sh")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
            server.settimeout(20)
            server.bind(path)
            extra = syslog_output(f"path = '{path}'\nheader = 'rfc3164'\n{more}")
            with Daemon(fmt=None, extra=extra, under=under) as daemon:
                send(daemon, 1)
                assert server.recv(9000).startswith(b"<30>Sep 16 %d:51:53 lb1 " % hour)


def test_syslog_to_the_machines_own_rsyslog():
    """rsyslog on a local socket takes what stands behind the time as the program's name, as from every local
    program."""
    with folder() as top:
        path, out, config = (os.path.join(top, name) for name in ("log", "messages", "rsyslog.conf"))
        with open(config, "w") as file:
            file.write(f"""
global(workDirectory="{top}" maxMessageSize="16k")
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="{path}" RateLimit.Interval="0")
template(name="fields" type="string" string="%pri-text%|%syslogtag%%msg%\\n")
action(type="omfile" file="{out}" template="fields")
""")
        with running(["rsyslogd", "-n", "-f", config, "-i", os.path.join(top, "pid")]):
            os.chmod(path, 0o666)
            with Daemon(fmt=None,
                        extra=syslog_output(f"path = '{path}'\nheader = 'rfc3164'\nfacility = 'local3'\n"
                                            f"when-full = 'wait'")) as daemon:
                send(daemon, 200)
                wait_delivered(daemon, "syslog", 200)
                daemon.wait(lambda: len(lines_of(out)) == 200, why=lambda: lines_of(out)[:3])
                assert lines_of(out) == [f"local3.info|lb1 {text_of(number)}"
                                         for number in range(200)], lines_of(out)[:2]


def test_syslog_bare_records():
    """header = "none" is what dnstap_receiver sent."""
    peer = Peer()
    more = f"transport = 'tcp'\nremote-address = '127.0.0.1'\nremote-port = {peer.port}\nheader = 'none'"
    with Daemon(fmt="text", extra=syslog_output(more)) as daemon:
        send(daemon, 3)
        wait_delivered(daemon, "syslog", 3)
        daemon.wait(lambda: peer.text()
                    and peer.text() == "".join(f"{len(line)} {line}" for line in lines_of(daemon.out)))
    peer.close()


def test_syslog_udp_refused():
    port = free_port()
    remote = f"remote-address = 'localhost'\nremote-port = {port}\nqueue = '8K'"
    with Daemon(fmt=None, extra=syslog_output(remote)) as daemon:
        send(daemon, 2000)
        daemon.wait(lambda: "Connection refused" in daemon.log())
        assert dropped(daemon, "syslog") > 0
        daemon.check_accounts()
        assert len(trouble(daemon, "syslog")) == 1
        addresses = socket.getaddrinfo("localhost", port, type=socket.SOCK_DGRAM)
        server = socket.socket(addresses[0][0], socket.SOCK_DGRAM)
        server.bind(addresses[0][4])
        daemon.wait(lambda: daemon.metrics()['dnstapd_output_queued{output="syslog"}'] == 0)
        daemon.check_accounts()


def test_syslog_udp_name_gone():
    """A name that nobody knows at the start: records wait until somebody does."""
    with OwnNames() as names, contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)
        more = f"remote-address = 'collector.test'\nremote-port = {server.getsockname()[1]}\nheader = 'none'"
        with Daemon(fmt="text", extra=syslog_output(more), under=names.command) as daemon:
            send(daemon, 100)
            daemon.wait(lambda: "trying again" in daemon.log())
            metrics = daemon.check_accounts()
            assert metrics['dnstapd_output_queued{output="syslog"}'] == 100
            assert metrics['dnstapd_output_delivered_total{output="stdout"}'] == 100
            names.know("collector.test")
            assert [server.recv(9000).decode() for _ in range(100)] == daemon.lines()
            daemon.check_accounts()


def test_syslog_longest_record():
    """The longest there can be goes in one datagram, uncut: every byte of name and identity is escaped."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)
        name = b"".join(bytes([length]) + b"\x07" * length for length in (63, 63, 63, 61)) + b"\0"
        assert len(name) == 255
        for fmt in ("text", "json", "yaml"):
            more = (f"remote-address = '127.0.0.1'\nremote-port = {server.getsockname()[1]}\n"
                    f"format = '{fmt}'\nheader = 'none'")
            with Daemon(fmt=fmt, extra=syslog_output(more)) as daemon:
                send_frames(daemon, [message(identity=b"\xff" * 300, payload=dns(wire_name=name))])
                datagram = server.recv(70_000).decode()
                assert datagram.rstrip("\n") == "\n".join(daemon.lines()), datagram
                assert 1_500 < len(datagram) <= 8_192, datagram
                assert dropped(daemon, "syslog") == 0


def test_syslog_datagram_that_is_too_long_for_the_network():
    """A record is never cut: where the kernel takes no datagram of its length, it is dropped and counted."""
    with contextlib.closing(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)) as server:
        server.bind(("::1", 0))
        server.settimeout(10)
        port = server.getsockname()[1]
        more = f"remote-address = '::1'\nremote-port = {port}\nheader = 'none'"
        with Daemon(fmt="text", extra=syslog_output(more)) as daemon:
            daemon.wait(lambda: daemon.metrics()['dnstapd_output_connected{output="syslog"}'] == 1)
            with socket_of(daemon, port) as theirs:
                theirs.setsockopt(socket.IPPROTO_IPV6, 24, 1280)  # IPV6_MTU
                theirs.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_DONTFRAG, 1)
            name = b"".join(bytes([length]) + b"\x07" * length for length in (63, 63, 63, 61)) + b"\0"
            send_frames(daemon, [message(), message(identity=b"\xff" * 128, payload=dns(wire_name=name)),
                                 message(identity=b"lb2")])
            wait_delivered(daemon, "syslog", 2)
            assert daemon.check_accounts()['dnstapd_output_dropped_total{output="syslog",'
                                           'reason="oversize"}'] == 1
            short, long, last = daemon.lines()
            assert [server.recv(70_000).decode() for _ in range(2)] == [short, last] and len(long) > 1280


def test_syslog_yaml_by_length():
    """Records of many lines are told apart by their length."""
    peer = Peer()
    more = f"transport = 'tcp'\nremote-address = '127.0.0.1'\nremote-port = {peer.port}\nformat = 'yaml'"
    with Daemon(fmt="yaml", extra=syslog_output(more)) as daemon:
        send(daemon, 50)
        wait_delivered(daemon, "syslog", 50)
        assert daemon.stop() == 0
        peer.wait_until_all_is_read()
        rest, records = peer.text(), []
        while rest:
            length, rest = rest.split(" ", 1)
            records.append(rest[:int(length)])
            rest = rest[int(length):]
        head = "<30>1 2020-09-16T18:51:53.591736+00:00 lb1 dnstapd - - - "
        assert len(records) == 50 and all(record.startswith(head + "---\n") for record in records), records[0]
        with open(daemon.out) as out:
            assert "".join(record.removeprefix(head).rstrip("\n") + "\n" for record in records) == out.read()
    peer.close()


@faults()
def test_syslog_tls_faults(fault):
    def remote(port, address="127.0.0.1"):
        return syslog_output(f"transport = 'tls'\nheader = 'none'\nremote-address = '{address}'\n"
                             f"remote-port = {port}\n"
                             f"queue = '64K'\ntls-ca = '{AUTHORITY.ca}'\ntls-server-name = 'localhost'")

    def records(peer):
        """RFC 5425: each message has its length in front, and none a newline."""
        return [int(number) for number in re.findall(r" n(\d+)\.(?:x+\.)?test\. A -", peer.text())]

    fault(Subject("syslog", remote, records=records, context=server_context(SERVER)))


@faults()
def test_syslog_tcp_faults(fault):
    def remote(port, address="127.0.0.1"):
        return syslog_output(f"transport = 'tcp'\nframing = 'newline'\nheader = 'none'\n"
                             f"remote-address = '{address}'\n"
                             f"remote-port = {port}\nqueue = '64K'")
    fault(Subject("syslog", remote))
