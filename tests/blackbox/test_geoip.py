#!/usr/bin/env python3
"""Country and city: what is looked up, what is refused, and that SIGHUP puts another database in force."""
import ipaddress
import os
import random
import signal

import mmdb
import pytest
from harness import DATA, Daemon, Sender, has, message, natively, run_binary, temporary_folder

pytestmark = pytest.mark.skipif(not has("geoip"), reason="built without geoip")

PLACES = os.path.join(DATA, "places.mmdb")


def section(path, iso=False):
    return f'[geoip]\nenable = true\ncity-database = "{path}"\ncountry-iso = {str(iso).lower()}\n'


def ask(daemon, *addresses):
    """Country and city of some addresses, as the records say."""
    before = len(daemon.records())
    sender = Sender(daemon.unix)
    sender.send(*(message(address=ipaddress.ip_address(address).packed, family=2 if ":" in address else 1)
                  for address in addresses))
    sender.stop()
    return [(record.get("country"), record.get("city")) for record in daemon.records()[before:]]


def test_the_database_is_made_by_the_script():
    with open(PLACES, "rb") as file:
        assert file.read() == mmdb.build(mmdb.PLACES), ("tests/blackbox/mmdb.py tests/data/places.mmdb "
                                                        "writes it anew")


def test_text_and_json_bytes():
    with Daemon(section(PLACES), fmt="text") as daemon:
        sender = Sender(daemon.unix)
        sender.send(*(message(address=bytes(map(int, address.split(".")))) for address in
                      ("192.0.2.10", "192.0.2.200", "198.51.100.1", "203.0.113.65", "203.0.113.129",
                       "9.9.9.9")), message(address=None))
        sender.stop()
        ends = [line.split(" ", 12)[11:] for line in daemon.lines()]
        assert ends == [["-", "Switzerland Zürich"], ["-", "United\\032States San\\032Juan\\032Capistrano"],
                        ["-", "Côte\\032d'Ivoire a\\032\\\"quoted\\\\\\032city"], ["-", "line\\010break 東京"],
                        ["-", "- Paris"], ["-", "- -"], ["-", "- -"]], ends
    for fmt, expected in (("json",
                           b'"latency":"-","country":"C\xc3\xb4te\\\\032d\'Ivoire",'
                           b'"city":"a\\\\032\\\\\\"quoted\\\\\\\\\\\\032city"}\n'),
                          ("yaml", b'latency: "-"\ncountry: "C\xc3\xb4te\\\\032d\'Ivoire"\n'
                                   b'city: "a\\\\032\\\\\\"quoted\\\\\\\\\\\\032city"\n')):
        with Daemon(section(PLACES), fmt=fmt) as daemon:
            sender = Sender(daemon.unix)
            sender.send(message(address=b"\xc6\x33\x64\x01"))
            sender.stop()
            daemon.settle()
            with open(daemon.out, "rb") as file:
                written = file.read()
            assert written.endswith(expected), written


def test_golden_files():
    for fmt in ("text", "json", "yaml"):
        config = f"""
[input.file]
enable = true
path = "{os.path.join(DATA, "dnsdist.fstrm")}"
[output.stdout]
enable = true
format = "{fmt}"
[web-api]
enable = false
{section(PLACES, iso=fmt == "yaml")}
"""
        status, out, err = run_binary(config=config)
        assert status == 0, err
        golden = os.path.join(DATA, "golden", f"dnsdist-geoip.{fmt}")
        if os.environ.get("BLESS"):
            with open(golden, "w") as file:
                file.write(out)
        with open(golden) as file:
            assert out == file.read(), f"{golden} differs; BLESS=1 writes it anew"


def test_off_there_are_no_fields():
    with Daemon(f'[geoip]\ncity-database = "{PLACES}"\n') as daemon:
        assert ask(daemon, "192.0.2.10") == [(None, None)]
        assert "dnstapd_geoip_build_timestamp_seconds" not in daemon.metrics()


def shown(text):
    """The text of a country or city, by the contract's words."""
    out = ""
    for letter in text:
        if letter in '\\"':
            out += "\\" + letter
        elif "\x21" <= letter <= "\x7e" or letter.isalpha():
            out += letter
        else:
            out += "".join(f"\\{byte:03}" for byte in letter.encode())
    return out or "-"


