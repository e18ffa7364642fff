"""The tables of the book of record. A change here needs a revision in migrations/versions.

Amounts are planck as decimal text, since planck outgrows 64 bits; they are never summed by SQL.
Counts of ticks are 64-bit and may be. Times are Unix milliseconds.

The migrations alone make the tables, and say of each partial index what PostgreSQL must know;
said here too, every book would load that dialect, which is 3 MB.
"""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
)

from metering.units import AccountId, Planck

metadata = MetaData()


class PlanckText(TypeDecorator[Planck]):
    """Planck as a decimal string, with a sign when negative."""

    impl = String(48)
    cache_ok = True

    def process_bind_param(self, value: Planck | None, dialect: Dialect) -> str | None:  # noqa: ARG002 -- SQLAlchemy's signature
        """Return the text kept."""
        return None if value is None else str(int(value))

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Planck | None:  # noqa: ARG002 -- SQLAlchemy's signature
        """Return the number."""
        return None if value is None else Planck(int(value))


class AccountBytes(TypeDecorator[AccountId]):
    """An account as its 32 bytes; empty for holders that are no account."""

    impl = LargeBinary(32)
    cache_ok = True

    def process_result_value(self, value: Any | None, dialect: Dialect) -> AccountId | None:  # noqa: ARG002 -- SQLAlchemy's signature
        """Return the account."""
        return None if value is None else AccountId(bytes(value))


class StreamBytes(TypeDecorator[UUID]):
    """A stream's UUID as its 16 bytes, big-endian; empty bytes mean no stream."""

    impl = LargeBinary(16)
    cache_ok = True

    def process_bind_param(self, value: UUID | None, dialect: Dialect) -> bytes:  # noqa: ARG002 -- SQLAlchemy's signature
        """Return the bytes kept."""
        return b"" if value is None else value.bytes

    def process_result_value(self, value: Any | None, dialect: Dialect) -> UUID | None:  # noqa: ARG002 -- SQLAlchemy's signature
        """Return the UUID, None for no stream."""
        return UUID(bytes=bytes(value)) if value else None


def _key_columns() -> tuple[Column[Any], ...]:
    """Return the four columns of an entry key, in the order they are looked up by."""
    return (
        Column("account", AccountBytes, nullable=False),
        Column("stream", StreamBytes, nullable=False),
        Column("join", BigInteger, nullable=False),
        Column("version", BigInteger, nullable=False),
    )


KEY: Final = ("account", "stream", "join", "version")

