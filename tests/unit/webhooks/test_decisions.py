"""The operator's server is asked in bounded time, and what it answers is checked and kept."""

import asyncio
import base64
import json
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from mediaserver.http.problem import ApiError
from mediaserver.webhooks import decisions
from mediaserver.webhooks.decisions import ANSWER_BYTES_MAX, Asked, Decisions
from mediaserver.webhooks.records import Question
from mediaserver.webhooks.settings import HooksSettings, WebhooksSettings
from metering.errors import InvalidValueError
from tests.support.clock import FakeClock
from tests.support.webhook_receiver import SECRET, Receiver

ANN = Asked(Question.MAY_WATCH, "id-1", "talks", "0xaa", "192.0.2.7")
CAM = Asked(Question.MAY_PUBLISH, "id-1", "talks", address="192.0.2.7")
BOTH = ("may_publish", "may_watch")

Made = Callable[..., Decisions]


def says(answer: Any, **fields: Any) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answered(_: web.Request) -> web.StreamResponse:
        text = answer if isinstance(answer, str) else json.dumps(answer)
        return web.Response(text=text, **{"content_type": "application/json", **fields})

    return answered


@pytest.fixture
def make(tmp_path: Path) -> Made:
    (tmp_path / "secret").write_text(SECRET + "\n")

    def made(receiver: Receiver, *, allowed: str = "127.0.0.0/8", **changed: Any) -> Decisions:
        fields = {"ask": BOTH, "url": receiver.url, "secret_file": str(tmp_path / "secret")}
        settings = HooksSettings(**{**fields, **changed})
        webhooks = WebhooksSettings(allowed_networks=(allowed,))
        return Decisions(settings, webhooks, FakeClock(time.time_ns() // 1_000_000), quantum=10)

    return made


async def refused(made: Decisions, asked: Asked = ANN) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await made.hold(asked, "ann")
    assert caught.value.extra == {"reason": "hook"}
    return caught.value


def counted(question: str, outcome: str) -> float:
    labels = {"question": question, "outcome": outcome}
    return REGISTRY.get_sample_value("mediaserver_hooks_answers_total", labels) or 0.0


async def test_a_question_is_signed_and_says_who_where_and_what(make) -> None:
    """The receiver checks each with `standardwebhooks`; what it could misuse is not in it."""
    async with Receiver(says({"allow": True, "limit_planck": "500"})) as receiver:
        made = make(receiver)

        assert await made.hold(ANN, "ann") == 500
        receiver.answer = says({"allow": True})
        assert await made.hold(CAM) is None

        (_, watch, _), (_, publish, _) = receiver.came
    about = {"stream": {"id": "id-1", "slug": "talks"}, "address": "192.0.2.7"}
    who = {"account": "0xaa", "viewer": "ann"}
    for body in (watch, publish):
        assert datetime.fromisoformat(body.pop("timestamp")).tzinfo is UTC
    assert watch == {"type": "may_watch", **about, **who}
    assert publish == {"type": "may_publish", **about}


async def test_a_refusal_says_why_in_bounded_printable_words(make) -> None:
    words = "over\x1b[2J\u202e" + "x" * 900
    async with Receiver(says({"allow": False, "reason": words})) as receiver:
        error = await refused(make(receiver))

        receiver.answer = says({"allow": False})
        silent = await refused(make(receiver), CAM)

    assert (error.status, silent.status) == (403, 403)
    assert str(error).startswith("over [2J xxx")
    assert len(str(error)) == 300
    assert "operator of this server" in str(silent)


NO_ANSWERS = {
    "a text": says("yes"),
    "a list": says([True]),
    "nothing": says(""),
    "half": says('{"allow": tru'),
    "a deep nest": says("[" * 4000),
    "allow as text": says({"allow": "true"}),
    "allow as a number": says({"allow": 1}),
    "no allow": says({"reason": "hm"}),
    "a reason that is no text": says({"allow": False, "reason": {"x": 1}}),
    "a limit as a number": says({"allow": True, "limit_planck": 500}),
    "a limit of 0": says({"allow": True, "limit_planck": "0"}),
    "a limit below 0": says({"allow": True, "limit_planck": "-10"}),
    "a part of a unit": says({"allow": True, "limit_planck": "15"}),
    "a limit past counting": says({"allow": True, "limit_planck": "1" + "0" * 38}),
    "digits of another script": says({"allow": True, "limit_planck": "\u0665\u0660"}),
    "html": says({"allow": True}, content_type="text/html"),
    "201": says({"allow": True}, status=201),
    "500": says({"allow": True}, status=500),
    "a redirect": says({"allow": True}, status=307, headers={"Location": "http://127.0.0.1:1/"}),
    "10 MB": says({"allow": True, "reason": "x" * 10_000_000}),
    "one byte too many": says(json.dumps({"allow": True}).ljust(ANSWER_BYTES_MAX + 1)),
}


@pytest.mark.parametrize("what", NO_ANSWERS)
async def test_what_is_no_answer_lets_in_nobody_or_everybody_as_configured(make, what) -> None:
    async with Receiver(NO_ANSWERS[what]) as receiver:
        before = counted("may_watch", "failed_closed"), counted("may_watch", "failed_open")
        with capture_logs() as logs:
            closed = await refused(make(receiver))
        assert await make(receiver, on_failure="open").hold(ANN, "ann") is None

        assert receiver.tried == 2
    assert (closed.status, closed.headers["Retry-After"]) == (503, "5")
    assert "answer" in logs[0]["reason"]
    after = counted("may_watch", "failed_closed"), counted("may_watch", "failed_open")
    assert after == (before[0] + 1, before[1] + 1)


async def test_the_longest_answer_is_read(make) -> None:
    async with Receiver(says(json.dumps({"allow": True}).ljust(ANSWER_BYTES_MAX))) as receiver:
        assert await make(receiver).hold(ANN, "ann") is None


async def test_so_many_are_asked_at_once_and_the_others_wait_their_turn(make) -> None:
    full, go = asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        if receiver.tried >= decisions.AT_ONCE_MAX:
            full.set()
        await go.wait()
        return await says({"allow": True})(request)

    async with Receiver(slow) as receiver:
        made = make(receiver, timeout_s=60)
        asking = [
            asyncio.create_task(made.hold(Asked(Question.MAY_WATCH, "id-1", "talks", str(number))))
            for number in range(decisions.AT_ONCE_MAX + 9)
        ]
        await asyncio.wait_for(full.wait(), 50)
        assert receiver.tried == decisions.AT_ONCE_MAX
        go.set()
        assert set(await asyncio.gather(*asking)) == {None}
        assert receiver.tried == decisions.AT_ONCE_MAX + 9


async def test_a_slow_and_a_dead_server_and_one_of_this_machine_are_failures(make) -> None:
    ended = asyncio.Event()

    async def slow(_: web.Request) -> web.StreamResponse:
        await ended.wait()
        return web.Response()

    async with Receiver(slow) as receiver:
        late = make(receiver, timeout_s=1)
        with capture_logs() as logs:
            await asyncio.gather(*(refused(late) for _ in range(3)))
        ended.set()
    assert [entry["event"] for entry in logs] == ["webhooks.decision.failed"], "one line for all"
    assert "no answer within 1 s" in logs[0]["reason"]
    with capture_logs() as logs:
        assert (await refused(make(receiver))).status == 503
    assert logs[0]["event"] == "webhooks.decision.failed"

    async with Receiver(says({"allow": True})) as receiver:
        with capture_logs() as logs:
            await refused(make(receiver, allowed="10.0.0.0/8"))
        assert receiver.tried == 0
    assert "127.0.0.1 is this machine" in logs[0]["reason"]


async def test_an_answer_is_kept_for_the_same_question_and_a_failure_never(make) -> None:
    async with Receiver(says({"allow": False, "reason": "no"})) as receiver:
        made = make(receiver, cache_s=30)
        clock = made._clock
        for _ in range(3):
            assert str(await refused(made)) == "no"
        assert receiver.tried == 1

        receiver.answer = says({"allow": True})
        for other in (
            CAM,
            Asked(Question.MAY_WATCH, "id-2", "den", "0xaa", "192.0.2.7"),
            Asked(Question.MAY_WATCH, "id-1", "talks", "0xbb", "192.0.2.7"),
            Asked(Question.MAY_WATCH, "id-1", "talks", "0xaa", "192.0.2.8"),
        ):
            await made.hold(other, "ann")
        assert receiver.tried == 5
        assert isinstance(clock, FakeClock)
        clock.move(29.9)
        assert str(await refused(made)) == "no"
        clock.move(0.1)
        await made.hold(ANN, "ann")
        assert receiver.tried == 6

        receiver.answer = says("?")
        clock.move(30)
        for _ in range(2):
            assert (await refused(made)).status == 503
        assert receiver.tried == 8


async def test_the_oldest_answer_makes_room(make, monkeypatch) -> None:
    monkeypatch.setattr(decisions, "KEPT_MAX", 2)
    async with Receiver(says({"allow": True})) as receiver:
        made = make(receiver)
        for account in ("0x1", "0x2", "0x3", "0x3", "0x2", "0x1"):
            await made.hold(Asked(Question.MAY_WATCH, "id-1", "talks", account), "ann")
        assert receiver.tried == 4


async def test_what_is_not_asked_is_allowed_and_needs_no_secret(make) -> None:
    async with Receiver(says({"allow": False})) as receiver:
        assert await make(receiver, ask=(), secret_file="").hold(ANN, "ann") is None
        assert await make(receiver, ask=("may_publish",)).hold(ANN, "ann") is None
        assert receiver.tried == 0


async def test_a_secret_that_is_none_is_named(make, tmp_path) -> None:
    short = tmp_path / "short"
    short.write_text("whsec_" + base64.b64encode(b"x").decode())
    for file in (short, tmp_path / "none"):
        with pytest.raises(InvalidValueError, match=rf"hooks\.secret_file: {file}"):
            make(Receiver(), secret_file=str(file))
