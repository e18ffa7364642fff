"""The tables of people, in the book's database. A change here needs a revision in migrations.

Times are Unix milliseconds. What opens something (a session's token, a key, an invitation) is kept
as its SHA-256 alone: each has 192 random bits or more, so that a plain hash is enough.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from metering.book.schema import StreamBytes

metadata: Final = MetaData()

people = Table(
    "people",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("account", LargeBinary(32), nullable=True, unique=True),
    Column("created_ms", BigInteger, nullable=False),
    Column("closed_ms", BigInteger, nullable=True),
)

credentials = Table(
    "people_credentials",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("person", String(32), ForeignKey("people.id"), nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("subject", String(2048), nullable=False),
    Column("label", String(200), nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("sign_count", BigInteger, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("used_ms", BigInteger, nullable=True),
    UniqueConstraint("kind", "subject"),
)

recovery_codes = Table(
    "people_recovery_codes",
    metadata,
    Column("sha256", LargeBinary(32), primary_key=True),
    Column("person", String(32), ForeignKey("people.id"), nullable=False, index=True),
    Column("created_ms", BigInteger, nullable=False),
    Column("used_ms", BigInteger, nullable=True),
)

browser_sessions = Table(
    "people_sessions",
    metadata,
    Column("sha256", LargeBinary(32), primary_key=True),
    Column("id", String(16), nullable=False, unique=True),
    Column("person", String(32), ForeignKey("people.id"), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("seen_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("ends_ms", BigInteger, nullable=False),
    Column("shown_ms", BigInteger, nullable=False),
    Column("address", String(64), nullable=False),
    Column("agent", String(200), nullable=False),
    Index("people_sessions_by_person", "person", "expires_ms"),
)

roles = Table(
    "people_roles",
    metadata,
    Column("person", String(32), ForeignKey("people.id"), nullable=False),
    Column("role", String(16), nullable=False),
    PrimaryKeyConstraint("person", "role"),
)

stream_roles = Table(
    "people_stream_roles",
    metadata,
    Column("person", String(32), ForeignKey("people.id"), nullable=False),
    Column("stream", StreamBytes, nullable=False, index=True),
    Column("role", String(16), nullable=False),
    PrimaryKeyConstraint("person", "stream", "role"),
)

invitations = Table(
    "people_invitations",
    metadata,
    Column("sha256", LargeBinary(32), primary_key=True),
    Column("id", String(16), nullable=False, unique=True),
    Column("kind", String(16), nullable=False),
    Column("target", String(80), nullable=False),
    Column("role", String(16), nullable=True),
    Column("made_by", String(80), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("used_by", String(32), ForeignKey("people.id"), nullable=True),
    Column("used_ms", BigInteger, nullable=True),
    Column("ended_ms", BigInteger, nullable=True),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("prefix", String(16), primary_key=True),
    Column("sha256", LargeBinary(32), nullable=False),
    Column("name", String(200), nullable=False),
    Column("scopes", Text, nullable=False),
    Column("made_by", String(80), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=True),
    Column("used_ms", BigInteger, nullable=True),
    Column("ended_ms", BigInteger, nullable=True),
)

audit = Table(
    "audit",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("actor", String(80), nullable=False),
    Column("action", String(64), nullable=False),
    Column("target", String(200), nullable=False),
    Column("before", Text, nullable=False),
    Column("after", Text, nullable=False),
    Column("address", String(64), nullable=False),
    Column("salt", LargeBinary(16), nullable=False),
    Column("address_sha256", LargeBinary(32), nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
    Index("audit_by_target", "target", "number"),
    Index("audit_by_actor", "actor", "number"),
)

stream_visibility = Table(
    "stream_visibility",
    metadata,
    # A stream without a row is public.
    Column("stream", StreamBytes, primary_key=True),
    Column("visibility", String(16), nullable=False),
    Column("password", String(200), nullable=False),
)

stream_archive = Table(
    "stream_archive",
    metadata,
    # Streams that their creators are done with, and whether they were open to viewers before.
    Column("stream", StreamBytes, primary_key=True),
    Column("was_enabled", Boolean, nullable=False),
    Column("archived_ms", BigInteger, nullable=False),
)

stream_old_names = Table(
    "stream_old_names",
    metadata,
    # A slug once used never names another stream.
    Column("slug", String(63), primary_key=True),
    Column("stream", StreamBytes, nullable=False),
    Column("renamed_ms", BigInteger, nullable=False),
    Index("stream_old_names_by_stream", "stream"),
)

guest_links = Table(
    "stream_guest_links",
    metadata,
    Column("sha256", LargeBinary(32), primary_key=True),
    Column("id", String(16), nullable=False, unique=True),
    Column("stream", StreamBytes, nullable=False, index=True),
    Column("uses_max", BigInteger, nullable=False),
    Column("uses", BigInteger, nullable=False),
    Column("made_by", String(80), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("ended_ms", BigInteger, nullable=True),
)

guests = Table(
    "stream_guests",
    metadata,
    Column("stream", StreamBytes, nullable=False),
    Column("guest", String(80), nullable=False),
    Column("way", String(16), nullable=False),
    Column("link", String(16), nullable=False),
    Column("since_ms", BigInteger, nullable=False),
    PrimaryKeyConstraint("stream", "guest"),
)

stream_shows = Table(
    "stream_shows",
    metadata,
    Column("stream", StreamBytes, nullable=False),
    Column("show", BigInteger, nullable=False),
    PrimaryKeyConstraint("stream", "show"),
)

players = Table(
    "people_players",
    metadata,
    # The browser that a viewer session was last minted for. Kept while the session may live.
    Column("session", String(16), primary_key=True),
    Column("account", LargeBinary(32), nullable=False),
    Column("agent", String(200), nullable=False),
    Column("minted_ms", BigInteger, nullable=False),
    # Host of the page that asked (`place_rules.referrer_refusal`); empty: none was named.
    Column("referrer", String(253), nullable=False, server_default=""),
    Index("people_players_by_account", "account"),
)

stream_rules = Table(
    "people_stream_rules",
    metadata,
    # From where streams may be watched, as JSON; empty bytes: every stream.
    Column("stream", LargeBinary(16), primary_key=True),
    Column("rules", Text, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
)

player_settings = Table(
    "people_player_settings",
    metadata,
    # When an account's players stop by themselves; an account without a row has the defaults.
    Column("account", LargeBinary(32), primary_key=True),
    Column("hidden_stop_s", BigInteger, nullable=False),
    Column("ask_after_s", BigInteger, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
)

bars = Table(
    "people_bars",
    metadata,
    # Accounts that are kept from a stream; empty bytes: from the whole server.
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("id", String(16), nullable=False, unique=True),
    Column("account", LargeBinary(32), nullable=False),
    Column("stream", LargeBinary(16), nullable=False),
    Column("until_ms", BigInteger, nullable=True),
    Column("reason", String(200), nullable=False),
    Column("made_by", String(80), nullable=False),
    Column("made_ms", BigInteger, nullable=False),
    Column("ended_ms", BigInteger, nullable=True),
    Index("people_bars_by_account", "account"),
    Index("people_bars_by_stream", "stream", "number"),
    Index("people_bars_open", "stream", sqlite_where=text("ended_ms IS NULL")),
)

balance_letters = Table(
    "people_balance_letters",
    metadata,
    # Planck as decimal text. `due` is the letter that no mail server took yet, or empty.
    Column("person", String(32), ForeignKey("people.id"), primary_key=True),
    Column("credential", String(16), nullable=False),
    Column("threshold", String(48), nullable=False),
    Column("is_low", Boolean, nullable=False),
    Column("ended", String(48), nullable=True),
    Column("due", String(16), nullable=False),
    Column("due_ms", BigInteger, nullable=False),
    Column("balance", String(48), nullable=False),
)

reports = Table(
    "people_reports",
    metadata,
    # What anybody wrote of a stream, and what staff made of it.
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("id", String(16), nullable=False, unique=True),
    Column("stream", StreamBytes, nullable=False),
    Column("text", Text, nullable=False),
    Column("made_ms", BigInteger, nullable=False),
    Column("word", String(200), nullable=False),
    Column("by", String(80), nullable=False),
    Column("resolved_ms", BigInteger, nullable=True),
    Index("people_reports_by_stream", "stream", "number"),
    Index("people_reports_open", "number", sqlite_where=text("resolved_ms IS NULL")),
)

takedowns = Table(
    "people_takedowns",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("stream", StreamBytes, nullable=False),
    Column("reason", String(200), nullable=False),
    Column("is_legal", Boolean, nullable=False),
    Column("made_by", String(80), nullable=False),
    Column("made_ms", BigInteger, nullable=False),
    Column("ended_ms", BigInteger, nullable=True),
    Index("people_takedowns_held", "stream", unique=True, sqlite_where=text("ended_ms IS NULL")),
)
