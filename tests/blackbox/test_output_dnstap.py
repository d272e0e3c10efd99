"""Output dnstap against other collectors, good and bad."""
import os
import socket
import subprocess
import time

from harness import PATIENCE, Daemon, capture_frames
from peers import (Peer, Subject, all_frames, chain, dnstap_output, faults, folder, frame_numbers,
                   free_port, greet_dnstap, send,
                   send_frames, tcp, wait_delivered)


DNSTAP = ["-t", "protobuf:dnstap.Dnstap"]


def test_dnstap_to_fstrm_capture():
    frames = all_frames()
    assert len(frames) > 500
    for over in ("unix", "tcp"):
        with folder() as top:
            path, unix, port = os.path.join(top, "capture"), os.path.join(top, "socket"), free_port()
            listen = ["-u", unix] if over == "unix" else ["-a", "127.0.0.1", "-p", str(port)]
            where = f"path = '{unix}'" if over == "unix" else tcp(port)
            with Daemon(fmt=None, extra=dnstap_output(where)) as daemon:
                capture = subprocess.Popen(["fstrm_capture", *DNSTAP, *listen, "-w", path],
                                           stderr=subprocess.DEVNULL)
                daemon.wait_for_log("connected to")
                send_frames(daemon, frames)
                wait_delivered(daemon, "dnstap", len(frames))
                started = time.monotonic()
                assert daemon.stop() == 0 and time.monotonic() - started < 2, "FINISH has come"
                capture.terminate()
                capture.wait(10)
            assert list(capture_frames(path)) == frames


def test_dnstap_chain_and_identity():
    """A daemon behind a daemon: what comes out at the end is what went in, but for an identity that is asked
    for."""
    frames = all_frames()
    chain("", lambda last: dnstap_output(f"path = '{last.unix}'"))
    with Daemon(fmt="json") as last:
        with Daemon(fmt="json",
                    extra=dnstap_output(tcp(last.tcp[1]), "dnstap-identity = 'mine'")) as first:
            first.wait_for_log("connected to")
            send_frames(first, frames)
            wait_delivered(first, "dnstap", len(frames))
            before = first.records()
            assert first.stop() == 0
        wait_delivered(last, "stdout", len(frames))
        after = last.records()
    assert {record["identity"] for record in after} == {"mine"}
    same = lambda record: {key: value for key, value in record.items()
                           if key not in ("identity", "latency")}
    assert [same(record) for record in after] == [same(record) for record in before]


@faults()
def test_dnstap_faults(fault):
    config = lambda port, address="127.0.0.1": dnstap_output(tcp(port, address), "queue = '64K'\nretry = 1")
    fault(Subject("dnstap", config, greet_dnstap, frame_numbers))


@faults(at_a_path=True)
def test_dnstap_faults_at_a_path(fault):
    with folder() as top:
        config = lambda path: dnstap_output(f"path = '{path}'", "queue = '64K'\nretry = 1")
        fault(Subject("dnstap", config, greet_dnstap, frame_numbers, path=os.path.join(top, "socket")))


def test_dnstap_strangers():
    """Peers that are no Frame Streams readers: one that says something else, one that only closes, one that
    does not say FINISH."""
    def http_server(connection):
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"x" * 100)
        connection.recv(1000)

    peer = Peer(serve=lambda connection, into: http_server(connection))
    with Daemon(fmt=None, extra=dnstap_output(tcp(peer.port))) as daemon:
        send(daemon, 10)
        daemon.wait(lambda: "no Frame Streams reader" in daemon.log())
        assert daemon.check_accounts()['dnstapd_output_queued{output="dnstap"}'] == 10
    peer.close()
    times = []
    peer = Peer(serve=lambda connection,
                into: (times.append(time.monotonic()), connection.shutdown(socket.SHUT_RDWR)))
    with Daemon(fmt=None, extra=dnstap_output(tcp(peer.port))) as daemon:
        daemon.wait(lambda: len(times) == 4, 12)
        for wait, whole in zip((later - earlier for earlier, later in zip(times, times[1:])), (1, 2, 4)):
            assert whole / 2 - 0.1 < wait < whole + PATIENCE, times
    peer.close()
    peer = Peer(greet=greet_dnstap)
    with Daemon(fmt=None, extra=dnstap_output(tcp(peer.port))) as daemon:
        send(daemon, 10)
        wait_delivered(daemon, "dnstap", 10)
        started = time.monotonic()
        assert daemon.stop() == 0 and time.monotonic() - started < 7, "nobody waits for FINISH for ever"
    peer.close()
