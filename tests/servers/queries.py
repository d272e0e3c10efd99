"""What the servers of the tests are asked: real queries of dig, dnsperf and nsupdate, over every transport
they have."""
import subprocess
import tempfile

from network import CLIENTS4, CLIENTS6

NAMES = {
    "A": ["www.example.com", "example.com", "files.example.com", "api.example.com", "shop.example.com",
          "www.example.org",
          "cdn.example.org", "x1.wild.example.com"],
    "AAAA": ["www.example.com", "mail.example.com", "www.example.org", "files.example.com"],
    "NS": ["example.com", "example.org", "."], "MX": ["example.com", "example.org"],
    "TXT": ["example.com", "large.example.com"],
    "SRV": ["_imaps._tcp.example.com"], "SOA": ["example.com", "example.org"],
    "PTR": ["80.2.0.192.in-addr.arpa", "25.2.0.192.in-addr.arpa", "80.100.51.198.in-addr.arpa"],
    "CAA": ["example.com"], "DS": ["signed.example.com"], "DNSKEY": ["example.com"],
    "HTTPS": ["www.example.com"],
    "SVCB": ["_dns.example.com"], "NAPTR": ["example.com"], "TLSA": ["_443._tcp.www.example.com"],
    "ANY": ["example.com"], "TYPE65280": ["unknown.example.com"], "TYPE64": ["example.com"],
    "CNAME": ["api.example.com"], "SPF": ["example.com"], "LOC": ["example.com"],
}
# Names that end in errors, and names that are hard to write down.
ODD = [
    ("nope.example.com", "A"), ("NoPe.Example.COM", "AAAA"), ("no.such.example.org", "MX"),
    ("x.broken.example.com", "A"),
    ("y.broken.example.com", "TXT"), ("nothing.invalid", "A"), ("a\\.dot.example.com", "A"),
    ("sp\\032ace.example.com", "TXT"),
    ('quo\\"te.example.com', "A"), ("back\\\\slash.example.com", "A"),
    ("\\195\\169t\\195\\169.example.com", "A"),
    ("nul\\000.example.com", "A"), ("\\255\\254.example.com", "AAAA"), ("tab\\009.example.com", "A"),
    ("refused.example.com", "A"),
    ("semi\\;colon.example.com", "A"), ("do\\$llar\\@at.example.com", "A"), ("(paren).example.com", "A"),
    (".".join(["l" * 63] * 3 + ["m" * 49]) + ".example.com", "A"), ("k" * 63 + ".example.com", "AAAA"),
    (".".join("abcdefghijklmnopqrstuvwxyz" * 2) + ".example.com", "A"), ("_under_score.example.com", "A"),
]
SPECIAL = ["+edns=1 www.example.com A", "+noedns www.example.com A", "+dnssec example.com DNSKEY",
           "+bufsize=512 large.example.com TXT +ignore",
           "+cd +ad www.example.com A", "+norecurse mail.example.com A",
           "+nocookie +opcode=4 example.com SOA", "+subnet=203.0.113.0/24 www.example.com A"]


def dig(server_address, lines, source, *options, seconds=60):
    """One dig for many queries: a batch file, one query a line."""
    with tempfile.NamedTemporaryFile("w", suffix=".dig") as batch:
        batch.write("".join(f"{line}\n" for line in lines))
        batch.flush()
        done = subprocess.run(["dig", f"@{server_address}", "-b", source, "+tries=1", "+time=2", "+nocookie",
                               *options, "-f", batch.name],
                              capture_output=True, text=True, timeout=seconds, errors="replace")
    return done.stdout


def plain(names=NAMES):
    return [f"{owner} {qtype}" for qtype, owners in names.items() for owner in owners]


def odd():
    return [f"{owner} {qtype}" for owner, qtype in ODD] + SPECIAL


def encrypted(server, lines):
    """The same over TLS and HTTPS where the server listens for those."""
    if server.tls_port:
        dig(server.address4, lines, CLIENTS4[2], "+tls")
    if server.https_port:
        dig(server.address4, lines, CLIENTS4[3], "+https")


