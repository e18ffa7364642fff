"""Money that comes, goes and runs out, and shows that are unwell, are told: each crossing once."""

import asyncio
from functools import partial
from typing import Any

import pytest

from mediaserver.webhooks.low_balances import BalanceState, state_of
from mediaserver.webhooks.service import Webhooks
from mediaserver.webhooks.stream_health import STEADY_MS, ShowHealth
from metering.book.postings import post
from metering.book.returns import Return, ReturnKind
from metering.errors import InvalidValueError
from metering.model.ledger import Holder, Posting, Role
from metering.units import Cut, CutLine, Planck, Run, SessionId, account_text, shard_of
from tests.support.book_fixture import PRICE, make_book
from tests.support.payments_fixture import PLANCK, make_payments
from tests.support.webhook_receiver import Receiver, data, telling
from tests.unit.payments.test_payouts import SETTLED_MS, approve, ask, pay, settle
from tests.unit.webhooks.test_service import Clock, deliveries, drain, opened

UNWELL = ("Your encoder sends B-frames.",)


async def events_of(webhooks: Webhooks, receiver: Receiver, clock: Clock) -> list[dict[str, Any]]:
    """Return the events that came since the last call."""
    before = len(receiver.taken())
    await drain(webhooks, clock)
    return [body for _, body in receiver.taken()[before:]]


async def test_money_that_comes_and_goes_is_told_in_its_transaction(tmp_path) -> None:
    """A shop may keep its own books by it: keys, order and amounts; none that was taken back."""
    fixture, clock = make_book(), Clock()
    account, key = fixture.accounts[0], "payment:stripe:pi_1"
    deposits, returns = fixture.book.deposits, fixture.book.returns
    async with Receiver() as receiver:
        webhooks = await opened(fixture, telling(tmp_path, receiver), clock)

        def taken_back(_: object) -> None:
            deposits.add(account, Planck(5000), "lost", "", clock())
            raise InvalidValueError("no")

        with pytest.raises(InvalidValueError):
            await webhooks.write(taken_back)
        await webhooks.write(
            lambda _: deposits.add(account, Planck(9000), key, "order abc", clock())
        )
        await webhooks.write(lambda _: deposits.add(account, Planck(9000), key, "order abc", 7))
        await webhooks.write(lambda _: deposits.add(account, Planck(70), "k", "order of Ann", 7))
        back = Return(ReturnKind.REFUND, "stripe:re_1", key, Planck(400), "a secret of staff")
        await webhooks.write(lambda _: returns.add(back, clock()))
        came = await events_of(webhooks, receiver, clock)

    who = "0x" + account.hex()
    assert [(event["type"], event["data"]) for event in came] == [
        ("payment.booked", {"account": who, "planck": "9000", "deposit": key, "order": "abc"}),
        ("payment.booked", {"account": who, "planck": "70", "deposit": "k", "order": None}),
        (
            "payment.returned",
            {
                "account": who,
                "planck": "400",
                "deposit": key,
                "kind": "refund",
                "reference": "stripe:re_1",
            },
        ),
    ]
    assert "secret" not in "".join(map(data, came))


