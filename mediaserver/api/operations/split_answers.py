"""What is answered about split tables, and what payees earn."""

from __future__ import annotations

from mediaserver.api.operations.operation import AccountText, Answer, SignedText


class Payee(Answer, frozen=True):
    """Who has a part of a stream's earnings."""

    account: AccountText
    ppm: int


class SplitTable(Answer, frozen=True):
    """Who shares what a stream earns, from a second on."""

    number: int
    from_tick: int
    payees: list[Payee]
    platform_ppm: int
    creator_ppm: int


class Splits(Answer, frozen=True):
    """The table that holds now, all there ever were, and those that are to come."""

    split: SplitTable
    splits: list[SplitTable]
    splits_to_come: list[SplitTable]


class PartToCome(Answer, frozen=True):
    """What part of a stream's price somebody has from a time on."""

    ppm: int
    from_ms: int


class OwnShare(Answer, frozen=True):
    """What somebody earned with a stream that has them for a payee."""

    stream: str
    title: str
    account: AccountText
    ppm: int
    to_come: PartToCome | None
    pending: SignedText
    maturing: SignedText
    available: SignedText
    debt: SignedText
    asked: SignedText
    paid_out: SignedText


class OwnShares(Answer, frozen=True):
    """What somebody earned as a payee."""

    accounts: list[AccountText]
    is_on_chain: bool
    maturing_days: int
    earnings: list[OwnShare]
