"""Frame Streams and Protocol Buffers, read and written in plain Python: what all suites, benchmarks and
scripts share.

It knows nothing of the program under test: all is written from the specifications, so that a mistake in the
program is not repeated in its test.
"""
import struct

CONTENT_TYPE = b"protobuf:dnstap.Dnstap"
ACCEPT, START, STOP, READY, FINISH = 1, 2, 3, 4, 5


def control(kind, content_type=None):
    """A control frame."""
    field = b"" if content_type is None else struct.pack(">II", 1, len(content_type)) + content_type
    return struct.pack(">III", 0, 4 + len(field), kind) + field


def frame(data):
    """A data frame."""
    return struct.pack(">I", len(data)) + data


def split(data):
    """Frames of a stream in order: `(kind, payload)`, where kind is "data" or the number of a control frame.
    One that is cut ends it."""
    at = 0
    while at + 4 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind = "data"
        at += 4
        if length == 0:
            if at + 8 > len(data):
                return
            length, kind = struct.unpack_from(">II", data, at)
            at += 4
        if at + length > len(data):
            return
        yield kind, data[at:at + length]
        at += length


def capture_frames(path):
    """The data frames of a capture."""
    with open(path, "rb") as file:
        return [payload for kind, payload in split(file.read()) if kind == "data"]


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out) + bytes([number])


def field(number, value):
    """One field of a message: an int is a varint, bytes are delimited, a float stands for fixed32."""
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<I", int(value))
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def fields(data, base=0):
    """The fields of a message: `(number, value, offset)`, delimited ones as bytes."""
    at = 0

    def read_varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        key = read_varint()
        wire = key & 7
        if wire == 0:
            yield key >> 3, read_varint(), base + at
        elif wire == 2:
            length = read_varint()
            yield key >> 3, data[at:at + length], base + at
            at += length
        elif wire == 5:
            yield key >> 3, struct.unpack_from("<I", data, at)[0], base + at
            at += 4
        else:
            raise ValueError(f"wire type {wire}")


def inner_message(data):
    """The fields of the message in a data frame of dnstap, by number."""
    outer = {number: value for number, value, _ in fields(data)}
    return {number: value for number, value, _ in fields(outer[14])}


def payload_of(data):
    """The DNS message in a data frame of dnstap: a response's in the response, a query's in the query."""
    inner = inner_message(data)
    return inner.get(14 if inner[1] % 2 == 0 else 10, b"")
