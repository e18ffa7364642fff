"""The life of one WHIP session, and what a PATCH of it means. Values in, values out.

    created --handshake--> connected --first media--> live --> ended
       └── connect time-out ──┴── media time-out, close_notify, BYE, DELETE, take-over ──┘

Dead peers are noticed by media alone: libjuice sends no STUN for 7 s after nomination, and FFmpeg
never answers consent checks, so neither may count (ice-lab.md, 7). RFC 7675 allows 30 s.
"""

from __future__ import annotations

import re
from enum import Enum, StrEnum
from typing import Final

FAULT_LOG_S: Final = 1.0
"""A fault that each packet meets is logged once a second, with the count."""
FAULT_RUN_S: Final = 5.0
"""A fault that lasts this long will not pass: a frozen show helps nobody."""

_ENTITY_TAG: Final = re.compile(r'\s*((?:W/)?"[^"]*"|\*)\s*(?:,|$)')


class SessionState(Enum):
    """How far a session has come."""

    CREATED = "created"
    CONNECTED = "connected"
    LIVE = "live"
    ENDED = "ended"


class EndReason(StrEnum):
    """Why a session ended. The value goes to the sink and into logs."""

    DELETED = "deleted"
    REPLACED = "replaced"
    MEDIA_TIMEOUT = "media_timeout"
    CLOSED_BY_PEER = "closed_by_peer"
    FAILED = "failed"
    DRAINED = "drained"
    TIME_STAMPS = "time_stamps"
    MEMORY = "memory"
    TAKEN_DOWN = "taken_down"


class PatchKind(Enum):
    """What a PATCH asks for, or the status that refuses it."""

    TRICKLE = 204
    RESTART = 200
    PRECONDITION_FAILED = 412
    PRECONDITION_REQUIRED = 428


class SessionLife:
    """State and time-outs of one session."""

    def __init__(self, created_s: float, connect_timeout_s: float, media_timeout_s: float) -> None:
        self.state = SessionState.CREATED
        self.reason: EndReason | None = None
        self._connect_timeout_s = connect_timeout_s
        self._media_timeout_s = media_timeout_s
        self._since_s = created_s

    @property
    def is_ended(self) -> bool:
        """True once `end` was called."""
        return self.state is SessionState.ENDED

    def connected(self, now: float) -> None:
        """Note that the DTLS handshake is done."""
        if self.state is SessionState.CREATED:
            self.state = SessionState.CONNECTED
            self._since_s = now

    def media(self, now: float) -> None:
        """Note an authenticated media packet."""
        if self.state is SessionState.CONNECTED:
            self.state = SessionState.LIVE
        self._since_s = now

    def overdue(self, now: float) -> EndReason | None:
        """Return why the session has to end now, or None.

        The first media may take as long as connecting: encoders start after the answer.
        """
        silent_s = now - self._since_s
        if self.state is SessionState.CREATED and silent_s > self._connect_timeout_s:
            return EndReason.FAILED
        if self.state is SessionState.CONNECTED and silent_s > max(
            self._connect_timeout_s, self._media_timeout_s
        ):
            return EndReason.MEDIA_TIMEOUT
        if self.state is SessionState.LIVE and silent_s > self._media_timeout_s:
            return EndReason.MEDIA_TIMEOUT
        return None

    def end(self, reason: EndReason) -> bool:
        """End the session; return False when it had ended before."""
        if self.state is SessionState.ENDED:
            return False
        self.state = SessionState.ENDED
        self.reason = reason
        return True


class FaultRun:
    """Our own faults while a session's datagrams are handled: when to log, when to give up.

    Attributes:
        total: Faults of the session.
    """

    def __init__(self) -> None:
        self.total = 0
        self._first_s = 0.0
        self._last_s = float("-inf")
        self._logged_s = float("-inf")

    def count(self, now: float) -> bool:
        """Count a fault; return whether it is to be logged."""
        self.total += 1
        if now - self._last_s > FAULT_LOG_S:
            self._first_s = now
        self._last_s = now
        if now - self._logged_s < FAULT_LOG_S:
            return False
        self._logged_s = now
        return True

    @property
    def is_lasting(self) -> bool:
        """True when faults came without a pause of a second for `FAULT_RUN_S`."""
        return self._last_s - self._first_s >= FAULT_RUN_S


def judge_patch(if_match: str | None, etag: str, ufrag: str, remote_ufrag: str) -> PatchKind:
    """Return what a PATCH with these means.

    Args:
        if_match: The If-Match header, or None without one.
        etag: The session's present entity tag, quoted.
        ufrag: The fragment's ice-ufrag, or empty.
        remote_ufrag: The publisher's present one. Another one asks for an ICE restart.

    Source: RFC 9725, 4.3; RFC 9110, 13.1.1 (strong comparison); RFC 6585, 3. The RFC's own example
    of a restart writes ``"*"`` in quotes, so both spellings of the star pass.
    """
    if if_match is None:
        return PatchKind.PRECONDITION_REQUIRED
    tags = _ENTITY_TAG.findall(if_match)
    if not any(tag in ("*", '"*"', etag) for tag in tags):
        return PatchKind.PRECONDITION_FAILED
    is_restart = ufrag not in ("", remote_ufrag)
    return PatchKind.RESTART if is_restart else PatchKind.TRICKLE
