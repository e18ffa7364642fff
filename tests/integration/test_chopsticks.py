"""Chopsticks as we start it."""

import pytest

from tests.support.servers.chopsticks import launch, require

pytestmark = pytest.mark.timeout(120)


def test_a_variable_of_the_shell_does_not_move_the_chain(monkeypatch):
    """`make demo CHAIN=1 PORT=9000` puts PORT into the environment, which chopsticks would obey."""
    require()
    monkeypatch.setenv("PORT", "1")

    with launch() as chain:
        assert chain.call("system_chain")
