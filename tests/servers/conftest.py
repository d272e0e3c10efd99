"""The network that the servers are in, and the origin, which all of them ask: one for all processes of a
run."""
import os
import tempfile

import network
import servers

running = []


def pytest_configure(config):
    if config.option.collectonly or hasattr(config, "workerinput"):
        return
    network.check("tests/servers/run")
    folder = tempfile.TemporaryDirectory(prefix="dnstapd-origin-", ignore_cleanup_errors=True)
    os.chmod(folder.name, 0o755)
    running.extend([servers.Origin(folder.name).start(), folder])


def pytest_unconfigure():
    if running:
        running[0].stop()
