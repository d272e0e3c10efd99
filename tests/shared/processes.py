"""What the kernel says of a process: what all suites and benchmarks share."""
import contextlib
import os
import re


def files_of_threads(pid, name):
    """The texts of a file in /proc of each thread of a process."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(FileNotFoundError), open(f"/proc/{pid}/task/{thread}/{name}") as file:
            yield file.read()


def wake_ups(pid):
    """Times that any thread went to sleep of its own accord, so far."""
    of_thread = re.compile(r"^voluntary_ctxt_switches:\s+(\d+)", re.M)
    return sum(int(of_thread.search(text)[1]) for text in files_of_threads(pid, "status"))


def cpu_seconds(pid):
    """User and system time of all threads, from the scheduler's own account."""
    return sum(int(text.split()[0]) for text in files_of_threads(pid, "schedstat")) / 1e9
