"""The DNS servers of the tests: one class each, with its configuration and the ways in which it can send
dnstap.

`Server.start` writes the configuration into a folder, runs the server in the foreground and waits until it
answers. A destination of its dnstap is the path of a Unix socket or a `(address, port)` pair. `transports`
names what the server speaks itself; over TCP, servers that only know Unix sockets go through socat (`socat =
True`).
"""
import os
import shutil
import signal
import socket
import struct
import subprocess
import time

import zones
from carriers import CERTIFIED
from certificates import self_signed
from folders import InFolder
from network import NOBODY, address4, address6

COREDNS = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"),
                       "dnstapd-tests/bin/coredns")


class Server(InFolder):
    """A server in the foreground. Subclasses write the configuration and name the command."""

    name = ""
    identity = None
    transports = ("unix", "tcp")
    socat = False
    # Message types that its clients' and its own traffic must show, at the least.
    shows = ()
    # Seconds in which it connects again after the collector was away.
    reconnects = 8
    # Seconds in which it ends when told to.
    stops = 8
    # Whether it sends STOP when it ends.
    says_stop = True
    # The user that Debian runs it as, and whether it gives up root for that user in this run.
    user = None
    as_user = False
    # Whether this run sends dnstap over TLS; "tls" in `transports` says that the server can.
    over_tls = False
    # The address queries go to is that of the server, except for DoT and DoH ports.
    tls_port = https_port = None

    def __init__(self, folder, destination):
        self.folder = os.path.join(folder, self.name)
        self.destination = destination
        self.address4, self.address6 = address4(self.name), address6(self.name)
        self.process = None

    def dropped(self):
        """The user to give up root for, or nothing."""
        return self.user if self.as_user else ""

    @property
    def over_tcp(self):
        return isinstance(self.destination, tuple)

    def colon(self):
        """The destination as dnsdist, the Recursor and socat write it."""
        return f"{self.destination[0]}:{self.destination[1]}"

    def start(self):
        os.makedirs(self.folder, exist_ok=True)
        os.chmod(self.folder, 0o755)
        zones.write(self.folder)
        command = self.command()
        if self.as_user:
            for name in (self.folder, *map(self.path, os.listdir(self.folder))):
                shutil.chown(name, self.user, self.user)
        with open(self.path("log"), "ab") as log:
            self.process = subprocess.Popen(command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log)
        self.wait_until_it_answers()
        return self

    def wait_until_it_answers(self, seconds=20):
        end = time.monotonic() + seconds
        while not (asks(self.address4, socket.AF_INET) and asks(self.address6, socket.AF_INET6)):
            assert self.process.poll() is None, f"{self.name} ended:\n{self.log()}"
            assert time.monotonic() < end, f"{self.name} does not answer:\n{self.log()}"
            time.sleep(0.1)

    def log(self):
        with open(self.path("log"), errors="replace") as file:
            return file.read()[-4000:]

    def stop(self, seconds=10):
        """Ends it in its own way; the seconds that took."""
        started = time.monotonic()
        if self.process and self.process.poll() is None:
            self.end()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"{self.name} did not end within {seconds} s:\n{self.log()}")
        return time.monotonic() - started

    def end(self):
        self.process.send_signal(signal.SIGTERM)

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def command(self):
        raise NotImplementedError


def asks(address, family):
    """Whether a server answers one small question (a root SOA) over UDP."""
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.5)
        try:
            sock.connect((address, 53))
            sock.send(struct.pack(">HHHHHH", 4711, 0x0100, 1, 0, 0, 0) + b"\0" + struct.pack(">HH", 6, 1))
            return len(sock.recv(4096)) >= 12
        except OSError:
            return False


class Origin(Server):
    """The authority for every zone of the tests; it sends no dnstap itself."""

    name = "origin"

    def __init__(self, folder):
        super().__init__(folder, None)

    def dnstap(self):
        return ""

    def command(self):
        texts = "".join(f'zone:\n  name: "{zone}"\n  zonefile: "{zones.file_name(zone)}"\n'
                        for zone in zones.ZONES)
        conf = self.write("nsd.conf", f"""
server:
  ip-address: {self.address4}
  ip-address: {self.address6}
  username: "{self.dropped()}"
  chroot: ""
  zonesdir: "{self.folder}"
  database: ""
  pidfile: "{self.path('nsd.pid')}"
  xfrdfile: "{self.path('xfrd.state')}"
  zonelistfile: "{self.path('zone.list')}"
  xfrdir: "{self.folder}"
  cookie-secret-file: ""
  server-count: 1
remote-control:
  control-enable: no
{self.dnstap()}
{texts}""")
        return [shutil.which("nsd"), "-d", "-c", conf]


class Nsd(Origin):
    name = "nsd"
    identity = "ns2"
    user = "nsd"
    socat = True
    shows = ("AUTH_QUERY", "AUTH_RESPONSE")

    def __init__(self, folder, destination):
        Server.__init__(self, folder, destination)

    def dnstap(self):
        return f"""dnstap:
  dnstap-enable: yes
  dnstap-socket-path: "{self.destination}"
  dnstap-identity: "{self.identity}"
  dnstap-send-identity: yes
  dnstap-send-version: yes
  dnstap-log-auth-query-messages: yes
  dnstap-log-auth-response-messages: yes
"""


