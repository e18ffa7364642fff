"""What creators let nobody pay for, over control's API, with a real Redis and a real book."""

import time

import pytest

from metering.units import AccountId, parse_account
from tests.support.control_server import Server, settings


@pytest.fixture
async def server(tmp_path):
    async with Server(tmp_path, settings()) as running:
        yield running


async def test_a_creator_sets_for_how_long_each_show_is_free(server) -> None:
    """Every HTTP process hears of it with the next policy; what is no such time is refused."""
    assert (await server.stream())["preview_s"] == 0

    shown = await server.api("PATCH", "streams/cam", {"preview_s": 30}, 200)
    refused = await server.api("PATCH", "streams/cam", {"preview_s": 90_000}, 422)
    below = await server.api("PATCH", "streams/cam", {"preview_s": -1}, 422)

    assert shown["preview_s"] == 30
    assert "preview_s: 90000 is not in 0 to 86400" in refused["detail"]
    assert "preview_s: -1 is not in 0 to 86400" in below["detail"]
    assert (await server.api("GET", "ledger", None, 200))["covered_ticks"] == "0"
    assert (await server.api("GET", "reconcile", None, 200))["covered"] == []


async def test_a_creator_sets_what_a_show_costs_at_most(server) -> None:
    """For shows that begin later, when every process knows; the policy and the stream say it."""
    made = await server.stream()
    now = int(time.time())

    shown = await server.api("PATCH", "streams/cam", {"show_cap_planck": "500"}, 200)
    refused = await server.api("PATCH", "streams/cam", {"show_cap_planck": "-5"}, 422)
    policy = await server.policy(lambda told: told.streams and told.streams[0].caps)
    gone = await server.api("PATCH", "streams/cam", {"show_cap_planck": "0"}, 200)

    assert (made["show_cap"], made["show_cap_to_come"]) == (None, None)
    assert (shown["show_cap"], shown["show_cap_to_come"]["planck"]) == (None, "500")
    assert now + 30 < shown["show_cap_to_come"]["from_show"] < now + 60
    assert policy.streams[0].caps[0].planck == 500
    assert "show_cap_planck" in refused["detail"]
    assert gone["show_cap"] is None
    assert (gone["show_cap_to_come"] or {"planck": "0"})["planck"] == "0"


async def test_a_new_stream_has_its_cap_from_the_first_show_on(server) -> None:
    """Nobody can have claimed a second of it yet."""
    body = {"slug": "talk", "show_cap_planck": "500"}

    made = await server.api("POST", "streams", body, 201)

    assert made["show_cap"] == {"from_show": 0, "planck": "500"}
    assert made["show_cap_to_come"] is None


async def test_a_named_viewer_pays_their_own_price_or_nothing(server) -> None:
    """From a second on that is far enough ahead; others pay what they did."""
    stream = await server.stream()
    ann = await server.api("POST", "viewers", {"name": "ann"}, 201)
    path, now = "streams/cam/viewer-prices", int(time.time())

    made = await server.api("PUT", f"{path}/ann", {"planck_per_s": "7"}, 201)
    early = await server.api("PUT", f"{path}/ann", {"planck_per_s": "8", "from_tick": now}, 422)
    nobody = await server.api("PUT", f"{path}/eve", {"planck_per_s": "7"}, 404)
    free = {"planck_per_s": "0", "from_tick": made["from_tick"] + 60}
    await server.api("PUT", f"{path}/{ann['account']}", free, 201)
    policy = await server.policy(lambda told: told.streams and told.streams[0].named)
    listed = await server.api("GET", path, None, 200)

    assert (made["name"], made["number"], made["planck_per_s"]) == ("ann", 2, "7")
    assert made["from_tick"] >= now + 60
    assert "use " in early["detail"]
    assert "eve" in nobody["detail"]
    assert [item["planck_per_s"] for item in listed["viewer_prices"]] == ["7", "0"]
    prices = policy.streams[0].seen_by(parse_account(ann["account"])).prices
    assert [price.number for price in prices][:2] == [1, 2]
    assert policy.streams[0].seen_by(AccountId(bytes(32))).prices == policy.streams[0].prices
    assert (await server.api("GET", "streams/cam", None, 200))["prices"] == stream["prices"]


async def test_a_named_viewer_pays_what_everybody_pays_again(server) -> None:
    """A change that is still to come gives way to it."""
    await server.stream()
    await server.viewer()
    await server.api("PUT", "streams/cam/viewer-prices/ann", {"planck_per_s": "0"}, 201)

    back = await server.api("DELETE", "streams/cam/viewer-prices/ann", None, 201)

    listed = await server.api("GET", "streams/cam/viewer-prices", None, 200)
    assert (back["number"], back["planck_per_s"]) == (None, None)
    assert listed["viewer_prices"][-1] == back
