"""What is told: kinds of events, their bodies, and how often a delivery is tried. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

SERVER: Final = ""
"""Where a stream's id is, for what is the server's."""
BACKOFF_FIRST_MS: Final = 5_000
"""Standard Webhooks, "Retries": immediately, 5 s, then ever longer."""
BACKOFF_MAX_MS: Final = 3_600_000
"""An operator who mends a receiver waits an hour at most, or asks for a replay."""


class EventKind(StrEnum):
    """What happened."""

    STREAM_LIVE = "stream.live"
    STREAM_ENDED = "stream.ended"
    VIEWER_JOINED = "viewer.joined"
    VIEWER_LEFT = "viewer.left"
    VIEWER_LOW = "viewer.low"
    VIEWER_STOPPED = "viewer.stopped"
    STREAM_HEALTH = "stream.health"
    PAYMENT_BOOKED = "payment.booked"
    PAYMENT_RETURNED = "payment.returned"
    PAYOUT_CHANGED = "stream.payout"
    BATCH_FINAL = "batch.final"
    TEST = "webhook.test"


class Question(StrEnum):
    """What the operator's server is asked."""

    MAY_PUBLISH = "may_publish"
    MAY_WATCH = "may_watch"


class DeliveryState(StrEnum):
    """How far the telling of one event to one target is."""

    WAITING = "waiting"
    SENT = "sent"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    Attributes:
        stream: Its id, 32 hexadecimal digits, or `SERVER`: within it events are told in order.
    """

    kind: EventKind
    stream: str
    at_ms: int
    data: Mapping[str, Any]

    def body(self) -> str:
        """Return what is sent: one JSON object."""
        at = datetime.fromtimestamp(self.at_ms / 1000, UTC).isoformat(timespec="milliseconds")
        content = {"type": self.kind.value, "timestamp": at, "data": dict(self.data)}
        return json.dumps(content, separators=(",", ":"), ensure_ascii=True)


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event that is told, or is to be told, to a target."""

    target: str
    event: int
    id: str
    kind: EventKind
    stream: str
    state: DeliveryState
    tries: int
    created_ms: int
    since_ms: int
    next_ms: int
    detail: str
    body: str


def again_ms(tries: int) -> int:
    """Return how long to wait after so many tries failed, 1 or more."""
    return min(BACKOFF_FIRST_MS << min(tries - 1, 16), BACKOFF_MAX_MS)
