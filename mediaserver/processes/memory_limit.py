"""How much memory one worker may take, and what follows when it takes more.

First the session of its publisher ends and the codecs are given up. A worker that still holds too
much ends itself: its publisher is told, comes back, and finds another one.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Final

PERIOD_S: Final = 0.5
"""A picture of the largest size takes 14 MB: what comes within this is a fraction of the limit."""
GIVE_BACK_S: Final = 5.0
"""How long codecs may take to end and give their memory back."""


class Verdict(Enum):
    """What a worker has to do."""

    GO_ON = "go on"
    END_SESSION = "end session"
    END_WORKER = "end worker"


class MemoryLimit:
    """Judges one worker's memory."""

    def __init__(self, limit_mb: int) -> None:
        self._limit_mb = limit_mb
        self._above_since_s: float | None = None

    def judge(self, used_mb: int, now_s: float) -> Verdict:
        """Return what to do at `now_s`, monotonic seconds; END_SESSION once for each time above."""
        if used_mb <= self._limit_mb:
            self._above_since_s = None
            return Verdict.GO_ON
        if self._above_since_s is None:
            self._above_since_s = now_s
            return Verdict.END_SESSION
        is_lasting = now_s - self._above_since_s >= GIVE_BACK_S
        return Verdict.END_WORKER if is_lasting else Verdict.GO_ON


def advice(limit_mb: int) -> str:
    """Return what the creator of a session that was ended reads."""
    return (
        f"Your session was ended, as your picture takes more than the {limit_mb} MB that a stream "
        "may have here (server.worker_memory_max_mb): send a smaller picture, or fewer reference "
        "frames."
    )


def used_mb(status: Path = Path("/proc/self/status")) -> int:
    """Return the memory of this process that is not of files, 0 where the system does not say."""
    try:
        text = status.read_text()
    except OSError:
        return 0
    for line in text.splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) // 1024
    return 0
