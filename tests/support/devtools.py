"""One tab of Chromium over its own protocol, as Playwright holds its pages in one state.

Playwright keeps each page focused and visible, so none of its pages can be hidden or frozen.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.servers.vilokanam import CHROMIUM_ARGS


class Tab:
    """A page; `requested` are the URLs that it asked for, in order; each sets `requests`."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.requested: list[str] = []
        self.requests = asyncio.Event()

    async def listen(self) -> None:
        """Read until the browser ends."""
        async for message in self._socket:
            reply = json.loads(message.data)
            if "id" in reply and (answer := self._answers.pop(reply["id"], None)):
                answer.set_result(reply)
            elif reply.get("method") == "Network.requestWillBeSent":
                self.requested.append(reply["params"]["request"]["url"])
                self.requests.set()

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Return what a command answers."""
        number = next(self._ids)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": params})
        reply = await asyncio.wait_for(answer, 30)
        if "error" in reply:
            raise RuntimeError(f"{method}: {reply['error']}")
        result: dict[str, Any] = reply["result"]
        return result

    async def evaluate(self, script: str) -> Any:
        """Return what an expression comes to; a promise is waited for."""
        done = await self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in done:
            raise RuntimeError(done["exceptionDetails"])
        return done["result"].get("value")

    async def until(self, script: str, timeout_s: float = 30) -> Any:
        """Return the value of an expression once it is true; it is asked before each frame."""
        wait = f"""new Promise((resolve, reject) => {{
            const end = performance.now() + {timeout_s * 1000};
            const ask = () => {{
              const value = {script};
              if (value) resolve(value);
              else if (performance.now() > end) reject(new Error({json.dumps(script)}));
              else setTimeout(ask, 50);
            }}; ask(); }})"""
        return await asyncio.wait_for(self.evaluate(wait), timeout_s + 10)


@asynccontextmanager
async def open_tab(directory: Path, url: str, *args: str) -> AsyncIterator[Tab]:
    """Open a page in a Chromium of its own, 390 x 844."""
    profile = directory / "chromium"
    process = await asyncio.create_subprocess_exec(
        *("/usr/bin/chromium", *CHROMIUM_ARGS, f"--user-data-dir={profile}"),
        *("--remote-debugging-port=0", "--window-size=390,844", *args, "about:blank"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stderr is not None
        async with asyncio.timeout(60), aiohttp.ClientSession() as session:
            address = ""
            while "ws://" not in address:
                address = (await process.stderr.readline()).decode()
            reading = asyncio.create_task(process.stderr.read())
            base = f"http://{address.partition('ws://')[2].partition('/')[0]}"
            async with session.get(f"{base}/json/list") as answer:
                [page] = [one for one in await answer.json() if one["type"] == "page"]
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0) as socket,
        ):
            tab = Tab(socket)
            listening = asyncio.create_task(tab.listen())
            try:
                await tab.call("Network.enable")
                await tab.call("Page.enable")
                await tab.call("Page.navigate", url=url)
                yield tab
            finally:
                listening.cancel()
                with suppress(asyncio.CancelledError):
                    await listening
    finally:
        process.terminate()
        await process.wait()
        await reading
