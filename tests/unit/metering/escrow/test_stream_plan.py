"""What is still to be done so that the chain has a stream as the book has it."""

from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.book.records import StreamRecord
from metering.chain.node.storage import ChainPrice, Split, StreamInfo
from metering.escrow import calls
from metering.escrow.stream_plan import NOTICE_SLACK_S, is_there, plan
from metering.model.credits import Credit, rolled
from metering.model.ledger import Share
from metering.model.splits import SplitTable
from metering.testing.fake_node.tables import Call as FakeCall
from metering.units import AccountId, Planck, PriceVersion

STREAM = UUID(int=7)
OPERATOR, CREATOR, OTHER = (AccountId(bytes([n]) * 32) for n in (1, 2, 3))
NOW, NOTICE = 1_700_000_000, 60


def booked(*prices: int) -> StreamRecord:
    """Return a stream of the book; its versions begin an hour apart."""
    versions = tuple(
        PriceVersion(number, (number - 1) * 3600, Planck(price))
        for number, price in enumerate(prices, 1)
    )
    return StreamRecord(STREAM, "cam", "Cam", CREATOR, True, 100_000, versions, 0, b"")


def on_chain(*prices: int, **changed) -> StreamInfo:
    """Return the same stream as a chain has it."""
    versions = tuple(ChainPrice(n, price, NOW - 1000 + n) for n, price in enumerate(prices, 1))
    share = (Split(OPERATOR, 100_000),)
    info = StreamInfo(CREATOR, OPERATOR, b"Cam", versions, share, 0, None, 0, 0, 0, 0)
    return replace(info, **changed)


def step(record, found, *tables: SplitTable):
    return plan(record, found, operator=OPERATOR, now_s=NOW, notice_s=NOTICE, tables=tables)


def test_a_stream_is_made_with_its_payees_and_differs_when_the_chain_has_others():
    """The platform is first in the pallet's table; the creator gets what all of them leave."""
    table = SplitTable(1, 0, (Share(OTHER, 250_000),))
    shared = (Split(OPERATOR, 100_000), Split(OTHER, 250_000))

    made = step(booked(9), None, table)

    assert made.call == calls.create_stream(STREAM, OPERATOR, "Cam", 9, shared)
    assert step(booked(9), on_chain(9, splits=shared), table).fault == ""
    fault = step(booked(9), on_chain(9), table).fault
    assert "its shares on the chain are 0x01010101… 100000 ppm, and 0x0101" in fault
    assert "0x03030303… 250000 ppm here" in fault


def test_a_table_that_changes_is_no_chains():
    """The pallet keeps one: it is said before a planck is shared otherwise than the book says."""
    changes = (SplitTable(1, 0, ()), SplitTable(2, NOW, (Share(OTHER, 1),)))

    for there in (None, on_chain(9)):
        assert "make another stream" in step(booked(9), there, *changes).fault


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=12))
def test_following_the_plan_gives_the_chain_every_version_under_its_own_number(prices):
    """However many prices the book has had, the chain ends with the same numbers and amounts."""
    record = booked(*prices)
    info = None
    for _ in range(len(prices)):
        todo = step(record, info)
        assert todo.call is not None
        if info is None:
            info = on_chain(prices[0])
            continue
        price = int.from_bytes(todo.call.data[16:32], "little")
        begins = int.from_bytes(todo.call.data[32:40], "little")
        last = info.prices[-1]
        assert begins >= NOW + NOTICE
        assert begins > last.from_
        made = ChainPrice(last.number + 1, price, begins)
        info = replace(info, prices=(*info.prices, made))

    assert step(record, info).call is None
    assert [(version.number, version.price) for version in info.prices] == list(
        enumerate(prices, 1)
    )


