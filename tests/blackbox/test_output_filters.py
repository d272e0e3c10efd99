"""Several outputs of a kind, each with a name and a filter of its own."""
import os
import re
import signal

from harness import EMULATOR, Daemon, Sender, dns, message, needs, run_binary, temporary_folder

EXTRA = """
[[output.file]]
enable = true
name = "all"
file = "{folder}/all"
format = "json"
[[output.file]]
enable = true
name = "kept"
file = "{folder}/kept"
format = "json"
{filter}
"""
LISTED = 'filter = {{ names-file = "{folder}/names", qtypes = ["A"] }}'


def names(path):
    with open(path) as file:
        return [line.split('"qname":"')[1].split('"')[0] for line in file]


def test_each_output_keeps_what_its_filter_says():
    with temporary_folder() as folder:
        listing = os.path.join(folder, "names")
        with open(listing, "w") as file:
            file.write("example.com\n0.0.0.0 one.test\n")
        listed = LISTED.format(folder=folder)
        with Daemon(fmt=None, extra=EXTRA.format(folder=folder, filter=listed)) as daemon:
            sender = Sender(daemon.tcp)

            def send(*asked):
                sender.send(*(message(payload=dns(qname=name, qtype=qtype)) for name, qtype in asked))

            def settled(which, count):
                path = os.path.join(folder, which)
                daemon.wait(lambda: len(names(path)) == count, 30)
                return names(path)

            send(("www.example.com.", 1), ("www.example.com.", 28), ("one.test.", 1), ("x.one.test.", 1))
            assert len(settled("all", 4)) == 4
            assert settled("kept", 2) == ["www.example.com.", "one.test."]
            metrics = daemon.check_accounts()
            filtered = {key: value for key, value in metrics.items()
                        if key.startswith("dnstapd_output_filtered_total{") and value}
            assert filtered == {'dnstapd_output_filtered_total{output="kept",filter="qtypes"}': 1,
                                'dnstapd_output_filtered_total{output="kept",filter="names-file"}': 1}
            # The list is read again, and another key is taken over.
            with open(listing, "w") as file:
                file.write("||one.test^\n")
            with open(daemon.config) as file:
                text = file.read()
            daemon.write(text.replace('qtypes = ["A"]', 'qtypes = ["AAAA"]'))
            daemon.process.send_signal(signal.SIGHUP)
            daemon.wait_for_log("taken over: output.file[1].filter.qtypes")
            send(("x.one.test.", 28), ("x.one.test.", 1), ("www.example.com.", 28))
            assert settled("kept", 3)[2:] == ["x.one.test."]
            daemon.check_accounts()
            # A filter that has vanished is taken for a file that is half written.
            daemon.write(text.replace(listed, ""))
            daemon.process.send_signal(signal.SIGHUP)
            daemon.wait_for_log("output.file[1].filter")
            daemon.wait_for_log("Not reloaded")
            sender.stop()


def test_the_filter_of_an_output_sees_clients_that_are_hidden():
    with temporary_folder() as folder:
        extra = "[privacy]\nclient = \"mask\"\n" + EXTRA.format(
            folder=folder, filter='filter = { clients = ["192.0.2.7/32"] }')
        with Daemon(fmt=None, extra=extra) as daemon:
            sender = Sender(daemon.tcp)
            sender.send(message(address=bytes([192, 0, 2, 7])), message(address=bytes([192, 0, 2, 8])))
            daemon.wait(lambda: len(names(os.path.join(folder, "all"))) == 2, 30)
            daemon.wait(lambda: len(names(os.path.join(folder, "kept"))) == 1, 30)
            with open(os.path.join(folder, "kept")) as file:
                assert '"query-ip":"192.0.2.0"' in file.read()
            daemon.check_accounts()
            sender.stop()


