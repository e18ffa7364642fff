"""Who buys a pass watches for nothing more, over control's API, with a real Redis and book."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from mediaserver.api.viewers import join_stream, own_passes
from metering.units import Cover
from tests.support.control_server import PRICE, Server, settings
from tests.support.people_browser import JSON, ORIGIN, Browser
from tests.support.worker_report import report

COST = 4 * PRICE


@pytest.fixture
async def server(tmp_path) -> AsyncIterator[Server]:
    made = settings()
    tree = replace(made, server=replace(made.server, public_url=ORIGIN))
    async with Server(tmp_path, tree) as started:
        await started.stream()
        yield started


@pytest.fixture
async def ann(server) -> Browser:
    made = Browser(server)
    await made.sign_up("Ann")
    return made


async def pay_in(server: Server, browser: Browser, planck: int = 10 * PRICE) -> dict[str, Any]:
    _, refused = await browser.ask("POST", "streams/cam/join", {})
    account = refused["account"]
    path, key = f"viewers/{account}/credits", f"first of {account}"
    await server.api("POST", path, {"planck": str(planck)}, 201, Idempotency_Key=key)
    return {"account": account}


async def offer(server: Server, kind: str = "month", planck: int = COST) -> Any:
    return await server.api("PUT", f"streams/cam/passes/{kind}", {"planck": str(planck)}, 201)


async def buy(
    browser: Browser, kind: str = "month", planck: int = COST, key: str = "k1", stream: str = "cam"
) -> tuple[int, Any]:
    body = {"stream": stream, "kind": kind, "planck": str(planck)}
    return await browser.ask("POST", "me/passes", body, {**JSON, "Idempotency-Key": key})


async def on_air(server: Server, show: int) -> Any:
    stream = await server.api("GET", "streams/cam")
    await server.ask("POST", "/internal/workers", report(stream, show=show), 204)
    return stream


async def postings_balance(server: Server) -> None:
    """Nothing differs between book, store and ledger."""
    found = await server.api("GET", "reconcile", None, 200)
    assert found["differences"] == []


async def test_who_bought_a_month_watches_for_nothing_more(server, ann) -> None:
    """The price goes to creator and platform at once; what is watched is covered."""
    await offer(server)
    viewer, stream = await pay_in(server, ann, COST), await server.api("GET", "streams/cam")

    status, bought = await buy(ann)
    again, same = await buy(ann)
    joined, made = await ann.ask("POST", "streams/cam/join", {})
    now_s = server.now_s()
    answer = await server.claim(made, viewer, stream, now_s - 5, 3, cover=Cover(now_s - 9))

    assert (status, again, joined) == (201, 200, 201), bought
    assert same == bought
    assert bought["until_ms"] // 1000 - now_s in range(30 * 86_400 - 60, 30 * 86_400 + 1)
    assert (answer.verdict.name, answer.covered_ticks, answer.new_ticks) == ("GRANTED", 3, 0)
    shown = await server.api("GET", f"viewers/{viewer['account']}")
    assert (shown["spent"], shown["balance"]) == (str(COST), "0")
    earned = await server.api("GET", "streams/cam/earnings")
    fee = COST * stream["platform_fee_ppm"] // 10**6
    assert earned["maturing"] == str(COST - fee)
    listed = (await ann.ask("GET", "me/passes"))[1]["passes"]
    sold = (await server.api("GET", "streams/cam/passes/sold"))["sold"]
    assert (listed, sold[0]["account"]) == ([bought], viewer["account"])
    assert (await ann.ask("GET", "streams/cam/passes"))[1]["held"] == bought
    await postings_balance(server)


async def test_a_pass_for_a_show_ends_with_it(server, ann) -> None:
    """The next show is paid again; who has a pass for the show may still buy the month."""
    await offer(server, "show")
    await offer(server, "month")
    viewer, show = await pay_in(server, ann), server.now_s() - 9

    off_air, refused = await buy(ann, "show")
    stream = await on_air(server, show)
    status, bought = await buy(ann, "show", key="k2")
    twice, held = await buy(ann, "show", key="k3")
    _, made = await ann.ask("POST", "streams/cam/join", {})
    inside = await server.claim(made, viewer, stream, show, 3, cover=Cover(show))
    after = await server.claim(made, viewer, stream, show + 5, 2, cover=Cover(show + 5))
    month, _ = await buy(ann, "month", key="k4")

    assert (off_air, refused["reason"]) == (409, "no_show")
    assert (status, bought["until_ms"], bought["show"]) == (201, None, show)
    assert (twice, held["reason"]) == (409, "held")
    assert (inside.covered_ticks, inside.cost_units) == (3, 0)
    assert (after.covered_ticks, after.cost_units) == (0, 2 * PRICE)
    assert month == 201
    await server.spent(viewer, 2 * COST + 2 * PRICE)
    await postings_balance(server)


async def test_nobody_pays_another_price_than_the_one_they_saw(server, ann) -> None:
    """A change has the notice of a price; taken back, none is sold."""
    await offer(server)
    await pay_in(server, ann)

    changed = await server.api("PUT", "streams/cam/passes/month", {"planck": "5"}, 201)
    early = {"planck": "5", "from_s": server.now_s() + 5}
    refused = await server.api("PUT", "streams/cam/passes/month", early, 422)
    status, other = await buy(ann, planck=5)
    gone = await server.api("DELETE", "streams/cam/passes/month", None, 201)
    shown = (await ann.ask("GET", "streams/cam/passes"))[1]
    unsold, none = await buy(ann, "show", key="k9")
    still, _ = await buy(ann)

    assert changed["from_s"] >= server.now_s() + 55
    assert "use " in refused["detail"]
    assert (status, other["reason"], other["planck"]) == (409, "price", str(COST))
    assert (gone["planck"], unsold, none["reason"]) == ("0", 409, "not_sold")
    assert [item["planck"] for item in shown["sold"]] == [str(COST)]
    assert [item["planck"] for item in shown["to_come"]] == ["0"]
    assert still == 201
    for wrong in ("0", "-1"):
        await server.api("PUT", "streams/cam/passes/month", {"planck": wrong}, 422)
    await server.api("PUT", "streams/cam/passes/year", {"planck": "5"}, 404)


async def test_what_is_not_there_or_not_allowed_is_not_charged(server, ann) -> None:
    """An empty balance and the viewer's own limits refuse, and leave nothing behind."""
    await offer(server)
    viewer = await pay_in(server, ann, COST - 1)
    few, empty = await buy(ann)
    credit = f"viewers/{viewer['account']}/credits"
    await server.api("POST", credit, {"planck": str(5 * COST)}, 201, Idempotency_Key="more")

    day = {"day_planck": str(COST - 1)}
    await ann.ask("PUT", "me/limits", day)
    over, limit = await buy(ann)
    await ann.ask("PUT", "me/limits", {"stream_planck": str(COST)})
    status, _ = await buy(ann)
    _, made = await ann.ask("POST", "streams/cam/join", {})
    stream = await server.api("GET", "streams/cam")
    await server.lose_redis()
    past = await server.claim(made, viewer, stream, server.now_s() - 200, 1)

    assert (few, empty["reason"]) == (402, "purse")
    assert (over, limit["reason"]) == (409, "limit")
    assert status == 201
    # The price counts as spent on the stream, after Redis was emptied too.
    assert past.verdict.name == "LIMIT"
    await postings_balance(server)


