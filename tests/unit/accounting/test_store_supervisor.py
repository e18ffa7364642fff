"""Control's money, without a Redis: what it tells the store, and when."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from mediaserver.accounting.settlement_service import Settlement
from mediaserver.accounting.store_supervisor import StoreSupervisor
from mediaserver.clock import SystemClock
from mediaserver.settings.records import Settings
from metering.book.async_book import AsyncBook
from metering.store.owned_store import Owner
from metering.units import Planck
from tests.support.book_fixture import OPERATOR, make_book


class SlowStore:
    """Takes its first call only when it is let; others would overtake it."""

    is_quiet = False

    def __init__(self) -> None:
        self.totals: list[int] = []
        self.began = asyncio.Event()
        self.is_open = asyncio.Event()

    async def set_deposits(self, _account, total) -> None:
        if not self.began.is_set():
            self.began.set()
            await self.is_open.wait()
        self.totals.append(total)


async def no_ticks() -> dict[UUID, int]:
    return {}


def make_money(caller) -> StoreSupervisor:
    return StoreSupervisor(
        Settings(),
        "unix:///x",
        caller,
        owner=Owner("book", "here", "holder"),
        settlement=Settlement(Settings(), caller, OPERATOR, SystemClock(), Path("/x")),
        clock=SystemClock(),
        changed=lambda: None,
        newest_ticks=no_ticks,
    )


async def test_of_two_top_ups_at_once_the_newer_sum_is_written_last() -> None:
    """A viewer who pays twice in a moment can spend both: an older sum never comes after."""
    fixture = make_book()
    store: Any = SlowStore()
    (account,) = fixture.accounts
    book = AsyncBook(fixture.book)
    money = make_money(book)
    before = fixture.book.deposits.total(account)

    first = asyncio.create_task(money.apply_deposits(store, account))
    await store.began.wait()
    fixture.book.deposits.add(account, Planck(10**8), "second", "", 1)
    second = asyncio.create_task(money.apply_deposits(store, account))
    for _ in range(20):
        await asyncio.sleep(0)
    store.is_open.set()
    await asyncio.gather(first, second)
    await book.close()

    assert store.totals == [before, before + 10**8]


async def test_control_does_not_go_on_when_nobody_cuts_any_more() -> None:
    """A fault in the cutter ends control, which is started again; seconds never wait unseen."""

    async def fail() -> None:
        raise ZeroDivisionError

    fixture = make_book()
    money = make_money(AsyncBook(fixture.book))
    task = asyncio.create_task(fail())
    money._lock.is_held = True
    store: Any = SlowStore()
    cutter: Any = SimpleNamespace(counters=None)
    await asyncio.wait({task})

    with pytest.raises(ZeroDivisionError):
        async with asyncio.timeout(5):
            await money._watch(store, "epoch", cutter, [task])
