"""What all suites share: a test's seconds, and what it found out, stand on its line."""
import sys

import pytest

sys.dont_write_bytecode = True


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """A test may return what it found out, in words."""
    wanted = pyfuncitem._fixtureinfo.argnames
    told = pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in wanted})
    if told:
        pyfuncitem.user_properties.append(("told", told))
    return True


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: not item.get_closest_marker("long"))


def pytest_report_teststatus(report):
    if report.when == "call" and report.passed:
        told = dict(report.user_properties).get("told")
        return "passed", ".", f"ok ({report.duration:.1f} s)" + (f" {told}:" if told else "")
    return None