async def test_each_step_of_a_payout_is_told_without_whom_the_bank_pays(tmp_path) -> None:
    fixture, clock = make_payments(), Clock()
    settle(fixture, 1000 * PLANCK * 10 // 9 + 10, SETTLED_MS, "1")
    async with Receiver() as receiver:
        webhooks = await opened(fixture, telling(tmp_path, receiver), clock)

        def steps_twice() -> str:
            for _ in range(2):
                asked, _ = ask(fixture)
            for act in (approve, approve, pay, pay):
                act(fixture, asked.id)
            return str(asked.id)

        payout = await asyncio.to_thread(steps_twice)
        came = await events_of(webhooks, receiver, clock)

    steps = [event["data"] for event in came]
    assert [step["state"] for step in steps] == ["requested", "approved", "paid"]
    assert {(step["payout"], step["stream"]["slug"]) for step in steps} == {(payout, "talks")}
    assert {(step["amount"], step["currency"]) for step in steps} == {(1000, "EUR")}
    assert {step["account"] for step in steps} == {None}
    assert not any(word in "".join(map(data, came)) for word in ("Creator", "DE89"))


async def test_a_payout_of_a_payee_is_not_told_as_the_creators(tmp_path) -> None:
    fixture, clock = make_payments(), Clock()
    payee = fixture.accounts[0]
    part = Holder(Role.CREATOR, payee, fixture.stream.id)
    lines = (Posting(part, Planck(PLANCK)), Posting(Holder(Role.OUTSIDE), Planck(-PLANCK)))
    async with Receiver() as receiver:
        webhooks = await opened(fixture, telling(tmp_path, receiver), clock)

        def step() -> None:
            with fixture.book.together() as connection:
                post(connection, "settlement", "1", SETTLED_MS, lines)
            ask(fixture, account=payee)

        await asyncio.to_thread(step)
        came = await events_of(webhooks, receiver, clock)

    assert [event["data"]["account"] for event in came] == [account_text(payee)]


async def test_a_balance_that_runs_down_is_told_low_once_and_then_stopped(tmp_path) -> None:
    """Filled and low again it is told again; two players of one stream are one viewer."""
    fixture = await asyncio.to_thread(make_book, f"sqlite:///{tmp_path}/book", deposit=150 * PRICE)
    clock, spent = Clock(), [0, 0]
    account, stream, book = fixture.accounts[0], fixture.stream.id, fixture.book
    async with Receiver() as receiver:
        settings = telling(tmp_path, receiver, low_s=100)
        webhooks = await opened(fixture, settings, clock)

        async def pay_in(seconds: int, key: str) -> None:
            planck = Planck(seconds * PRICE)
            await webhooks.write(lambda _: book.deposits.add(account, planck, key, "", clock()))

        async def looked() -> list[tuple[str, Any, Any]]:
            await webhooks.look_at_balances()
            await webhooks.look_at_balances()
            return [
                (event["type"], event["data"].get("seconds_left"), event["data"].get("reason"))
                for event in await events_of(webhooks, receiver, clock)
                if not event["type"].startswith(("payment", "viewer.joined"))
            ]

        def spend(seconds: int) -> None:
            spent[0], spent[1] = spent[0] + 1, spent[1] + seconds
            runs = (Run(1_700_000_000 + 1000 * spent[0], seconds),)
            line = CutLine(fixture.key(), runs, spent[1])
            book.cuts.book([Cut(shard_of(account), spent[0], (line,))], 1)

        for number in (1, 2):
            add = partial(book.sessions.add, SessionId(number), account, stream, 2, clock())
            await webhooks.write(lambda _, add=add: add(10**15))  # type: ignore[misc]
        assert await looked() == []

        spend(60)
        assert await looked() == [("viewer.low", 90, None)]
        spend(30)
        assert await looked() == []
        spend(60)
        assert await looked() == [("viewer.stopped", None, "balance")]
        await pay_in(50, "k2")
        assert await looked() == []
        await pay_in(60, "k3")
        assert await looked() == []
        again = await opened(fixture, settings, clock)
        spend(20)
        await again.look_at_balances()
        assert await looked() == [("viewer.low", 90, None)]


def test_a_balance_of_less_than_a_second_is_its_end() -> None:
    states = [state_of(Planck(left), Planck(10), 3) for left in (0, 9, 10, 29, 30)]
    assert states == [BalanceState.ENDED] * 2 + [BalanceState.LOW] * 2 + [BalanceState.GOOD]


async def test_a_shows_health_is_told_once_it_is_steady(tmp_path) -> None:
    """A hiccup is not; a restart repeats nothing; the next show begins well."""
    fixture, clock = make_book(), Clock()
    stream = fixture.stream.id
    well, unwell = ShowHealth(5, "live"), ShowHealth(5, "live", UNWELL)
    async with Receiver() as receiver:
        settings = telling(tmp_path, receiver)
        webhooks = await opened(fixture, settings, clock)
        await webhooks.saw_health({stream: unwell})  # not told to be live yet
        await webhooks.saw_shows({stream: 5}, {}, is_whole=True)

        async def seen(health: ShowHealth, by: Webhooks = webhooks) -> list[tuple[Any, ...]]:
            for _ in range(2):
                await by.saw_health({stream: health})
                clock.ahead_ms += STEADY_MS
            await by.saw_health({stream: health})
            return [
                (event["data"]["health"], event["data"]["state"], event["data"]["advice"])
                for event in await events_of(by, receiver, clock)
                if event["type"] == "stream.health"
            ]

        assert await seen(well) == []
        await webhooks.saw_health({stream: unwell})
        assert await seen(well) == []
        assert await seen(unwell) == [("bad", "live", list(UNWELL))]
        again = await opened(fixture, settings, clock)
        await again.saw_shows({stream: 5}, {}, is_whole=True)
        assert await seen(ShowHealth(5, "waiting"), again) == []
        assert await seen(well, again) == [("good", "live", [])]
        await seen(unwell, again)
        await again.saw_shows({stream: 6}, {}, is_whole=True)
        assert await seen(ShowHealth(6, "live"), again) == []


async def test_without_a_target_that_asks_nothing_is_looked_at(tmp_path) -> None:
    fixture, clock = make_book(), Clock()
    async with Receiver() as receiver:
        settings = telling(tmp_path, receiver)
    (target,) = settings.targets
    narrow = type(target)(target.name, target.url, target.secret_file, ("batch.final",))
    webhooks = await opened(fixture, type(settings)(targets=(narrow,)), clock)
    await webhooks.saw_shows({fixture.stream.id: 5}, {}, is_whole=True)
    for _ in range(3):
        await webhooks.saw_health({fixture.stream.id: ShowHealth(5, "live", UNWELL)})
        clock.ahead_ms += STEADY_MS
    await webhooks.look_at_balances()

    assert await deliveries(webhooks) == []
