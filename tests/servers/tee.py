"""A tee between a DNS server and the collector: copies both directions, and keeps what it copied.

It listens where the server sends its dnstap to (a Unix path or an `(address, port)` pair) and connects
onwards to the collector for each connection. Each connection leaves two files: NAME.N.up (what the server
sent) and NAME.N.down (what the collector answered). `capture` makes a valid capture of an `up` file, for
tools that read files.
"""
import os
import socket
import struct
import threading

import oracle


class Tee:
    def __init__(self, listen, onward, prefix):
        self.listen, self.onward, self.prefix = listen, onward, prefix
        self.connections = 0
        self.sockets = []
        self.closed = False
        if isinstance(listen, str):
            self.listener = socket.socket(socket.AF_UNIX)
        else:
            self.listener = socket.socket(socket.AF_INET)
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(listen)
        self.listener.listen(16)
        self.threads = [self.thread(self.accept)]

    def thread(self, work, *arguments):
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        thread.start()
        return thread

    def accept(self):
        while not self.closed:
            try:
                server, _ = self.listener.accept()
            except OSError:
                return
            collector = socket.socket(socket.AF_UNIX if isinstance(self.onward, str) else socket.AF_INET)
            try:
                collector.connect(self.onward)
            except OSError:
                server.close()
                continue
            name = f"{self.prefix}.{self.connections}"
            self.connections += 1
            self.sockets += [server, collector]
            self.threads += [self.thread(copy, server, collector, name + ".up"),
                             self.thread(copy, collector, server, name + ".down")]

    def files(self, direction="up"):
        return [f"{self.prefix}.{number}.{direction}" for number in range(self.connections)]

    def close(self):
        """Ends all connections and stops listening; the Unix path is free again."""
        self.closed = True
        for sock in [self.listener, *self.sockets]:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in list(self.threads):
            thread.join(5)
        for sock in [self.listener, *self.sockets]:
            sock.close()
        if isinstance(self.listen, str) and os.path.exists(self.listen):
            os.unlink(self.listen)


def copy(source, target, path):
    """Copies until the source ends; what the target no longer takes is kept all the same."""
    broken = False
    with open(path, "wb", buffering=0) as file:
        while True:
            try:
                data = source.recv(1 << 16)
            except OSError:
                data = b""
            if not data:
                break
            file.write(data)
            try:
                if not broken:
                    target.sendall(data)
            except OSError:
                broken = True
    try:
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def read(path):
    with open(path, "rb") as file:
        return list(oracle.split(file.read()))


def capture(path, frames):
    """Writes data frames as a unidirectional capture: what the server sent, without READY, and with STOP in
    any case."""
    with open(path, "wb") as file:
        file.write(oracle.control(oracle.START, oracle.CONTENT_TYPE))
        for frame in frames:
            file.write(struct.pack(">I", len(frame)) + frame)
        file.write(oracle.control(oracle.STOP))