@needs("records")
def test_the_filter_of_an_output_sees_names_that_are_hidden():
    with temporary_folder() as folder:
        with open(os.path.join(folder, "names"), "w") as file:
            file.write("0.0.0.0 secret.example.com\n")
        for listed, count in ((f'names-file = "{folder}/names"',
                               1), (f'exclude-names-file = "{folder}/names"', 1),
                              ("qname-regex = 'secret'", 1), ("qname-regex = 'example'", 0)):
            extra = '[privacy]\nqname = "registered-domain"\n' + EXTRA.format(
                folder=folder, filter=f"filter = {{ {listed} }}")
            with Daemon(fmt=None, extra=extra) as daemon:
                sender = Sender(daemon.tcp)
                before = len(names(os.path.join(folder, "kept")))
                sender.send(message(payload=dns("secret.example.com")),
                            message(payload=dns("other.example.com")))
                daemon.wait(lambda: daemon.metrics()['dnstapd_output_delivered_total{output="all"}'] == 2, 30)
                daemon.wait(lambda: daemon.metrics()['dnstapd_output_queued{output="kept"}'] == 0, 30)
                assert names(os.path.join(folder, "kept"))[before:] == ["example.com."] * count, listed
                daemon.check_accounts()
                sender.stop()


def test_a_list_that_is_missing_is_an_error_of_the_machine():
    with temporary_folder() as folder:
        text = EXTRA.format(folder=folder, filter=LISTED.format(folder=folder))
        status, _, said = run_binary("--check", config=text)
        assert status == 1 and "output.file[1].filter.names-file" in said, (status, said)


def test_a_million_names_take_four_mebibytes_and_are_read_beside_the_traffic():
    with temporary_folder() as folder:
        listing, million = os.path.join(folder, "names"), os.path.join(folder, "million")
        with open(listing, "w") as file:
            file.write("listed.test\n")
        with open(million, "w") as file:
            file.writelines(f"a{number}.example.net\n" for number in range(999_999))
            file.write("listed.test\n")
        extra = EXTRA.format(folder=folder, filter=f'filter = {{ exclude-names-file = "{listing}" }}')
        with Daemon(fmt=None, extra=extra) as daemon:
            sender = Sender(daemon.tcp)
            pairs, kept = 0, os.path.join(folder, "kept")

            def send(*asked):
                sender.send(*(message(payload=dns(qname=name)) for name in asked))

            def is_read_while_messages_come():
                nonlocal pairs
                send("listed.test.", "free.test.")
                pairs += 1
                return "Reloaded" in daemon.log()

            before = daemon.resident()
            os.link(million, million + ".again")
            os.replace(million, listing)
            daemon.process.send_signal(signal.SIGHUP)
            daemon.wait(is_read_while_messages_come, 60)
            # 8 MiB while it is read, and some for what is there for the first time.
            assert peak(daemon) - before < 11 << 10, (before, peak(daemon))
            # A name of both lists was never let through, whichever was in force.
            send("a7.example.net.", "x.a999998.example.net.", "b7.example.net.")
            daemon.wait(lambda: len(names(kept)) == pairs + 1, 30)
            assert names(kept) == ["free.test."] * pairs + ["b7.example.net."]
            if not EMULATOR:
                # Read once more, the one in force stays until then: 4 MiB and 8.
                os.replace(million + ".again", listing)
                daemon.process.send_signal(signal.SIGHUP)
                daemon.wait(lambda: daemon.log().count("Reloaded") == 2, 60)
                assert peak(daemon) - before < 15 << 10, (before, peak(daemon))
            daemon.check_accounts()
            sender.stop()
        status, said, _ = run_binary("--check", config=extra, seconds=60)
        cost = int(re.search(r"(\d+)  names of filters", said).group(1))
        assert status == 0 and 999_000 * 4 < cost <= 4 << 20, (status, cost)


def peak(daemon):
    """KiB in memory at most, so far."""
    with open(f"/proc/{daemon.process.pid}/status") as file:
        return int(next(line for line in file if line.startswith("VmHWM")).split()[1])
