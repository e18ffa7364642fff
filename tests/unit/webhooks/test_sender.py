"""One webhook is sent where it may be, is not led elsewhere, and is bounded."""

import asyncio

import pytest
from aiohttp import web

from mediaserver.webhooks.addresses import networks_of
from mediaserver.webhooks.sender import NotSentError, Sender
from tests.support.webhook_receiver import Receiver

HERE = networks_of(["127.0.0.0/8"])


class Plain(Receiver):
    """Takes what is not signed."""

    async def _take(self, request: web.Request) -> web.StreamResponse:
        self.tried += 1
        return await self.answer(request)


async def names(*addresses: str) -> list[str]:
    return list(addresses)


async def test_a_name_is_resolved_once_and_connected_to_where_it_led() -> None:
    """A second answer of the name's server, after the judgement, is never asked for."""
    asked = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return ["127.0.0.1"]

    async with Plain() as receiver:
        url = receiver.url.replace("127.0.0.1", "hooks.example")
        assert await Sender(HERE, 5, resolve).post(url, "{}", {}) == 200
        assert [host for host, _ in asked] == ["hooks.example"]
        assert receiver.tried == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]"])
async def test_this_machine_is_not_connected_to_however_it_is_written(host) -> None:
    async with Plain() as receiver:
        url = receiver.url.replace("127.0.0.1", host)
        with pytest.raises(NotSentError, match=r"this machine|Error"):
            await Sender((), 5).post(url, "{}", {})
        assert receiver.tried == 0


async def test_a_name_with_one_private_address_is_not_connected_to() -> None:
    async with Plain() as receiver:
        url = receiver.url.replace("127.0.0.1", "hooks.example")
        sender = Sender(HERE, 5, lambda _, __: names("127.0.0.1", "10.0.0.1"))
        with pytest.raises(NotSentError, match=r"10\.0\.0\.1 is not on the public internet"):
            await sender.post(url, "{}", {})
        assert receiver.tried == 0


async def test_a_redirect_is_not_followed() -> None:
    async def away(_: web.Request) -> web.StreamResponse:
        raise web.HTTPTemporaryRedirect("http://127.0.0.1:1/")

    async with Plain(away) as receiver:
        with pytest.raises(NotSentError, match="answered 307"):
            await Sender(HERE, 5).post(receiver.url, "{}", {})
        assert receiver.tried == 1


async def test_an_answer_is_bounded_in_time_and_bytes() -> None:
    ended = asyncio.Event()

    async def late(_: web.Request) -> web.StreamResponse:
        await ended.wait()
        return web.Response()

    async with Plain(late) as receiver:
        with pytest.raises(NotSentError, match=r"no answer within 0\.1 s"):
            await Sender(HERE, 0.1).post(receiver.url, "{}", {})
        ended.set()

    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(status=500)
        await answer.prepare(request)
        try:
            while True:
                await answer.write(b"x\n" * 50_000)
        except ConnectionError:
            ended.set()
        return answer

    ended.clear()
    async with Plain(endless) as receiver:
        with pytest.raises(NotSentError, match="answered 500: x x") as caught:
            await Sender(HERE, 5).post(receiver.url, "{}", {})
        assert len(str(caught.value)) < 400
        await asyncio.wait_for(ended.wait(), 5)
