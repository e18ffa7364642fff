"""The book of record: what it keeps, refuses, and shows once."""

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metering import signing
from metering.book.book import Book
from metering.book.records import Counters, Recovered
from metering.errors import (
    BookError,
    IdempotencyConflictError,
    InvalidValueError,
    LedgerImbalanceError,
    UnknownNameError,
)
from metering.model import receipt
from metering.model.batch_state import BatchState
from metering.model.ledger import Holder, Role
from metering.ports import BatchOutcome
from metering.units import (
    AccountId,
    Asset,
    Cut,
    CutLine,
    Planck,
    PriceVersion,
    Run,
    SessionId,
    account_text,
    shard_of,
)
from tests.support.book_fixture import OPERATOR, PRICE, make_book

HUGE = Planck(10**38)


def cut(fixture, number, *runs, cumulative, viewer=0, version=1):
    key = fixture.key(viewer, version=version)
    return Cut(shard_of(key.account), number, (CutLine(key, runs, cumulative),))


# Opening


def test_a_book_opened_again_holds_what_was_written(tmp_path):
    """Money does not live in memory."""
    url = f"sqlite:///{tmp_path}/book.sqlite3"
    with Book.open(url, Asset()) as book:
        stream, _ = book.streams.create("talks", "Talks", HUGE // 10**27, 5, 250)

    with Book.open(url, Asset()) as book:
        assert book.streams.get("talks") == stream
        assert book.streams.all() == [stream]


def test_a_book_is_durable_before_it_answers(tmp_path):
    """WAL with synchronous=FULL, foreign keys checked."""
    with Book.open(f"sqlite:///{tmp_path}/book.sqlite3", Asset()) as b, b.streams._reading() as c:
        found = [
            c.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]

    assert found == ["wal", 2, 1]


def test_a_book_of_a_newer_program_is_left_alone(tmp_path):
    """And the operator is told what to do."""
    path = tmp_path / "book.sqlite3"
    Book.open(f"sqlite:///{path}", Asset()).close()
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    raw.close()

    with pytest.raises(BookError, match="newer vilokanam"):
        Book.open(f"sqlite:///{path}", Asset())


@pytest.mark.parametrize("url", ["sqlite:////no/such/place/b.sqlite3", "nonsense", "oracle9://x"])
def test_a_book_that_cannot_be_opened_says_why(url):
    """One named error for every cause."""
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


def test_a_book_of_the_old_split_is_brought_to_the_new_one(tmp_path):
    """What was rounded up for the platform goes to the creator, once; the books balance."""
    import sqlite3

    from metering.model.audit import audit
    from metering.recovery.reconcile import read

    path = tmp_path / "book.sqlite3"
    fixture = make_book(f"sqlite:///{path}", viewers=1)
    stream, account = fixture.stream, fixture.accounts[0]
    fixture.book.close()
    with sqlite3.connect(path) as raw:
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
        for later in ("chain_cursor", "escrow_events", "frozen", "withdrawals", "joins"):
            raw.execute(f"DROP TABLE {later}")
        raw.execute("DROP TABLE held_calls")
        raw.execute("ALTER TABLE entries DROP COLUMN ahead")
        raw.execute("UPDATE alembic_version SET version_num = '0002'")

    with Book.open(f"sqlite:///{path}", Asset()) as book:
        records, _ = read(book, [], has_journal=False)
        _, differences = audit(records)

    assert [one for one in differences if "planck" in one.what or "sum" in one.what] == []
    assert sum(records.ledger.values()) == 0


# Streams


def test_a_slug_once_used_never_names_another_stream():
    """Not even after it was closed."""
    fixture = make_book()
    fixture.book.streams.enable("talks", is_enabled=False)

    with pytest.raises(InvalidValueError, match="never used twice"):
        fixture.book.streams.create("talks", "Other", PRICE, 2, 0)


@pytest.mark.parametrize("slug", ["", "-a", "A", "a b", "w", "api", "a" * 64, "favicon.ico", "é"])
def test_a_slug_that_cannot_be_an_address_is_refused(slug):
    """With what would be one."""
    with pytest.raises(InvalidValueError, match="slug"):
        make_book().book.streams.create(slug, "T", PRICE, 1, 0)


def test_a_stream_key_opens_its_stream_and_no_other_until_rotated():
    """The book keeps only its hash."""
    book = make_book().book
    stream, key = book.streams.create("one", "One", PRICE, 1, 0)

    assert book.streams.by_key("one", key) == stream
    assert book.streams.by_key("talks", key) is None
    assert book.streams.by_key("nowhere", key) is None
    assert key.encode() not in repr(stream).encode()

    new = book.streams.rotate_key("one", 2)

    assert book.streams.by_key("one", key) is None
    assert book.streams.by_key("one", new) is not None


def test_prices_begin_one_after_another():
    """A price that has begun is never changed."""
    fixture = make_book()

    assert fixture.book.streams.add_price("talks", Planck(5), 1000) == PriceVersion(
        2, 1000, Planck(5)
    )
    with pytest.raises(InvalidValueError, match="later tick"):
        fixture.book.streams.add_price("talks", Planck(6), 1000)
    with pytest.raises(UnknownNameError):
        fixture.book.streams.add_price("nowhere", Planck(6), 1000)
    assert [v.number for v in fixture.book.streams.get("talks").prices] == [1, 2]


def test_a_price_that_redis_could_not_count_is_refused():
    """Not whole units, or too many of them."""
    book = Book.open("sqlite://", Asset("T", 12, 100))

    for planck in (150, -100, 100 * 2**50):
        with pytest.raises(InvalidValueError, match="quantum"):
            book.streams.create("talks", "Talks", Planck(planck), 1, 0)


# Viewers, deposits, sessions


def test_a_viewer_without_a_wallet_gets_an_account():
    """And is found by name, account, its text, and key."""
    book = make_book().book
    viewer, key = book.viewers.create("ann", None, 3)

    for name in ("ann", viewer.account, account_text(viewer.account)):
        assert book.viewers.get(name) == viewer
    assert book.viewers.by_key(key) == viewer
    assert not viewer.has_wallet
    assert book.viewers.by_key("nonsense") is None
    with pytest.raises(UnknownNameError):
        book.viewers.get("0xzz")


def test_a_viewer_is_made_once():
    """Neither the name nor the account can be taken over."""
    fixture = make_book()

    for name, account in (("viewer 0", None), ("other", fixture.accounts[0])):
        with pytest.raises(InvalidValueError, match="already"):
            fixture.book.viewers.create(name, account, 3)


def test_a_deposit_repeated_counts_once():
    """A page that sends its top-up twice pays once."""
    fixture = make_book()
    account = fixture.accounts[0]

    first = fixture.book.deposits.add(account, Planck(7), "key", "memo", 1)
    again = fixture.book.deposits.add(account, Planck(7), "key", "memo", 2)

    assert (first.is_new, again.is_new) == (True, False)
    assert first.total_planck == again.total_planck == fixture.book.deposits.total(account)
    assert fixture.book.viewers.get(account).deposited == 10**12 + 7
    assert fixture.book.ledger.balances()[Holder(Role.VIEWER, account)] == 10**12 + 7


def test_a_key_is_never_taken_for_an_option():
    """`publish --key KEY` works with every key: digits and letters, no "-" to begin with."""
    book = make_book().book

    shown = [book.streams.rotate_key("talks", 2) for _ in range(20)] + [
        book.viewers.create("v", None, 1)[1]
    ]

    assert all(key.isalnum() for key in shown)


def test_a_deposit_key_used_for_another_body_is_refused():
    """Amount, account or memo."""
    fixture = make_book(viewers=2)
    one, two = fixture.accounts
    fixture.book.deposits.add(one, Planck(7), "key", "memo", 1)

    for account, planck, memo in ((one, 8, "memo"), (two, 7, "memo"), (one, 7, "other")):
        with pytest.raises(IdempotencyConflictError):
            fixture.book.deposits.add(account, Planck(planck), "key", memo, 1)
    assert fixture.book.deposits.total(one) == 10**12 + 7


def test_deposits_that_cannot_be_are_refused():
    """Of nobody, of nothing, of more than Redis counts."""
    fixture = make_book()

    with pytest.raises(UnknownNameError):
        fixture.book.deposits.add(AccountId(b"?" * 32), Planck(1), "a", "", 1)
    for planck in (0, -1, 2**63):
        with pytest.raises(InvalidValueError):
            fixture.book.deposits.add(fixture.accounts[0], Planck(planck), f"b{planck}", "", 1)


def test_planck_beyond_64_bits_are_kept_exactly():
    """An asset with 18 decimals and a large supply."""
    book = Book.open("sqlite://", Asset("BIG", 18, 10**21))
    viewer, _ = book.viewers.create("ann", None, 1)

    book.deposits.add(viewer.account, Planck(123456789 * 10**21), "k", "", 1)

    assert book.deposits.total(viewer.account) == 123456789 * 10**21
    assert sum(book.ledger.balances().values()) == 0


def test_a_session_lives_until_it_ends_or_expires():
    """The first reason stays; an ended id is never minted again."""
    fixture = make_book()
    account, stream = fixture.accounts[0], fixture.stream.id
    for number in (1, 2, 2**64 - 1):
        fixture.book.sessions.add(SessionId(number), account, stream, 1, 10, 100)

    fixture.book.sessions.end(SessionId(1), "limit", 20)
    fixture.book.sessions.end(SessionId(1), "other", 21)
    fixture.book.sessions.add(SessionId(2), account, stream, 1, 30, 500)

    assert [one.session for one in fixture.book.sessions.live(50)] == [2, 2**64 - 1]
    assert [one.session for one in fixture.book.sessions.live(100)] == [2]
    assert fixture.book.sessions.get(SessionId(1)).reason == "limit"
    with pytest.raises(IdempotencyConflictError):
        fixture.book.sessions.add(SessionId(1), account, stream, 1, 40, 600)
    with pytest.raises(IdempotencyConflictError):
        fixture.book.sessions.add(SessionId(2), account, stream, 2, 40, 600)
    with pytest.raises(UnknownNameError):
        fixture.book.sessions.add(SessionId(9), AccountId(b"?" * 32), stream, 1, 1, 2)


# Cuts


def test_a_cut_is_booked_once():
    """The same number again is passed over."""
    fixture = make_book()
    first = cut(fixture, 1, Run(100, 10), cumulative=10)

    assert fixture.book.cuts.book([first], 1) == 10
    assert fixture.book.cuts.book([first], 2) == 0

    shard = first.shard
    assert fixture.book.cuts.booked_number(shard) == 1
    assert fixture.book.cuts.booked_number(shard + 1) == 0
    assert fixture.book.cuts.spent(fixture.accounts[0]) == 10 * PRICE
    assert fixture.book.cuts.watched(fixture.accounts[0], fixture.stream.id) == (Run(100, 10),)


def test_a_round_is_written_whole_or_not_at_all():
    """One bad line keeps out the good one beside it."""
    fixture = make_book(viewers=2)
    good = cut(fixture, 1, Run(100, 10), cumulative=10, viewer=1)
    bad = cut(fixture, 1, Run(100, 10), cumulative=11)

    with pytest.raises(LedgerImbalanceError, match="make 10"):
        fixture.book.cuts.book([good, bad], 1)

    assert fixture.book.cuts.booked_numbers() == {}
    assert fixture.book.cuts.spent(fixture.accounts[1]) == 0


@pytest.mark.parametrize("wrong", ["gap", "went back", "no price", "shard"])
def test_a_cut_that_does_not_go_on_where_the_book_is_stops_booking(wrong):
    """Rather than bill a second twice."""
    fixture = make_book()
    fixture.book.cuts.book([cut(fixture, 1, Run(100, 10), cumulative=10)], 1)
    cuts = {
        "gap": cut(fixture, 3, Run(200, 1), cumulative=11),
        "went back": cut(fixture, 2, Run(100, 10), cumulative=10),
        "no price": cut(fixture, 2, Run(200, 1), cumulative=1, version=2),
        "shard": Cut(0, 1, cut(fixture, 2, Run(200, 1), cumulative=11).lines),
    }

    with pytest.raises(LedgerImbalanceError):
        fixture.book.cuts.book([cuts[wrong]], 2)

    assert fixture.book.cuts.spent(fixture.accounts[0]) == 10 * PRICE


def test_what_a_viewer_spent_is_priced_by_version():
    """Ticks of each version at its own price."""
    fixture = make_book()
    fixture.book.streams.add_price("talks", Planck(3), 200)
    shard = shard_of(fixture.accounts[0])
    lines = (
        CutLine(fixture.key(version=1), (Run(190, 10),), 10),
        CutLine(fixture.key(version=2), (Run(200, 4),), 4),
    )

    fixture.book.cuts.book([Cut(shard, 1, lines)], 1)

    assert fixture.book.cuts.spent(fixture.accounts[0]) == 10 * PRICE + 4 * 3


def settle(fixture, seq=1, refused=()):
    batch = fixture.book.outbox.oldest()
    fixture.book.outbox.add_attempt(seq, b"signed", 1)
    return fixture.book.settlements.finalize(BatchOutcome(seq, batch.hash, refused, 1), 2)


def test_final_ticks_are_merged_by_hour_and_none_is_lost():
    """The book does not grow by a row a cut for ever."""
    fixture = make_book()
    account = fixture.accounts[0]
    for number in range(1, 5):
        run = Run(3600 * 5 - 20 + number * 10, 10)
        fixture.book.cuts.book([cut(fixture, number, run, cumulative=number * 10)], number)
    fixture.book.settlements.seal(9, 100)
    settle(fixture)
    before = fixture.book.cuts.watched(account, fixture.stream.id)
    assert fixture.book.cuts.compact() == 0  # neither receipted nor forgotten yet

    fixture.book.receipts.make(OPERATOR, 10)
    assert fixture.book.cuts.to_forget() == {shard_of(account): 4}
    fixture.book.cuts.mark_forgotten(fixture.book.cuts.to_forget())

    assert fixture.book.cuts.compact() == 4
    assert fixture.book.cuts.to_forget() == {}
    assert (
        fixture.book.cuts.watched(account, fixture.stream.id) == before == (Run(3600 * 5 - 10, 40),)
    )
    booked = fixture.book.cuts.booked_ticks(shard_of(account))
    assert sorted(one.runs for one in booked) == [(Run(17990, 10),), (Run(18000, 30),)]
    assert fixture.book.cuts.booked_number(shard_of(account)) == 4


# Settlement


def test_a_settled_batch_pays_creator_and_platform_once():
    """Whatever is said again."""
    fixture = make_book(fee_ppm=100_001)
    account, stream = fixture.accounts[0], fixture.stream
    fixture.book.cuts.book([cut(fixture, 1, Run(100, 7), cumulative=7)], 1)
    fixture.book.settlements.seal(1, 100)
    first = settle(fixture)

    again = fixture.book.settlements.finalize(BatchOutcome(1, first.hash, (), 1), 99)

    assert again == first
    paid = 7 * PRICE
    fee = paid * 100_001 // 10**6
    assert fixture.book.ledger.balances() == {
        Holder(Role.OUTSIDE): -(10**12),
        Holder(Role.VIEWER, account): 10**12 - paid,
        Holder(Role.CREATOR, stream.creator, stream.id): paid - fee,
        Holder(Role.PLATFORM, stream=stream.id): fee,
    }
    assert fixture.book.ledger.earned(stream.creator) == {stream.id: paid - fee}
    assert fixture.book.ledger.unbalanced() == []


def test_a_refused_entry_is_carried_again_by_a_later_one():
    """Refused is a state, not an end."""
    fixture = make_book(viewers=2)
    for viewer in (0, 1):
        fixture.book.cuts.book([cut(fixture, 1, Run(100, 5), cumulative=5, viewer=viewer)], 1)
    fixture.book.settlements.seal(1, 100)
    settle(fixture, refused=((0, "purse"),))
    (refusal,) = fixture.book.settlements.refusals()
    entries = {entry.key: entry for entry in fixture.book.cuts.entries()}
    assert (entries[refusal.key].settled, entries[refusal.key].refused) == (0, 5)

    assert fixture.book.settlements.seal(2, 100) == []
    assert len(fixture.book.settlements.seal(2, 100, with_refused=True)) == 1
    settle(fixture, seq=2)

    assert all((e.settled, e.refused) == (5, 0) for e in fixture.book.cuts.entries())


def test_one_batch_above_its_bound_becomes_several_without_a_gap():
    """And the cut is forgotten only after the last of them."""
    fixture = make_book(viewers=3)
    for viewer in range(3):
        fixture.book.cuts.book([cut(fixture, 1, Run(1, 1), cumulative=1, viewer=viewer)], 1)

    sealed = fixture.book.settlements.seal(1, 2)

    assert [(batch.seq, batch.entry_count) for batch in sealed] == [(1, 2), (2, 1)]
    assert fixture.book.settlements.seal(2, 2) == []
    settle(fixture, 1)
    assert fixture.book.cuts.to_forget() == {}
    settle(fixture, 2)
    assert len(fixture.book.cuts.to_forget()) == len({shard_of(a) for a in fixture.accounts})


def test_other_content_under_our_number_is_never_booked():
    """A second operator with the same key, or a book that went back."""
    fixture = make_book()
    fixture.book.cuts.book([cut(fixture, 1, Run(100, 5), cumulative=5)], 1)
    fixture.book.settlements.seal(1, 100)

    with pytest.raises(LedgerImbalanceError):
        fixture.book.settlements.finalize(BatchOutcome(1, b"?" * 32, (), 1), 2)

    assert fixture.book.settlements.get(1).state is BatchState.SEALED


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(1, 500)), min_size=1, max_size=12),
    st.integers(0, 10**6),
    st.integers(1, 10**9),
)
def test_books_sum_to_nothing_whatever_is_watched(steps, fee_ppm, price):
    """Hypothesis law: after each settlement, all balances sum to zero and every split is exact."""
    fixture = make_book(viewers=3, fee_ppm=fee_ppm, price=Planck(price))
    totals = [0, 0, 0]
    numbers = dict.fromkeys(map(shard_of, fixture.accounts), 0)
    for seq, (viewer, count) in enumerate(steps, 1):
        shard = shard_of(fixture.accounts[viewer])
        numbers[shard] += 1
        run = Run(1000 + totals[viewer] * 2, count)
        totals[viewer] += count
        one = cut(fixture, numbers[shard], run, cumulative=totals[viewer], viewer=viewer)
        fixture.book.cuts.book([one], seq)
        fixture.book.settlements.seal(seq, 100)
        settle(fixture, seq)
        ledger = fixture.book.ledger.balances()
        assert sum(ledger.values()) == 0
        paid = sum(10**12 - ledger[Holder(Role.VIEWER, a)] for a in fixture.accounts)
        assert paid == sum(totals) * price
    fixture.book.close()


