"""A WHIP publisher, for `vilokanam publish` and for the demo.

Both functions block until they are stopped, and come back by themselves when the server goes away.
What cannot heal ends them, and each fault is told once, however often it is met. Each session is a
process of its own (`session_process`), which is ended when it hangs; its HTTP goes through `relay`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from mediaserver import log
from mediaserver.errors import AccessDeniedError, PublishError
from mediaserver.whip_client.relay import Fault, Relay
from mediaserver.whip_client.session_process import ExitCode

BACKOFF_MIN_S: Final = 0.5
BACKOFF_MAX_S: Final = 8.0
STEADY_S: Final = 10.0
"""A session that lasted this long was a good one: the next wait is short again."""
CLOSE_S: Final = 3.0
"""How long a session may take to close: DELETE and the end of DTLS."""
_POLL_S: Final = 0.1

Tell = Callable[[str, bool], None]
"""Takes a line for the user, and whether it is a fault."""

_log = log.get("publisher")


def publish_test_picture(  # noqa: PLR0917 - the command line's options, all named there
    url: str,
    key: str,
    stop: threading.Event,
    width: int = 1280,
    height: int = 720,
    fps: int = 30,
    video_kbps: int = 2500,
    gop_s: int = 1,
    seconds: float | None = None,
    *,
    is_insecure: bool = False,
    tell: Tell | None = None,
) -> None:
    """Publish a test picture with a clock and a tone until `stop` is set.

    Args:
        stop: Ends it, within a tenth of a second and `CLOSE_S`.
        width: Pixels, even.
        height: Pixels, even.
        video_kbps: Highest bit rate; the picture needs much less.
        gop_s: Seconds between keyframes.
        seconds: End by itself after this long; None: never.
        is_insecure: Take any certificate of the server.
        tell: Hears of the start, the rate and faults; None: faults are logged.

    Raises:
        AccessDeniedError: The server refused the key, at the first try.
        PublishError: Something else that only a person can mend, or another publisher took over.
    """
    job = {
        "width": width,
        "height": height,
        "fps": fps,
        "video_kbps": video_kbps,
        "gop_s": gop_s,
    }
    _Publisher(url, key, stop, tell, is_insecure=is_insecure).run(job, seconds)


def publish_file(
    path: Path,
    url: str,
    key: str,
    stop: threading.Event,
    is_looped: bool = True,
    *,
    is_insecure: bool = False,
    tell: Tell | None = None,
) -> None:
    """Publish a file in real time until it ends or `stop` is set.

    H.264 in 4:2:0 without B-frames and stereo Opus are sent as they are, anything else is encoded.

    Raises:
        AccessDeniedError: The server refused the key, at the first try.
        PublishError: The file holds no media, or something else that only a person can mend.
        FileNotFoundError: There is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(path)
    job = {"path": str(path), "is_looped": is_looped}
    _Publisher(url, key, stop, tell, is_insecure=is_insecure).run(job, None)


