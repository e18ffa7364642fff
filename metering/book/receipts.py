"""Receipts as rows: made from booked cuts only, chained per viewer and stream."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, bindparam, func, insert, select, tuple_, update

from metering.book import schema
from metering.book.covered import take_unreceipted
from metering.book.given_back import set_receipt, unreceipted, waiting_for_receipts
from metering.book.rows import Repository, chunks, is_key, key_binds, key_of
from metering.book.stream_rows import prices_of
from metering.model import receipt, tick_runs, ticks
from metering.model.receipt import Receipt, ReceiptLine, SignedReceipt
from metering.signing import KeyPair
from metering.units import AccountId, Planck, Run


class ReceiptRepository(Repository):
    """Reads and writes receipts."""

    def make(
        self,
        operator: KeyPair,
        now_ms: int,
        account: AccountId | None = None,
        *,
        waited_ms: int = 0,
        lines_max: int = 20_000,
    ) -> int:
        """Make one receipt for each viewer and stream with booked ticks that have none yet.

        What was given back of ticks goes into the receipt that has them, or a later one; alone
        when nothing new was watched.

        Args:
            account: Only this viewer's; None: all viewers'.
            waited_ms: Only for viewers and streams with ticks that were booked so long ago; all
                ticks that they have without a receipt are in it. Keeps receipts few.
            lines_max: Cut lines taken in one transaction; call again while it returns above 0.

        Returns:
            How many receipts were made.
        """
        # Cut lines without a receipt: of one viewer, or only of viewers and streams that waited
        # long enough; then all their lines, also the newest.
        lines = schema.cut_lines.c
        query = select(schema.cut_lines).where(lines.receipt.is_(None))
        if account is not None:
            query = query.where(lines.account == account)
        if waited_ms:
            old = schema.cut_lines.alias("old")
            newest_cut = (
                select(func.max(schema.cuts.c.id))
                .where(schema.cuts.c.booked_ms <= now_ms - waited_ms)
                .scalar_subquery()
            )
            query = query.where(
                tuple_(lines.account, lines.stream).in_(
                    select(old.c.account, old.c.stream).where(
                        old.c.receipt.is_(None), old.c.cut <= newest_cut
                    )
                )
            )
        with self._writing() as connection:
            # One receipt per viewer and stream.
            waiting: dict[tuple[AccountId, UUID], list[Row[Any]]] = {}
            rows = connection.execute(
                query.order_by(lines.account, lines.stream).limit(lines_max)
            ).all()
            for row in rows:
                waiting.setdefault((row.account, row.stream), []).append(row)
            last = (rows[-1].account, rows[-1].stream) if len(rows) == lines_max else None
            given = _add_given_back(
                connection, waiting, account, last, now_ms - waited_ms if waited_ms else None
            )
            if not waiting:
                return 0

            # Each is numbered after, and names the hash of, the viewer's last one for that stream.
            prices = prices_of(connection, {stream for _, stream in waiting})
            newest = _newest(connection, sorted({payer for payer, _ in waiting}))
            made, covered = [], []
            for (payer, stream), rows in waiting.items():
                number, previous = newest.get((payer, stream), (0, receipt.FIRST_PREVIOUS))
                free = take_unreceipted(connection, payer, stream)
                body = receipt.make(
                    stream,
                    payer,
                    [
                        *_lines(stream, rows, prices),
                        *map(receipt.covered_line, free, free.values()),
                        *_back_lines(connection, payer, stream, prices, given),
                    ],
                    number=number + 1,
                    made_ms=now_ms,
                    previous=previous,
                )
                made.append(self._values(receipt.sign(body, self._asset, operator)))
                if (payer, stream) in given:
                    set_receipt(connection, payer, stream, number + 1)
                covered += [
                    {"of_cut": row.cut, "number": number + 1, **key_binds(key_of(row))}
                    for row in rows
                ]

            # In the same transaction the lines get the number: no tick is in two receipts.
            connection.execute(insert(schema.receipts), made)
            if covered:
                connection.execute(
                    update(schema.cut_lines)
                    .where(lines.cut == bindparam("of_cut"), *is_key(schema.cut_lines))
                    .values(receipt=bindparam("number")),
                    covered,
                )
        return len(made)

    def of(self, account: AccountId, stream: UUID) -> list[SignedReceipt]:
        """Return the chain of receipts of a viewer and stream, from number 1."""
        receipts = schema.receipts.c
        with self._reading() as connection:
            return [
                receipt_of_row(row)
                for row in connection.execute(
                    select(schema.receipts)
                    .where(receipts.account == account, receipts.stream == stream)
                    .order_by(receipts.number)
                )
            ]

    def streams(self, account: AccountId) -> list[UUID]:
        """Return the streams that an account has receipts of."""
        receipts = schema.receipts.c
        with self._reading() as connection:
            return list(
                connection.execute(
                    select(receipts.stream)
                    .where(receipts.account == account, receipts.number == 1)
                    .order_by(receipts.stream)
                ).scalars()
            )

    def _values(self, signed: SignedReceipt) -> dict[str, Any]:
        body = signed.receipt
        return {
            "account": body.account,
            "stream": body.stream,
            "number": body.number,
            "made_ms": body.made_ms,
            "previous": body.previous,
            "hash": receipt.hash_of(body, self._asset),
            "lines": json.dumps(
                [
                    [
                        line.join,
                        line.version,
                        str(line.planck_per_tick),
                        tick_runs.to_text(line.runs),
                        *([1] if line.is_back else ()),
                    ]
                    for line in body.lines
                ]
            ),
            "amount": body.amount,
            "signature": signed.signature,
        }


def _newest(
    connection: Connection, accounts: Sequence[AccountId]
) -> dict[tuple[AccountId, UUID], tuple[int, bytes]]:
    """Return number and hash of the newest receipt of every chain of some accounts."""
    receipts = schema.receipts.c
    newest_receipts = {}
    for some in chunks(accounts):
        last = (
            select(receipts.account, receipts.stream, func.max(receipts.number).label("number"))
            .where(receipts.account.in_(some))
            .group_by(receipts.account, receipts.stream)
            .subquery()
        )
        for row in connection.execute(
            select(receipts.account, receipts.stream, receipts.number, receipts.hash).join(
                last,
                (receipts.account == last.c.account)
                & (receipts.stream == last.c.stream)
                & (receipts.number == last.c.number),
            )
        ):
            newest_receipts[row.account, row.stream] = (row.number, row.hash)
    return newest_receipts


def _lines(
    stream: UUID, rows: Sequence[Row[Any]], prices: dict[tuple[UUID, int], Planck]
) -> list[ReceiptLine]:
    """Return the receipt lines of some cut lines: runs merged by join number and version."""
    runs_by_price: dict[tuple[int, int], list[Run]] = {}
    for row in rows:
        runs_by_price.setdefault((row.join, row.version), []).extend(tick_runs.from_text(row.runs))
    return [
        ReceiptLine(join, version, prices[stream, version], ticks.normal(watched))
        for (join, version), watched in runs_by_price.items()
    ]


def _add_given_back(
    connection: Connection,
    waiting: dict[tuple[AccountId, UUID], list[Row[Any]]],
    account: AccountId | None,
    partly: tuple[AccountId, UUID] | None,
    made_ms: int | None,
) -> set[tuple[AccountId, UUID]]:
    """Return of whom something given back goes into their receipt now; some are added to `waiting`.

    What is given back is never in a receipt before the ticks are.

    Args:
        account: Only this viewer's; None: all viewers'.
        partly: Not all lines of this viewer and stream are in `waiting`, and of those behind it
            none.
        made_ms: What was given back by then waits for no other line; None: nothing waits.
    """
    with_lines = waiting.keys() & set(waiting_for_receipts(connection, account))
    if partly is not None:
        return with_lines - {partly}
    alone = set(waiting_for_receipts(connection, account, made_ms)) - waiting.keys()
    lines = schema.cut_lines.c
    for some in chunks(sorted({payer for payer, _ in alone})):
        query = select(lines.account, lines.stream).where(
            lines.receipt.is_(None), lines.account.in_(some)
        )
        alone -= {(row.account, row.stream) for row in connection.execute(query)}
    waiting.update({at: [] for at in sorted(alone, key=lambda at: (at[0], at[1].bytes))})
    return with_lines | alone


def _back_lines(
    connection: Connection,
    payer: AccountId,
    stream: UUID,
    prices: dict[tuple[UUID, int], Planck],
    given: set[tuple[AccountId, UUID]],
) -> list[ReceiptLine]:
    """Return the lines of what was given back and is in no receipt yet."""
    if (payer, stream) not in given:
        return []
    return [
        ReceiptLine(join, version, prices[stream, version], runs, is_back=True)
        for (join, version), runs in unreceipted(connection, payer, stream).items()
    ]


def receipt_of_row(row: Row[Any]) -> SignedReceipt:
    """Return the receipt of a row of `schema.receipts`."""
    return SignedReceipt(
        Receipt(
            row.stream,
            row.account,
            row.number,
            row.made_ms,
            row.previous,
            tuple(
                ReceiptLine(
                    join, version, Planck(int(planck)), tick_runs.from_text(text), bool(back)
                )
                for join, version, planck, text, *back in json.loads(row.lines)
            ),
            row.amount,
        ),
        row.signature,
    )