class Bind(Server):
    name = "bind"
    identity = "ns1"
    user = "bind"
    socat = True
    shows = ("AUTH_QUERY", "AUTH_RESPONSE", "CLIENT_QUERY", "CLIENT_RESPONSE", "RESOLVER_QUERY",
             "RESOLVER_RESPONSE",
             "UPDATE_QUERY", "UPDATE_RESPONSE")

    def command(self):
        os.makedirs(self.path("keys"), exist_ok=True)
        self.write("own.zone", f"""$ORIGIN own.example.
$TTL 300
{zones.NAME_SERVER}www IN A 192.0.2.180
""")
        conf = self.write("named.conf", f"""
options {{
  directory "{self.folder}";
  pid-file none;
  session-keyfile "{self.path('session.key')}";
  managed-keys-directory "{self.path('keys')}";
  listen-on {{ {self.address4}; }};
  listen-on-v6 {{ {self.address6}; }};
  query-source address {self.address4};
  query-source-v6 address {self.address6};
  recursion yes;
  allow-query {{ any; }};
  allow-recursion {{ any; }};
  dnssec-validation no;
  empty-zones-enable no;
  version "9 in tests";
  dnstap {{ all; }};
  dnstap-output unix "{self.destination}";
  dnstap-identity "{self.identity}";
  fstrm-set-reopen-interval 1;
}};
server {NOBODY} {{ bogus yes; }};
controls {{ }};
zone "." {{ type hint; file "hints"; }};
zone "own.example" {{ type primary; file "own.zone"; allow-update {{ any; }}; }};
zone "example.org" {{ type forward; forward only; forwarders {{ {address4("origin")}; }}; }};
""")
        return [shutil.which("named"), "-g", "-n", "1", "-c", conf,
                *(["-u", self.user] if self.as_user else [])]


class Unbound(Server):
    name = "unbound"
    identity = "resolver1"
    user = "unbound"
    transports = ("unix", "tcp", "tls")
    shows = ("CLIENT_QUERY", "CLIENT_RESPONSE", "RESOLVER_QUERY", "RESOLVER_RESPONSE", "FORWARDER_QUERY",
             "FORWARDER_RESPONSE")
    reconnects = 4
    tls_port = 853
    # More of its configuration: zones that it forwards.
    more = ""

    def statistics(self):
        """Its own counters, which no other test reads in between."""
        told = subprocess.run(["unbound-control", "-c", self.path("unbound.conf"), "stats_noreset"],
                              check=True, capture_output=True, text=True, timeout=10).stdout
        return dict(line.split("=", 1) for line in told.splitlines())

    def command(self):
        chain, key = self_signed(self.folder, CERTIFIED, f"DNS:{CERTIFIED}")
        tls = (f'yes\n  dnstap-tls-server-name: "{CERTIFIED}"\n'
               f'  dnstap-tls-cert-bundle: "{self.collector_certificate}"') if self.over_tls else "no"
        where = f'dnstap-socket-path: "{self.destination}"'
        if self.over_tcp:
            where = f'dnstap-ip: "{self.destination[0]}@{self.destination[1]}"\n  dnstap-tls: {tls}'
        conf = self.write("unbound.conf", f"""
server:
  interface: {self.address4}
  interface: {self.address6}
  interface: {self.address4}@853
  interface: {self.address6}@853
  tls-service-key: "{key}"
  tls-service-pem: "{chain}"
  outgoing-interface: {self.address4}
  outgoing-interface: {self.address6}
  do-not-query-address: {NOBODY}
  access-control: 0.0.0.0/0 allow
  access-control: ::/0 allow
  username: "{self.dropped()}"
  chroot: ""
  directory: "{self.folder}"
  pidfile: ""
  use-syslog: no
  logfile: ""
  root-hints: "hints"
  module-config: "iterator"
  local-zone: "2.0.192.in-addr.arpa." nodefault
  local-zone: "100.51.198.in-addr.arpa." nodefault
  local-zone: "8.b.d.0.1.0.0.2.ip6.arpa." nodefault
forward-zone:
  name: "example.org."
  forward-addr: {address4("origin")}
{self.more}
remote-control:
  control-enable: yes
  control-interface: "{self.path("control")}"
  control-use-cert: no
dnstap:
  dnstap-enable: yes
  {where}
  dnstap-send-identity: yes
  dnstap-send-version: yes
  dnstap-identity: "{self.identity}"
  dnstap-log-resolver-query-messages: yes
  dnstap-log-resolver-response-messages: yes
  dnstap-log-client-query-messages: yes
  dnstap-log-client-response-messages: yes
  dnstap-log-forwarder-query-messages: yes
  dnstap-log-forwarder-response-messages: yes
""")
        return [shutil.which("unbound"), "-d", "-p", "-c", conf]


