"""The one broker of a run."""
import tempfile

import pytest

import network


@pytest.fixture(scope="session")
def real_broker():
    network.check("tests/kafka/run")
    from broker import Broker  # only here: who needs no broker needs no client of it
    with tempfile.TemporaryDirectory() as folder:
        broker = Broker(folder).start()
        try:
            yield broker
        finally:
            broker.kill()
