"""A small internet of the tests' own: network namespaces, cables between them, and what runs in each.

The program itself and the server it watches run in the namespace of the tests, the "box", which is a router:

    client --- lan [ box: server, dnstapd ] wan --- origin

The namespaces have no names; they end with the processes that hold them.
"""
import contextlib
import ctypes
import os
import subprocess
import time

NEW_NETWORK, NEW_MOUNTS = 0x40000000, 0x00020000
libc = ctypes.CDLL(None, use_errno=True)


def enter():
    """The calling thread goes to a network namespace of its own, with what it starts, and with a /sys that
    tells of that network."""
    assert os.geteuid() == 0, "this needs root: network namespaces and packet sockets"
    assert libc.unshare(NEW_NETWORK | NEW_MOUNTS) == 0, os.strerror(ctypes.get_errno())
    for words in ("--make-rprivate /", "-t sysfs sysfs /sys"):
        subprocess.run(["mount", *words.split()], check=True)
    ip("link set lo up")


def ip(words, check=True):
    """One command of iproute2, in the namespace of the thread that calls."""
    done = subprocess.run(["ip", *words.split()], capture_output=True, text=True)
    assert not check or done.returncode == 0, f"ip {words}: {done.stderr}"
    return done.returncode == 0


class Space:
    """Another machine: a network namespace, held by a process that sleeps."""

    def __init__(self):
        self.holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        own, end = os.readlink("/proc/thread-self/ns/net"), time.monotonic() + 5
        while os.readlink(f"/proc/{self.holder.pid}/ns/net") == own:
            assert time.monotonic() < end, "no namespace"
            time.sleep(0.01)
        self.path = f"/proc/{self.holder.pid}/ns/net"
        with self.entered():
            ip("link set lo up")

    @contextlib.contextmanager
    def entered(self):
        """The calling thread is there, and what it starts."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(self.path, os.O_RDONLY)
        try:
            assert libc.setns(there, NEW_NETWORK) == 0, "setns"
            yield
        finally:
            assert libc.setns(home, NEW_NETWORK) == 0, "setns"
            os.close(home)
            os.close(there)

    def end(self):
        self.holder.kill()
        self.holder.wait()


def cable(name, space, far=None, mtu=1500):
    """A pair of Ethernet interfaces, one here and one there, switched on."""
    far = far or f"{name}0"
    ip(f"link add {name} mtu {mtu} type veth peer name {far} mtu {mtu} netns {space.holder.pid}")
    ip(f"link set {name} up")
    with space.entered():
        ip(f"link set {far} up")


def address(interface, *addresses):
    """Gives addresses to an interface, each for itself alone."""
    for one in addresses:
        six = ":" in one
        ip(f"address replace {one}/{128 if six else 32} dev {interface}" + (" nodad" if six else ""))


def route(interface, *addresses):
    """Addresses that are reached through an interface, without a gateway."""
    for one in addresses:
        ip(f"route replace {one}/{128 if ':' in one else 32} dev {interface}")


def connect(here, space, there, ours, theirs):
    """Addresses at both ends of a line, and routes to each other."""
    address(here, *ours)
    route(here, *theirs)
    with space.entered():
        address(there, *theirs)
        route(there, *ours)
