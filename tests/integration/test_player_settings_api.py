"""Settings of one's own players: on the account, and told to a player by its link."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from tests.support.control_server import Server, settings
from tests.support.people_browser import ORIGIN, Browser

USUAL = {"hidden_stop_s": 60, "ask_after_s": 14_400, "answer_s": 60}


@pytest.fixture
async def server(tmp_path) -> AsyncIterator[Server]:
    made = settings()
    tree = replace(made, server=replace(made.server, public_url=ORIGIN))
    async with Server(tmp_path, tree) as started:
        await started.stream(planck_per_s="0")
        yield started


async def test_a_player_is_told_what_its_account_is_set_to(server) -> None:
    ann, bob = Browser(server), Browser(server)
    await ann.sign_up("Ann")
    await bob.sign_up("Bob")
    assert (await ann.ask("GET", "me/player-settings")) == (200, USUAL)
    wanted = {"hidden_stop_s": 5, "ask_after_s": 0}
    for _ in range(2):
        status, kept = await ann.ask("PUT", "me/player-settings", wanted)
        assert (status, kept) == (200, {**USUAL, **wanted})
    for browser, shown in ((ann, kept), (bob, USUAL)):
        assert (await browser.ask("GET", "me/player-settings"))[1] == shown
        _, made = await browser.ask("POST", "streams/cam/join", {})
        assert await server.ask("GET", f"{made['path']}settings") == shown
    entries = (await server.api("GET", "audit"))["entries"]
    (entry,) = [item for item in entries if item["action"] == "viewer.player_settings"]
    assert (entry["before"], entry["after"]) == (USUAL, kept)

    status, refused = await ann.ask("PUT", "me/player-settings", {"hidden_stop_s": 1})
    assert (status, refused["faults"]) == (
        422,
        ["hidden_stop_s: 1 is not in 5 to 86400 seconds, nor 0 for never"],
    )
