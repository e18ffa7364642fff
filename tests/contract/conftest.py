"""Which contract cases ran, so that no back end can be spared one in silence."""

from __future__ import annotations

import pytest

RAN: set[tuple[str, str]] = set()
"""Name of the test function and of the back end, of those that ran and were not skipped."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Note what ran."""
    report = yield
    backend = getattr(item, "callspec", None) and item.callspec.params.get("case")
    if call.when == "call" and backend and call.excinfo is None:
        RAN.add((item.originalname, backend))
    return report


@pytest.fixture
def ran() -> set[tuple[str, str]]:
    """Return what ran so far."""
    return RAN
