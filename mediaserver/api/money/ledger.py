"""The books as the operator sees them: ledger, batches, receipts, workers, reconciliation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from aiohttp import web

from mediaserver import log
from mediaserver.api import context
from mediaserver.api.context import Context
from mediaserver.api.queries import number, whole
from mediaserver.api.who import audited
from mediaserver.http.problem import ApiError
from mediaserver.payments.comparison import compare
from metering.book.book import Book
from metering.book.records import Attempt, BatchRecord, StreamRecord
from metering.model.batch_state import BatchState
from metering.model.ledger import Holder, Role
from metering.model.receipt import SignedReceipt
from metering.model.receipt_file import file_bytes
from metering.units import AccountId, Planck, account_text

PAGE_HOLDERS: Final = 500
"""Lines of the ledger in one answer: the rest come with ``?after=``."""
BATCHES_MAX: Final = 500
SEQ_MAX: Final = (1 << 53) - 1
_log = log.get("api")
NO_RECEIPT: Final = "No receipt yet"
"""Title of the problem before the first cut."""

_RECEIPT_ROUNDS_MAX: Final = 100
"""Twenty thousand cut lines each: more than a viewer can have waiting."""


def routes() -> list[web.RouteDef]:
    """Return the routes of the books."""
    return [
        web.get("/api/v1/ledger", _ledger),
        web.get("/api/v1/batches", _batches),
        web.post("/api/v1/batches/{seq}/retry", _retry),
        web.get("/api/v1/reconcile", _reconcile),
        web.get("/api/v1/operator", _operator),
        web.get("/api/v1/receipts/{viewer}/{slug}", _receipts),
        web.get("/api/v1/workers", _workers),
    ]


async def _ledger(request: web.Request) -> web.Response:
    shared, after = context.of(request), request.query.get("after", "")
    limit = number(request, "limit", PAGE_HOLDERS, PAGE_HOLDERS)

    def read(book: Book) -> dict[str, Any]:
        holders, covered = book.ledger.balances(), book.unbilled.counters()
        slugs = book.streams.slugs({holder.stream for holder in holders if holder.stream})
        lines = [_line(holder, planck, slugs) for holder, planck in holders.items()]
        lines = [line for line in lines if _place(line) > after]
        lines.sort(key=_place)
        return {
            "lines": lines[:limit],
            "sum": str(sum(holders.values())),
            "covered_ticks": str(covered.covered_ticks),
            "next_after": _place(lines[limit - 1]) if len(lines) > limit else None,
        }

    # Every posting is read: not in the book's only thread, where others wait.
    return web.json_response(await shared.book.view(read))


def _place(line: dict[str, Any]) -> str:
    """Return where a holder's line is in the order: what ``after`` takes."""
    return f"{line['role']}/{line['stream'] or ''}/{line['account'] or ''}"


async def _batches(request: web.Request) -> web.Response:
    shared = context.of(request)
    limit = number(request, "limit", 100, BATCHES_MAX)
    before = number(request, "before", 0, SEQ_MAX) or None
    batches, attempts = await shared.book.run(lambda book: _newest(book, limit, before))
    return web.json_response({"batches": [_batch(batch, attempts) for batch in batches]})


def _newest(book: Book, limit: int, before: int | None) -> tuple[list[BatchRecord], list[Attempt]]:
    batches = book.settlements.newest(limit, before)
    return batches, book.outbox.attempts_of([batch.seq for batch in batches])


async def _retry(request: web.Request) -> web.Response:
    """Have a rejected or conflict batch signed and sent again; its reasons stay with it."""
    text = request.match_info["seq"]
    seq = whole(text, "the number of a batch", SEQ_MAX)
    before, after, attempts = await audited(
        request,
        "batch.retry",
        f"batch:{seq}",
        lambda book, _: (
            book.outbox.retry(seq),
            book.settlements.get(seq),
            book.outbox.attempts(seq),
        ),
        after=lambda made: {"was": made[0].state.value},
    )
    reason = _reason(before, attempts)
    _log.warning(
        "settlement.batch.retried",
        batch_id=seq,
        state=before.state.value,
        reason=reason,
        attempts=len(attempts),
    )
    return web.json_response({"was": before.state.value, "batch": _batch(after, attempts)})


