"""The zones that the tests' servers answer from, in the master file format of RFC 1035.

`origin` serves them all, the root included, so that recursive servers find everything on loopback by their
own recursion.
"""
import os

from network import NOBODY, address4, address6

NAME_SERVER = f"""@ 3600 IN NS ns1.example.com.
@ 3600 IN SOA ns1.example.com. hostmaster.example.com. 2026010101 7200 3600 1209600 300
"""

ROOT = f"""$TTL 86400
. IN SOA a.root-servers.example. hostmaster.example.com. 2026010101 1800 900 604800 300
. IN NS a.root-servers.example.
a.root-servers.example. IN A {address4("origin")}
a.root-servers.example. IN AAAA {address6("origin")}
""" + "".join(f"{zone} IN NS ns1.example.com.\n" for zone in (
    "example.com.", "example.org.", "2.0.192.in-addr.arpa.", "100.51.198.in-addr.arpa.",
    "8.b.d.0.1.0.0.2.ip6.arpa.")) + f"""
ns1.example.com. IN A {address4("origin")}
ns1.example.com. IN AAAA {address6("origin")}
"""

LARGE = " ".join('"' + chr(ord("a") + n % 26) * 250 + '"' for n in range(11))

COM = f"""$ORIGIN example.com.
$TTL 300
{NAME_SERVER}
ns1 IN A {address4("origin")}
ns1 IN AAAA {address6("origin")}
@ IN A 192.0.2.80
@ IN AAAA 2001:db8::80
@ IN MX 10 mail
@ IN TXT "v=spf1 mx -all"
@ IN CAA 0 issue "ca.example.net"
@ IN DNSKEY 257 3 13 mdsswUyr3DPW132mOi8V9xESWE8jTo0dxCjjnopKl+GqJxpVXckHAeF+KkxLbxILfDLUT0rAK9iUzy1L53eKGQ==
www IN A 192.0.2.80
www IN AAAA 2001:db8::80
www IN TYPE65 \\# 10 0001 00 0001 0003 02 6832
mail IN A 192.0.2.25
mail IN AAAA 2001:db8::25
api IN CNAME www
files IN A 192.0.2.81
shop IN A 192.0.2.82
shop IN A 192.0.2.83
_imaps._tcp IN SRV 0 1 993 mail
_dns IN TYPE64 \\# 7 0001 03 6e7331 00
_443._tcp.www IN TLSA 3 1 1 0d6fce3f3b4a5a6d9a1c7e2f8b0d4c6a1e3f5a7b9c0d2e4f6a8b1c3d5e7f9a0b
@ IN NAPTR 100 10 "u" "E2U+sip" "!^.*$!sip:info@example.com!" .
large IN TXT {LARGE}
*.wild IN A 192.0.2.90
unknown IN TYPE65280 \\# 4 c0000201
signed IN DS 60485 13 2 D4B7D520E7BB5F0F67674A0CCEB1E3E0614B93C4F9E99B8383F6A1E4469DA50A
signed IN NS ns1
broken IN NS ns.broken
ns.broken IN A {NOBODY}
"""

ORG = f"""$ORIGIN example.org.
$TTL 300
{NAME_SERVER}
@ IN A 198.51.100.80
@ IN MX 5 mail
www IN A 198.51.100.80
www IN AAAA 2001:db8:0:7::80
mail IN A 198.51.100.25
cdn IN CNAME edge.cdn
edge.cdn IN A 198.51.100.90
"""


def reverse(origin, names):
    lines = "".join(f"{owner} IN PTR {target}\n" for owner, target in names)
    return f"$ORIGIN {origin}\n$TTL 300\n{NAME_SERVER}{lines}"


ZONES = {
    ".": ROOT,
    "example.com.": COM,
    "example.org.": ORG,
    "2.0.192.in-addr.arpa.": reverse("2.0.192.in-addr.arpa.",
                                     [("80", "www.example.com."), ("25", "mail.example.com.")]),
    "100.51.198.in-addr.arpa.": reverse("100.51.198.in-addr.arpa.",
                                        [("80", "www.example.org."), ("25", "mail.example.org.")]),
    "8.b.d.0.1.0.0.2.ip6.arpa.": reverse("8.b.d.0.1.0.0.2.ip6.arpa.",
                                         [("0.8" + ".0" * 22, "www.example.com.")]),
}
HINTS = f""". 3600000 IN NS a.root-servers.example.
a.root-servers.example. 3600000 IN A {address4("origin")}
a.root-servers.example. 3600000 IN AAAA {address6("origin")}
"""


def file_name(zone):
    return (zone.rstrip(".") or "root") + ".zone"


def write(folder):
    """Writes every zone and the root hints into a folder."""
    for zone, text in ZONES.items():
        with open(os.path.join(folder, file_name(zone)), "w") as file:
            file.write(text)
    with open(os.path.join(folder, "hints"), "w") as file:
        file.write(HINTS)
