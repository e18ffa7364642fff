"""Amounts and names that every part of the meter shares."""

import pytest

from metering.units import AccountId, top_up_address

ACCOUNT = AccountId(b"\xab" * 32)


@pytest.mark.parametrize(
    ("template", "account", "address"),
    [
        ("https://pay/?to={account}", ACCOUNT, f"https://pay/?to=0x{'ab' * 32}"),
        ("https://pay/{account}/{account}", ACCOUNT, f"https://pay/0x{'ab' * 32}/0x{'ab' * 32}"),
        ("https://pay/", ACCOUNT, "https://pay/"),
        ("https://pay/", None, "https://pay/"),
        ("https://pay/?to={account}", None, ""),
        ("", ACCOUNT, ""),
    ],
)
def test_v1_top_up_address_names_the_account_or_is_empty(template, account, address):
    """A link that pays for nobody is worse than none."""
    assert top_up_address(template, account) == address
