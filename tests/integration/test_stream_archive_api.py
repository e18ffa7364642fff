"""A stream under another title and address, archived and taken back: over the API."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from metering.units import Verdict
from tests.integration.test_bars_api import creator
from tests.support.control_server import PRICE, Server, settings
from tests.support.people_browser import ORIGIN
from tests.support.worker_report import report


@pytest.fixture
async def server(tmp_path) -> AsyncIterator[Server]:
    made = settings()
    tree = replace(made, server=replace(made.server, public_url=ORIGIN))
    async with Server(tmp_path, tree) as started:
        yield started


async def test_a_creator_gives_a_stream_another_title(server) -> None:
    """Viewers read it; the audit log, which is kept for good, has no words of theirs."""
    stream = await server.stream(title="Camera")
    boss = await creator(server)

    status, made = await boss.ask("PATCH", "streams/cam", {"title": "The harbour"})

    assert (status, made["title"]) == (200, "The harbour")
    policy = await server.policy(lambda p: p.streams and p.streams[0].title != "Camera")
    assert policy.streams[0].title == "The harbour"
    entries = (await server.api("GET", f"audit?target=stream:{stream['id']}"))["entries"]
    assert entries[-1]["after"]["has_new_title"]
    assert "harbour" not in str(entries)
    for title in ("", "  ", "x" * 201, "a\u202eb"):
        await server.api("PATCH", "streams/cam", {"title": title}, 422)


async def test_an_address_that_was_given_up_is_nobody_elses(server) -> None:
    """Links, players and encoders out there do not arrive at a stranger's stream."""
    await server.stream()
    await server.api("PATCH", "streams/cam", {"slug": "harbour"})

    await server.api("GET", "streams/cam", status=404)
    refused = await server.api("POST", "streams", {"slug": "cam"}, 422)
    assert "never used twice" in refused["detail"]
    await server.stream(slug="den")
    await server.api("PATCH", "streams/den", {"slug": "cam"}, 422)
    await server.api("PATCH", "streams/harbour", {"slug": "cam"})
    await server.api("POST", "streams", {"slug": "harbour"}, 422)


async def test_a_stream_holds_a_bounded_number_of_names(server) -> None:
    """Nobody takes all good names by giving them up again."""
    await server.stream(slug="name-0")
    for number in range(20):
        await server.api("PATCH", f"streams/name-{number}", {"slug": f"name-{number + 1}"})

    refused = await server.api("PATCH", "streams/name-20", {"slug": "one-more"}, 422)

    assert "20 other names" in refused["detail"]
    await server.api("PATCH", "streams/name-20", {"slug": "name-3"})


async def test_an_archived_stream_has_no_viewer_no_publisher_and_its_statements(server) -> None:
    """Its sessions end, its key opens nothing, no list names it; what it earned stays to read."""
    stream, ann = await server.stream(planck_per_s=str(PRICE)), await server.viewer()
    minted, now = await server.mint(), server.now_s()
    assert (await server.claim(minted, ann, stream, now - 9, 2)).verdict is Verdict.GRANTED
    await server.spent(ann, 2 * PRICE)
    boss = await creator(server)

    status, made = await boss.ask("PATCH", "streams/cam", {"is_archived": True})

    assert (status, made["is_enabled"]) == (200, False)
    assert made["archived_ms"] > 0
    assert (await server.claim(minted, ann, stream, now - 7, 1)).verdict is Verdict.SESSION
    (ended,) = (await server.api("GET", "viewers/ann/sessions"))["sessions"]
    assert ended["state"] == "archived"
    assert (await server.api("GET", "streams"))["streams"] == []
    listed = await server.api("GET", "streams?archived=yes")
    assert [item["slug"] for item in listed["streams"]] == ["cam"]
    await server.api("GET", "streams?archived=maybe", status=422)
    key = {"Authorization": f"Bearer {stream['stream_key']}"}
    refused = await server.ask("POST", "/cam/whip", b"v=0", 403, **key)
    assert refused["title"] == "Archived"
    await server.api("POST", "tokens", {"viewer": "ann", "stream": "cam"}, 409)
    assert (await server.api("GET", "receipts/ann/cam"))["receipts"]
    month = time.strftime("%Y-%m", time.gmtime())
    assert (await boss.ask("GET", f"streams/cam/statements/{month}"))[0] == 200
    assert (await boss.ask("GET", "me"))[1]["streams"][0]["is_archived"]
    await server.api("PATCH", "streams/cam", {"is_enabled": True}, 409)
    assert (await server.api("GET", "reconcile"))["differences"] == []


@pytest.mark.parametrize("is_enabled", [True, False])
async def test_a_stream_comes_back_as_it_was(server, is_enabled) -> None:
    """One that was closed before is closed after; archived twice is archived once."""
    await server.stream()
    await server.api("PATCH", "streams/cam", {"is_enabled": is_enabled})
    for _ in range(2):
        await server.api("PATCH", "streams/cam", {"is_archived": True})

    for _ in range(2):
        made = await server.api("PATCH", "streams/cam", {"is_archived": False})
        assert (made["is_enabled"], made["archived_ms"]) == (is_enabled, None)


async def test_a_stream_on_air_is_not_archived(server) -> None:
    """Its publisher would go on for nobody."""
    stream = await server.stream()
    await server.ask("POST", "/internal/workers", report(stream), 204)

    refused = await server.api("PATCH", "streams/cam", {"is_archived": True}, 409)

    assert "on air" in refused["detail"]
    assert (await server.api("GET", "streams/cam"))["is_enabled"]


async def test_another_creator_archives_nothing(server) -> None:
    await server.stream()
    await server.stream(slug="den")
    boss = await creator(server, "den")
    assert (await boss.ask("PATCH", "streams/cam", {"is_archived": True}))[0] == 403
