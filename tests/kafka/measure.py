"""What the Kafka output costs beside counting, in time and memory (tests/kafka/run --measure)."""
import os
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), name) for name in ("blackbox", "servers", "shared")]
import harness  # noqa: E402
from broker import Broker  # noqa: E402
from test_kafka import TOPICS, section  # noqa: E402


def measure(broker, loops=2_000):
    """Replays a capture, which waits for every output, without and with the Kafka output."""
    path = os.path.join(harness.DATA, "demo.fstrm")
    once = open(path, "rb").read()
    frames = [harness.frame(frame) for frame in harness.capture_frames(path)]
    at = once.index(frames[0])
    capture = os.path.join(broker.folder, "long.fstrm")
    with open(capture, "wb") as file:
        file.write(once[:at] + b"".join(frames) * loops)
    total = len(frames) * loops
    replay = (f"[input.file]\nenable = true\npath = '{capture}'\nat-end = 'stay'\n[input.tcp-socket]\n"
              f"enable = false\n")
    before = 'queue = "8M"'
    print(f"{total} frames\noutput              frames/s  CPU ns/frame  resident KiB  threads")
    for name, output in (("none", ""), ("kafka, queue 256K", section(broker.create(next(TOPICS)))),
                         ("kafka, queue 8M", section(broker.create(next(TOPICS)), before)),
                         ("kafka, 8M, lz4",
                          section(broker.create(next(TOPICS)), before, compression_codec="lz4"))):
        started = time.monotonic()
        with harness.Daemon(replay + output, fmt=None, inputs=False) as daemon:
            done = lambda: (lambda m: m['dnstapd_received_total{input="file"}'] == total
                            and m.get('dnstapd_output_queued{output="kafka"}', 0) == 0)(daemon.metrics())
            daemon.wait(done, 120)
            seconds, metrics = time.monotonic() - started, daemon.metrics()
            assert not output or metrics['dnstapd_output_delivered_total{output="kafka"}'] == total
            cpu = metrics["process_cpu_seconds_total"] / total * 1e9
            threads = len(os.listdir(f"/proc/{daemon.process.pid}/task"))
            resident = metrics["process_resident_memory_bytes"] / 1024
            print(f"{name:18} {total / seconds:9,.0f}  {cpu:12,.0f}  {resident:12,.0f}  {threads:7}",
                  flush=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        broker = Broker(folder).start()
        try:
            measure(broker)
        finally:
            broker.kill()
