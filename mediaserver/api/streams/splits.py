"""``/api/v1/streams/{slug}/split``: who else earns of a stream, and what part, from a second on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

from aiohttp import web

from mediaserver.api import context
from mediaserver.api.context import Context
from mediaserver.api.streams.policy_room import hold_price_room
from mediaserver.api.streams.price_times import from_tick_fault
from mediaserver.api.viewers.own_account import give_account
from mediaserver.api.who import audited
from mediaserver.http import request_records
from mediaserver.http.problem import ApiError
from mediaserver.people import persons
from mediaserver.people.service import Connection
from metering.book.book import Book
from metering.book.records import StreamRecord
from metering.errors import InvalidValueError, UnknownNameError
from metering.model.ledger import PPM, Share, Shares
from metering.model.splits import SplitTable, table_at, table_faults
from metering.units import AccountId, account_text, parse_account

_PERSON: Final = "person:"


@dataclass(frozen=True, slots=True)
class SplitBody:
    """Body of a split table; `from_tick` left out is the earliest that is allowed.

    Attributes:
        payees: Parts in a million of what viewers pay, by account or ``person:`` and an id; empty:
            all that the platform leaves is the creator's.
    """

    payees: dict[str, int]
    from_tick: int | None = None


def routes() -> list[web.RouteDef]:
    """Return the routes of split tables."""
    path = "/api/v1/streams/{slug}/split"
    return [web.get(path, _show), web.put(path, _set)]


def share(
    shared: Context,
    book: Book,
    connection: Connection,
    record: StreamRecord,
    payees: Mapping[str, Any],
) -> None:
    """Share a stream that is being made, from its first second on.

    Raises:
        ApiError: 422 with every fault.
    """
    now_ms = shared.clock.now_ms()
    shares = _named_shares(book, connection, payees, now_ms)
    _hold_no_faults(table_faults(shares, record.creator, record.platform_fee_ppm))
    _hold_wallets(shared, book, shares)
    book.splits.put(record.slug, shares, 0, now_ms)


async def shared_with(shared: Context, account: AccountId) -> dict[UUID, int]:
    """Return the streams that an account earns of, or will, and the first second without it."""
    if shared.chain is not None:
        return {}  # what is shared there stays so

    def read(book: Book) -> list[StreamRecord]:
        return [
            stream
            for stream in book.streams.some(book.splits.streams_of(account))
            if any(share.account == account for share in book.splits.of(stream.id)[-1].shares)
        ]

    firsts = {}
    for stream in await shared.book.run(read):
        await hold_price_room(shared, stream)
        earliest = await shared.newest_tick(stream.id) + shared.settings.price.change_notice_s
        firsts[stream.id] = max(earliest, stream.prices[-1].from_tick)
    return firsts


def leave(book: Book, stream: UUID, account: AccountId, from_tick: int, now_ms: int) -> SplitTable:
    """Return the table without a payee: their part is the creator's from a second on."""
    shares = book.splits.of(stream)[-1].shares
    (record,) = book.streams.some([stream])
    others = tuple(share for share in shares if share.account != account)
    return book.splits.put(record.slug, others, from_tick, now_ms)


def table_json(table: SplitTable, platform_fee_ppm: int) -> dict[str, Any]:
    """Return a table as the API shows it."""
    shared_ppm = sum(share.ppm for share in table.shares)
    return {
        "number": table.number,
        "from_tick": table.from_tick,
        "payees": [
            {"account": account_text(share.account), "ppm": share.ppm} for share in table.shares
        ],
        "platform_ppm": platform_fee_ppm,
        "creator_ppm": PPM - platform_fee_ppm - shared_ppm,
    }


async def _show(request: web.Request) -> web.Response:
    shared, slug = context.of(request), request.match_info["slug"]
    tick = shared.clock.now_ms() // 1000

    def read(book: Book) -> tuple[StreamRecord, tuple[SplitTable, ...]]:
        record = book.streams.get(slug)
        return record, book.splits.of(record.id)

    record, tables = await shared.book.run(read)
    fee_ppm = record.platform_fee_ppm
    return web.json_response(
        {
            "split": table_json(table_at(tables, tick), fee_ppm),
            "splits": [table_json(table, fee_ppm) for table in tables],
            "splits_to_come": [
                table_json(table, fee_ppm) for table in tables if table.from_tick > tick
            ],
        }
    )


