"""Streams, their keys and their prices."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Collection, Sequence
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import (
    ColumnElement,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from metering import signing
from metering.book import schema
from metering.book.records import StreamRecord
from metering.book.rows import Repository, chunks
from metering.book.split_rows import drop_table, hold_shared, tables_of
from metering.book.stream_names import require_title, slug_fault
from metering.book.stream_rows import prices_of, records, stream_of_slug
from metering.book.touched import mark
from metering.errors import InvalidValueError, UnknownNameError
from metering.model.ledger import PPM
from metering.model.price import PREVIEW_MAX_S, UNITS_PER_TICK_MAX
from metering.units import ACCOUNT_BYTES, AccountId, Planck, PriceVersion

_KEY_BYTES: Final = 24
"""Random bytes of a stream or viewer key: 192 bits, so that its plain sha256 is enough to keep."""


class StreamRepository(Repository):
    """Reads and writes streams."""

    def create(  # noqa: PLR0917 -- the contract between rooms names them in this order
        self,
        slug: str,
        title: str,
        planck_per_tick: Planck,
        now_ms: int,
        platform_fee_ppm: int,
        creator: AccountId | None = None,
    ) -> tuple[StreamRecord, str]:
        """Return a new stream and its key, which is shown this once.

        Args:
            slug: Its public name, never used before.
            planck_per_tick: Price from tick 0 on; 0 is free.
            creator: Who earns; a key is made, and its seed kept here, when there is none.

        Raises:
            InvalidValueError: Names the value and the remedy.
        """
        if fault := slug_fault(slug):
            raise InvalidValueError(fault)
        if not 0 <= platform_fee_ppm <= PPM:
            raise InvalidValueError(f"platform fee {platform_fee_ppm} ppm is not in 0..{PPM}")
        require_title(title)
        self._require_units(planck_per_tick, "price of a second", UNITS_PER_TICK_MAX)

        # Without a creator the server makes the key, and can sign for it.
        seed = None
        if creator is None:
            seed = secrets.token_bytes(signing.SEED_BYTES)
            creator = signing.from_seed(seed).account
        elif len(creator) != ACCOUNT_BYTES:
            raise InvalidValueError(f"a creator's account has {ACCOUNT_BYTES} bytes")

        # The stream and its first price together: no stream is ever without one.
        stream, key = uuid4(), new_key()
        try:
            with self._writing() as connection:
                connection.execute(
                    insert(schema.streams).values(
                        id=stream,
                        slug=slug,
                        title=title,
                        creator=creator,
                        creator_seed=seed,
                        is_enabled=True,
                        platform_fee_ppm=platform_fee_ppm,
                        key_sha256=sha256(key),
                        created_ms=now_ms,
                    )
                )
                connection.execute(
                    insert(schema.prices).values(
                        stream=stream, number=1, from_tick=0, planck_per_tick=planck_per_tick
                    )
                )
                mark(connection, stream)
        except IntegrityError as error:
            raise InvalidValueError(
                f"slug {slug!r} names a stream already, and a slug is never used twice: choose "
                "another"
            ) from error
        return self.get(slug), key

    def all(self) -> list[StreamRecord]:
        """Return every stream, by slug."""
        with self._reading() as connection:
            rows = connection.execute(select(schema.streams).order_by(schema.streams.c.slug)).all()
            return records(connection, rows)

    def ids(self) -> list[UUID]:
        """Return which streams there are, by slug."""
        streams = schema.streams.c
        with self._reading() as connection:
            return list(connection.execute(select(streams.id).order_by(streams.slug)).scalars())

    def page(
        self, after: str, limit: int, where: Sequence[ColumnElement[bool]] = ()
    ) -> list[StreamRecord]:
        """Return the first `limit` streams whose slug is behind `after`, by slug.

        Args:
            where: What else is asked of their rows in `schema.streams`, by who has tables beside.
        """
        streams = schema.streams.c
        with self._reading() as connection:
            query = select(schema.streams).where(streams.slug > after, *where)
            rows = connection.execute(query.order_by(streams.slug).limit(limit)).all()
            return records(connection, rows)

    def get(self, slug: str) -> StreamRecord:
        """Return the stream of a slug.

        Raises:
            UnknownNameError: If there is none.
        """
        with self._reading() as connection:
            return stream_of_slug(connection, slug)

    def by_key(self, slug: str, key: str) -> StreamRecord | None:
        """Return the stream when `key` is its key, else None; takes as long for any wrong key."""
        with self._reading() as connection:
            try:
                record = stream_of_slug(connection, slug)
            except UnknownNameError:
                hmac.compare_digest(sha256(key), bytes(32))
                return None
        return record if hmac.compare_digest(sha256(key), record.key_sha256) else None

    def rotate_key(self, slug: str, now_ms: int) -> str:  # noqa: ARG002 -- contract; kept for a log of keys
        """Return a new key of the stream, shown this once; the old one is refused from now on.

        Raises:
            UnknownNameError: If there is no such stream.
        """
        key = new_key()
        self._change(slug, key_sha256=sha256(key))
        return key

    def enable(self, slug: str, *, is_enabled: bool) -> StreamRecord:
        """Return the stream after it was opened to fetches, or closed.

        Raises:
            UnknownNameError: If there is no such stream.
        """
        self._change(slug, is_enabled=is_enabled)
        return self.get(slug)

    def set_preview(self, slug: str, preview_s: int) -> StreamRecord:
        """Return the stream whose shows are free to everyone for so many seconds; 0 is none.

        Raises:
            UnknownNameError: If there is no such stream.
            InvalidValueError: If it is not in its range.
        """
        if not 0 <= preview_s <= PREVIEW_MAX_S:
            raise InvalidValueError(f"preview_s: {preview_s} is not in 0 to {PREVIEW_MAX_S}")
        self._change(slug, preview_s=preview_s)
        return self.get(slug)

    def set_title(self, slug: str, title: str) -> StreamRecord:
        """Return the stream under another title.

        Raises:
            UnknownNameError: If there is no such stream.
            InvalidValueError: If it cannot be one.
        """
        require_title(title)
        self._change(slug, title=title)
        return self.get(slug)

    def rename(self, slug: str, wanted: str) -> StreamRecord:
        """Return the stream under another name; who has had its old one is for the caller to keep.

        Raises:
            InvalidValueError: The name is another stream's, or cannot be one.
            UnknownNameError: If there is no such stream.
        """
        if fault := slug_fault(wanted):
            raise InvalidValueError(fault)
        try:
            self._change(slug, slug=wanted)
        except IntegrityError as error:
            raise InvalidValueError(
                f"slug {wanted!r} is another stream's: choose another one"
            ) from error
        return self.get(wanted)

    def add_price(self, slug: str, planck_per_tick: Planck, from_tick: int) -> PriceVersion:
        """Return the new price version, in force from `from_tick` on.

        How far ahead it must be is for the caller, who knows the newest planned tick.

        Raises:
            UnknownNameError: If there is no such stream.
            InvalidValueError: If it would not begin after the newest version.
        """
        self._require_units(planck_per_tick, "price of a second", UNITS_PER_TICK_MAX)
        with self._writing() as connection:
            record = stream_of_slug(connection, slug)
            last = record.prices[-1]
            if from_tick <= last.from_tick:
                raise InvalidValueError(
                    f"price from tick {from_tick}: version {last.number} begins at "
                    f"{last.from_tick}; choose a later tick"
                )
            hold_shared(connection, record.id, [(planck_per_tick, from_tick)])
            numbers = select(func.max(schema.prices.c.number))
            newest = connection.execute(numbers.where(schema.prices.c.stream == record.id))
            version = PriceVersion(newest.scalar_one() + 1, from_tick, planck_per_tick)
            connection.execute(
                insert(schema.prices).values(
                    stream=record.id,
                    number=version.number,
                    from_tick=from_tick,
                    planck_per_tick=planck_per_tick,
                )
            )
            mark(connection, record.id)
        return version

    def withdraw_price(self, slug: str, number: int, earliest: int) -> StreamRecord:
        """Return the stream without its newest price, whose number the next one takes.

        No second before `earliest` may be priced by it. Where a split table begins with it, too,
        a price that changed goes back to the one before and the table stays; one that came with the
        table goes with it.

        Raises:
            UnknownNameError: If there is no such stream.
            InvalidValueError: If it is not the newest price, or begins before `earliest`; or the
                one before cannot be shared as the table says.
        """
        with self._writing() as connection:
            record = stream_of_slug(connection, slug)
            last = record.prices[-1]
            if number != last.number:
                raise InvalidValueError(f"price {number}: only the newest, {last.number}, can go")
            if last.from_tick < earliest:
                raise InvalidValueError(
                    f"price {number} begins at {last.from_tick}: too late to withdraw it, as "
                    f"seconds before {earliest} may be in use; add another price"
                )
            prices, before = schema.prices.c, record.prices[-2:][0].planck_per_tick
            is_it = (prices.stream == record.id) & (prices.number == number)
            tables = tables_of(connection, [record.id]).get(record.id, ())
            begins = [table for table in tables if table.from_tick == last.from_tick]
            if begins and before != last.planck_per_tick:
                hold_shared(connection, record.id, [(before, last.from_tick)])
                connection.execute(
                    update(schema.prices).where(is_it).values(planck_per_tick=before)
                )
            else:
                connection.execute(delete(schema.prices).where(is_it))
                for table in begins:
                    drop_table(connection, record.id, table.number)
            mark(connection, record.id)
        return self.get(slug)

    def creator_seed(self, slug: str) -> bytes | None:
        """Return the seed of a creator's key that the server made, None when they have it alone.

        Raises:
            UnknownNameError: If there is no such stream.
        """
        streams = schema.streams.c
        with self._reading() as connection:
            row = connection.execute(
                select(streams.creator_seed).where(streams.slug == slug)
            ).one_or_none()
        if row is None:
            raise UnknownNameError(f"no stream is called {slug!r}")
        seed: bytes | None = row.creator_seed
        return seed

    def some(self, streams: Collection[UUID]) -> list[StreamRecord]:
        """Return those of some streams that there are, by slug."""
        table, found = schema.streams.c, list[StreamRecord]()
        with self._reading() as connection:
            for some in chunks(sorted(streams)):
                rows = connection.execute(select(schema.streams).where(table.id.in_(some))).all()
                found += records(connection, rows)
        return sorted(found, key=lambda record: record.slug)

    def slugs(self, streams: Collection[UUID]) -> dict[UUID, str]:
        """Return the public names of some streams."""
        table = schema.streams.c
        names: dict[UUID, str] = {}
        with self._reading() as connection:
            for some in chunks(sorted(streams)):
                query = select(table.id, table.slug).where(table.id.in_(some))
                names |= {row.id: row.slug for row in connection.execute(query)}
        return names

    def prices(self) -> dict[tuple[UUID, int], Planck]:
        """Return the price of a second of every version of every stream."""
        with self._reading() as connection:
            return prices_of(connection)

    def _change(self, slug: str, /, **values: Any) -> None:
        with self._writing() as connection:
            changed = connection.execute(
                update(schema.streams)
                .where(schema.streams.c.slug == slug)
                .values(**values)
                .returning(schema.streams.c.id)
            ).one_or_none()
            if changed is None:
                raise UnknownNameError(f"no stream is called {slug!r}")
            mark(connection, changed.id)


def new_key() -> str:
    """Return a new random key for a publisher or a viewer.

    Digits and letters alone: one that began with "-" would be taken for an option by `--key`.
    """
    return secrets.token_hex(_KEY_BYTES)


def sha256(key: str) -> bytes:
    """Return what the book keeps of a key."""
    return hashlib.sha256(key.encode()).digest()
