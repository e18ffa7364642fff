"""What an idempotency key of a purchase buys, over control's API."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from tests.integration.test_passes_api import COST, buy, offer, on_air, pay_in
from tests.support.control_server import PRICE, Server, settings
from tests.support.people_browser import ORIGIN, Browser


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


async def test_a_key_buys_what_it_bought_before_or_nothing(server, ann) -> None:
    """Another price under it is another purchase; somebody else's same key is theirs."""
    await offer(server)
    viewer = await pay_in(server, ann)
    bob = Browser(server)
    await bob.sign_up("Bob")
    await pay_in(server, bob)

    first, _ = await buy(ann)
    other, refused = await buy(ann, planck=1)
    theirs, _ = await buy(bob)

    assert (first, other, theirs) == (201, 409, 201), refused
    assert "new key" in refused["detail"]
    await server.balance(viewer, 10 * PRICE - COST)


async def test_a_key_of_an_earlier_show_buys_nothing_of_this_one(server, ann) -> None:
    """Who asks again off air gets the answer that was lost; in the next show they are told."""
    await offer(server, "show")
    viewer, show = await pay_in(server, ann), server.now_s() - 9
    await on_air(server, show)
    status, bought = await buy(ann, "show")
    same_show, again = await buy(ann, "show")
    await on_air(server, show + 5)
    later, refused = await buy(ann, "show")
    new_key, other = await buy(ann, "show", key="k2")

    assert (status, same_show, again) == (201, 200, bought)
    assert later == 409, refused
    assert "an earlier show" in refused["detail"]
    assert (new_key, other["show"]) == (201, show + 5)
    shown = await server.api("GET", f"viewers/{viewer['account']}")
    assert shown["spent"] == str(2 * COST)
