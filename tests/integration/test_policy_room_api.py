"""Prices are refused, in words, before what HTTP processes are told of them is too large."""

import pytest

from mediaserver.api.streams import policy_room
from tests.support.control_server import PRICE, Server, settings

SPARE = 700


@pytest.fixture
async def server(tmp_path):
    async with Server(tmp_path, settings()) as running:
        yield running


async def test_no_price_is_taken_that_would_not_be_told(server, monkeypatch) -> None:
    """Of the stream, of a viewer, of a cap: 409 with what makes room; and the old ones stay."""
    await server.stream()
    await server.viewer()
    await server.api("PUT", "streams/cam/viewer-prices/ann", {"planck_per_s": "5"}, 201)
    monkeypatch.setattr(policy_room, "STREAM_BYTES_MAX", SPARE)

    for method, path, body in (
        ("PUT", "streams/cam/viewer-prices/ann", {"planck_per_s": "6"}),
        ("POST", "streams/cam/prices", {"planck_per_s": str(2 * PRICE)}),
        ("PATCH", "streams/cam", {"show_cap_planck": "100"}),
    ):
        problem = await server.api(method, path, body, 409)
        assert "of the prices of cam takes" in problem["detail"]
        assert f"might pass {SPARE}" in problem["detail"]
        assert "24 h (metering.watched_hours)" in problem["detail"]

    assert len((await server.api("GET", "streams/cam"))["prices"]) == 1
    assert len((await server.api("GET", "streams/cam/viewer-prices"))["viewer_prices"]) == 1


async def test_all_streams_together_have_a_bound_too(server, monkeypatch) -> None:
    """Who has little is told that others take the room."""
    await server.stream()
    monkeypatch.setattr(policy_room, "POLICY_BYTES_MAX", SPARE)

    problem = await server.api("POST", "streams/cam/prices", {"planck_per_s": "7"}, 409)

    assert "of all streams takes" in problem["detail"]
    problem = await server.api("POST", "streams", {"slug": "two"}, 409)
    assert "no more, with such titles, fit" in problem["detail"]
