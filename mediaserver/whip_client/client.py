"""A WHIP publisher, for `vilokanam publish` and for the demo.

Both functions block until they are stopped, and come back by themselves when the server goes away.
Each session is a process of its own (`session_process`), which is ended when it hangs.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

from mediaserver import log
from mediaserver.errors import AccessDeniedError
from mediaserver.whip_client.session_process import ExitCode

BACKOFF_MIN_S: Final = 0.5
BACKOFF_MAX_S: Final = 8.0
STEADY_S: Final = 10.0
"""A session that lasted this long was a good one: the next wait is short again."""
CLOSE_S: Final = 3.0
"""How long a session may take to close: DELETE and the end of DTLS."""
_POLL_S: Final = 0.1
_REFUSALS: Final = {ExitCode.UNAUTHORIZED: 401, ExitCode.FORBIDDEN: 403, ExitCode.NOT_FOUND: 404}

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
) -> None:
    """Publish a test picture with a clock and a tone until `stop` is set.

    Args:
        stop: Ends it, within a tenth of a second and `CLOSE_S`.
        width: Pixels, even.
        height: Pixels, even.
        video_kbps: Highest bit rate; the picture needs much less.
        gop_s: Seconds between keyframes.
        seconds: End by itself after this long; None: never.

    Raises:
        AccessDeniedError: The server refused the key or does not know the stream, at the first try.
    """
    job = {
        "url": url,
        "key": key,
        "width": width,
        "height": height,
        "fps": fps,
        "video_kbps": video_kbps,
        "gop_s": gop_s,
    }
    _publish(job, stop, seconds)


def publish_file(
    path: Path, url: str, key: str, stop: threading.Event, is_looped: bool = True
) -> None:
    """Publish a file in real time until it ends or `stop` is set.

    H.264 without B-frames and Opus are sent as they are, anything else is encoded.

    Raises:
        AccessDeniedError: The server refused the key or does not know the stream, at the first try.
        FileNotFoundError: There is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(path)
    _publish({"url": url, "key": key, "path": str(path), "is_looped": is_looped}, stop, None)


def _publish(job: dict[str, Any], stop: threading.Event, seconds: float | None) -> None:
    """Run sessions until one ends by itself, waiting longer after each that failed."""
    ends_at = None if seconds is None else time.monotonic() + seconds
    wait_s = BACKOFF_MIN_S
    has_been_live = False
    while not stop.is_set():
        began = time.monotonic()
        left = None if ends_at is None else ends_at - began
        if left is not None and left <= 0:
            return
        end = _session({**job, "seconds": left}, stop)
        lasted = time.monotonic() - began
        if end == ExitCode.DONE or stop.is_set():
            return
        has_been_live = has_been_live or end in (ExitCode.LOST, ExitCode.STUCK)
        if end in _REFUSALS and not has_been_live:
            raise AccessDeniedError(_REFUSALS[ExitCode(end)], "stream key or address refused")
        if lasted > STEADY_S:
            wait_s = BACKOFF_MIN_S
        _log.warning(
            "publisher.session.lost", end=end, lasted_s=round(lasted, 1), next_try_s=wait_s
        )
        stop.wait(wait_s)
        wait_s = min(BACKOFF_MAX_S, 2 * wait_s)


def _session(job: dict[str, Any], stop: threading.Event) -> int:
    """Run one session's process; return its exit code."""
    process = subprocess.Popen(
        [sys.executable, "-m", "mediaserver.whip_client.session_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        text=True,
    )
    with process:
        stdin = process.stdin
        try:
            if stdin is not None:
                # On standard input, as a command line can be read by anybody on the machine.
                with contextlib.suppress(BrokenPipeError):
                    stdin.write(json.dumps(job) + "\n")
                    stdin.flush()
            while process.poll() is None and not stop.is_set():
                stop.wait(_POLL_S)
            if stdin is not None:
                with contextlib.suppress(BrokenPipeError):
                    stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(CLOSE_S)
        finally:
            process.kill()
    return process.returncode