def update(server):
    """A dynamic update to BIND's own zone, and a question its authority answers."""
    commands = (f"server {server.address4}\nzone own.example\nupdate add new.own.example 60 A 192.0.2.181\n"
                f"send\n")
    subprocess.run(["nsupdate"], input=commands, text=True, capture_output=True, timeout=10)
    dig(server.address4, ["www.own.example A", "new.own.example A", "gone.own.example A"], CLIENTS4[0],
        "+norecurse")


def sample(server):
    """The queries of the captures: few, and of every kind."""
    few = {qtype: owners[:1] for qtype, owners in NAMES.items()}
    dig(server.address4, plain(few), CLIENTS4[0])
    dig(server.address6, [*plain({"A": NAMES["A"][1:4], "MX": ["example.org"]}), *odd()], CLIENTS6[0])
    dig(server.address4, ["large.example.com TXT", "www.example.com A", "nope.example.org A"], CLIENTS4[1],
        "+tcp")
    dig(server.address6, ["www.example.org AAAA", "example.com MX"], CLIENTS6[1], "+tcp")
    dig(server.address4, ["version.bind CH TXT", "hostname.bind CH TXT"], CLIENTS4[2])
    encrypted(server, ["www.example.com A", "www.example.org AAAA"])
    if server.name == "bind":
        update(server)


def many(server, extra=200):
    """The queries of the tests: everything over UDP and TCP, IPv4 and IPv6; then a few at once with
    dnsperf."""
    dig(server.address4,
        [*plain(), *odd(), "version.bind CH TXT", "hostname.bind CH TXT", "id.server CH TXT"], CLIENTS4[0])
    dig(server.address6, [*plain(), *odd()], CLIENTS6[0])
    dig(server.address4, plain(), CLIENTS4[1], "+tcp")
    dig(server.address6, plain(), CLIENTS6[1], "+tcp")
    encrypted(server, plain({"A": NAMES["A"], "HTTPS": NAMES["HTTPS"], "TXT": NAMES["TXT"]}))
    if server.name == "bind":
        update(server)
    with tempfile.NamedTemporaryFile("w", suffix=".dnsperf") as file:
        file.write("".join(f"p{number}.wild.example.com A\nwww.example.org AAAA\n"
                           for number in range(extra // 2)))
        file.flush()
        for address, source, mode in ((server.address4, CLIENTS4[4], "udp"),
                                      (server.address6, CLIENTS6[2], "tcp")):
            subprocess.run(["dnsperf", "-s", address, "-a", source, "-m", mode, "-d", file.name, "-n", "1",
                            "-Q", "500", "-c", "4", "-t", "3"],
                           capture_output=True, timeout=60)


def demo(servers):
    """Traffic that is pleasant to watch, for demo.fstrm: two rounds over three servers, clients in turn."""
    show = {
        "bind": ["www.example.com A", "mail.example.org A", "www.own.example A",
                 "80.2.0.192.in-addr.arpa PTR", "example.com MX"],
        "unbound": ["www.example.com A", "www.example.com AAAA", "www.example.com HTTPS",
                    "nope.example.com A", "mail.example.org A",
                    "x.broken.example.com A", "cdn.example.org A"],
        "dnsdist": ["api.example.com A", "shop.example.com A", "example.com TXT", "refused.example.com A",
                    "_imaps._tcp.example.com SRV",
                    "nope.example.org AAAA", "www.example.com HTTPS"],
    }
    for turn in range(4):
        for name, server in servers.items():
            lines = show[name]
            four, six = CLIENTS4[turn % len(CLIENTS4)], CLIENTS6[turn % len(CLIENTS6)]
            dig(server.address4, lines, four)
            dig(server.address6, lines[turn:turn + 3], six)
            dig(server.address4, lines[turn:turn + 2], CLIENTS4[(turn + 1) % len(CLIENTS4)], "+tcp")
            if server.tls_port and turn == 1:
                dig(server.address4, lines[:2], CLIENTS4[3], "+tls")
