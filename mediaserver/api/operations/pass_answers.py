"""What is answered about passes."""

from __future__ import annotations

from typing import Literal

from mediaserver.api.operations.operation import AccountText, Answer, PlanckText


class PassOffer(Answer, frozen=True):
    """What a pass costs from a time on; "0": it is no longer sold."""

    kind: Literal["show", "month"]
    planck: PlanckText
    from_s: int


class Pass(Answer, frozen=True, rename={"pass_": "pass"}):
    """A pass that somebody bought."""

    pass_: str
    stream: str
    kind: Literal["show", "month"]
    show: int | None
    planck: PlanckText
    from_tick: int
    until_ms: int | None
    created_ms: int
    refunded_ms: int | None


class SoldPass(Pass, frozen=True):
    """A pass, and who bought it."""

    account: AccountText


class RefundedPass(Pass, frozen=True):
    """A pass whose price went back."""

    is_new: bool
    is_applied: bool


class Passes(Answer, frozen=True):
    """What passes a stream has, for who asks."""

    sold: list[PassOffer]
    to_come: list[PassOffer]
    held: Pass | None


class SoldPasses(Answer, frozen=True):
    """A page of passes that were bought."""

    sold: list[SoldPass]
    next_before: str | None


class OwnPasses(Answer, frozen=True):
    """A page of one's own passes."""

    passes: list[Pass]
    next_before: str | None