async def test_of_purchases_at_once_one_is_charged(server, ann) -> None:
    """By one key or by many: one pass, one price."""
    await offer(server)
    viewer = await pay_in(server, ann, 3 * COST)

    found = await asyncio.gather(
        *(buy(ann, key=key) for key in ("a", "b", "a", "b", "a", "b")),
    )

    statuses = sorted(status for status, _ in found)
    assert statuses.count(201) == 1, found
    assert set(statuses) <= {200, 201, 409}
    assert len((await ann.ask("GET", "me/passes"))[1]["passes"]) == 1
    await server.balance(viewer, 2 * COST)
    await postings_balance(server)


async def test_a_redis_that_was_emptied_covers_the_same(server, ann) -> None:
    """Balance, pass and what it covered are what they were."""
    await offer(server)
    viewer, stream = await pay_in(server, ann), await server.api("GET", "streams/cam")
    await buy(ann)
    _, made = await ann.ask("POST", "streams/cam/join", {})

    await server.lose_redis()
    now_s = server.now_s()
    answer = await server.claim(made, viewer, stream, now_s - 5, 3, cover=Cover(now_s - 9))
    await server.balance(viewer, 10 * PRICE - COST)

    assert (answer.covered_ticks, answer.cost_units) == (3, 0)
    await postings_balance(server)


