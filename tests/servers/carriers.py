"""What stands between a server and the collector where one of them lacks a transport: socat, and a
certificate for TLS."""
import os
import subprocess
import time

from certificates import self_signed

# The name on the certificates of the tests.
CERTIFIED = "dns.example.com"


class Socat:
    """Carries connections on: a Unix socket's over TCP for servers that have no TCP of their own, or those of
    TLS without it."""

    def __init__(self, listen, destination, log):
        with open(log, "ab") as file:
            self.process = subprocess.Popen(["socat", listen, f"TCP4:{destination[0]}:{destination[1]}"],
                                            stdin=subprocess.DEVNULL, stderr=file)
        time.sleep(0.3)
        assert self.process.poll() is None, f"socat {listen} ended"

    @classmethod
    def unix(cls, path, destination):
        return cls(f"UNIX-LISTEN:{path},unlink-early,fork", destination, path + ".log")

    @classmethod
    def tls(cls, port, destination, folder):
        path, key = self_signed(folder, CERTIFIED, f"DNS:{CERTIFIED}")
        return cls(f"OPENSSL-LISTEN:{port},bind=127.0.0.1,reuseaddr,cert={path},key={key},verify=0,fork",
                   destination,
                   os.path.join(folder, "socat.log")), path

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(5)
