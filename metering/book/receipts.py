"""Receipts as rows: made from booked cuts only, chained per viewer and stream."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, insert, select, update

from metering import receipt, runs, ticks
from metering.book import schema
from metering.book.rows import Rows
from metering.book.streams import prices_of
from metering.keys import KeyPair
from metering.receipt import Receipt, ReceiptLine, SignedReceipt
from metering.units import AccountId, Planck, Run


class ReceiptRows(Rows):
    """The part of the book about receipts."""

    def make_receipts(
        self,
        operator: KeyPair,
        now_ms: int,
        account: AccountId | None = None,
        lines_max: int = 20_000,
    ) -> int:
        """Make one receipt for each viewer and stream with booked ticks that have none yet.

        Args:
            operator: Who signs.
            now_ms: Unix time.
            account: Only this viewer's, when given.
            lines_max: Cut lines taken in one transaction; call again while it returns above 0.

        Returns:
            How many receipts were made.
        """
        lines = schema.cut_lines.c
        query = select(schema.cut_lines).where(lines.receipt.is_(None))
        if account is not None:
            query = query.where(lines.account == account)
        made = 0
        with self._writing() as connection:
            waiting: dict[tuple[AccountId, UUID], list[Row[Any]]] = {}
            for row in connection.execute(
                query.order_by(lines.account, lines.stream).limit(lines_max)
            ):
                waiting.setdefault((row.account, row.stream), []).append(row)
            prices = prices_of(connection) if waiting else {}
            for (payer, stream), rows in waiting.items():
                number, previous = _last(connection, payer, stream)
                body = receipt.make(
                    stream,
                    payer,
                    _lines(rows, prices),
                    number=number + 1,
                    made_ms=now_ms,
                    previous=previous,
                )
                self._write(connection, receipt.sign(body, self._asset, operator))
                connection.execute(
                    update(schema.cut_lines)
                    .where(
                        lines.account == payer,
                        lines.stream == stream,
                        lines.receipt.is_(None),
                        lines.cut.in_({row.cut for row in rows}),
                    )
                    .values(receipt=number + 1)
                )
                made += 1
        return made

    def receipts(self, account: AccountId, stream: UUID) -> list[SignedReceipt]:
        """Return the chain of receipts of a viewer and stream, from number 1."""
        receipts = schema.receipts.c
        with self._reading() as connection:
            return [
                _receipt(row)
                for row in connection.execute(
                    select(schema.receipts)
                    .where(receipts.account == account, receipts.stream == stream)
                    .order_by(receipts.number)
                )
            ]

    def receipted_streams(self, account: AccountId) -> list[UUID]:
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

    def _write(self, connection: Connection, signed: SignedReceipt) -> None:
        body = signed.receipt
        connection.execute(
            insert(schema.receipts).values(
                account=body.account,
                stream=body.stream,
                number=body.number,
                made_ms=body.made_ms,
                previous=body.previous,
                hash=receipt.hash_of(body, self._asset),
                lines=json.dumps(
                    [
                        [
                            line.join,
                            line.version,
                            str(line.planck_per_tick),
                            runs.to_text(line.runs),
                        ]
                        for line in body.lines
                    ]
                ),
                amount=body.amount,
                signature=signed.signature,
            )
        )


def _last(connection: Connection, account: AccountId, stream: UUID) -> tuple[int, bytes]:
    """Return number and hash of the newest receipt of a chain."""
    receipts = schema.receipts.c
    row = connection.execute(
        select(receipts.number, receipts.hash)
        .where(receipts.account == account, receipts.stream == stream)
        .order_by(receipts.number.desc())
        .limit(1)
    ).one_or_none()
    return (0, receipt.FIRST_PREVIOUS) if row is None else (row.number, row.hash)


def _lines(rows: Sequence[Row[Any]], prices: dict[tuple[UUID, int], Planck]) -> list[ReceiptLine]:
    """Return the receipt lines of some cut lines: runs merged by join number and version."""
    found: dict[tuple[int, int], list[Run]] = {}
    for row in rows:
        found.setdefault((row.join, row.version), []).extend(runs.from_text(row.runs))
    stream = rows[0].stream
    return [
        ReceiptLine(join, version, prices[stream, version], ticks.normal(watched))
        for (join, version), watched in found.items()
    ]


def _receipt(row: Row[Any]) -> SignedReceipt:
    return SignedReceipt(
        Receipt(
            row.stream,
            row.account,
            row.number,
            row.made_ms,
            row.previous,
            tuple(
                ReceiptLine(join, version, Planck(int(planck)), runs.from_text(text))
                for join, version, planck, text in json.loads(row.lines)
            ),
            row.amount,
        ),
        row.signature,
    )