async def test_finance_gives_the_price_of_a_pass_back(server, ann) -> None:
    """From who had it, once; it covers nothing from then on, and Redis emptied knows that too."""
    await offer(server)
    viewer, stream = await pay_in(server, ann), await server.api("GET", "streams/cam")
    _, bought = await buy(ann)
    _, made = await ann.ask("POST", "streams/cam/join", {})
    path = f"passes/{bought['pass']}/refund"

    silent = await server.api("POST", path, {"why": ""}, 422)
    back = await server.api("POST", path, {"why": "by mistake"}, 201)
    again = await server.api("POST", path, {"why": "by mistake"}, 200)
    earned = await server.api("GET", "streams/cam/earnings")
    await server.balance(viewer, 10 * PRICE)
    answer = await server.claim(made, viewer, stream, server.now_s() - 5, 1)
    await server.lose_redis()
    await server.balance(viewer, 9 * PRICE)
    await server.api("POST", f"passes/{'0' * 32}/refund", {"why": "x"}, 404)

    assert "why" in silent["detail"]
    assert (back["is_new"], back["is_applied"], again["is_new"]) == (True, True, False)
    assert (answer.covered_ticks, answer.cost_units) == (0, PRICE)
    assert (earned["available"], earned["maturing"]) == ("0", earned["debt"])
    assert (await ann.ask("GET", "streams/cam/passes"))[1]["held"] is None
    assert (await buy(ann, key="k2"))[0] == 201
    await postings_balance(server)


async def test_no_pass_is_sold_that_would_not_cover(server, ann, monkeypatch) -> None:
    """Who has as many as a claim looks at buys no other, until one of them holds no more."""
    monkeypatch.setattr(own_passes, "KEPT_MAX", 1)
    await offer(server, "show")
    await offer(server, "month")
    viewer, show = await pay_in(server, ann), server.now_s() - 9
    await on_air(server, show)
    status, bought = await buy(ann, "show")
    many, refused = await buy(ann, "month", key="k2")
    await server.api("POST", f"passes/{bought['pass']}/refund", {"why": "by mistake"}, 201)
    again, _ = await buy(ann, "month", key="k2")

    assert (status, many, refused["reason"], again) == (201, 409, "many", 201)
    await server.balance(viewer, 10 * PRICE - COST)
    await postings_balance(server)


async def test_who_may_not_see_or_is_barred_buys_nothing(server, ann) -> None:
    """What they may not see is not there; and a pass opens nothing to who is barred after it."""
    await offer(server)
    viewer = await pay_in(server, ann)
    await server.api("PATCH", "streams/cam", {"visibility": "invited"})
    hidden, _ = await buy(ann)
    unseen, _ = await ann.ask("GET", "streams/cam/passes")
    await server.api("PATCH", "streams/cam", {"visibility": "public"})
    bar = {"viewer": viewer["account"], "reason": "spam"}
    await server.api("POST", "streams/cam/bars", bar, 201)
    barred, _ = await buy(ann, key="k2")
    (made,) = (await server.api("GET", "streams/cam/bars"))["bars"]
    await server.api("DELETE", f"streams/cam/bars/{made['bar']}", None, 200)
    status, _ = await buy(ann, key="k3")
    _, session = await ann.ask("POST", "streams/cam/join", {})
    await server.api("POST", "streams/cam/bars", bar, 201)
    stream = await server.api("GET", "streams/cam")
    answer = await server.claim(session, viewer, stream, server.now_s() - 3, 1)
    signed_out, _ = await buy(Browser(server))

    assert (hidden, unseen, barred, status) == (404, 404, 403, 201)
    assert answer.verdict.name == "SESSION"
    assert signed_out == 401
    await postings_balance(server)


async def test_a_pass_is_in_what_is_held_of_somebody_and_no_word_beside_it_stays(
    server, ann
) -> None:
    """Erasing leaves the amount; what staff wrote and the buyer's own key go."""
    await offer(server)
    viewer = await pay_in(server, ann)
    _, bought = await buy(ann, key="Qzxvkw 1")
    refund = {"why": "Qzxvkw asked"}
    await server.api("POST", f"passes/{bought['pass']}/refund", refund, 201)

    rows = (await ann.ask("GET", "me/export"))[1]["rows"]
    path = f"people/{ann.person}/erase"
    await server.api("POST", path, {"forfeit_planck": str(10 * PRICE)}, 200)
    left = (await server.api("GET", f"people/{ann.person}/export"))["rows"]

    (held,) = [row["row"] for row in rows if row["table"] == "passes"]
    assert (held["id"], held["why"], held["planck"]) == (bought["pass"], "Qzxvkw asked", str(COST))
    assert viewer["account"] == held["account"]
    assert "Qzxvkw" not in str(left)


