"""The port that every provider of payments is behind, and its errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from mediaserver.http.problem import ApiError
from mediaserver.payments.records import Notice, Order, Refund


class WrongSignatureError(Exception):
    """A webhook is not the provider's, or too old; says why."""


class UnreadableNoticeError(Exception):
    """A webhook is the provider's, and not in the form that we know.

    Attributes:
        answer: What is answered, with every fault.
    """

    def __init__(self, answer: ApiError) -> None:
        """Describe it."""
        super().__init__(answer.detail)
        self.answer = answer


class ProviderAwayError(Exception):
    """A provider does not answer, or refuses what we ask; says what."""


class RefundRefusedError(Exception):
    """A provider does not give back what we ask, and will not; says why.

    Attributes:
        is_made: It has made the refund, which failed: its notices name it.
    """

    def __init__(self, words: str, *, is_made: bool = False) -> None:
        """Describe it."""
        super().__init__(words)
        self.is_made = is_made


class ChargeDeclinedError(Exception):
    """A payment that we ask for by ourselves never comes; says why, for the payer."""


class Provider(Protocol):
    """Somebody who takes people's money and tells us of it."""

    @property
    def name(self) -> str:
        """Return its name in addresses and rows."""

    @property
    def is_live(self) -> bool:
        """Return whether its real money is taken; else its test money."""

    @property
    def can_charge(self) -> bool:
        """Return whether it takes payments that we ask for by ourselves."""

    @property
    def needs_means(self) -> bool:
        """Return whether the payer has to pay at its page once before that, which saves a means."""

    async def checkout(self, order: Order, back_url: str, *, saves: bool = False) -> str:
        """Return where an order is paid; empty where it needs no page. The same order again is one.

        Args:
            back_url: Where the payer comes back to.
            saves: The means is kept, and its notice of the payment names it.

        Raises:
            ProviderAwayError: It does not answer.
        """

    async def charge(self, order: Order, means: str, now_ms: int, *, is_late: bool) -> str | None:
        """Take the payment of an order by a means that was saved; the same order again is one.

        Args:
            means: As its notice named it; empty where it needs none.
            is_late: Nobody waits for it any more: nothing new is begun.

        Returns:
            The provider's id of it, None where it has none yet. How it ends is told by a notice.

        Raises:
            ChargeDeclinedError: It never comes, and cannot any more.
            ProviderAwayError: It does not answer, or it is late and not known there: ask again.
        """

    async def give_back(self, order: Order, refund: Refund) -> str | None:
        """Give back a part of an order's payment; the same refund again is one.

        Returns:
            The provider's id of it; None where somebody does it by hand and says so later.

        Raises:
            ProviderAwayError: It does not answer: ask again.
            RefundRefusedError: It does not do it.
        """

    async def close(self) -> None:
        """Close the connections to it."""

    def read(self, body: bytes, headers: Mapping[str, str]) -> Notice:
        """Return what a webhook says, its signature and age checked.

        Raises:
            WrongSignatureError: It is not the provider's.
            UnreadableNoticeError: It is, and not in the form that we know.
        """
