"""What an HTTP process remembers of the claims it made, so that it need not repeat them.

Remembered ticks spare the claim, not the session: a delivery from memory is added up and sent with
the next claim, and memory serves only while the session was confirmed within a second and less than
two seconds are unsent (docs/metering.md, "Claims"). What is unsent belongs to account, stream and
medium: it goes along with the next claim of any of their sessions, also when the one that got it
has ended. Everything is bounded; what falls out costs a claim that finds its ticks watched, and
after a loss of the store an evidence that nobody offers.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from metering.ports import Claim
from metering.units import AccountId, Cover, Medium, PricedRun, Run, SessionId, Units

CONFIRMED_S: Final = 1.0
"""How long an answer of the store speaks for the session."""
UNSENT_MAX_MS: Final = 2000
"""What an account may get of a stream before the store hears of it, both media together."""
_CHUNKS_MAX: Final = 12
_SLOTS_MAX: Final = 4
"""Twice the players that an account may have on a stream: the rest have ended."""
_CHUNK_TICKS_MAX: Final = 512


@dataclass(slots=True)
class _Chunk:
    """Ticks in a row that were committed for one session at one price."""

    first: int
    end: int
    version: int
    units: Units
    session: SessionId
    cover: Cover
    since_ms: int
    last_ms: int


@dataclass(slots=True)
class _PlayerSlot:
    """One player as this process knows it."""

    confirmed_s: float = float("-inf")


@dataclass(slots=True)
class _Viewer:
    """One account on one stream; the two counts are of what is unsent."""

    chunks: list[_Chunk] = field(default_factory=list)
    slots: dict[SessionId, _PlayerSlot] = field(default_factory=dict)
    video_ms: int = 0
    audio_ms: int = 0


class Memory:
    """Committed ticks and unsent deliveries of at most `viewers_max` viewers.

    Attributes:
        forgotten_total: Viewers that were dropped for want of room.
    """

    def __init__(self, viewers_max: int, keep_ms: int) -> None:
        """Remember `keep_ms` of commits of at most `viewers_max` pairs of account and stream."""
        self.forgotten_total = 0
        self._viewers_max = viewers_max
        self._keep_ms = keep_ms
        self._chunk_ms = max(1000, keep_ms // (_CHUNKS_MAX - 2))
        self._viewers: OrderedDict[tuple[AccountId, bytes], _Viewer] = OrderedDict()

    def may_serve(
        self,
        account: AccountId,
        stream: bytes,
        session: SessionId,
        runs: Sequence[PricedRun],
        now_s: float,
    ) -> bool:
        """Return whether an object with these ticks may be served without asking the store.

        Args:
            stream: 16 bytes.
            now_s: Monotonic seconds.
        """
        viewer = self._viewers.get((account, stream))
        if viewer is None:
            return False
        slot = viewer.slots.get(session)
        if slot is None or now_s - slot.confirmed_s >= CONFIRMED_S:
            return False
        if viewer.video_ms + viewer.audio_ms >= UNSENT_MAX_MS:
            return False
        return all(_covers(viewer.chunks, priced.run) for priced in runs)

    def delivered(self, account: AccountId, stream: bytes, medium: Medium, media_ms: int) -> None:
        """Add an object that was served from memory to what is unsent."""
        video_ms, audio_ms = (media_ms, 0) if medium is Medium.VIDEO else (0, media_ms)
        self.give_back(account, stream, video_ms, audio_ms)

    def take(self, account: AccountId, stream: bytes) -> tuple[int, int]:
        """Return (video ms, audio ms) that are unsent; they are on their way now."""
        viewer = self._viewers.get((account, stream))
        if viewer is None:
            return 0, 0
        taken = (viewer.video_ms, viewer.audio_ms)
        viewer.video_ms = viewer.audio_ms = 0
        return taken

    def give_back(self, account: AccountId, stream: bytes, video_ms: int, audio_ms: int) -> None:
        """Add what did not arrive to what is unsent again."""
        if video_ms or audio_ms:
            viewer = self._viewer(account, stream)
            viewer.video_ms += video_ms
            viewer.audio_ms += audio_ms

    def committed(self, claim: Claim, asked_s: float, now_ms: int) -> None:
        """Remember that the store granted a claim.

        Args:
            asked_s: Monotonic seconds when it was asked: it spoke for the session no earlier.
        """
        viewer = self._viewer(claim.account, claim.stream)
        slot = self._slot(viewer, claim.session)
        slot.confirmed_s = max(slot.confirmed_s, asked_s)
        for priced in claim.runs:
            self._keep(viewer.chunks, claim, priced, now_ms)

    def committed_since(self, since_ms: int) -> Iterator[Claim]:
        """Yield as evidence what was committed at `since_ms` (Unix time) or later."""
        for (account, stream), viewer in list(self._viewers.items()):
            for chunk in list(viewer.chunks):
                if chunk.last_ms >= since_ms:
                    run = Run(chunk.first, chunk.end - chunk.first)
                    priced = PricedRun(run, chunk.version, chunk.units)
                    yield Claim(account, stream, chunk.session, (priced,), 0, 0, chunk.cover)

    def __len__(self) -> int:
        return len(self._viewers)

    def _viewer(self, account: AccountId, stream: bytes) -> _Viewer:
        key = (account, stream)
        viewer = self._viewers.get(key)
        if viewer is None:
            viewer = self._viewers[key] = _Viewer()
            if len(self._viewers) > self._viewers_max:
                self._viewers.popitem(last=False)
                self.forgotten_total += 1
        else:
            self._viewers.move_to_end(key)
        return viewer

    def _slot(self, viewer: _Viewer, session: SessionId) -> _PlayerSlot:
        slot = viewer.slots.get(session)
        if slot is None:
            if len(viewer.slots) >= _SLOTS_MAX:
                stale = min(viewer.slots, key=lambda session: viewer.slots[session].confirmed_s)
                del viewer.slots[stale]
            slot = viewer.slots[session] = _PlayerSlot()
        return slot

    def _keep(self, chunks: list[_Chunk], claim: Claim, priced: PricedRun, now_ms: int) -> None:
        run, session = priced.run, claim.session
        for chunk in reversed(chunks):
            if (
                chunk.session == session
                and chunk.cover == claim.cover
                and chunk.version == priced.version
                and chunk.first <= run.first <= chunk.end
                and run.end - chunk.first <= _CHUNK_TICKS_MAX
                and now_ms - chunk.since_ms <= self._chunk_ms
            ):
                chunk.end = max(chunk.end, run.end)
                chunk.last_ms = max(chunk.last_ms, now_ms)
                return
        while chunks and (len(chunks) >= _CHUNKS_MAX or chunks[0].last_ms < now_ms - self._keep_ms):
            del chunks[0]
        chunks.append(
            _Chunk(
                run.first,
                run.end,
                priced.version,
                priced.units_per_tick,
                session,
                claim.cover,
                now_ms,
                now_ms,
            )
        )


def _covers(chunks: Sequence[_Chunk], run: Run) -> bool:
    tick = run.first
    while tick < run.end:
        for chunk in reversed(chunks):
            if chunk.first <= tick < chunk.end:
                tick = chunk.end
                break
        else:
            return False
    return True