async def test_nobody_pays_for_what_they_cannot_watch(server, ann) -> None:
    """Not from where the stream is not shown, and not while staff has it taken down."""
    await offer(server)
    viewer = await pay_in(server, ann)
    nowhere = {"deny_networks": ["203.0.113.0/24"]}
    await server.api("PUT", "streams/cam/rules", nowhere, 200)
    body = {"stream": "cam", "kind": "month", "planck": str(COST)}
    far = {**JSON, "Idempotency-Key": "far", "X-Forwarded-For": "203.0.113.5"}
    placed, why = await ann.ask("POST", "me/passes", body, far)
    await server.api("POST", "streams/cam/takedown", {"reason": "a claim"}, 201)
    taken, because = await buy(ann, key="down")
    await server.api("DELETE", "streams/cam/takedown", None, 200)
    status, _ = await buy(ann, key="up")

    assert (placed, why["reason"]) == (403, "place")
    assert (taken, because["reason"]) == (410, "taken_down")
    assert status == 201
    await server.balance(viewer, 10 * PRICE - COST)


@pytest.mark.parametrize("is_join", [False, True])
async def test_who_closes_meanwhile_buys_nothing_and_has_no_session(
    server, ann, monkeypatch, is_join
) -> None:
    """Their request was on its way when the account was closed: nothing moves after that."""
    await offer(server)
    viewer = await pay_in(server, ann)
    module = join_stream if is_join else own_passes
    name = "hold_access" if is_join else "limits_in_force"
    passed = getattr(module, name)

    async def close_first(*given: Any) -> Any:
        path = f"people/{ann.person}/erase"
        await server.api("POST", path, {"forfeit_planck": str(10 * PRICE)}, 200)
        return await passed(*given)

    monkeypatch.setattr(module, name, close_first)
    ask = ann.ask("POST", "streams/cam/join", {}) if is_join else buy(ann)
    status, answer = await ask

    assert status == 404, answer
    shown = await server.api("GET", f"viewers/{viewer['account']}")
    assert shown["spent"] == "0"
    sessions = await server.api("GET", f"viewers/{viewer['account']}/sessions")
    assert [item for item in sessions["sessions"] if item["state"] == "live"] == []


async def test_a_pass_counts_as_spent_on_its_stream_at_once(server, ann) -> None:
    """Refused at the limit of the stream it leaves nothing behind; bought, its price counts."""
    await offer(server)
    viewer = await pay_in(server, ann)
    stream = await server.api("GET", "streams/cam")
    await ann.ask("PUT", "me/limits", {"stream_planck": str(COST - 1)})
    over, why = await buy(ann)
    await ann.ask("PUT", "me/limits", {"stream_planck": str(COST + PRICE)})
    status, _ = await buy(ann)
    _, made = await ann.ask("POST", "streams/cam/join", {})

    below = await server.claim(made, viewer, stream, server.now_s() - 200, 1)
    past = await server.claim(made, viewer, stream, server.now_s() - 190, 1)

    assert (over, why["reason"], status) == (409, "limit", 201)
    assert (below.verdict.name, past.verdict.name) == ("GRANTED", "LIMIT")
    await server.balance(viewer, 9 * PRICE - COST)
    await postings_balance(server)


async def test_a_pass_whose_money_was_taken_back_covers_nothing(server, ann) -> None:
    """Who owes for it watches nothing by it, as they watch no seconds by a balance."""
    await offer(server)
    viewer, stream = await pay_in(server, ann), await server.api("GET", "streams/cam")
    await buy(ann)
    _, made = await ann.ask("POST", "streams/cam/join", {})
    path, deposit = f"viewers/{viewer['account']}/refunds", f"first of {viewer['account']}"
    taken = {"deposit": deposit, "planck": str(10 * PRICE), "why": "the bank took it back"}
    shown = await server.api("POST", path, taken, 201, Idempotency_Key="r")

    answer = await server.claim(made, viewer, stream, server.now_s() - 5, 3)

    assert shown["debt"] == str(COST)
    assert (answer.verdict.name, answer.covered_ticks) == ("PURSE", 0)