class _Publisher:
    """Runs sessions until one ends by itself, waiting longer after each that failed."""

    def __init__(
        self, url: str, key: str, stop: threading.Event, tell: Tell | None, *, is_insecure: bool
    ) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise PublishError(f"{url} is no WHIP address; it is https://<host>/<stream>/whip")
        self._url = url
        self._stop = stop
        self._tell = tell
        self._relay = Relay(url, key, is_insecure=is_insecure)
        self._has_been_live = False
        self._told = ""
        self._media_fault = ""
        self._error = ""

    def run(self, job: dict[str, Any], seconds: float | None) -> None:
        ends_at = None if seconds is None else time.monotonic() + seconds
        wait_s = BACKOFF_MIN_S
        with self._relay:
            while not self._stop.is_set():
                began = time.monotonic()
                left = None if ends_at is None else ends_at - began
                if left is not None and left <= 0:
                    return
                end = self._session({**job, "url": self._relay.url, "seconds": left})
                if end == ExitCode.DONE or self._stop.is_set():
                    return
                if end in {ExitCode.LOST, ExitCode.STUCK} and self._relay.was_replaced():
                    # Coming back would take it from the other one, who would take it from us.
                    raise PublishError(
                        f"another publisher took {self._url} over with the same stream key; "
                        "end that one, or give each its own stream"
                    )
                self._judge(self._fault(end))
                if time.monotonic() - began > STEADY_S:
                    wait_s = BACKOFF_MIN_S
                self._stop.wait(wait_s)
                wait_s = min(BACKOFF_MAX_S, 2 * wait_s)

    def _fault(self, end: int) -> Fault:
        """Return why a session ended."""
        if self._media_fault:
            return Fault(self._media_fault, is_final=True)
        if end in {ExitCode.LOST, ExitCode.STUCK}:
            return Fault("the connection to the server was lost")
        if self._relay.fault is not None:
            return self._relay.fault
        if not self._relay.offers:
            # FFmpeg refused before it asked the server: it will do so each time.
            return Fault(f"FFmpeg cannot send this by WHIP: {self._error}", is_final=True)
        return Fault(
            f"{self._url} answered, but nothing came through by UDP ({self._error or end}); the "
            "ports of ingest.udp_port_min to udp_port_max must be open"
        )

    def _judge(self, fault: Fault) -> None:
        """Tell a fault once; raise what nobody but a person can mend, at the first try."""
        if fault.is_final and not self._has_been_live:
            if fault.status in {401, 403}:
                raise AccessDeniedError(fault.status, fault.text)
            raise PublishError(fault.text)
        if fault.text == self._told:
            return
        self._told = fault.text
        if self._tell is None:
            _log.warning("publisher.session.lost", reason=fault.text)
        else:
            self._tell(f"{fault.text}; trying again", True)

    def _session(self, job: dict[str, Any]) -> int:
        """Run one session's process; return its exit code."""
        self._error = ""
        process = _start()
        with process:
            reader = threading.Thread(target=self._listen, args=(process.stdout,), daemon=True)
            reader.start()
            stdin = process.stdin
            try:
                if stdin is not None:
                    # On standard input, as a command line can be read by anybody on the machine.
                    with contextlib.suppress(BrokenPipeError):
                        stdin.write(json.dumps(job) + "\n")
                        stdin.flush()
                while process.poll() is None and not self._stop.is_set():
                    self._stop.wait(_POLL_S)
                if stdin is not None:
                    with contextlib.suppress(BrokenPipeError):
                        stdin.close()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(CLOSE_S)
            finally:
                process.kill()
                process.wait()
                reader.join()
        return process.returncode

    def _listen(self, lines: Any) -> None:
        """Take what the session's process reports, a JSON object a line."""
        for line in lines:
            with contextlib.suppress(ValueError):
                self._hear(json.loads(line))

    def _hear(self, report: dict[str, Any]) -> None:
        match report.get("event"):
            case "live":
                self._has_been_live = True
                self._told = ""
                watch = self._url.removesuffix("/").removesuffix("whip")
                self._say(f"live at {watch}")
            case "rate":
                since_s = round(report["since_s"])
                minutes, seconds = divmod(since_s, 60)
                rate = f"{report['fps']:.0f} fps, {report['kbps']:.0f} kbit/s"
                self._say(f"{minutes // 60}:{minutes % 60:02}:{seconds:02}  {rate}")
            case "no_media":
                self._media_fault = report["text"]
            case "failed":
                self._error = report["text"]

    def _say(self, line: str) -> None:
        if self._tell is not None:
            self._tell(line, False)


def _start() -> subprocess.Popen[str]:
    """Start a session's process, deaf to the terminal's Ctrl-C: it ends when we tell it to."""
    # FFmpeg must not look for a proxy on its way to the relay.
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "no_proxy": "127.0.0.1"}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "mediaserver.whip_client.session_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=env,
            text=True,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
