"""A line without Ethernet: a tun interface here and one in another namespace, and a thread that carries
packets over."""
import fcntl
import os
import select
import struct
import threading

import lab

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000


def open_tun(name):
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    lab.ip(f"link set {name} up")
    return descriptor


class Tunnel:
    def __init__(self, here, there, space):
        self.ends = [open_tun(here)]
        with space.entered():
            self.ends.append(open_tun(there))
        self.closing = os.pipe()
        self.thread = threading.Thread(target=self.carry, daemon=True)
        self.thread.start()

    def carry(self):
        other = dict(zip(self.ends, reversed(self.ends)))
        while True:
            ready, _, _ = select.select([*self.ends, self.closing[0]], [], [])
            if self.closing[0] in ready:
                return
            for end in ready:
                try:
                    os.write(other[end], os.read(end, 65536))
                except OSError:
                    pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.write(self.closing[1], b"x")
        self.thread.join()
        for descriptor in [*self.ends, *self.closing]:
            os.close(descriptor)
