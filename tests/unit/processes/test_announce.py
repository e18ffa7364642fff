"""The server says where to open it, and what it waits for (O17, O23)."""

import asyncio
from dataclasses import replace
from typing import Any

from structlog.testing import capture_logs

from mediaserver.processes.announce import announce
from mediaserver.settings.records import Settings


async def run(answers: list[list[str]], patience_s: float) -> list[Any]:
    """Return what is logged while the server answers so, one after another."""
    stop = asyncio.Event()
    left = iter(answers)

    async def ask(_host: str, port: int) -> list[str]:
        assert port == 9001
        answer = next(left, None)
        if answer is None:
            stop.set()
            return []
        return answer

    tree = Settings()
    tree = replace(tree, server=replace(tree.server, host="::1", port=9001))
    with capture_logs() as logs:
        async with asyncio.timeout(10):
            await announce(tree, stop, ask, patience_s=patience_s, ask_s=0, steady_ask_s=0)
    return logs


async def test_o23_a_start_logs_the_address_to_open_once():
    """The first line that a newcomer looks for."""
    logs = await run([["starting"], [], []], 60)

    assert [(line["event"], line.get("url")) for line in logs] == [
        ("server.address.ready", "http://[::1]:9001/")
    ]


async def test_o17_what_a_server_waits_for_is_logged_and_not_each_time():
    """A wrong password of Redis is in the log as long as it lasts, once a minute."""
    wrong = ["Redis: invalid username-password pair"]
    logs = await run([wrong, wrong, wrong, ["another"], [], wrong], 0)

    assert [(line["event"], line.get("faults")) for line in logs] == [
        ("server.ready.waiting", wrong),
        ("server.ready.waiting", ["another"]),
        ("server.address.ready", None),
        ("server.ready.waiting", wrong),
        ("server.address.ready", None),
    ]
