"""With a chain earnings are the creator's credit there: nothing goes out or back from here."""

from dataclasses import fields
from typing import Any
from unittest.mock import Mock

import pytest

from mediaserver.api.context import Context
from mediaserver.api.money import bad_seconds
from mediaserver.api.money.earnings import hold_no_chain
from mediaserver.http.problem import ApiError


def shared(**asked: Any) -> Context:
    return Context(**{part.name: Mock() for part in fields(Context)} | asked)


def test_a_chain_refuses_payouts_in_words() -> None:
    with pytest.raises(ApiError, match="withdraw_credit") as refused:
        hold_no_chain(shared())
    assert refused.value.status == 409
    hold_no_chain(shared(chain=None))


def test_a_chain_refuses_to_give_seconds_back_in_words() -> None:
    """There a settled second is the creator's, and no call of the pallet takes it back."""
    with pytest.raises(ApiError, match="vilokanam viewers credit") as refused:
        bad_seconds.hold_no_chain(shared())
    assert refused.value.status == 409
    bad_seconds.hold_no_chain(shared(escrow=None))
