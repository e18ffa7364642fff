"""Debian's WebKitGTK under its own driver, in a display of its own.

Source: W3C WebDriver.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.engines.tab import Tab
from tests.support.servers.vilokanam import free_port, get, until

_BROWSERS: Final = "usr/lib/*/webkit2gtk-4.1/MiniBrowser"
_ANSWER_S: Final = 60
"""A machine that is busy with other tests may hold a browser up for long."""
_WINDOW: Final = {"width": 390, "height": 600}
"""Small: without a graphics card each of its pixels is the processor's work."""
_SCREEN: Final = ("-screen", "0", "1280x900x24", "-nolisten", "tcp")
_LISTEN: Final = """
  window.complaints = [];
  for (const level of ['warn', 'error']) {
    const real = console[level];
    console[level] = (...words) => {
      complaints.push(`${level}: ${words.join(' ')}`);
      real.apply(console, words);
    };
  }
  addEventListener('error', event => complaints.push(`error: ${event.message}`));
  addEventListener('unhandledrejection', event => complaints.push(`error: ${event.reason}`));
  document.addEventListener('securitypolicyviolation',
    event => complaints.push(`error: ${event.violatedDirective} ${event.blockedURI}`));
"""
_ELEMENT: Final = "element-6066-11e4-a52e-4f735466cecf"


class WebKitTab(Tab):
    """The one tab of a session.

    A driven WebKit shows its console to nobody, so the page listens itself once it is loaded.
    """

    def __init__(self, driver: str, browser: Path) -> None:
        self._base = f"{driver}/session"
        options = {"binary": str(browser), "args": ["--automation"]}
        # Loaded whole, the default: a script that comes sooner is now and then never answered.
        wanted = {"alwaysMatch": {"webkitgtk:browserOptions": options}}
        made = self.call("POST", "", capabilities=wanted)
        self._base += f"/{made['sessionId']}"
        self.call("POST", "/window/rect", **_WINDOW)

    def call(self, method: str, path: str, **body: Any) -> Any:
        """Return the value that a command answers."""
        request = urllib.request.Request(
            self._base + path,
            method=method,
            data=json.dumps(body).encode() if method == "POST" else None,
        )
        try:
            with urllib.request.urlopen(request, timeout=_ANSWER_S) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{path}: {error.read().decode()}") from error

    def open(self, url: str) -> None:
        self.call("POST", "/url", url=url)
        self.call("POST", "/execute/sync", script=_LISTEN, args=[])

    def run(self, script: str) -> str:
        for is_last in (False, True):
            try:
                answer: str = self.call("POST", "/execute/sync", script=f"return {script}", args=[])
            except TimeoutError:
                # One script in some thousands is never answered, and the next one is.
                if is_last:
                    raise
            else:
                return answer
        raise AssertionError("unreachable")

    def click(self, selector: str) -> None:
        found = self.call("POST", "/element", using="css selector", value=selector)
        self.call("POST", f"/element/{found[_ELEMENT]}/click")

    def complaints(self) -> list[str]:
        complaints: list[str] = self.evaluate("window.complaints")
        return complaints

    def close(self) -> None:
        """End the session, and the browser with it."""
        self.call("DELETE", "")


@contextmanager
def webkit(directory: Path) -> Iterator[WebKitTab]:
    """Yield a tab of a MiniBrowser that keeps nothing outside `directory`."""
    browsers = list(Path("/").glob(_BROWSERS))
    if not browsers or shutil.which("WebKitWebDriver") is None:
        pytest.skip("no WebKitGTK with its driver")
    log = directory / "webkit.log"
    port = free_port()
    homes = {name: str(directory) for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME")}
    with log.open("wb") as out, _display(out) as display:
        environment = {**os.environ, **homes, "NO_AT_BRIDGE": "1", "DISPLAY": display}
        with _driver(port, environment, out) as driver:
            tab = WebKitTab(driver, browsers[0])
            try:
                yield tab
            finally:
                tab.close()


@contextmanager
def _display(out: Any) -> Iterator[str]:
    """Yield the name of an X display that is ready: it chooses a free number and says it."""
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), *_SCREEN]
    with subprocess.Popen(command, pass_fds=[writing], stdout=out, stderr=out) as process:
        os.close(writing)
        try:
            with os.fdopen(reading) as answer:
                number = answer.readline().strip()
            assert number, "Xvfb ended: see webkit.log"
            yield f":{number}"
        finally:
            process.terminate()


@contextmanager
def _driver(port: int, environment: Mapping[str, str], out: Any) -> Iterator[str]:
    url = f"http://127.0.0.1:{port}"
    command = ["WebKitWebDriver", f"--port={port}"]
    with subprocess.Popen(
        command, env=environment, stdout=out, stderr=out, start_new_session=True
    ) as process:
        try:
            until(lambda: get(url + "/status")[0] == 200, "WebKitWebDriver")
            yield url
        finally:
            # With the browser, should that have outlived its session.
            os.killpg(process.pid, signal.SIGTERM)
