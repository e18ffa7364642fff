"""Chromium as a viewer has it: nobody watches the page while it opens.

Playwright enables the browser's Network and Runtime domains in every page, and with them V8
collects a stack (and parses the whole script again, 25 to 60 ms here) at the first request that a
script makes. Here a page is opened over the DevTools protocol with no domain enabled, and asked
only what it measured by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import aiohttp

from tests.support.servers.vilokanam import CHROMIUM_ARGS, until

ASK_EVERY_S: Final = 0.1
SETTLE_S: Final = 0.5
"""A renderer that is being started is no viewer's page yet."""
MESSAGE_BYTES_MAX: Final = 1 << 24


class Tab:
    """One page of a context of its own: empty caches, no cookies."""

    def __init__(self, tabs: Tabs, context: str, target: str) -> None:
        self._tabs = tabs
        self._context = context
        self._session: str = tabs.ask(
            "Target.attachToTarget", {"targetId": target, "flatten": True}
        )["sessionId"]

    def navigate(self, url: str) -> None:
        """Begin to load `url`."""
        self._tabs.ask("Page.navigate", {"url": url}, self._session)

    def evaluate(self, expression: str) -> Any:
        """Return the JSON value of a JavaScript expression."""
        answer = self._tabs.ask(
            "Runtime.evaluate", {"expression": expression, "returnByValue": True}, self._session
        )
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def wait_for(self, expression: str, longest_s: float) -> Any:
        """Return its value once that is not null."""
        end = time.monotonic() + longest_s
        while (value := self.evaluate(expression)) is None:
            if time.monotonic() > end:
                raise AssertionError(f"{expression} stayed null for {longest_s} s")
            time.sleep(ASK_EVERY_S)
        return value

    def close(self) -> None:
        """Close the page and forget its context."""
        self._tabs.ask("Target.disposeBrowserContext", {"browserContextId": self._context})


class Tabs:
    """A headless Chromium over its DevTools socket."""

    def __init__(self, loop: asyncio.AbstractEventLoop, socket: Any) -> None:
        self._loop = loop
        self._socket = socket
        self._count = 0

    def open(self, url: str) -> Tab:
        """Navigate an empty page of a new context to `url`."""
        context = self.ask("Target.createBrowserContext", {})["browserContextId"]
        blank = {"url": "about:blank", "browserContextId": context, "width": 1280, "height": 720}
        tab = Tab(self, context, self.ask("Target.createTarget", blank)["targetId"])
        until(lambda: tab.evaluate("document.readyState") == "complete", "an empty page")
        time.sleep(SETTLE_S)
        tab.navigate(url)
        return tab

    def ask(self, method: str, params: dict[str, Any], session: str | None = None) -> Any:
        """Return the result of one DevTools call."""
        return self._loop.run_until_complete(self._ask(method, params, session))

    async def _ask(self, method: str, params: dict[str, Any], session: str | None) -> Any:
        self._count += 1
        call = {"id": self._count, "method": method, "params": params}
        await self._socket.send_json(call | ({"sessionId": session} if session else {}))
        while True:
            answer = json.loads((await self._socket.receive(timeout=30)).data)
            if answer.get("id") == self._count:
                if "error" in answer:
                    raise AssertionError(answer["error"])
                return answer["result"]


@contextlib.contextmanager
def chromium() -> Iterator[Tabs]:
    """Yield a browser that nobody else uses."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        browser = subprocess.Popen(
            [
                "/usr/bin/chromium",
                *CHROMIUM_ARGS,
                "--remote-debugging-port=0",
                f"--user-data-dir={folder}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        stack.callback(browser.wait, 10)
        stack.callback(browser.terminate)
        port_file = folder / "DevToolsActivePort"
        until(lambda: port_file.exists() and "/" in port_file.read_text(), "Chromium")
        port, path = port_file.read_text().split()
        loop = asyncio.new_event_loop()
        stack.callback(loop.close)
        client = loop.run_until_complete(_client())
        stack.callback(lambda: loop.run_until_complete(client.close()))
        connecting = client.ws_connect(
            f"http://127.0.0.1:{port}{path}", max_msg_size=MESSAGE_BYTES_MAX
        )
        yield Tabs(loop, loop.run_until_complete(connecting))


async def _client() -> aiohttp.ClientSession:
    return aiohttp.ClientSession()
