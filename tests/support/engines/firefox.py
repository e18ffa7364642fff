"""Debian's Firefox over WebDriver BiDi, which it speaks itself: no driver between.

Source: W3C WebDriver BiDi, and what Firefox writes when it listens.
"""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import websocket

from tests.support.engines.tab import Tab
from tests.support.servers.vilokanam import until

_LISTENS: Final = re.compile(r"WebDriver BiDi listening on (ws://\S+)\n")
_ANSWER_S: Final = 60
"""A machine that is busy with other tests may hold a browser up for long."""
_PREFERENCES: Final = (
    # What it would ask of its maker's servers when it starts.
    '"services.settings.server", "data:,"',
    '"app.normandy.enabled", false',
)
_MIDDLE: Final = """(({left, top, width, height}) =>
  [Math.round(left + width / 2), Math.round(top + height / 2)])(
  document.querySelector(%s).getBoundingClientRect())"""


class FirefoxTab(Tab):
    """The one tab of a session."""

    def __init__(self, address: str) -> None:
        self._socket = websocket.create_connection(
            f"{address}/session", timeout=_ANSWER_S, suppress_origin=True
        )
        self._ids = itertools.count(1)
        self._complaints: list[str] = []
        self.call("session.new", capabilities={})
        self.call("session.subscribe", events=["log.entryAdded"])
        self._context = self.call("browsingContext.getTree")["contexts"][0]["context"]

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Return what a command answers; keep what the console shows meanwhile."""
        number = next(self._ids)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while (message := json.loads(self._socket.recv())).get("id") != number:
            self._take(message)
        if message["type"] == "error":
            raise RuntimeError(f"{method}: {message}")
        result: dict[str, Any] = message["result"]
        return result

    def _take(self, event: dict[str, Any]) -> None:
        entry = event.get("params", {})
        if event.get("method") == "log.entryAdded" and entry["level"] in {"warn", "error"}:
            self._complaints.append(f"{entry['level']}: {entry['text']}")

    def open(self, url: str) -> None:
        self.call("browsingContext.navigate", context=self._context, url=url, wait="interactive")

    def run(self, script: str) -> str:
        done = self.call(
            "script.evaluate",
            expression=script,
            target={"context": self._context},
            awaitPromise=True,
        )
        if done["type"] != "success":
            raise RuntimeError(f"{script}: {done['exceptionDetails']}")
        value: str = done["result"]["value"]
        return value

    def click(self, selector: str) -> None:
        x, y = self.evaluate(_MIDDLE % json.dumps(selector))
        move = {"type": "pointerMove", "x": x, "y": y}
        press = [{"type": kind, "button": 0} for kind in ("pointerDown", "pointerUp")]
        pointer = {"type": "pointer", "id": "mouse", "actions": [move, *press]}
        self.call("input.performActions", context=self._context, actions=[pointer])

    def complaints(self) -> list[str]:
        self.run("''")  # what was shown before this answer has come by then
        return self._complaints

    def close(self) -> None:
        """Leave it."""
        self._socket.close()


@contextmanager
def firefox(directory: Path) -> Iterator[FirefoxTab]:
    """Yield a tab of a headless Firefox with a new profile in `directory`."""
    program = shutil.which("firefox-esr") or shutil.which("firefox")
    if program is None:
        pytest.skip("no Firefox")
    profile = directory / "firefox"
    profile.mkdir()
    (profile / "user.js").write_text("".join(f"user_pref({line});\n" for line in _PREFERENCES))
    command = [program, "--headless", "--no-remote", "--remote-debugging-port=0", "--profile"]
    log = directory / "firefox.log"
    with (
        log.open("wb") as out,
        subprocess.Popen([*command, str(profile)], stdout=out, stderr=out) as process,
    ):
        try:
            tab = FirefoxTab(_address(process, log))
            try:
                yield tab
            finally:
                tab.close()
        finally:
            process.terminate()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """Return where Firefox says that it listens."""

    def logged_address() -> str:
        assert process.poll() is None, log.read_text(errors="replace")
        found = _LISTENS.search(log.read_text(errors="replace"))
        return found[1] if found else ""

    address: str = until(logged_address, "Firefox listens", _ANSWER_S)
    return address
