"""``/api/v1/streams/{slug}/refunds``: seconds of a show that were bad, given back to who paid.

The rule, what it gives back at once and the entry of the audit log are one transaction; the store
learns of it after that, or at the next start.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from mediaserver import text
from mediaserver.api import context
from mediaserver.api.context import Context
from mediaserver.api.money.top_ups import idempotency_key
from mediaserver.api.queries import page_limit, whole
from mediaserver.api.viewers.viewers import tell_store
from mediaserver.api.who import audited, principal
from mediaserver.http import request_records
from mediaserver.http.problem import ApiError
from mediaserver.payments import payouts, refunds
from mediaserver.payments.service import Connection
from mediaserver.people import shows
from mediaserver.people.records import Principal, Role
from metering.book.book import Book
from metering.book.records import StreamRecord
from metering.model.bad_seconds import RANGE_MAX_S, BadSeconds
from metering.units import AccountId, Run

PAGE_MAX: Final = 200
TOLD_AT_ONCE: Final = 100
"""Viewers whose balance is written before the answer; of more, the others within seconds."""
_NUMBER_MAX: Final = 1 << 31
_MAY_OWE: Final = frozenset({Role.OWNER, Role.FINANCE})


@dataclass(frozen=True, slots=True)
class SecondsBody:
    """Body of a refund of seconds; its ``Idempotency-Key`` is a header.

    Attributes:
        from_tick: The first second, Unix time of the media's timeline.
        to_tick: The last one.
        show: The show that they are of; left out: the one that has `from_tick`.
    """

    from_tick: int
    to_tick: int
    why: str
    show: int | None = None


def routes() -> list[web.RouteDef]:
    """Return the routes of seconds that are given back."""
    return [
        web.get("/api/v1/streams/{slug}/refunds", _list),
        web.post("/api/v1/streams/{slug}/refunds", _refund),
    ]


async def _list(request: web.Request) -> web.Response:
    shared, slug = context.of(request), request.match_info["slug"]
    limit, before = page_limit(request, PAGE_MAX), request.query.get("before")
    behind = None if before is None else whole(before, "before", _NUMBER_MAX)

    def read(book: Book) -> list[tuple[BadSeconds, int]]:
        return book.bad_seconds.page(book.streams.get(slug).id, limit + 1, behind)

    found = await shared.book.view(read)
    return web.json_response(
        {
            "refunds": [_json(*item) for item in found[:limit]],
            "next_before": found[limit - 1][0].number if len(found) > limit else None,
        }
    )


async def _refund(request: web.Request) -> web.Response:
    shared, slug = context.of(request), request.match_info["slug"]
    hold_no_chain(shared)
    key = idempotency_key(request, "refund of seconds")
    wanted = await request_records.read(request, SecondsBody)
    stream = await shared.book.run(lambda book: book.streams.get(slug))
    known = await shared.people.read(lambda connection: shows.of_streams(connection, [stream.id]))
    now_ms, by = shared.clock.now_ms(), principal(request)
    show, faults = _show_of(wanted, known[stream.id], now_ms // 1000)
    if faults:
        raise ApiError(422, "Invalid body", "; ".join(faults), faults=faults)
    run = Run(wanted.from_tick, wanted.to_tick - wanted.from_tick + 1)
    draft = BadSeconds(0, key, stream.id, show, run, wanted.why, by.actor, now_ms)

    def make(book: Book, connection: Connection) -> tuple[BadSeconds, bool]:
        keeps = None if _may_owe(by) else payouts.asked_by(connection, stream)
        return book.bad_seconds.add(draft, now_ms, keeps=keeps)

    made, is_new = await audited(
        request,
        "stream.refund_seconds",
        f"stream:{stream.id}",
        make,
        after=lambda item: _facts(item[0]),
        is_change=lambda item: item[1],
    )
    if is_new:
        await _tell(shared, made)
    shown = await _shown(shared, stream, made)
    return web.json_response(shown, status=HTTPStatus.CREATED if is_new else HTTPStatus.OK)


async def _tell(shared: Context, made: BadSeconds) -> None:
    """Write to the store what viewers have again."""
    number = made.number
    accounts: Sequence[AccountId] = await shared.book.run(
        lambda book: book.given_back.accounts(rule=number)
    )
    for account in accounts:
        shared.apply_later(account)
    for account in accounts[:TOLD_AT_ONCE]:
        await tell_store(shared, account)


async def _shown(shared: Context, stream: StreamRecord, made: BadSeconds) -> dict[str, Any]:
    number = made.number
    return _json(*await shared.book.run(lambda book: book.bad_seconds.get(stream.id, number)))


def _show_of(
    wanted: SecondsBody, known: Sequence[int], now_tick: int
) -> tuple[int | None, list[str]]:
    """Return the show that the seconds are of, and what is wrong with them.

    Args:
        known: Numbers of the stream's shows, ascending.
    """
    faults = []
    first, last = wanted.from_tick, wanted.to_tick
    if last < first:
        faults.append(f"to_tick: {last} is before from_tick, {first}")
    elif last - first >= RANGE_MAX_S:
        faults.append(
            f"to_tick: {last - first + 1} seconds; one refund has at most {RANGE_MAX_S}: make more"
        )
    if last > now_tick:
        faults.append(f"to_tick: {last} is still to come: it is {now_tick} now")
    if not 0 < len(wanted.why) <= refunds.WHY_MAX or text.fault(wanted.why):
        faults.append(f"why: has 1 to {refunds.WHY_MAX} printable characters: it is kept with it")
    if wanted.show is not None and wanted.show not in known:
        newest = ", ".join(str(show) for show in known[:-6:-1]) or "none yet"
        faults.append(f"show: the stream had no show {wanted.show}; its newest are {newest}")
        return None, faults
    at = bisect_right(known, first)
    show = known[at - 1] if at else None
    if wanted.show not in {None, show}:
        faults.append(f"from_tick: {first} is not of show {wanted.show}, it is of {show or 'none'}")
    elif at < len(known) and first <= last and last >= known[at]:
        faults.append(
            f"to_tick: {last} is of another show than from_tick: one begins at {known[at]}; make "
            "a refund of each"
        )
    return show, faults


def _may_owe(by: Principal) -> bool:
    """Return whether what was paid out to a creator already may become a debt, by their word."""
    return by.scopes is not None or bool(by.roles & _MAY_OWE)


def _facts(rule: BadSeconds) -> dict[str, Any]:
    return {
        "number": rule.number,
        "from_tick": rule.run.first,
        "to_tick": rule.run.end - 1,
        "seconds": rule.seconds,
        "planck": str(rule.planck),
    }


def _json(rule: BadSeconds, viewers: int) -> dict[str, Any]:
    return {
        **_facts(rule),
        "show": rule.show,
        "viewers": viewers,
        "why": rule.why,
        "made_by": rule.made_by,
        "created_ms": rule.created_ms,
    }


def hold_no_chain(shared: Context) -> None:
    """Refuse what the chain's pallet has no call for.

    Raises:
        ApiError: 409 with a chain.
    """
    if shared.escrow is not None:
        raise ApiError(
            409,
            "The chain keeps what was paid",
            "with a chain a second that has settled is the creator's and the operator's there, and "
            "its pallet has no way to give it back: give the viewers a credit, by "
            "`vilokanam viewers credit` where this server holds their key, or pay it to their "
            "wallets",
        )
