"""On a chain no pass is offered, and none is sold."""

import pytest

from tests.integration.test_control_on_chain import Chain
from tests.integration.test_wallet_payer import by_wallet, with_pages
from tests.support.control_server import PRICE
from tests.support.people_browser import JSON


@pytest.fixture
async def server(tmp_path):
    async with Chain(tmp_path, with_pages()) as made:
        yield made


async def test_a_chain_sells_seconds_alone(server) -> None:
    """Refused with the remedy, and nothing is written."""
    await server.stream()
    browser, _ = await by_wallet(server)
    wanted = {"planck": str(PRICE)}
    offered = await server.api("PUT", "streams/cam/passes/month", wanted, 409)
    ended = await server.api("DELETE", "streams/cam/passes/month", None, 409)
    purchase = {"stream": "cam", "kind": "month", **wanted}
    status, refused = await browser.ask(
        "POST", "me/passes", purchase, {**JSON, "Idempotency-Key": "k"}
    )
    _, shown = await browser.ask("GET", "streams/cam/passes")

    assert status == 409
    assert {item["title"] for item in (offered, ended, refused)} == {
        "The chain sells seconds alone"
    }
    assert "show_cap_planck" in refused["detail"]
    assert (shown["sold"], shown["to_come"], shown["held"]) == ([], [], None)
    assert (await browser.ask("GET", "me/passes"))[1]["passes"] == []
