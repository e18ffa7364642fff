"""The form that reports a stream, without a script, and what reaches control of it."""

from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from tests.support.front_harness import CAM, Front, policy

PERSON = "Accept: text/html"
FORM = "Content-Type: application/x-www-form-urlencoded"


@pytest.fixture
async def front(tmp_path, unused_tcp_port) -> AsyncIterator[Front]:
    async with Front(tmp_path, unused_tcp_port) as started:
        started.know(policy())
        yield started


async def test_a_person_is_shown_a_form_and_what_they_write_reaches_control(front) -> None:
    """With their address; the page runs no script and is sent to us alone."""
    shown = await front.ask("GET /cam/report", PERSON)
    assert shown.status == 200
    assert b"<textarea" in shown.body
    assert b"<script" not in shown.body
    assert "form-action 'self'" in shown.headers["content-security-policy"]

    front.worker_status = 201
    await front.ask("POST /cam/report", PERSON, FORM, body=b"text=wrong")

    (heard,) = front.heard
    assert (heard.path, heard.body, heard.address) == ("/cam/report", b"text=wrong", "127.0.0.1")


async def test_why_a_report_is_not_taken_is_said_in_words(front) -> None:
    front.worker_status = 429

    refused = await front.ask("POST /cam/report", PERSON, FORM, body=b"text=wrong")

    assert refused.status == 429
    assert b"It was not reported" in refused.body
    assert (await front.ask("PUT /cam/report", PERSON)).status == 405
    assert (await front.ask("GET /cam/report", "Accept: */*")).status == 406
    long = b"text=" + b"x" * 20_000
    assert (await front.ask("POST /cam/report", PERSON, FORM, body=long)).status == 413


async def test_a_stream_that_is_not_there_for_somebody_takes_no_report(front) -> None:
    front.know(replace(policy(), invited=(CAM.stream,)))

    for path in ("/cam/report", "/nix/report"):
        for method in ("GET", "POST"):
            assert (await front.ask(f"{method} {path}", PERSON, FORM, body=b"text=x")).status == 404
    assert front.heard == []