class Dnsdist(Server):
    name = "dnsdist"
    identity = "edge1"
    user = "_dnsdist"
    says_stop = False
    shows = ("CLIENT_QUERY", "CLIENT_RESPONSE")
    tls_port, https_port = 853, 443

    def command(self):
        chain, key = self_signed(self.folder, CERTIFIED, f"DNS:{CERTIFIED}")
        logger = f'newFrameStreamUnixLogger("{self.destination}"'
        if self.over_tcp:
            logger = f'newFrameStreamTcpLogger("{self.colon()}"'
        conf = self.write("dnsdist.conf", f"""
setLocal("{self.address4}:53")
addLocal("[{self.address6}]:53")
addTLSLocal("{self.address4}:853", "{chain}", "{key}")
addDOHLocal("{self.address4}:443", "{chain}", "{key}", "/dns-query")
setACL({{"0.0.0.0/0", "::/0"}})
setSecurityPollSuffix("")
newServer({{address="{address4("origin")}:53", healthCheckMode="up"}})
cache = newPacketCache(1000)
getPool(""):setCache(cache)
tap = {logger})
addAction(AllRule(), DnstapLogAction("{self.identity}", tap))
addAction("refused.example.com.", RCodeAction(DNSRCode.REFUSED))
addResponseAction(AllRule(), DnstapLogResponseAction("{self.identity}", tap))
addCacheHitResponseAction(AllRule(), DnstapLogResponseAction("{self.identity}", tap))
addSelfAnsweredResponseAction(AllRule(), DnstapLogResponseAction("{self.identity}", tap))
""")
        return [shutil.which("dnsdist"), "--supervised", "--disable-syslog", "-C", conf,
                *(["-u", self.user, "-g", self.user] if self.as_user else [])]


class Recursor(Server):
    name = "recursor"
    identity = "resolver2"
    user = "pdns"
    shows = ("RESOLVER_QUERY", "RESOLVER_RESPONSE")

    def command(self):
        where = self.colon() if self.over_tcp else self.destination
        self.write("recursor.lua",
                   f"""dnstapFrameStreamServer("{where}", {{logQueries=true, logResponses=true}})
""")
        self.write("recursor.conf", f"""
local-address={self.address4},{self.address6}
query-local-address={self.address4},{self.address6}
allow-from=0.0.0.0/0,::/0
dont-query={NOBODY}/32
hint-file={self.path("hints")}
lua-config-file={self.path("recursor.lua")}
socket-dir={self.folder}
server-id={self.identity}
dnssec=off
daemon=no
write-pid=no
threads=2
security-poll-suffix=
serve-rfc1918=no
setuid={self.dropped()}
setgid={self.dropped()}
chroot=
max-cache-ttl=1
max-negative-ttl=1
packetcache-ttl=1
packetcache-servfail-ttl=1
""")
        return [shutil.which("pdns_recursor"), f"--config-dir={self.folder}"]

    def end(self):
        # SIGTERM ends it at once, without STOP and with messages unsent.
        subprocess.run(["rec_control", f"--socket-dir={self.folder}", "quit-nicely"], check=True,
                       capture_output=True, timeout=10)


class Knot(Server):
    name = "knot"
    identity = "ns3"
    user = "knot"
    socat = True
    shows = ("AUTH_QUERY", "AUTH_RESPONSE")

    def command(self):
        texts = "".join(f'  - domain: "{zone}"\n    file: "{zones.file_name(zone)}"\n    zonefile-sync: -1\n'
                        f'    journal-content: none\n'
                        for zone in zones.ZONES)
        conf = self.write("knot.conf", f"""
server:
  rundir: "{self.folder}"
  user: "{f"{self.user}:{self.user}" if self.as_user else "root"}"
  listen: [ {self.address4}@53, "{self.address6}@53" ]
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
  version: "3 in tests"
database:
  storage: "{self.folder}"
log:
  - target: stderr
    any: info
mod-dnstap:
  - id: tap
    sink: "unix:{self.destination}"
    identity: "{self.identity}"
    log-queries: on
    log-responses: on
template:
  - id: default
    storage: "{self.folder}"
    global-module: mod-dnstap/tap
zone:
{texts}""")
        return [shutil.which("knotd"), "-c", conf]


class CoreDns(Server):
    name = "coredns"
    identity = "edge2"
    transports = ("unix", "tcp", "tls")
    shows = ("CLIENT_QUERY", "CLIENT_RESPONSE", "FORWARDER_QUERY", "FORWARDER_RESPONSE")
    reconnects = 15
    full = True
    # More plugins.
    more = ""

    def command(self):
        where = f"{'tls' if self.over_tls else 'tcp'}://{self.colon()}" if self.over_tcp else self.destination
        conf = self.write("Corefile", f""".:53 {{
  bind {self.address4} {self.address6}
  dnstap {where}{" full" if self.full else ""} {{
    identity {self.identity}
    version coredns
    {"skipverify" if self.over_tls else ""}
  }}
  {self.more}
  forward . {address4("origin")}:53
  chaos "CoreDNS in tests"
}}
""")
        return [COREDNS, "-conf", conf]


SERVERS = {server.name: server for server in (Bind, Unbound, Dnsdist, Recursor, Nsd, Knot, CoreDns)}
