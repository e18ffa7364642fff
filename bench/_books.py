"""A large book for the benchmark of the API: viewers, streams and people, written in seconds.

Viewers and their deposits by the tables themselves, a row each as the book's own code writes it;
what there is little of (people, their browsers) by that code.
"""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Table, insert

from mediaserver.people import browser_sessions, persons
from mediaserver.processes.book_file import BESIDE
from metering.book import schema
from metering.book.book import Book
from metering.model.ledger import deposit_postings
from metering.units import AccountId, Asset, Planck, SessionId, account_text, session_text, shard_of

PAID = Planck(10**12)
PRICE = Planck(10**8)
CHUNK = 20_000
HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Filled:
    """What a large book holds.

    Attributes:
        slugs: Of all streams.
        viewers: Accounts of all viewers, as text.
        sessions: Of the newest players.
        people: Person, account and the token of a browser that is signed in.
    """

    slugs: Sequence[str]
    viewers: Sequence[str]
    sessions: Sequence[str]
    people: Sequence[tuple[str, str, str]]


def fill(path: Path, viewers: int, streams: int, people: int) -> Filled:
    """Write a book and return what is in it."""
    rng, now_ms = random.Random(1), time.time_ns() // 10**6
    accounts = [AccountId(hashlib.sha256(b"%d" % number).digest()) for number in range(viewers)]
    ids = [UUID(int=rng.getrandbits(128)) for _ in range(streams)]
    with Book.open(f"sqlite:///{path}", Asset()) as book:
        for room in BESIDE:
            room.bring_up(book)
        with book.together() as connection:
            _streams(connection, ids, now_ms)
            _viewers(connection, accounts, now_ms)
            sessions = _watched(connection, accounts, ids, now_ms)
            browsers = list(_people(connection, accounts[:people], now_ms))
    slugs = [f"stream-{number}" for number in range(streams)]
    return Filled(slugs, [account_text(item) for item in accounts], sessions, browsers)


def _streams(connection: Connection, ids: Sequence[UUID], now_ms: int) -> None:
    _insert(
        connection,
        schema.streams,
        (
            {
                "id": stream,
                "slug": f"stream-{number}",
                "title": f"Stream {number}",
                "creator": AccountId(hashlib.sha256(b"creator %d" % number).digest()),
                "is_enabled": True,
                "platform_fee_ppm": 100_000,
                "key_sha256": hashlib.sha256(b"key %d" % number).digest(),
                "created_ms": now_ms - number,
            }
            for number, stream in enumerate(ids)
        ),
    )
    _insert(
        connection,
        schema.prices,
        (
            {"stream": stream, "number": 1, "from_tick": 0, "planck_per_tick": PRICE}
            for stream in ids
        ),
    )


def _viewers(connection: Connection, accounts: Sequence[AccountId], now_ms: int) -> None:
    _insert(
        connection,
        schema.viewers,
        (
            {
                "account": account,
                "shard": shard_of(account),
                "name": f"viewer-{number}",
                "seed": bytes(32),
                "key_sha256": hashlib.sha256(b"viewer %d" % number).digest(),
                "created_ms": now_ms,
            }
            for number, account in enumerate(accounts)
        ),
    )
    _insert(
        connection,
        schema.deposits,
        (
            {
                "idempotency_key": f"paid {number}",
                "body_hash": hashlib.sha256(
                    json.dumps([account_text(account), str(PAID), ""]).encode()
                ).digest(),
                "account": account,
                "planck": PAID,
                "memo": "",
                "created_ms": now_ms,
            }
            for number, account in enumerate(accounts)
        ),
    )
    _insert(
        connection,
        schema.transfers,
        (
            {"id": number + 1, "kind": "deposit", "reference": f"paid {number}", "at_ms": now_ms}
            for number in range(len(accounts))
        ),
    )
    _insert(
        connection,
        schema.postings,
        (
            {
                "transfer": number + 1,
                "position": position,
                "role": line.holder.role.value,
                "account": line.holder.account,
                "stream": line.holder.stream,
                "planck": line.planck,
            }
            for number, account in enumerate(accounts)
            for position, line in enumerate(deposit_postings(account, PAID))
        ),
    )


def _watched(
    connection: Connection, accounts: Sequence[AccountId], ids: Sequence[UUID], now_ms: int
) -> list[str]:
    """Write that everybody watched a stream for a minute some hours ago; return their players."""
    first = now_ms // 1000 - 5 * 3600
    first -= first % 3600
    key = [
        {"account": account, "stream": ids[number % len(ids)], "join": 1, "version": 1}
        for number, account in enumerate(accounts)
    ]
    _insert(
        connection,
        schema.sessions,
        (
            {
                "session": session_text(SessionId(number + 1)),
                "account": account,
                "stream": ids[number % len(ids)],
                "join": 1,
                "created_ms": now_ms - 5 * HOUR_MS + number,
                "expires_ms": now_ms - 4 * HOUR_MS,
                "ended_ms": now_ms - 4 * HOUR_MS,
                "reason": "left",
                "ends_ms": now_ms + 7 * HOUR_MS,
                "began_ms": now_ms - 5 * HOUR_MS,
            }
            for number, account in enumerate(accounts)
        ),
    )
    shards = [shard_of(account) for account in accounts]
    _insert(
        connection,
        schema.entries,
        (
            {**one, "shard": shard, "booked": 60, "settled": 60, "refused": 0}
            for one, shard in zip(key, shards, strict=True)
        ),
    )
    _insert(
        connection,
        schema.history,
        (
            {**one, "shard": shard, "hour": first // 3600, "runs": f"{first}+60"}
            for one, shard in zip(key, shards, strict=True)
        ),
    )
    return [session_text(SessionId(number + 1)) for number in range(len(accounts))][-1000:]


def _people(
    connection: Connection, accounts: Sequence[AccountId], now_ms: int
) -> Iterator[tuple[str, str, str]]:
    for number, account in enumerate(accounts):
        made = persons.create(connection, f"Person {number}", now_ms)
        persons.give_account(connection, made.id, account)
        token, _ = browser_sessions.begin(connection, made.id, now_ms, "127.0.0.1", "bench")
        yield made.id, account_text(account), token


def _insert(connection: Connection, table: Table, rows: Iterator[Mapping[str, Any]]) -> None:
    while chunk := list(islice(rows, CHUNK)):
        connection.execute(insert(table), chunk)