meta = Table(
    "meta",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

streams = Table(
    "streams",
    metadata,
    Column("id", StreamBytes, primary_key=True),
    # Rows are never deleted nor renamed, so a slug once used never names another stream.
    Column("slug", String(63), nullable=False, unique=True),
    Column("title", Text, nullable=False),
    Column("creator", AccountBytes, nullable=False),
    Column("creator_seed", LargeBinary(32)),
    Column("is_enabled", Boolean, nullable=False),
    Column("platform_fee_ppm", Integer, nullable=False),
    Column("key_sha256", LargeBinary(32), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("preview_s", Integer),  # of each show, free to everyone; NULL: as the operator sets
)

prices = Table(
    "prices",
    metadata,
    Column("stream", StreamBytes, ForeignKey("streams.id"), nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("from_tick", BigInteger, nullable=False),
    Column("planck_per_tick", PlanckText, nullable=False),
    Column("is_named", Boolean, nullable=False, server_default=false()),  # of one viewer alone
    PrimaryKeyConstraint("stream", "number"),
)

viewers = Table(
    "viewers",
    metadata,
    Column("account", AccountBytes, primary_key=True),
    Column("shard", Integer, nullable=False),
    Column("name", String(200), nullable=False, unique=True),
    Column("seed", LargeBinary(32)),
    Column("key_sha256", LargeBinary(32), nullable=False, unique=True),
    Column("created_ms", BigInteger, nullable=False),
    Index("viewers_by_shard", "shard"),
)

deposits = Table(
    "deposits",
    metadata,
    Column("idempotency_key", String(200), primary_key=True),
    Column("body_hash", LargeBinary(32), nullable=False),
    Column("account", AccountBytes, ForeignKey("viewers.account"), nullable=False),
    Column("planck", PlanckText, nullable=False),
    Column("memo", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Index("deposits_by_account", "account"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("session", String(16), primary_key=True),
    Column("account", AccountBytes, ForeignKey("viewers.account"), nullable=False),
    Column("stream", StreamBytes, ForeignKey("streams.id"), nullable=False),
    Column("join", BigInteger, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    # Of its newest token.
    Column("expires_ms", BigInteger, nullable=False),
    Column("ended_ms", BigInteger),
    Column("reason", String(64)),
    # Fixed when first minted; what its viewer lets it spend; when its player's first one was made.
    Column("ends_ms", BigInteger, nullable=False, server_default=text("0")),
    Column("own_limit", PlanckText, nullable=False, server_default=text("'0'")),
    Column("began_ms", BigInteger, nullable=False, server_default=text("0")),
    Index("sessions_by_account", "account", "ends_ms"),
    Index("sessions_by_stream", "stream", "ends_ms"),
    # Pages, the newest first.
    Index("sessions_by_age", "created_ms", "session"),
    Index("sessions_of_stream_by_age", "stream", "created_ms", "session"),
    Index("sessions_of_account_by_age", "account", "created_ms", "session"),
    Index("sessions_live", "expires_ms", sqlite_where=text("ended_ms IS NULL")),
)

entries = Table(
    "entries",
    metadata,
    *_key_columns(),
    Column("shard", Integer, nullable=False),
    Column("booked", BigInteger, nullable=False),
    Column("settled", BigInteger, nullable=False),
    # Cumulative count at which the chain last refused the entry; 0 when it did not.
    Column("refused", BigInteger, nullable=False),
    # Ticks that the chain has beyond `settled`, of a book that was lost: see adoption.py.
    Column("ahead", BigInteger, nullable=False, server_default=text("0")),
    PrimaryKeyConstraint(*KEY),
    ForeignKeyConstraint(["stream", "version"], ["prices.stream", "prices.number"]),
    CheckConstraint("settled <= booked AND refused <= booked", name="entries_in_order"),
    Index("entries_by_shard", "shard"),
    Index(
        "entries_unsettled",
        "stream",
        "version",
        sqlite_where=text("booked > settled"),
    ),
    Index("entries_refused", "refused", sqlite_where=text("refused > 0")),
)

cuts = Table(
    "cuts",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("shard", Integer, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("booked_ms", BigInteger, nullable=False),
    # The last of the batches that carry it: once that one is final, so is the cut.
    Column("batch_seq", BigInteger, ForeignKey("batches.seq")),
    Column("is_forgotten", Boolean, nullable=False),
    UniqueConstraint("shard", "number"),
    Index("cuts_by_time", "booked_ms"),
    Index("cuts_in_hand", "batch_seq", sqlite_where=text("is_forgotten = 0")),
)

cut_lines = Table(
    "cut_lines",
    metadata,
    Column("cut", Integer, ForeignKey("cuts.id"), nullable=False),
    *_key_columns(),
    Column("cumulative", BigInteger, nullable=False),
    Column("runs", Text, nullable=False),
    # Number of the receipt that covers it, once there is one.
    Column("receipt", BigInteger),
    PrimaryKeyConstraint("cut", *KEY),
    Index("cut_lines_by_account", "account", "stream"),
    Index("cut_lines_without_receipt", "cut", sqlite_where=text("receipt IS NULL")),
)

history = Table(
    "history",
    metadata,
    *_key_columns(),
    Column("hour", BigInteger, nullable=False),
    Column("shard", Integer, nullable=False),
    Column("runs", Text, nullable=False),
    PrimaryKeyConstraint(*KEY, "hour"),
    Index("history_by_shard", "shard", "hour"),
    Index("history_by_stream", "stream", "hour"),
)

unbilled = Table(
    "unbilled",
    metadata,
    # Seconds that were delivered and never billed: unpaid or forgiven.
    Column("account", AccountBytes, nullable=False),
    Column("stream", StreamBytes, nullable=False),
    Column("hour", BigInteger, nullable=False),
    Column("shard", Integer, nullable=False),
    Column("runs", Text, nullable=False),
    PrimaryKeyConstraint("account", "stream", "hour"),
    Index("unbilled_by_shard", "shard", "hour"),
)

floors = Table(
    "floors",
    metadata,
    # A shard of a store that another book had served, under `epoch` last: this book is an older one
    # that was restored.
    Column("shard", Integer, nullable=False),
    Column("epoch", String(32), nullable=False),
    Column("from_tick", BigInteger, nullable=False),
    Column("to_tick", BigInteger, nullable=False),
    Column("found_ms", BigInteger, nullable=False),
    Column("lost_ticks", BigInteger, nullable=False),
    PrimaryKeyConstraint("shard", "epoch"),
)

stream_floors = Table(
    "stream_floors",
    metadata,
    # Up to which tick a floor holds for a stream that had planned past the clock then.
    Column("stream", StreamBytes, nullable=False),
    Column("to_tick", BigInteger, nullable=False),
    PrimaryKeyConstraint("stream"),
)

true_runs = Table(
    "true_runs",
    metadata,
    # What a part holds whose address says more: it was cut short. Kept for the watched hours, for
    # who counts by addresses.
    Column("stream", StreamBytes, nullable=False),
    Column("show", BigInteger, nullable=False),
    Column("msn", BigInteger, nullable=False),
    Column("part", Integer, nullable=False),
    Column("first_tick", BigInteger, nullable=False),
    Column("planned_count", Integer, nullable=False),
    Column("held_count", Integer, nullable=False),
    PrimaryKeyConstraint("stream", "show", "msn", "part"),
)

batches = Table(
    "batches",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary(32), nullable=False),
    Column("entries", LargeBinary, nullable=False),
    Column("entry_count", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("sealed_ms", BigInteger, nullable=False),
    Column("finalized_ms", BigInteger),
    Column("finalized_at", BigInteger),
    Index("batches_open", "seq", sqlite_where=text("state != 'finalized'")),
)

attempts = Table(
    "attempts",
    metadata,
    Column("seq", BigInteger, ForeignKey("batches.seq"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("signed", LargeBinary, nullable=False),
    Column("signed_ms", BigInteger, nullable=False),
    Column("sent_ms", BigInteger),
    Column("trouble", Text),
    PrimaryKeyConstraint("seq", "number"),
)

refusals = Table(
    "refusals",
    metadata,
    Column("seq", BigInteger, ForeignKey("batches.seq"), nullable=False),
    Column("position", Integer, nullable=False),
    *_key_columns(),
    Column("cumulative", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    PrimaryKeyConstraint("seq", "position"),
)

transfers = Table(
    "transfers",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("kind", String(16), nullable=False),
    Column("reference", String(200), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    UniqueConstraint("kind", "reference"),
)

postings = Table(
    "postings",
    metadata,
    Column("transfer", Integer, ForeignKey("transfers.id"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("role", String(16), nullable=False),
    Column("account", AccountBytes, nullable=False),
    Column("stream", StreamBytes, nullable=False),
    Column("planck", PlanckText, nullable=False),
    PrimaryKeyConstraint("transfer", "position"),
    Index("postings_by_holder", "role", "account", "stream"),
)

receipts = Table(
    "receipts",
    metadata,
    Column("account", AccountBytes, nullable=False),
    Column("stream", StreamBytes, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("made_ms", BigInteger, nullable=False),
    Column("previous", LargeBinary(32), nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
    Column("lines", Text, nullable=False),
    Column("amount", PlanckText, nullable=False),
    Column("signature", LargeBinary(64), nullable=False),
    PrimaryKeyConstraint("account", "stream", "number"),
)

counters = Table(
    "counters",
    metadata,
    # newest is a store's counter as it was last read. One that was emptied goes on from there; up
    # to version 26.1 it went on from 0, and base is what earlier ones had reached.
    Column("name", String(32), primary_key=True),
    Column("base", BigInteger, nullable=False),
    Column("newest", BigInteger, nullable=False),
)

journal = Table(
    "journal",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False, unique=True),
    Column("signed", LargeBinary, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("final_ms", BigInteger, nullable=False),
    Column("previous", LargeBinary(32), nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
)
