"""The book of record: what it keeps, refuses, and shows once."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from metering import signing
from metering.book.book import Book
from metering.book.records import Counters, Recovered
from metering.errors import (
    BookError,
)
from metering.units import (
    Asset,
    Planck,
)
from tests.support.book_fixture import make_book

HUGE = Planck(10**38)


def test_a_book_opened_again_holds_what_was_written(tmp_path):
    """Money does not live in memory."""
    url = f"sqlite:///{tmp_path}/book.sqlite3"
    with Book.open(url, Asset()) as book:
        stream, _ = book.streams.create("talks", "Talks", Planck(HUGE // 10**27), 5, 250)

    with Book.open(url, Asset()) as book:
        assert book.streams.get("talks") == stream
        assert book.streams.all() == [stream]


def test_a_book_is_durable_before_it_answers(tmp_path):
    """WAL with synchronous=FULL, foreign keys checked."""
    with Book.open(f"sqlite:///{tmp_path}/book.sqlite3", Asset()) as b, b.streams._reading() as c:
        values = [
            c.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]

    assert values == ["wal", 2, 1]


def test_a_book_of_a_newer_program_is_left_alone(tmp_path):
    """And the operator is told what to do."""
    path = tmp_path / "book.sqlite3"
    Book.open(f"sqlite:///{path}", Asset()).close()
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(BookError, match="newer vilokanam"):
        Book.open(f"sqlite:///{path}", Asset())


def test_o30_a_refused_book_is_not_held_open(tmp_path):
    """From Python 3.13 on a connection that is left behind is a warning, here an error."""
    path = tmp_path / "book.sqlite3"
    Book.open(f"sqlite:///{path}", Asset()).close()
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(BookError) as refused:
        Book.open(f"sqlite:///{path}", Asset())

    # Also while the error is looked at, which holds all that the call had.
    held = [entry.resolve() for entry in Path("/proc/self/fd").iterdir() if entry.exists()]
    assert refused.value
    assert path not in held


@pytest.mark.parametrize("url", ["sqlite:////no/such/place/b.sqlite3", "nonsense", "oracle9://x"])
def test_a_book_that_cannot_be_opened_says_why(url):
    """One named error indefinitelyy cause."""
    with pytest.raises(BookError, match="the book"):
        Book.open(url, Asset())


def test_a_file_that_is_no_database_is_refused(tmp_path):
    """It is not overwritten."""
    path = tmp_path / "book.sqlite3"
    path.write_bytes(b"not a database, but long enough to be taken for one" * 100)

    with pytest.raises(BookError):
        Book.open(f"sqlite:///{path}", Asset())


def test_migrations_make_the_tables_that_the_code_uses(tmp_path):
    """A changed table without a revision shows here."""
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    from metering.book.schema import metadata

    with Book.open(f"sqlite:///{tmp_path}/b.sqlite3", Asset()) as b, b.streams._reading() as c:
        assert compare_metadata(MigrationContext.configure(c), metadata) == []


USAGE = ("viewer_hours", "stream_minutes", "usage_backlog")
"""Tables of revision 13."""
BAD_SECONDS = ("given_back", "bad_seconds")
"""Tables of revision 19; it has the index history_by_stream too."""
PASSES = ("passes", "pass_offers")
SPLITS = ("split_shares", "split_tables")
"""Tables of revision 17."""
PAGES = ("sessions_by_age", "sessions_of_stream_by_age", "sessions_of_account_by_age")
"""Indexes of revision 17."""


def test_what_a_book_had_covered_was_by_a_preview(tmp_path):
    """Revision 11 asks why a second is covered; until then there was one reason."""
    import sqlite3

    from metering.book.records import CoveredTicks
    from metering.units import Cause, Run

    path = tmp_path / "book.sqlite3"
    fixture = make_book(f"sqlite:///{path}", viewers=1)
    who, stream = fixture.accounts[0], fixture.stream.id
    fixture.book.close()
    with closing(sqlite3.connect(path)) as raw, raw:
        for later in (
            *("covered", "show_caps", "counted_shows"),
            *(
                "creator_payouts",
                "deposit_returns",
                "named_prices",
                *USAGE,
                *BAD_SECONDS,
                *PASSES,
                *SPLITS,
            ),
        ):
            raw.execute(f"DROP TABLE {later}")
        raw.execute("DROP INDEX history_by_stream")
        raw.execute("ALTER TABLE prices DROP COLUMN is_named")
        for index in PAGES:
            raw.execute(f"DROP INDEX {index}")
        raw.execute(
            "CREATE TABLE covered (account BLOB NOT NULL, stream BLOB NOT NULL, show BIGINT NOT "
            "NULL, hour BIGINT NOT NULL, shard INTEGER NOT NULL, runs TEXT NOT NULL, receipted "
            "TEXT DEFAULT '' NOT NULL, PRIMARY KEY (account, stream, show, hour))"
        )
        raw.execute("CREATE INDEX covered_by_shard ON covered (shard, show)")
        raw.execute("CREATE INDEX covered_by_show ON covered (stream, show)")
        raw.execute(
            "INSERT INTO covered VALUES (?, ?, 7200, 2, 3, '7200+5', '')", (who, stream.bytes)
        )
        raw.execute("UPDATE alembic_version SET version_num = '0010'")

    with Book.open(f"sqlite:///{path}", Asset()) as book:
        assert book.covered.all() == [
            CoveredTicks(who, stream, 7200, (Run(7200, 5),), Cause.PREVIEW)
        ]


def test_a_book_of_the_old_split_is_brought_to_the_new_one(tmp_path):
    """What was rounded up for the platform goes to the creator, once; the books balance."""
    import sqlite3

    from metering.model.audit import audit
    from metering.recovery.reconcile import read

    path = tmp_path / "book.sqlite3"
    fixture = make_book(f"sqlite:///{path}", viewers=1)
    stream, account = fixture.stream, fixture.accounts[0]
    fixture.book.close()
    with closing(sqlite3.connect(path)) as raw, raw:
        # As 0002 left it: 8 ticks settled, and of 8000056 planck a tenth, 800005.6, rounded up.
        raw.execute("UPDATE prices SET planck_per_tick = '1000007'")
        raw.execute("UPDATE streams SET platform_fee_ppm = 100000")
        raw.execute(
            "INSERT INTO entries VALUES (?, ?, 1, 1, 0, 8, 8, 0, 0)",
            (account, stream.id.bytes),
        )
        paid, share = 8 * 1000007, 800006
        cursor = raw.execute("INSERT INTO transfers (kind, reference, at_ms) VALUES ('x', 'y', 1)")
        rows = [
            ("viewer", account, b"", -paid),
            ("creator", stream.creator, stream.id.bytes, paid - share),
            ("platform", b"", stream.id.bytes, share),
        ]
        raw.executemany(
            "INSERT INTO postings VALUES (?, ?, ?, ?, ?, ?)",
            [
                (cursor.lastrowid, at, role, who, where, str(planck))
                for at, (role, who, where, planck) in enumerate(rows)
            ],
        )
        raw.execute("DROP INDEX entries_unsettled")
        raw.execute("DROP TABLE stream_floors")
        raw.execute("DROP TABLE true_runs")
        for later in ("covered", "show_caps", "counted_shows", "named_prices", *USAGE):
            raw.execute(f"DROP TABLE {later}")
        raw.execute("ALTER TABLE streams DROP COLUMN preview_s")
        raw.execute("ALTER TABLE prices DROP COLUMN is_named")
        for index in ("sessions_by_account", "sessions_by_stream", *PAGES):
            raw.execute(f"DROP INDEX {index}")
        for column in ("ends_ms", "own_limit", "began_ms"):
            raw.execute(f"ALTER TABLE sessions DROP COLUMN {column}")
        raw.execute("DROP TABLE viewer_limits")
        raw.execute("DROP TABLE deposit_returns")
        raw.execute("DROP TABLE creator_payouts")
        for later in (*BAD_SECONDS, *PASSES, *SPLITS):
            raw.execute(f"DROP TABLE {later}")
        raw.execute("DROP INDEX history_by_stream")
        for later in ("chain_cursor", "escrow_events", "frozen", "withdrawals", "joins"):
            raw.execute(f"DROP TABLE {later}")
        raw.execute("DROP TABLE held_calls")
        raw.execute("ALTER TABLE entries DROP COLUMN ahead")
        raw.execute("UPDATE alembic_version SET version_num = '0002'")

    with Book.open(f"sqlite:///{path}", Asset()) as book:
        records, _ = read(book, [], has_journal=False)
        _, differences = audit(records)

    assert [
        difference
        for difference in differences
        if "planck" in difference.what or "sum" in difference.what
    ] == []
    assert sum(records.ledger.values()) == 0


@pytest.mark.parametrize(
    ("found", "missing"),
    [
        (Counters(9, 1, 2), Counters(0, 0, 0)),
        (Counters(0, 0, 0), Counters(7, 1, 2)),
        (Counters(5, 1, 0), Counters(2, 0, 2)),
    ],
    ids=["goes on", "emptied", "went back"],
)
def test_counters_outlive_their_store(found, missing):
    """Unpaid seconds are shown indefinitely, and once, whatever became of the Redis."""
    book = make_book().book
    assert book.unbilled.counters() == Counters(0, 0, 0)
    for counted in (Counters(5, 1, 0), Counters(7, 1, 2)):
        book.unbilled.put_counters(counted)

    assert book.unbilled.carry_counters(found) == missing

    unpaid = found.unpaid_ticks + missing.unpaid_ticks
    assert book.unbilled.counters() == Counters(unpaid, 1, 2)
    book.unbilled.put_counters(Counters(unpaid + 3, 1, 2))
    assert book.unbilled.counters() == Counters(unpaid + 3, 1, 2)


def test_the_book_remembers_which_redis_is_ours():
    """None before the first."""
    book = make_book().book
    assert book.recoveries.newest() is None

    book.recoveries.put(Recovered("epoch", "run", 5))

    assert book.recoveries.newest() == Recovered("epoch", "run", 5)


def test_seeds_made_here_sign_for_their_account():
    """The server can act for a viewer without a wallet."""
    book = make_book().book
    viewer, _ = book.viewers.create("ann", None, 1)

    seed = book.viewers.seed(viewer.account)

    assert seed is not None
    assert signing.from_seed(seed).account == viewer.account
    assert book.viewers.seed(make_book().accounts[0]) is None


def test_changes_grow_with_rows_that_changed_alone():
    fixture = make_book(viewers=1)
    book = fixture.book
    before = book.changes

    book.streams.all()
    book.cuts.compact()
    assert book.changes == before

    book.outbox.fence(1)
    assert before is not None
    assert book.changes is not None
    assert book.changes > before