async def _set(request: web.Request) -> web.Response:
    """Share what is earned otherwise, from a second on that nobody can have claimed yet."""
    shared, slug = context.of(request), request.match_info["slug"]
    wanted = await request_records.read(request, SplitBody)
    if shared.chain is not None:
        raise ApiError(
            409,
            "The chain keeps shares",
            "with a chain a stream is shared as it was made: its pallet has no call that changes "
            "the table; make another stream with `payees`, and close this one",
        )
    record = await shared.book.run(lambda book: book.streams.get(slug))
    notice_s = shared.settings.price.change_notice_s
    earliest = await shared.newest_tick(record.id) + notice_s
    last = record.prices[-1]
    # A price that is to come begins with it: its seconds are shared as the newest table says.
    first = max(earliest, last.from_tick) if wanted.from_tick is None else wanted.from_tick
    fault = from_tick_fault(first, earliest, notice_s)
    if not fault and first < last.from_tick:
        fault = (
            f"from_tick {first}: price {last.number} begins at {last.from_tick}, and a split that "
            "begins before it cannot be set any more; use that second, or a later one"
        )
    if fault:
        raise InvalidValueError(fault)
    await hold_price_room(shared, record)
    now_ms, fee_ppm = shared.clock.now_ms(), record.platform_fee_ppm

    def put(book: Book, connection: Connection) -> SplitTable:
        shares = _named_shares(book, connection, wanted.payees, now_ms)
        _hold_no_faults(table_faults(shares, record.creator, fee_ppm))
        return book.splits.put(slug, shares, first, now_ms)

    made = await audited(
        request,
        "stream.split.set",
        f"stream:{record.id}",
        put,
        before=lambda book, _: table_json(table_at(book.splits.of(record.id), first), fee_ppm),
        after=lambda table: table_json(table, fee_ppm),
    )
    shared.changed()
    return web.json_response(table_json(made, fee_ppm), status=HTTPStatus.CREATED)


def _named_shares(
    book: Book, connection: Connection, payees: Mapping[str, Any], now_ms: int
) -> Shares:
    """Return the shares that a body names: accounts, or people by ``person:`` and their id.

    Args:
        connection: Of the transaction in which somebody who has no account yet is given one.

    Raises:
        ApiError: 422 with every fault of a name or part.
    """
    shares, faults = [], []
    for name, ppm in payees.items():
        if type(ppm) is not int:
            faults.append(f"payees: {name[:80]}: {str(ppm)[:40]!r} is not a whole number of ppm")
            continue
        try:
            if name.startswith(_PERSON):
                account = give_account(book, connection, name.removeprefix(_PERSON), now_ms)
            else:
                account = parse_account(name)
            # Who closed asks for nothing any more; an account of nobody we know is its key's.
            persons.require_payer_open(connection, account)
        except (ValueError, UnknownNameError) as error:
            faults.append(f"payees: {error}")
            continue
        shares.append(Share(account, ppm))
    _hold_no_faults(faults)
    return tuple(shares)


def _hold_no_faults(faults: list[str]) -> None:
    """Hold that nothing is wrong with a table.

    Raises:
        ApiError: 422 with every fault.
    """
    if faults:
        raise ApiError(422, "Invalid body", "; ".join(faults), faults=faults)


def _hold_wallets(shared: Context, book: Book, shares: Shares) -> None:
    """Hold that on a chain each payee can take out what they earn.

    Raises:
        ApiError: 422 naming one whose key is the server's.
    """
    if shared.escrow is None:
        return
    held = [share.account for share in shares if book.viewers.seed(share.account) is not None]
    if held:
        names = ", ".join(map(account_text, held))
        fault = (
            f"payees: the key of {names} is this server's, and a chain pays what is earned to who "
            "signs for it: name an account of their own wallet"
        )
        _hold_no_faults([fault])
