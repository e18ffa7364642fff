"""The book keeps streams, prices, viewers, deposits and sessions as they were given."""

import pytest

from metering.errors import (
    IdempotencyConflictError,
    InvalidValueError,
    UnknownNameError,
)
from metering.model.ledger import Holder, Role
from metering.units import (
    AccountId,
    Asset,
    Planck,
    PriceVersion,
    SessionId,
    account_text,
    parse_account,
)
from tests.support.book_fixture import PRICE, make_book, open_book


def test_a_slug_once_used_never_names_another_stream():
    """Not even after it was closed."""
    fixture = make_book()
    fixture.book.streams.enable("talks", is_enabled=False)

    with pytest.raises(InvalidValueError, match="never used twice"):
        fixture.book.streams.create("talks", "Other", PRICE, 2, 0)


@pytest.mark.parametrize(
    "slug", ["", "-abc", "ABC", "a b", "w", "me", "api", "join", "a" * 64, "favicon.ico", "été"]
)
def test_a_slug_that_cannot_be_an_address_is_refused(slug):
    """With what would be one."""
    with pytest.raises(InvalidValueError, match="slug"):
        make_book().book.streams.create(slug, "T", PRICE, 1, 0)


def test_a_stream_gets_another_address_and_keeps_all_else():
    """Its old one is free; a stream named before an address was ours is found by its old one."""
    fixture = make_book()
    book = fixture.book

    made = book.streams.rename("talks", "evening")

    assert (made.id, made.prices, made.key_sha256) == (
        fixture.stream.id,
        fixture.stream.prices,
        fixture.stream.key_sha256,
    )
    with pytest.raises(UnknownNameError):
        book.streams.get("talks")
    book.streams.create("talks", "T", PRICE, 1, 0)
    with pytest.raises(InvalidValueError, match="another stream's"):
        book.streams.rename("talks", "evening")
    with pytest.raises(InvalidValueError, match="3 to 63"):
        book.streams.rename("talks", "me")


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


def test_f16_price_can_be_withdrawn_until_its_seconds_may_be_in_use():
    """Only the newest, and its number is free again."""
    fixture = make_book()
    streams = fixture.book.streams
    streams.add_price("talks", Planck(5), 1000)

    for number, earliest in ((1, 0), (3, 0), (2, 1001)):
        with pytest.raises(InvalidValueError):
            streams.withdraw_price("talks", number, earliest)
    with pytest.raises(UnknownNameError):
        streams.withdraw_price("nowhere", 2, 0)
    assert [v.number for v in streams.withdraw_price("talks", 2, 1000).prices] == [1]
    assert streams.add_price("talks", Planck(6), 900) == PriceVersion(2, 900, Planck(6))


def test_a_price_that_redis_could_not_count_is_refused():
    """Not whole units, or too many of them."""
    book = open_book("sqlite://", Asset("T", 12, 100))

    for planck in (150, -100, 100 * 2**50):
        with pytest.raises(InvalidValueError, match="quantum"):
            book.streams.create("talks", "Talks", Planck(planck), 1, 0)


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


@pytest.mark.parametrize("name", ["", " ", "ann ", " ann", "0xab", "a" * 201])
def test_o24_what_cannot_be_a_viewers_name_is_refused(name):
    """A blank one was taken, and "ann " was another viewer than "ann"."""
    with pytest.raises(InvalidValueError, match="neither begins nor ends with a space"):
        make_book().book.viewers.create(name, None, 3)


@pytest.mark.parametrize("text", ["0x1", "0x", "ab" * 32, "0x" + " ab" * 32, "0x" + "g" * 64])
def test_o24_half_an_account_is_told_as_what_it_is(text):
    """And not as what Python's `fromhex` finds wrong with it."""
    with pytest.raises(ValueError, match="is not 0x and 64 hexadecimal digits"):
        parse_account(text)


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
    first, second = fixture.accounts
    fixture.book.deposits.add(first, Planck(7), "key", "memo", 1)

    for account, planck, memo in ((first, 8, "memo"), (second, 7, "memo"), (first, 7, "other")):
        with pytest.raises(IdempotencyConflictError):
            fixture.book.deposits.add(account, Planck(planck), "key", memo, 1)
    assert fixture.book.deposits.total(first) == 10**12 + 7


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
    book = open_book("sqlite://", Asset("BIG", 18, 10**21))
    viewer, _ = book.viewers.create("ann", None, 1)

    book.deposits.add(viewer.account, Planck(123456789 * 10**21), "k", "", 1)

    assert book.deposits.total(viewer.account) == 123456789 * 10**21
    assert sum(book.ledger.balances().values()) == 0


def test_a_session_lives_until_it_ends_or_expires():
    """The first reason stays; an ended id is never minted again."""
    fixture = make_book()
    account, stream = fixture.accounts[0], fixture.stream.id
    for number in (1, 2, 2**64 - 1):
        fixture.book.sessions.add(SessionId(number), account, stream, 1, 10, 100, 500)

    fixture.book.sessions.end(SessionId(1), "limit", 20)
    fixture.book.sessions.end(SessionId(1), "other", 21)
    fixture.book.sessions.add(SessionId(2), account, stream, 1, 30, 900)

    assert [live.session for live in fixture.book.sessions.live(50)] == [2, 2**64 - 1]
    assert [live.session for live in fixture.book.sessions.live(100)] == [2]
    assert fixture.book.sessions.get(SessionId(1)).reason == "limit"
    # No token of it outlives the end that it was first given.
    assert fixture.book.sessions.get(SessionId(2)).expires_ms == 500
    with pytest.raises(IdempotencyConflictError):
        fixture.book.sessions.add(SessionId(1), account, stream, 1, 40, 600)
    with pytest.raises(IdempotencyConflictError):
        fixture.book.sessions.add(SessionId(2), account, stream, 2, 40, 600)
    with pytest.raises(UnknownNameError):
        fixture.book.sessions.add(SessionId(9), AccountId(b"?" * 32), stream, 1, 1, 2)


def test_a_viewer_is_called_otherwise_by_a_name_that_is_free():
    book = make_book().book
    made, key = book.viewers.create("one", None, 1)
    book.viewers.create("two", None, 1)

    book.viewers.rename(made.account, "three")

    assert book.viewers.get("three").account == made.account
    assert book.viewers.by_key(key) == book.viewers.get("three")
    with pytest.raises(InvalidValueError, match="'two' is there already"):
        book.viewers.rename(made.account, "two")
    with pytest.raises(UnknownNameError):
        book.viewers.rename(AccountId(b"\x09" * 32), "four")
