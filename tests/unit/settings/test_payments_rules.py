"""Every fault of ``[payments]`` is told with its value and remedy."""

from dataclasses import replace
from typing import Any

import pytest

from mediaserver.settings.payments_rules import payments_faults
from mediaserver.settings.records import Settings

HOOK: dict[str, Any] = {"webhook_secret_file": "/s", "planck_per_minor_unit": "10000"}


def faults(**payments: Any) -> list[str]:
    made = Settings()
    return [*payments_faults(replace(made, payments=replace(made.payments, **payments)))]


def test_defaults_and_a_whole_table_have_none() -> None:
    assert faults() == []
    assert faults(**HOOK, webhook_pay_url="https://pay.example.org/{order}?{amount}{back}") == []


@pytest.mark.parametrize(
    ("payments", "words"),
    [
        ({"currency": "eur"}, 'payments.currency: "eur" is not three capital letters'),
        ({"top_up_min": 30000}, "payments.top_up_min: 30000 is above payments.top_up_max 20000"),
        ({"planck_per_minor_unit": "0.5"}, 'payments.planck_per_minor_unit: "0.5" is not planck'),
        (
            {"webhook_secret_file": "/s"},
            'payments.planck_per_minor_unit: "0" buys nothing, and there is a provider',
        ),
        (
            {"planck_per_minor_unit": "1000000000000000"},
            "payments.top_up_max: 20000 buys more than price.supply_planck",
        ),
        ({"webhook_pay_url": "pay/{order}"}, "pay/{order} is not a web address"),
        ({"webhook_pay_url": "https://p/{viewer}"}, "has an unknown placeholder; those are"),
        (
            {"stripe_secret_key_file": "/k", "planck_per_minor_unit": "1"},
            'payments.stripe_webhook_secret_file: "" is empty',
        ),
        (
            {**HOOK, "webhook_charge_url": "pay.example.org"},
            'payments.webhook_charge_url: "pay.example.org" is not a web address',
        ),
        (
            {**HOOK, "webhook_charge_url": "https://a:b@pay.example.org/"},
            "is not a web address without name and password",
        ),
        (
            {"webhook_charge_url": "https://pay.example.org/charge"},
            'payments.webhook_secret_file: "" is empty, and there is a payments.webhook_charge_url',
        ),
        ({"stripe_product": ""}, "payments.stripe_product: '' has 0 characters"),
        ({"stripe_url": "ftp://x"}, "payments.stripe_url: ftp://x is not the address of an API"),
    ],
)
def test_a_fault_names_value_and_remedy(payments, words) -> None:
    (fault,) = faults(**payments)
    assert words in fault


def test_with_a_chain_deposits_are_made_there() -> None:
    made = Settings()
    tree = replace(
        made,
        payments=replace(made.payments, **HOOK),
        chain=replace(made.chain, backend="substrate"),
    )
    (fault,) = payments_faults(tree)
    assert "there deposits are made on the chain" in fault


def test_the_rate_is_of_whole_units() -> None:
    made = Settings()
    tree = replace(
        made,
        payments=replace(made.payments, planck_per_minor_unit="15"),
        price=replace(made.price, quantum_planck="10"),
    )
    (fault,) = payments_faults(tree)
    assert "15 is not a multiple of price.quantum_planck; use a multiple of 10" in fault
