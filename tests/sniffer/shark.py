"""tshark on the same interface at the same time: what it makes of each DNS message."""
import collections
import os
import signal
import struct
import subprocess
import time

# What is asked for, each once for every message: one packet may carry several.
FIELDS = ("dns.id", "dns.flags.response", "dns.flags.rcode", "dns.count.queries")
SIDES = ("ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "udp.srcport", "udp.dstport", "tcp.srcport",
         "tcp.dstport")
RCODES = {"NOERROR": 0, "FORMERR": 1, "SERVFAIL": 2, "NXDOMAIN": 3, "NOTIMP": 4, "REFUSED": 5, "NOTAUTH": 9,
          "BADVERS": 0}

# Questions and answers, fragments, and all of that behind tags.
PLAIN = "port 53 or (ip[6:2] & 0x1fff != 0) or ip6 proto 44"
FILTER = f"{PLAIN} or (vlan and ({PLAIN} or (vlan and ({PLAIN}))))"


class Shark:
    def __init__(self, interface, folder):
        self.path = os.path.join(folder, f"{interface}-{time.monotonic_ns()}.pcapng")
        self.log = open(self.path + ".log", "w+")
        self.process = subprocess.Popen(["tshark", "-q", "-n", "-i", interface, "-B", "16", "-w", self.path,
                                         PLAIN if interface == "any" else FILTER],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.log)
        end = time.monotonic() + 15
        while not os.path.exists(self.path) or "Capturing on" not in open(self.log.name).read():
            assert self.process.poll() is None and time.monotonic() < end, open(self.log.name).read()
            time.sleep(0.05)
        time.sleep(0.5)

    def stop(self):
        if self.process.poll() is None:
            time.sleep(0.5)
            self.process.send_signal(signal.SIGINT)
            self.process.wait(15)

    def read(self, display, fields):
        command = ["tshark", "-n", "-r", self.path, "-Y", display, "-T", "fields", "-E", "separator=|", "-E",
                   "occurrence=a", "-E", "aggregator=,"]
        for field in fields:
            command += ["-e", field]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return [line.split("|") for line in done.stdout.splitlines()]

    def messages(self):
        """`(id, is response, rcode, source, destination, protocol)` of each message, and how often."""
        found = collections.Counter()
        for row in self.read("dns", [*FIELDS, *SIDES]):
            values = dict(zip([*FIELDS, *SIDES], row))
            protocol = "UDP" if values["udp.srcport"] else "TCP"
            low = protocol.lower()
            first = lambda *names: next(values[name].split(",")[0] for name in names if values[name])
            source = (first("ip.src", "ipv6.src"), first(f"{low}.srcport"))
            destination = (first("ip.dst", "ipv6.dst"), first(f"{low}.dstport"))
            ids, responses = values["dns.id"].split(","), values["dns.flags.response"].split(",")
            # Only responses have an rcode to show.
            rcodes = iter(code for code in values["dns.flags.rcode"].split(",") if code)
            for ident, response in zip(ids, responses):
                is_response = response in ("1", "True")
                rcode = int(next(rcodes)) if is_response else 0
                found[int(ident, 16), is_response, rcode, source, destination, protocol] += 1
        return found

    def converted(self, container):
        """The same capture in another container."""
        path = f"{self.path}.{container}"
        subprocess.run(["tshark", "-n", "-r", self.path, "-F", container, "-w", path], check=True,
                       capture_output=True, timeout=60)
        return path

    def frames(self):
        """The frames themselves, as they were captured."""
        with open(self.converted("pcap"), "rb") as file:
            data = file.read()
        at, found = 24, []
        while at < len(data):
            length = struct.unpack_from("=I", data, at + 8)[0]
            found.append(data[at + 16:at + 16 + length])
            at += 16 + length
        return found

    def fragments(self):
        return len(self.read("ip.flags.mf == 1 or ip.frag_offset > 0 or ipv6.fraghdr", ["frame.number"]))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        self.log.close()


def same(messages, records):
    """The records are these messages."""
    ours = collections.Counter()
    for record in records:
        query, response = (record["query-ip"], str(record["query-port"])), (record["response-ip"],
                                                                            str(record["response-port"]))
        is_response = record["type"] == "response"
        source, destination = (response, query) if is_response else (query, response)
        rcode = RCODES[record["rcode"]] if is_response else 0
        ours[record["id"], is_response, rcode, source, destination, record["protocol"]] += 1
    wrong = [f"tshark only: {key}" for key in (messages - ours)] + [f"sniffer only: {key}"
                                                                    for key in (ours - messages)]
    assert not wrong, (f"{sum(messages.values())} by tshark, {sum(ours.values())} by the sniffer, "
                       f"{len(wrong)} differences\n") + "\n".join(wrong[:8])
    return f"{sum(ours.values())} messages"