def test_as_another_reader_reads_it():
    """The reader of PyPI, on databases of its own kind's writer, and ours in every size of record."""
    import maxminddb
    import mmdb_writer
    import netaddr

    chance = random.Random(4)
    cities = ["Zürich", "San Juan", "a\\b", 'q"', "東京", "x", "", None, "Sankt Gallen / St. Gallen"]
    places = [mmdb.place(*entry) | {"location": {"accuracy_radius": 100, "latitude": 48.1}} for entry in
              [(country, iso, city) for country,
               iso in (("Switzerland", "CH"), ("Côte d'Ivoire", "CI"), (None, "FR"), (None, None))
               for city in cities]]
    with temporary_folder() as folder:
        for case in range(5):
            networks = []
            for _ in range(300):
                if case == 4 or chance.random() < 0.5:
                    prefix = chance.randint(8, 32)
                    networks.append(f"{ipaddress.ip_network((chance.getrandbits(32), prefix), strict=False)}")
                else:
                    prefix = chance.randint(20, 128)
                    base = 0x20010DB8 << 96 | chance.getrandbits(96)
                    networks.append(f"{ipaddress.ip_network((base, prefix), strict=False)}")
            networks.sort(key=lambda network: int(network.rsplit("/", 1)[1]))
            path = os.path.join(folder, f"{case}.mmdb")
            if case < 2:  # pointers, and all shapes of numbers
                writer = mmdb_writer.MMDBWriter(6, "DBIP-City-Lite", languages=["en"], ipv4_compatible=True)
                for network in networks:
                    writer.insert_network(netaddr.IPSet([network]), chance.choice(places))
                writer.to_db_file(path)
            else:
                disjoint, taken = [], []
                for network in reversed(networks):
                    network = ipaddress.ip_network(network)
                    if not any(other.version == network.version and network.overlaps(other)
                               for other in taken):
                        taken.append(network)
                        disjoint.append((str(network), chance.choice(places)))
                with open(path, "wb") as out:
                    out.write(mmdb.build(disjoint, version=4 if case == 4 else 6,
                                         record_size=(24, 28, 32)[case % 3]))
            reader = maxminddb.open_database(path)
            addresses = ["192.0.2.1", "2001:db8::1", "255.255.255.255"]
            for network in networks:
                network = ipaddress.ip_network(network)
                addresses.append(str(network[chance.randrange(network.num_addresses)]))
            expected = []
            for address in addresses:
                if case == 4 and ":" in address:
                    record = {}
                else:
                    record = reader.get(address) or {}
                country, city = record.get("country", {}), record.get("city", {})
                named = country.get("iso_code") if case % 2 else country.get("names", {}).get("en")
                expected.append((shown(named or ""), shown(city.get("names", {}).get("en") or "")))
            assert sum(pair != ("-", "-") for pair in expected) > 100, expected
            with Daemon(section(path, iso=case % 2 == 1)) as daemon:
                got = ask(daemon, *addresses, *addresses)  # read, then remembered
            addresses, expected = addresses * 2, expected * 2
            wrong = [row for row in zip(addresses, got, expected) if row[1] != row[2]]
            assert not wrong and len(got) == len(expected), (case, wrong[:5])


