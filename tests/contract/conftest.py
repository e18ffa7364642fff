"""Which contract cases ran, so that no back end can be spared one in silence."""

from __future__ import annotations

import pytest

RAN: set[tuple[str, str]] = set()
"""Name of the test function and of the back end, of those that ran and were not skipped."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Note what ran."""
    report = yield
    case = getattr(item, "callspec", None)
    backend = case and case.params.get("case")
    if call.when == "call" and backend and call.excinfo is None:
        assert isinstance(item, pytest.Function)
        RAN.add((item.originalname, backend))
    return report


@pytest.fixture
def ran() -> set[tuple[str, str]]:
    """Return what ran so far."""
    return RAN
