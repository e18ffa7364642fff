"""A process killed between a fact and its delivery: what is in the book is told, nothing else."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from mediaserver.webhooks.addresses import networks_of
from mediaserver.webhooks.sender import Sender
from mediaserver.webhooks.service import Webhooks
from metering.book.async_book import AsyncBook
from metering.units import SessionId
from tests.support.book_fixture import make_book, open_book
from tests.support.webhook_receiver import Receiver, telling
from tests.unit.webhooks.test_service import Clock, drain

STEPS = ("in the fact", "after the fact", "after the answer")


@pytest.mark.parametrize("step", STEPS)
async def test_killed_at_a_step_nothing_is_lost_and_nothing_made_up(tmp_path, step) -> None:
    url = f"sqlite:///{tmp_path}/book.db"
    fixture = await asyncio.to_thread(make_book, url)
    async with Receiver() as receiver:
        arguments = [url, str(tmp_path), receiver.url, step]
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.integration.test_webhook_crash", *arguments),
            cwd=Path(__file__).parents[2],
            stdin=subprocess.DEVNULL,
        )
        assert await asyncio.wait_for(child.wait(), 30) == -signal.SIGKILL
        assert len(receiver.came) == (step == "after the answer")

        webhooks = Webhooks(AsyncBook(fixture.book), telling(tmp_path, receiver), Clock())
        await webhooks.open()
        kept = await webhooks.read(lambda _: fixture.book.sessions.live(2))
        await drain(webhooks, Clock())

        assert len(kept) == len(receiver.taken()) == (step != "in the fact")
        assert json.dumps([body["data"]["session"] for _, body in receiver.taken()]) == json.dumps(
            [f"{record.session:016x}" for record in kept]
        )
        assert len(receiver.came) == {"after the answer": 2}.get(step, len(kept))


def killed(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class KilledAfterwards(Sender):
    """Its process dies when the answer is here."""

    async def post(self, url: str, body: str, headers: Mapping[str, str]) -> int:
        await super().post(url, body, headers)
        killed()
        raise AssertionError


async def _child(url: str, folder: Path, receiver_url: str, step: str) -> None:
    book = open_book(url)
    receiver = Receiver()
    receiver._port = int(receiver_url.split(":")[2].split("/", maxsplit=1)[0])
    sender = KilledAfterwards(networks_of(["127.0.0.0/8"]), 10)
    webhooks = Webhooks(AsyncBook(book), telling(folder, receiver), Clock(), sender)
    await webhooks.open()
    if step == "in the fact":
        book.facts.join(killed)
    stream, viewer = book.streams.get("talks"), book.viewers.all()[0]
    await webhooks.write(
        lambda _: book.sessions.add(SessionId(7), viewer.account, stream.id, 1, 1, 10**15)
    )
    if step == "after the fact":
        killed()
    await webhooks.round("r0")


if __name__ == "__main__":
    asyncio.run(_child(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:]))
