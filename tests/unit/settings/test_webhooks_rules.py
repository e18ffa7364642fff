"""Every fault of ``[webhooks]`` is told with its value and remedy."""

from dataclasses import replace
from typing import Any

import pytest

from mediaserver.settings.records import Settings
from mediaserver.settings.webhooks_rules import hooks_faults, webhooks_faults
from mediaserver.webhooks.settings import HooksSettings, WebhooksSettings, WebhookTarget

GOOD = WebhookTarget("shop", "https://hooks.example.org/x?y=1", "/s", ("stream.live",))


def faults(*targets: WebhookTarget, **fields: Any) -> list[str]:
    webhooks = WebhooksSettings(targets=targets, **fields)
    return [*webhooks_faults(replace(Settings(), webhooks=webhooks))]


def test_defaults_and_a_whole_table_have_none() -> None:
    assert faults() == []
    assert faults(GOOD, allowed_networks=("10.1.0.0/16", "fd00::/8")) == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"name": "My shop"}, 'webhooks.targets[0].name: "My shop" is no name; use'),
        ({"url": "hooks.example.org"}, '"hooks.example.org" is not a web address; use https'),
        ({"url": "ftp://h/x"}, '"ftp://h/x" is not a web address'),
        ({"url": "https://[::1/x"}, "is not a web address"),
        ({"url": "https://me:secret@h/x"}, "has a name or password before the host"),
        ({"secret_file": ""}, 'webhooks.targets[0].secret_file: "" is empty'),
        ({"events": ("viewer.high",)}, '"viewer.high" is not known; use stream.live, stream.ended'),
    ],
)
def test_a_fault_of_a_target_names_value_and_remedy(changed, words) -> None:
    (fault,) = faults(replace(GOOD, **changed))
    assert words in fault
    assert "secret@" not in fault


def test_faults_of_all_together() -> None:
    (twice,) = faults(GOOD, GOOD)
    assert '"shop" is the name of two' in twice
    (many,) = faults(*(replace(GOOD, name=f"n{number}") for number in range(17)))
    assert "17 are over 16" in many
    (network,) = faults(allowed_networks=("10.1.0.1/16",))
    assert '"10.1.0.1/16" is not a network' in network


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"ask": ("may_watch", "may_sing")}, 'hooks.ask[1]: "may_sing" is not known; use may_pub'),
        ({"url": ""}, 'hooks.url: "" is not a web address; use https://'),
        ({"url": "ftp://decide.example"}, 'hooks.url: "ftp://decide.example" is not a web'),
        ({"url": "https://me:pw@decide.example/"}, "hooks.url: has a name or password"),
        ({"secret_file": ""}, 'hooks.secret_file: "" is empty'),
    ],
)
def test_each_fault_of_a_decision_hook_is_told(changed, fault) -> None:
    fields = {"ask": ("may_watch",), "url": "https://d.example/", "secret_file": "/s", **changed}
    (found,) = hooks_faults(replace(Settings(), hooks=HooksSettings(**fields)))
    assert found.startswith(fault)
    assert "pw" not in found


def test_no_question_needs_neither_address_nor_secret() -> None:
    assert [*hooks_faults(Settings())] == []