async def _reconcile(request: web.Request) -> web.Response:
    """Compare the books, and with them what providers of payments told."""
    shared = context.of(request)
    report = await shared.reconcile()
    paid = await shared.payments.write(compare)
    differences = [*report["differences"], *paid.differences]
    return web.json_response(
        {
            **report,
            "is_balanced": not differences,
            "differences": differences,
            "payments": {
                "paid": paid.paid,
                "planck": str(paid.planck),
                "back": str(paid.back),
                "losses": list(paid.losses),
            },
        }
    )


async def _operator(request: web.Request) -> web.Response:
    shared = context.of(request)
    asset = shared.settings.asset
    return web.json_response(
        {
            "public_key": account_text(shared.operator.account),
            "asset": {
                "symbol": asset.symbol,
                "decimals": asset.decimals,
                "quantum": str(asset.quantum),
            },
        }
    )


async def _receipts(request: web.Request) -> web.Response:
    shared = context.of(request)
    viewer, slug = request.match_info["viewer"], request.match_info["slug"]
    record, stream = await shared.book.run(
        lambda book: (book.viewers.get(viewer), book.streams.get(slug))
    )
    return await receipt_file(shared, stream, await receipts_of(shared, record.account, stream))


async def receipts_of(
    shared: Context, account: AccountId, stream: StreamRecord
) -> list[SignedReceipt]:
    """Return the receipts of a viewer and stream, made up to the last booked cut.

    Raises:
        ApiError: 404, there is none yet.
    """
    now_ms = shared.clock.now_ms()
    for _ in range(_RECEIPT_ROUNDS_MAX):
        if not await shared.book.run(
            lambda book: book.receipts.make(shared.operator, now_ms, account)
        ):
            break
    chain = await shared.book.run(lambda book: book.receipts.of(account, stream.id))
    if not chain:
        period_s = shared.settings.metering.cut_period_s
        raise ApiError(
            404,
            NO_RECEIPT,
            f"nothing is booked for this viewer and stream; what is watched now is in {period_s} s "
            "(metering.cut_period_s)",
            {"Retry-After": str(period_s)},
        )
    return chain


async def receipt_file(
    shared: Context, stream: StreamRecord, chain: Sequence[SignedReceipt]
) -> web.Response:
    """Return the signed file of receipts, under the name that docs/viewer.md says."""
    ever = await shared.book.run(lambda book: book.operators.accounts())
    return web.Response(
        body=file_bytes(shared.settings.asset, shared.operator.account, chain, ever[1:]),
        content_type="application/json",
        headers={
            "Cache-Control": "no-store",
            "Content-Disposition": f'attachment; filename="receipts-{stream.slug}.json"',
        },
    )


async def _workers(request: web.Request) -> web.Response:
    return web.json_response({"workers": context.of(request).workers()})


def _line(holder: Holder, planck: Planck, slugs: dict[Any, str]) -> dict[str, Any]:
    has_account = holder.role in (Role.VIEWER, Role.CREATOR)
    return {
        "role": holder.role.value,
        "account": account_text(holder.account) if has_account else None,
        "stream": slugs.get(holder.stream) if holder.stream else None,
        "planck": str(planck),
    }


def _batch(record: BatchRecord, attempts: Sequence[Attempt]) -> dict[str, Any]:
    own = [attempt for attempt in attempts if attempt.seq == record.seq]
    return {
        "seq": record.seq,
        "hash": record.hash.hex(),
        "entries": record.entry_count,
        "state": record.state.value,
        "sealed_ms": record.sealed_ms,
        "finalized_ms": record.finalized_ms,
        "finalized_at": record.finalized_at,
        "reason": _reason(record, own),
        "attempts": [
            {
                "number": attempt.number,
                "signed_ms": attempt.signed_ms,
                "sent_ms": attempt.sent_ms,
                "reason": attempt.reason,
            }
            for attempt in own
        ],
    }


def _reason(record: BatchRecord, attempts: Sequence[Attempt]) -> str | None:
    """Return why the newest failed attempt of a batch failed; None when none did."""
    reasons = [attempt.reason for attempt in attempts if attempt.reason]
    if not reasons and record.state is BatchState.CONFLICT:
        return "finalized state holds other content under this number; nothing of ours was sent"
    return reasons[-1] if reasons else None