def broken(folder):
    """Files that are no database of cities, and what is said of each."""
    with open(PLACES, "rb") as file:
        good = file.read()
    marker = good.index(mmdb.MARKER)
    files = {
        "missing.mmdb": (None, "No such file"),
        "empty.mmdb": (b"", "empty"),
        "words.mmdb": (b"not a database at all\n" * 100, "no MaxMind database"),
        "cut.mmdb": (good[:len(good) // 2], "no MaxMind database"),
        "headless.mmdb": (good[len(good) // 2:], "database is broken"),
        "rotten.mmdb": (good[:marker - 2000] + b"\xff" * 2000 + good[marker:], "broken"),
        "asn.mmdb": (mmdb.build([("192.0.2.0/24", {"autonomous_system_number": 64496,
                                                   "autonomous_system_organization": "Example"})],
                                kind="GeoLite2-ASN"), "GeoLite2-ASN"),
    }
    for file, (data, word) in files.items():
        path = os.path.join(folder, file)
        if data is not None:
            with open(path, "wb") as out:
                out.write(data)
        yield path, word
    yield folder, "regular file"
    yield "/dev/zero", "regular file"


def test_what_is_no_database_is_an_error_at_start():
    with temporary_folder() as folder:
        for path, word in broken(folder):
            for arguments in ((), ("--check",)):
                status, out, err = run_binary(*arguments,
                                              config=section(path)
                                              + "[input.tcp-socket]\nlocal-port = 0\n[web-api]\n"
                                                "enable = false\n")
                assert status == 1, (path, status, out, err)
                assert (f"geoip.city-database: {path}".replace(folder + "/", "")
                        in err.replace(folder + "/", "")), (path, err)
                assert word in err and "panicked" not in err, (path, err)


def test_countries_alone_are_taken():
    with temporary_folder() as folder:
        path = os.path.join(folder, "country.mmdb")
        with open(path, "wb") as out:
            out.write(mmdb.build([("192.0.2.0/24", mmdb.place("Switzerland", "CH"))],
                                 kind="GeoLite2-Country"))
        with Daemon(section(path)) as daemon:
            assert ask(daemon, "192.0.2.10", "192.0.3.10") == [("Switzerland", "-"), ("-", "-")]


def test_check_opens_and_names_it():
    status, out, err = run_binary("--check", config=section(PLACES))
    assert status == 0 and f"geoip: {PLACES}, GeoLite2-City" in out, (out, err)


def test_a_signal_puts_another_database_in_force():
    with temporary_folder() as folder:
        path = os.path.join(folder, "city.mmdb")

        def put(data):
            with open(path + ".new", "wb") as out:
                out.write(data)
            os.rename(path + ".new", path)

        def reload():
            done = daemon.log().count("Reloaded") + 1
            daemon.process.send_signal(signal.SIGHUP)
            daemon.wait(lambda: daemon.log().count("Reloaded") == done)

        put(mmdb.build([("192.0.2.0/24", mmdb.place("Old", "OO", "Oldtown"))]))
        with Daemon(section(path)) as daemon:
            assert ask(daemon, "192.0.2.10") == [("Old", "Oldtown")]
            assert daemon.metrics()["dnstapd_geoip_build_timestamp_seconds"] == 1_600_000_000
            put(mmdb.build([("192.0.2.0/24", mmdb.place("New", "NN", "Newtown"))]))
            assert ask(daemon, "192.0.2.10") == [("Old", "Oldtown")], "not before the signal"
            reload()
            assert ask(daemon, "192.0.2.10") == [("New", "Newtown")]

            for round, data in enumerate((b"", b"nonsense",
                                            mmdb.build([("192.0.2.0/24", {"asn": 1})], kind="GeoLite2-ASN"))):
                put(data)
                reload()
                assert ask(daemon, "192.0.2.10") == [("New", "Newtown")], "the old one stays"
                lines = [line for line in daemon.log().splitlines() if "geoip.city-database" in line
                         and "stays" in line]
                assert len(lines) == round + 1 and path in lines[-1], lines

            with open(daemon.config) as file:
                config = file.read()
            daemon.write(config.replace("country-iso = false", "country-iso = true"))
            put(mmdb.build([("192.0.2.0/24", mmdb.place("New", "NN", "Newtown"))]))
            reload()
            assert ask(daemon, "192.0.2.10") == [("NN", "Newtown")]
            daemon.write(config.replace("[geoip]\nenable = true", "[geoip]\nenable = false"))
            reload()
            assert ask(daemon, "192.0.2.10") == [(None, None)]


@natively("a bus error ends the emulator")
def test_a_database_cut_short_in_place_ends_nothing():
    networks = [(f"10.{high}.{low}.0/24", mmdb.place(f"Country {high} {low}", "XX", "x" * 100))
                for high in range(40) for low in range(40)]
    whole = mmdb.build(networks)
    with temporary_folder() as folder:
        path = os.path.join(folder, "city.mmdb")
        with open(path, "wb") as out:
            out.write(whole)
        with Daemon(section(path)) as daemon:
            assert ask(daemon, "10.1.1.1") == [("Country\\0321\\0321", "x" * 100)]
            os.truncate(path, 0)
            addresses = [f"10.{high}.{low}.1" for high in range(2, 40) for low in range(40)]
            assert set(ask(daemon, *addresses)) == {("-", "-")}
            daemon.wait_for_log("cut short while in use")
            with open(path, "wb") as out:  # in place, as `cp` does
                out.write(whole)
            daemon.process.send_signal(signal.SIGHUP)
            daemon.wait_for_log("Reloaded")
            assert ask(daemon, "10.39.39.1") == [("Country\\03239\\03239", "x" * 100)]
