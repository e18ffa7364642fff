"""A viewer's own limits: kept in the book, held in the claim, the same after a rebuild."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from metering.units import Verdict
from tests.support.control_server import PRICE, Server, settings
from tests.support.people_browser import ORIGIN, Browser

NONE = {"session_planck": "0", "stream_planck": "0", "day_planck": "0"}


@pytest.fixture
async def server(tmp_path) -> AsyncIterator[Server]:
    made = settings()
    price = replace(made.price, day_limit_planck=str(50 * PRICE), quantum_planck="1000")
    tree = replace(made, server=replace(made.server, public_url=ORIGIN), price=price)
    async with Server(tmp_path, tree) as started:
        yield started


class Watch:
    """Somebody who has paid in and joined; `claim` asks for seconds that were not asked for."""

    def __init__(self, server: Server, browser: Browser, stream: Any, viewer: Any) -> None:
        self.server, self.browser = server, browser
        self.stream, self.viewer = stream, viewer
        self.next = server.now_s() - 50

    async def join(self, **body: Any) -> None:
        status, self.made = await self.browser.ask("POST", "streams/cam/join", body)
        assert status == 201, self.made

    async def claim(self, count: int) -> Verdict:
        answer = await self.server.claim(
            self.made, self.viewer, self.stream, self.next, count, PRICE // 1000
        )
        self.next += count
        return answer.verdict

    async def limit(self, **planck: int) -> Any:
        body = {f"{name}_planck": str(value) for name, value in planck.items()}
        status, limits = await self.browser.ask("PUT", "me/limits", body)
        assert status == 200, limits
        return limits


@pytest.fixture
async def watch(server) -> Watch:
    stream = await server.stream()
    ann = Browser(server)
    await ann.sign_up("Ann")
    _, refused = await ann.ask("POST", "streams/cam/join", {})
    viewer = {"account": refused["account"]}
    await server.api(
        "POST",
        f"viewers/{viewer['account']}/credits",
        {"planck": str(1000 * PRICE)},
        201,
        Idempotency_Key="1",
    )
    return Watch(server, ann, stream, viewer)


async def test_who_set_none_has_the_operators(watch) -> None:
    _, limits = await watch.browser.ask("GET", "me/limits")
    assert limits == {**NONE, "in_force": {**NONE, "day_planck": str(50 * PRICE)}}
    fresh = Browser(watch.server)
    await fresh.sign_up("Bob")
    assert (await fresh.ask("GET", "me/limits"))[1] == limits
    assert (await fresh.ask("GET", "me"))[1]["account"] is None


async def test_a_limit_stops_a_running_session_at_its_next_claim(watch) -> None:
    """What was spent before counts, and a higher one lets it go on."""
    await watch.join()
    assert await watch.claim(5) is Verdict.GRANTED
    for name in ("session", "stream", "day"):
        limits = await watch.limit(**{name: 5 * PRICE})
        assert limits["in_force"][f"{name}_planck"] == str(5 * PRICE)
        assert await watch.claim(1) is Verdict.LIMIT, name
    await watch.limit(session=6 * PRICE, stream=6 * PRICE, day=6 * PRICE)
    assert await watch.claim(1) is Verdict.GRANTED
    assert await watch.claim(1) is Verdict.LIMIT
    await watch.limit()
    assert await watch.claim(1) is Verdict.GRANTED
    entries = (await watch.server.api("GET", "audit"))["entries"]
    (change,) = [item for item in entries if item["action"] == "viewer.limits"][3:4]
    assert change["before"] == {**NONE, "day_planck": str(5 * PRICE)}
    assert change["after"]["day_planck"] == str(6 * PRICE)


async def test_the_operators_limit_is_not_raised_by_ones_own(watch) -> None:
    limits = await watch.limit(day=60 * PRICE)
    assert (limits["day_planck"], limits["in_force"]["day_planck"]) == (
        str(60 * PRICE),
        str(50 * PRICE),
    )
    await watch.join()
    assert await watch.claim(50) is Verdict.GRANTED
    assert await watch.claim(1) is Verdict.LIMIT


async def test_a_join_has_a_limit_of_its_own_which_stays_over_reloads(watch) -> None:
    await watch.join(limit_planck=str(3 * PRICE))
    assert await watch.claim(3) is Verdict.GRANTED
    session = watch.made["session"]
    await watch.join(session=session)
    assert watch.made["session"] == session
    assert await watch.claim(1) is Verdict.LIMIT
    # A new limit of the account does not lift the session's own.
    await watch.limit(session=40 * PRICE)
    assert await watch.claim(1) is Verdict.LIMIT
    await watch.join(session=session, limit_planck=str(4 * PRICE))
    assert await watch.claim(1) is Verdict.GRANTED
    assert await watch.claim(1) is Verdict.LIMIT


async def test_limits_that_cannot_be_are_all_told(watch) -> None:
    status, refused = await watch.browser.ask(
        "PUT", "me/limits", {"session_planck": "1", "day_planck": "1500"}
    )
    assert status == 422
    assert [fault.partition(":")[0] for fault in refused["faults"]] == [
        "session_planck",
        "day_planck",
    ]
    status, refused = await watch.browser.ask("POST", "streams/cam/join", {"limit_planck": "1"})
    assert (status, refused["faults"][0].partition(":")[0]) == (422, "limit_planck")
    _, limits = await watch.browser.ask("GET", "me/limits")
    assert limits["session_planck"] == "0"


async def test_the_same_limits_hold_after_redis_was_emptied(watch) -> None:
    """Those of the account, those of the session, and what was spent of each."""
    await watch.limit(day=20 * PRICE)
    await watch.join(limit_planck=str(8 * PRICE))
    assert await watch.claim(5) is Verdict.GRANTED
    await watch.server.spent(watch.viewer, 5 * PRICE)
    await watch.server.lose_redis()

    assert await watch.claim(4) is Verdict.LIMIT
    assert await watch.claim(3) is Verdict.GRANTED
    assert await watch.claim(1) is Verdict.LIMIT
    await watch.join()
    assert await watch.claim(13) is Verdict.LIMIT
    assert await watch.claim(12) is Verdict.GRANTED
