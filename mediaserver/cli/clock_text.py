"""Times as people read them: a clock time of this machine's zone, and how far away it is."""

from __future__ import annotations

import time


def clock_text(unix_s: float, now_s: float | None = None) -> str:
    """Return ``14:03:20 CET``, with the date before it when that is another day."""
    at = time.localtime(unix_s)
    today = time.localtime(time.time() if now_s is None else now_s)
    form = "%H:%M:%S %Z" if at[:3] == today[:3] else "%Y-%m-%d %H:%M:%S %Z"
    return time.strftime(form, at)


def utc(unix_ms: int) -> str:
    """Return ``2026-11-30 14:03``, UTC, for tables that are read anywhere."""
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(unix_ms / 1000))


def utc_second(unix_s: int) -> str:
    """Return ``2026-11-30 14:03:20``, UTC."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(unix_s))


def span_text(seconds: float) -> str:
    """Return a length of time in its two largest units: ``47 s``, ``2 min 5 s``, ``3 h 20 min``."""
    left = max(0, round(seconds))
    texts: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or (unit == "s" and not texts):
            texts.append(f"{count} {unit}")
    return " ".join(texts[:2])
