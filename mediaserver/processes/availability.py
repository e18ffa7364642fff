"""Three figures for the next complaint: seconds in which platform, streams and payment worked.

A second of the platform is good unless a page or the API answered 5xx in it. A second of a stream
that is on air (its publisher is there, or we are restarting) is good when media came. A second of
payment is good while claims can be made and each that was made in it was answered. A process that
is not running counts nothing: what is seen from outside is measured from outside.

Source: docs/operator/metrics.md, "Availability".
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Self

from prometheus_client.core import CounterMetricFamily, Metric

TICK_S: Final = 1.0
PLATFORM_KINDS: Final = frozenset(
    {"page", "asset", "api", "session", "sessions", "top-up", "receipts"}
)
"""Kinds of `answer_times.kind_of_request`: what people open and programs ask, media aside."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the parts of a process have counted so far.

    Attributes:
        failed_answers: Answers of the platform that were 5xx.
        edges: How far each stream on air has come, None before its first media.
        unanswered_claims: Claims without an answer.
        may_claim: Whether priced media can be claimed now.
    """

    failed_answers: int
    edges: dict[str, object]
    unanswered_claims: int
    may_claim: bool


class Availability:
    """Counts good and bad seconds; a collector for `prometheus_client`."""

    def __init__(
        self, read: Callable[[], Reading], monotonic: Callable[[], float], stale_s: float
    ) -> None:
        """Take what is read once a second.

        Args:
            stale_s: Longest pause between two parts of a stream that is well.
        """
        self.seconds: defaultdict[tuple[str, str], float] = defaultdict(float)
        self._read = read
        self._monotonic = monotonic
        self._stale_s = stale_s
        self._at_s = monotonic()
        self._before = Reading(0, {}, 0, may_claim=True)
        self._moved_s: dict[str, float] = {}
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._at_s = self._monotonic()
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def tick(self) -> None:
        """Count the time since the last tick."""
        now_s = self._monotonic()
        passed_s, self._at_s = now_s - self._at_s, now_s
        before, now = self._before, self._read()
        self._before = now
        self._count("platform", now.failed_answers == before.failed_answers, passed_s)
        is_answered = now.unanswered_claims == before.unanswered_claims
        self._count("payment", is_answered and now.may_claim, passed_s)

        # A stream comes on air with its first look: the time before it was not watched here.
        for slug, edge in now.edges.items():
            if slug not in before.edges or edge != before.edges[slug]:
                self._moved_s[slug] = now_s
            if slug in before.edges:
                self._count("stream", now_s - self._moved_s[slug] <= self._stale_s, passed_s)
        for slug in before.edges.keys() - now.edges.keys():
            del self._moved_s[slug]

    def collect(self) -> Iterator[Metric]:
        """Yield the family as it is now."""
        family = CounterMetricFamily(
            "mediaserver_availability_seconds",
            "Seconds in which platform, streams and payment worked, or not",
            labels=("figure", "outcome"),
        )
        for figure in ("platform", "stream", "payment"):
            for outcome in ("good", "bad"):
                family.add_metric((figure, outcome), self.seconds[figure, outcome])
        yield family

    def _count(self, figure: str, is_good: bool, seconds: float) -> None:
        self.seconds[figure, "good" if is_good else "bad"] += seconds

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.tick()
