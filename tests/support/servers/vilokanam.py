"""Starts the product as an operator would, looks at it as its users do."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
CHROMIUM_ARGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
]

CONFIG = """
[server]
host = "127.0.0.1"
port = {port}
http_processes = {http_processes}
data_dir = "{data_dir}"
[log]
level = "info"
[ingest]
reconnect_wait_s = 20
[metering]
cut_period_s = 1
[price]
default_planck_per_s = "1000000"
demo_top_up_planck = "60000000"
[chain]
batch_period_s = 1
finality_ms = 100
"""


def free_port() -> int:
    """Return a TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def until(question: Callable[[], Any], what: str, timeout_s: float = 30) -> Any:
    """Ask until the answer is true, else fail naming what was waited for."""
    end = time.monotonic() + timeout_s
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {timeout_s} s")
        time.sleep(0.05)  # between two questions to another process; the answer ends the wait


def get(url: str, headers: dict[str, str] | None = None, method: str = "GET") -> tuple[int, bytes]:
    """Return status and body; refusals are answers, not errors. Status 0: nobody answers."""
    request = urllib.request.Request(url, headers=headers or {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError:
        return 0, b""


def vilokanam(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "mediaserver.cli.main", *words],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        check=False,
    )


class Server:
    """`vilokanam serve` in a data directory of its own."""

    def __init__(self, directory: Path, *, http_processes: int = 1, config: str = "") -> None:
        self.directory = directory
        self.data_dir = directory / "data"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.config = directory / "config.toml"
        self.config.write_text(
            CONFIG.format(port=self.port, data_dir=self.data_dir, http_processes=http_processes)
            + config
        )
        self.log = directory / "server.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.environment = dict(os.environ)
        self.python = sys.executable
        self.pass_fds: list[int] = []
        self.root = ROOT

    def command(self) -> list[str]:
        """Return what starts it."""
        return [self.python, "-m", "mediaserver.cli.main", "serve", "--config", str(self.config)]

    def launch(self) -> None:
        """Start it."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                stdout=log,
                stderr=log,
                cwd=self.root,
                env=self.environment,
                start_new_session=True,
                pass_fds=self.pass_fds,
            )

    def start(self) -> None:
        """Start it and wait until it is ready."""
        self.launch()
        self.wait_ready()

    def wait_ready(self, timeout_s: float = 30) -> None:
        """Wait for /readyz."""

        def is_ready() -> bool:
            assert self.process is not None
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended:\n{self.tail()}")
            return get(self.url + "/readyz")[0] == 200

        try:
            until(is_ready, "server ready", timeout_s)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.tail()}") from None

    def stop(self) -> int:
        """Ask it to stop and return its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20)

    def kill(self) -> None:
        """Kill -9 of the parent; its children must end by themselves."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def tail(self) -> str:
        """Return the end of its log."""
        return self.log.read_text(errors="replace")[-4000:] if self.log.exists() else ""

    def run(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `vilokanam WORDS --config FILE`."""
        done = vilokanam(*words, "--config", str(self.config))
        if check and done.returncode:
            raise AssertionError(f"{words}: {done.stdout}\n{done.stderr}\n{self.tail()}")
        return done

    def json(self, *words: str) -> Any:
        """Run a command with --json and return what it prints."""
        return json.loads(self.run(*words, "--json").stdout)

    def api(self, method: str, path: str, body: object = None, **headers: str) -> Any:
        """Return the JSON answer of the admin API; faster than the command line."""
        token = (self.data_dir / "admin.token").read_text().strip()
        request = urllib.request.Request(
            f"{self.url}/api/v1/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {token}",
                "Content-Type": "application/json",
                **{name.replace("_", "-"): value for name, value in headers.items()},
            },
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def children(self, what: str) -> list[int]:
        """Return the pids of this server's processes whose command line holds `what`."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if what in words and str(self.directory) in words:
                found.append(int(entry.name))
        return sorted(found)


@contextmanager
def running(server: Server) -> Iterator[Server]:
    """Start it, and stop it whatever happens."""
    try:
        server.start()
        yield server
    finally:
        if server.process is not None and server.process.poll() is None:
            server.process.terminate()
            try:
                server.process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                os.killpg(server.process.pid, signal.SIGKILL)
                server.process.wait()


class Publisher:
    """`vilokanam publish testsrc`: FFmpeg's own WHIP muxer."""

    def __init__(self, server: Server, slug: str, key: str, *extra: str) -> None:
        self.log = (server.directory / "publish.log").open("ab")
        self.process = subprocess.Popen(
            self._command(f"{server.url}/{slug}/whip", key, *extra),
            stdout=self.log,
            stderr=self.log,
            cwd=ROOT,
            start_new_session=True,
        )

    def _command(self, url: str, key: str, *extra: str) -> list[str]:
        publish = (sys.executable, "-m", "mediaserver.cli.main", "publish", "testsrc")
        return [*publish, url, "--key", key, *extra]

    def signal(self, number: int) -> None:
        """Send a signal to it and to the process that holds its WHIP session."""
        os.killpg(self.process.pid, number)

    def stop(self, *, hard: bool = False) -> None:
        """End it: kindly (DELETE) or with kill -9, of all its processes."""
        if self.process.poll() is None:
            if hard:
                self.signal(signal.SIGKILL)
            else:
                self.process.terminate()
            self.process.wait(timeout=15)
        self.log.close()


class SmallPublisher(Publisher):
    """The same with a picture of 320x180: many players share a small machine with the server."""

    def _command(self, url: str, key: str, *extra: str) -> list[str]:
        code = (
            "import threading; from mediaserver.whip_client.client import publish_test_picture;"
            f"publish_test_picture({url!r}, {key!r}, threading.Event(), 320, 180, video_kbps=300)"
        )
        return [sys.executable, "-c", code, *extra]


@contextmanager
def counting_proxy(server: Server, port: int | None = None) -> Iterator[str]:
    """Yield the URL of a counting proxy in front of the server, on a port or any that is free."""
    port = port or free_port()
    script = str(ROOT / "tests" / "support" / "counting_proxy.py")
    with subprocess.Popen(
        [sys.executable, script, str(port), str(server.port)], stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def seen(proxy: str) -> dict[str, Any]:
    """Return what the counting proxy saw."""
    counts: dict[str, Any] = json.loads(get(proxy + "/__seen")[1])
    return counts


@contextmanager
def chromium() -> Iterator[Any]:
    """Yield a headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM_ARGS)
        try:
            yield browser
        finally:
            browser.close()