def test_a_price_far_ahead_begins_on_the_chain_at_its_own_second():
    """The chain's notice moves a price only when it must."""
    version = PriceVersion(2, NOW + 9999, Planck(5))
    record = replace(booked(1), prices=(*booked(1).prices, version))

    begins = int.from_bytes(step(record, on_chain(1)).call.data[32:40], "little")
    soon = int.from_bytes(step(booked(1, 5), on_chain(1)).call.data[32:40], "little")

    assert begins == NOW + 9999
    assert soon == NOW + NOTICE + NOTICE_SLACK_S


@pytest.mark.parametrize(
    ("found", "fault"),
    [
        (on_chain(100, creator=OTHER), "creator"),
        (on_chain(100, operator=OTHER), "operator"),
        (on_chain(100, status=1, closed_at=5), "closed"),
        (on_chain(100, splits=()), "are none, and 0x01010101… 100000 ppm here"),
        (on_chain(100, splits=(Split(OTHER, 100_000),)), "shares"),
        (on_chain(99), "price 1 is 99 on the chain and 100 here"),
        (on_chain(100, 7), "price 2 is 7 on the chain and None here"),
    ],
)
def test_what_no_call_can_mend_is_a_fault_and_no_call(found, fault):
    """Nobody's money goes to another account because a name was taken."""
    todo = step(booked(100), found)

    assert fault in todo.fault
    assert todo.call is None


def test_a_stream_without_a_fee_shares_nothing():
    """A platform that takes nothing is not among the payees."""
    record = replace(booked(5), platform_fee_ppm=0)

    assert step(record, None).call.data.endswith(b"\x00")
    assert step(record, on_chain(5, splits=())).call is None
    assert is_there(on_chain(5), 1)
    assert not is_there(on_chain(5), 2)
    assert not is_there(None, 1)


def test_a_long_title_is_cut_after_a_whole_character():
    """The chain takes 128 bytes, and what it gets is text."""
    cut = calls.title_bytes("ü" * 100 + "x")

    assert cut.decode() == "ü" * 64
    assert calls.title_bytes("Cam") == b"Cam"


def test_calls_are_packed_as_the_pallet_reads_them():
    """Our bytes are those that the model of the pallet, judged by the runtime, takes apart."""
    share = (Split(OPERATOR, 100_000),)
    expected = {
        calls.create_stream(STREAM, OPERATOR, "Cam", 9, share): FakeCall(
            "TickStream",
            "create_stream",
            {
                "stream_id": 7,
                "operator": OPERATOR,
                "title": b"Cam",
                "price": 9,
                "splits": share,
            },
        ),
        calls.set_price(STREAM, 9, NOW): FakeCall(
            "TickStream", "set_price", {"stream_id": 7, "price": 9, "from": NOW}
        ),
        calls.request_withdraw(OPERATOR, 3): FakeCall(
            "TickStream", "request_withdraw", {"operator": OPERATOR, "amount": 3}
        ),
        calls.transfer(OTHER, 10**15): FakeCall(
            "Balances", "transfer_keep_alive", {"dest": OTHER, "value": 10**15}
        ),
        calls.withdraw_credit(): FakeCall("TickStream", "withdraw_credit", {}),
    }

    assert {name: call.encode()[2:] for name, call in expected.items()} == {
        name: name.data for name in expected
    }


@given(
    st.integers(0, 2**64),
    st.integers(0, 2**64),
    st.integers(0, 2**64),
    st.integers(0, 10**7),
    st.integers(-2, 5),
)
def test_credit_matures_in_two_periods_and_none_is_lost(
    available, pending, maturing, period, ahead
):
    """What is shown as available is what the pallet would pay; the sum never changes."""
    stored = Credit(available, pending, maturing, period)

    shown = rolled(stored, (period + ahead) * 600 + 599, 600)

    assert shown.available + shown.maturing + shown.pending == available + pending + maturing
    assert shown.available == (
        available + (maturing if ahead >= 1 else 0) + (pending if ahead >= 2 else 0)
    )
    assert shown.pending == (pending if ahead <= 0 else 0)
    assert rolled(None, 0, 600).available == 0
