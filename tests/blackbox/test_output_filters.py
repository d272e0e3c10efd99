"""Several outputs of a kind, each with a name and a filter of its own."""
import os
import signal

from harness import Daemon, Sender, dns, message, run_binary, temporary_folder

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


def test_a_list_that_is_missing_is_an_error_of_the_machine():
    with temporary_folder() as folder:
        text = EXTRA.format(folder=folder, filter=LISTED.format(folder=folder))
        status, _, said = run_binary("--check", config=text)
        assert status == 1 and "output.file[1].filter.names-file" in said, (status, said)
