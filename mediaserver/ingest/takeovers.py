"""Encoders that take a stream from each other: two with one stream key, which nobody meant. Pure.

A new publisher with the right key takes the stream over, so that an encoder which lost its
connection comes back at once. Two that run side by side each take their loss for that, and come
back without end: viewers see the one and the other, a few seconds each.
"""

from __future__ import annotations

from collections import deque
from typing import Final

MANY: Final = 3
WITHIN_S: Final = 60.0
SENDING_S: Final = 1.0
"""Who sent media so shortly before was taken from; longer, and it had lost its connection."""


class Takeovers:
    """The last takeovers from publishers that were sending."""

    def __init__(self) -> None:
        self._times_s: deque[float] = deque(maxlen=MANY)

    def add(self, now_s: float, last_media_s: float) -> None:
        """Note a takeover.

        Args:
            last_media_s: When the publisher that lost the stream sent its last media.
        """
        if now_s - last_media_s < SENDING_S:
            self._times_s.append(now_s)

    def advice(self, now_s: float) -> str:
        """Return what the creator is told, empty while there is nothing to tell."""
        if len(self._times_s) < MANY or now_s - self._times_s[0] >= WITHIN_S:
            return ""
        return (
            f"Two encoders send with the same stream key and take the stream from each other, "
            f"{MANY} times within a minute: stop one of them. If one is not yours, make a new key."
        )