# Receipts and counters


def test_receipts_come_from_booked_cuts_and_chain():
    """One per viewer and stream and round; a file that verifies; no tick twice."""
    fixture = make_book()
    account, stream = fixture.accounts[0], fixture.stream.id
    assert fixture.book.receipts.make(OPERATOR, 1) == 0
    for number in (1, 2):
        run = Run(number * 100, 10)
        fixture.book.cuts.book([cut(fixture, number, run, cumulative=number * 10)], number)
        assert fixture.book.receipts.make(OPERATOR, number) == 1
        assert fixture.book.receipts.make(OPERATOR, number, account) == 0

    data = receipt.file_bytes(Asset(), OPERATOR.account, fixture.book.receipts.of(account, stream))
    found = receipt.verify(data, OPERATOR.account)

    assert [one.receipt.number for one in found.receipts] == [1, 2]
    assert found.amount == fixture.book.cuts.spent(account) == 20 * PRICE
    assert fixture.book.receipts.streams(account) == [stream]


def test_receipts_wait_so_that_they_are_few():
    """Then one receipt takes all that has gathered; who asks does not wait."""
    fixture = make_book(viewers=2)
    for number in (1, 2):
        for viewer in (0, 1):
            run = Run(number * 100, 10)
            one = cut(fixture, number, run, cumulative=number * 10, viewer=viewer)
            fixture.book.cuts.book([one], number * 1000)

    assert fixture.book.receipts.make(OPERATOR, 1500, waited_ms=1000) == 0
    assert fixture.book.receipts.make(OPERATOR, 1500, fixture.accounts[1]) == 1
    assert fixture.book.receipts.make(OPERATOR, 2000, waited_ms=1000) == 1
    (made,) = fixture.book.receipts.of(fixture.accounts[0], fixture.stream.id)
    assert made.receipt.ticks == 20


def test_counters_outlive_an_emptied_store():
    """Unpaid seconds are shown for ever, though Redis counts from 0 again."""
    book = make_book().book
    assert book.unbilled.counters() == Counters(0, 0, 0)

    for counted in (Counters(5, 1, 0), Counters(7, 1, 2), Counters(2, 0, 0), Counters(3, 0, 0)):
        book.unbilled.put_counters(counted)

    assert book.unbilled.counters() == Counters(10, 1, 2)


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
