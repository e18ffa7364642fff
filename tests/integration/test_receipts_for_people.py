"""A viewer's receipts, asked for by a browser and by a program."""

import asyncio
import json
import time

import pytest

from metering.units import Verdict
from tests.support.control_server import PRICE, Server, settings

PERSON = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
async def server(tmp_path):
    async with Server(tmp_path, settings()) as running:
        yield running


async def ask(server, path, headers=None):
    async with server.http.get(f"http://c{path}", headers=headers or {}) as got:
        return got.status, got.headers, await got.text()


async def test_v11_receipts_answer_in_words_from_the_first_second_on(server) -> None:
    """It was "download failed" for ten seconds, then a file of hashes under another name."""
    stream, viewer = await server.stream(), await server.viewer()
    minted = await server.mint()
    path = f"/w/{minted['token']}/cam/receipts"

    early, early_headers, early_text = await ask(server, path, PERSON)
    program, _, problem = await ask(server, path)
    answer = await server.claim(minted, viewer, stream, int(time.time()), 3)
    assert answer.verdict is Verdict.GRANTED
    async with asyncio.timeout(10):
        while (await ask(server, path))[0] != 200:  # noqa: ASYNC110 - a round of cuts tells nobody
            await asyncio.sleep(0.1)
    status, headers, text = await ask(server, path, PERSON)
    _, file_headers, file = await ask(server, f"{path}?file", PERSON)
    _, _, same = await ask(server, path)

    assert (early, early_headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert "No receipt yet" in early_text
    assert '<meta http-equiv="refresh"' in early_text
    assert early_headers["Retry-After"] == "1"
    assert (program, json.loads(problem)["title"]) == (404, "No receipt yet")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "3 s billed" in text
    assert f"{3 * PRICE / 10**12:.4f} UNIT" in text
    assert headers["Cache-Control"] == "no-store"
    assert file_headers["Content-Disposition"] == 'attachment; filename="receipts-cam.json"'
    assert file == same
    assert json.loads(file)["format"] == "vilokanam-receipts-1"


async def test_v4_a_link_that_is_no_good_for_receipts_is_told_to_people_in_words(server) -> None:
    """Not JSON on white."""
    await server.stream()
    await server.viewer()
    minted = await server.mint()
    damaged = minted["token"][:-4] + "AAAA"

    status, headers, text = await ask(server, f"/w/{damaged}/cam/receipts", PERSON)
    program, _, problem = await ask(server, f"/w/{damaged}/cam/receipts")

    assert (status, headers["Content-Type"]) == (403, "text/html; charset=utf-8")
    assert "This link is not from here" in text
    assert (program, json.loads(problem)["reason"]) == (403, "signature")
