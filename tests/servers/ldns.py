"""What dnstap-ldns reads from a capture: the counts of its quiet format, the fields of its YAML.

dnstap-ldns 0.2.1 does not know every number: it stops at UPDATE messages, and its YAML stops at protocols
other than UDP and TCP. `known` puts numbers it knows in their place (UPDATE as CLIENT, DOT and DOH as TCP),
and `undo` tells which, so that all other fields of such messages are compared, too; those two come from
`oracle` alone then.
"""
import re
import subprocess

import oracle

MNEMONICS = dict(zip("AQ AR RQ RR CQ CR FQ FR SQ SR TQ TR".split(), oracle.MESSAGES.values()))
RCODES = {"NOTIMPL": 4, **{name: number for number, name in oracle.RCODES.items()}}


def known(frame):
    """The frame with numbers that dnstap-ldns knows, and the keys of a record that this changes."""
    frame, changed = bytearray(frame), set()
    inner_at, inner = next((at, value) for number, value, at in oracle.fields(frame) if number == 14)
    for number, value, end in oracle.fields(inner, inner_at):
        if number == 1 and value in (13, 14):
            frame[end - 1] = value - 8
            changed.add("message")
        if number == 3 and value > 2:
            frame[end - 1] = 2
            changed.add("protocol")
    return bytes(frame), changed


def run(path, option):
    done = subprocess.run(["dnstap-ldns", "-r", path, option], capture_output=True, timeout=60)
    assert done.returncode == 0 and not done.stderr, (done.returncode, done.stderr)
    return done.stdout.decode("latin-1")


def quiet(path):
    """Records of the quiet format: message type, address, protocol, length, time."""
    out = []
    for line in run(path, "-q").splitlines():
        date, time, mnemonic, address, protocol, length = line.split(" ")[:6]
        out.append({"message": MNEMONICS[mnemonic], "address": address, "protocol": protocol,
                    "length": int(length.rstrip("b")) if length != "0b" else 0,
                    "timestamp": f"{date}T{time}+00:00"})
    return out


def verbose(path):
    """Records of the YAML format, in the words of the program's own."""
    return [record(text) for text in run(path, "-y").split("\n---\n") if text.strip("-\n")]


def record(text):
    def find(pattern):
        found = re.search(pattern, text, re.MULTILINE)
        return found.group(1) if found else "-"

    kind = find(r"^  type: (\S+)$")
    when = find(r"^  response_time: !!timestamp (.*)$" if kind.endswith("RESPONSE")
                else r"^  query_time: !!timestamp (.*)$")
    out = {
        "identity": find(r'^identity: "(.*)"$'), "message": kind, "timestamp": when if when == "-"
        else when.replace(" ", "T") + "+00:00",
        "family": find(r"^  socket_family: (\S+)$"), "protocol": find(r"^  socket_protocol: (\S+)$"),
        "query-ip": find(r'^  query_address: "(\S+)"$'),
        "response-ip": find(r'^  response_address: "(\S+)"$'),
        "query-port": number(find(r"^  query_port: (\d+)$")),
        "response-port": number(find(r"^  response_port: (\d+)$")),
        "type": "response" if kind.endswith("RESPONSE") else "query",
    }
    body = text.partition("response_message: |" if out["type"] == "response" else "query_message: |")[2]
    header = re.search(r"^    ;; ->>HEADER<<- opcode: \S+, rcode: (\S+), id: (\d+)\n    ;; flags: ([a-z ]*);",
                       body, re.MULTILINE)
    if header:
        rcode = RCODES.get(header.group(1)) if not header.group(1).isdigit() else int(header.group(1))
        extended = re.search(r"^    ;; EDNS: .*ext-rcode: (\d+)", body, re.MULTILINE)
        rcode |= int(extended.group(1)) if extended else 0
        out["rcode"] = oracle.RCODES.get(rcode, f"RCODE{rcode}")
        out["id"] = int(header.group(2))
        out["flags"] = {word.upper() for word in header.group(3).split()}
    question = re.search(r"^    ;; (?:QUESTION|ZONE) SECTION:\n    ;([^;\n].*)$", body, re.MULTILINE)
    if header:
        assert not question or question.group(1).count("\t") == 2, text
        name, _, rtype = question.group(1).split("\t") if question else ("-", "-", "-")
        out["qname"], out["rrtype"] = labels(name), rtype
    return out


def number(text):
    return int(text) if text.isdigit() and text != "0" else "-"


def labels(text):
    """The labels of a name, as bytes: what is compared does not depend on the ways of escaping."""
    out, label, at = [], bytearray(), 0
    while at < len(text):
        if text[at] == "\\" and text[at + 1:at + 4].isdigit():
            label.append(int(text[at + 1:at + 4]))
            at += 4
        elif text[at] == "\\":
            label.append(ord(text[at + 1]))
            at += 2
        elif text[at] == ".":
            out.append(bytes(label))
            label = bytearray()
            at += 1
        else:
            label.append(ord(text[at]))
            at += 1
    return [part for part in [*out, bytes(label)] if part]
