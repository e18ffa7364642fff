"""Split tables: who else earns of a stream, from a second on. Pure.

A table holds for the price versions that begin with it or later, so a change of the table begins a
version of its own, at the price in force. What an entry earned whom is then a function of its
version and its cumulative ticks alone, whatever the order in which they settled.

Source: docs/metering.md, "Split tables".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from metering.model.ledger import PPM, Shares
from metering.units import AccountId, Planck, account_text

PAYEES_MAX: Final = 7
"""MaxSplits of the pallet is 8, and one is the operator's: a stream is the same in the journal."""

VersionShares = Mapping[tuple[UUID, int], Shares]
"""The shares of price versions, by stream and number; one that is left out has none."""


@dataclass(frozen=True, slots=True)
class SplitTable:
    """A version of a stream's split table.

    Attributes:
        number: From 1, one more for each; 0 is the table of no payees that a stream begins with.
        from_tick: First second that it holds for.
        shares: Empty: all that the platform leaves is the creator's.
    """

    number: int
    from_tick: int
    shares: Shares


NO_TABLE: Final = SplitTable(0, 0, ())


def table_at(tables: Sequence[SplitTable], tick: int) -> SplitTable:
    """Return the table that holds for a second.

    Args:
        tables: Of one stream, ascending.
    """
    begun = [table for table in tables if table.from_tick <= tick]
    return begun[-1] if begun else NO_TABLE


def ppm_of(table: SplitTable, account: AccountId) -> int:
    """Return somebody's parts in a million by a table, 0 where it does not name them."""
    return sum(share.ppm for share in table.shares if share.account == account)


def part_to_come(
    tables: Sequence[SplitTable], account: AccountId, tick: int
) -> tuple[int, int] | None:
    """Return somebody's next part that is another than now, in ppm, and its first second.

    Args:
        tables: Of one stream, ascending.

    Returns:
        None where no table to come changes their part.
    """
    now_ppm = ppm_of(table_at(tables, tick), account)
    for table in tables:
        if table.from_tick > tick and (ppm := ppm_of(table, account)) != now_ppm:
            return ppm, table.from_tick
    return None


def shares_of_versions(
    tables: Mapping[UUID, Sequence[SplitTable]], begins: Iterable[tuple[UUID, int, int]]
) -> VersionShares:
    """Return the shares of each price version.

    Args:
        begins: Stream, number and first second of each version.
    """
    return {
        (stream, number): table_at(tables[stream], from_tick).shares
        for stream, number, from_tick in begins
        if stream in tables
    }


def table_faults(shares: Shares, creator: AccountId, platform_fee_ppm: int) -> list[str]:
    """Return what is wrong with a table, each in words; nothing when it can hold."""
    faults = []
    if len(shares) > PAYEES_MAX:
        faults.append(f"payees: {len(shares)} of them; a table has at most {PAYEES_MAX}")
    seen: set[AccountId] = set()
    for place, share in enumerate(shares):
        name = f"payees[{place}]"
        if share.account == creator:
            faults.append(
                f"{name}.account: is the stream's creator, who gets what the others leave: leave "
                "it out"
            )
        if share.account in seen:
            faults.append(f"{name}.account: {account_text(share.account)} is there already")
        seen.add(share.account)
        if not 0 < share.ppm <= PPM:
            faults.append(f"{name}.ppm: {share.ppm} is not in 1 to {PPM}")
    total = sum(share.ppm for share in shares)
    if total + platform_fee_ppm > PPM:
        faults.append(
            f"payees: {total} ppm, and {platform_fee_ppm} for the platform: more than the "
            f"{PPM} that there are"
        )
    return faults


def price_fault(shares: Shares, platform_fee_ppm: int, planck_per_tick: Planck) -> str:
    """Return why a price of a second cannot be shared so, or nothing when it can.

    Parts are rounded down, and as more is watched one of them steps up where another does not.
    While the parts of one second, each rounded up, are within its price, the creator never has to
    give back for that what they had before; and a chain's pallet, which pays in steps and takes
    nothing back, shares to the planck as the book does.
    """
    if not shares:
        return ""
    parts = (*(share.ppm for share in shares), platform_fee_ppm)
    needed = sum(-(-planck_per_tick * ppm // PPM) for ppm in parts)
    if needed <= planck_per_tick:
        return ""
    return (
        f"a price of {planck_per_tick} planck a second is too little to be shared so: the parts of "
        f"payees and platform, each rounded up to a whole planck, are {needed}; leave the creator "
        f"more, or choose a price that is a multiple of {PPM} planck"
    )
