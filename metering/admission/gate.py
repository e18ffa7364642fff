"""May this viewer go on: answered from memory, else by a claim (`metering.ports.Gate`).

Decides nothing by itself: prices are split by metering/model/price.py, memory by
metering/admission/claim_cache.py, the rest by the claim script. What is free never touches the
store.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from itertools import islice
from typing import Final, Protocol
from uuid import UUID

import structlog

from metering.admission.claim_cache import Memory
from metering.errors import InvalidValueError, StoreUnavailableError
from metering.model import price, show_caps
from metering.ports import Claim, ClaimAnswer, Claims
from metering.settings import MeteringSettings
from metering.units import (
    NO_COVER,
    AccountId,
    Admission,
    Asset,
    Cover,
    Fetch,
    Medium,
    PricedRun,
    Run,
    StreamPolicy,
    Units,
    Verdict,
)

_REPLAY_BATCH: Final = 2000
_REPLAY_RETRY_S: Final = 0.1
AHEAD_MAX_S: Final = 8
"""No object holds a later second: a part begins no later than the server's clock plus 3 s
(mediaserver/hls/slots.py), is 4 s long at most, and is told to us within a second."""
_SPLITS_MAX: Final = 16_384
"""Prices of runs that are kept at hand: all objects in the windows of some hundred streams."""

_log = structlog.get_logger(room="metering")


class Clock(Protocol):
    """Two readings of time."""

    def now_ms(self) -> int:
        """Return Unix time in whole milliseconds."""

    def monotonic(self) -> float:
        """Return seconds that never step."""


class StoreClaims(Claims, Protocol):
    """Claims that can be bound to a store."""

    def set_expected(self, epoch: str, run_id: str) -> None:
        """Set which Redis control last recovered."""


class LocalGate:
    """The gate of one HTTP process.

    Attributes:
        unanswered_total: Requests for priced media that could not be claimed: nobody knew.
    """

    def __init__(self, claims: StoreClaims, settings: MeteringSettings, clock: Clock) -> None:
        self.unanswered_total = 0
        self._claims = claims
        self._clock = clock
        self._policy_lost_s = settings.policy_lost_s
        # Twice what control may ask to be replayed: a cut may take longer under load.
        self._memory = Memory(
            settings.memory_accounts_max, max(60_000, 2000 * (settings.cut_period_s + 5))
        )
        self._by_slug: dict[str, StreamPolicy] = {}
        self._by_stream: dict[UUID, StreamPolicy] = {}
        self._asset = Asset()
        self._epoch = ""
        self._is_replayed = False
        self._heard_s = float("-inf")
        self._splits: dict[UUID, dict[Run, tuple[PricedRun, ...]]] = {}
        self._splits_count = 0
        self._replay: asyncio.Task[None] | None = None

    # What control says

    def set_policy(  # noqa: PLR0917 - the order that control's message has
        self,
        streams: Sequence[StreamPolicy],
        asset: Asset,
        epoch: str,
        run_id: str,
        replay_from_ms: int,
        received_at_s: float,
        *,
        is_change: bool = False,
    ) -> None:
        """Replace what is known of the streams and of the store. Call it on the event loop.

        Args:
            streams: All of them.
            epoch: Of the store that control last recovered.
            run_id: Redis run id that the epoch belongs to.
            replay_from_ms: Offer as evidence what was committed since, once per epoch.
            received_at_s: Monotonic seconds.
            is_change: `streams` are those alone that changed, or are new.
        """
        self._heard_s = received_at_s
        if asset != self._asset:
            self._asset = asset
            self._forget_splits()
        if is_change:
            self._change(streams)
        elif list(self._by_stream.values()) != list(streams):
            self._by_slug = {policy.slug: policy for policy in streams}
            self._by_stream = {policy.stream: policy for policy in streams}
            self._forget_splits()
        self._claims.set_expected(epoch, run_id)
        if epoch != self._epoch:
            self._epoch = epoch
            self._is_replayed = False
            self._stop_replay()
            if not epoch:
                return  # no store to claim from, nor to offer to
            if any(self._memory.committed_since(replay_from_ms)):
                self._replay = asyncio.create_task(self._offer_since(epoch, replay_from_ms))
            else:
                self._is_replayed = True

    @property
    def is_ready(self) -> bool:
        """True while priced media can be claimed."""
        return self._is_replayed and self._claims.is_ready and not self._is_policy_lost()

    @property
    def forgotten_total(self) -> int:
        """Return how many viewers memory had to drop for want of room."""
        return self._memory.forgotten_total

    async def close(self) -> None:
        """Stop what is under way."""
        replay = self._replay
        self._stop_replay()
        if replay is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await replay

    # metering.ports.Gate

    def policy(self, slug: str) -> StreamPolicy | None:
        """Return control's last policy of a stream, None when unknown."""
        return self._by_slug.get(slug)

    def is_priced(self, policy: StreamPolicy, run: Run) -> bool:
        """True when any tick of the run costs something."""
        priced = self._priced(policy, run)
        return priced is None or bool(priced)

    def admit_now(self, fetch: Fetch) -> Admission | None:
        """Answer from memory, or None when the store must be asked."""
        policy = self._by_stream.get(fetch.stream)
        if policy is None:
            return self._unanswered()
        runs = self._priced(policy, fetch.run, fetch.account)
        if runs is None:
            return self._unanswered()
        if not runs:
            return Admission(Verdict.GRANTED)
        if self._is_policy_lost():
            return self._unanswered()
        if fetch.run.end - 1 > self._clock.now_ms() // 1000 + AHEAD_MAX_S:
            return Admission(Verdict.FUTURE)
        stream = fetch.stream.bytes
        if not self._memory.may_serve(
            fetch.account, stream, fetch.session, runs, self._clock.monotonic()
        ):
            return None
        self._memory.delivered(fetch.account, stream, fetch.medium, fetch.duration_ms)
        return Admission(Verdict.GRANTED)

    async def admit(self, fetch: Fetch) -> Admission:
        """Claim the object. A refusal is a verdict, not an error; STORE when the store is away."""
        claim = self.plan(fetch)
        if isinstance(claim, Admission):
            return claim
        asked_s = self._clock.monotonic()
        try:
            answer = await self._claims.claim(claim)
        except StoreUnavailableError:
            self._untake(fetch, claim)
            return self._unanswered()
        except BaseException:
            self._untake(fetch, claim)
            raise
        return self.settle(fetch, claim, answer, asked_s)

    # The two halves of `admit`, without the store between them

    def plan(self, fetch: Fetch) -> Admission | Claim:
        """Return the answer when memory suffices, else what to ask the store."""
        at_once = self.admit_now(fetch)
        if at_once is not None:
            return at_once
        if not self._is_replayed:
            return self._unanswered()
        policy = self._by_stream[fetch.stream]
        runs = self._priced(policy, fetch.run, fetch.account)
        video_ms, audio_ms = self._memory.take(fetch.account, fetch.stream.bytes)
        is_video = fetch.medium is Medium.VIDEO
        return Claim(
            fetch.account,
            fetch.stream.bytes,
            fetch.session,
            runs or (),
            video_ms + (fetch.duration_ms if is_video else 0),
            audio_ms + (0 if is_video else fetch.duration_ms),
            self._cover(policy, fetch.show),
        )

    def settle(self, fetch: Fetch, claim: Claim, answer: ClaimAnswer, asked_s: float) -> Admission:
        """Return what the store's answer to `plan`'s claim means, and remember it.

        Args:
            asked_s: Monotonic seconds when the claim was sent.
        """
        if answer.verdict is Verdict.GRANTED:
            self._memory.committed(claim, asked_s, self._clock.now_ms())
        else:
            self._untake(fetch, claim)
        return Admission(
            answer.verdict, answer.balance_units, self._seconds_left(fetch, answer.balance_units)
        )

    # Helpers

    def _forget_splits(self) -> None:
        self._splits.clear()
        self._splits_count = 0

    def _change(self, streams: Sequence[StreamPolicy]) -> None:
        known = [self._by_stream.get(policy.stream) for policy in streams]
        # All old names go before a new one comes: two streams may have changed theirs in turn.
        for policy, old in zip(streams, known, strict=True):
            if old is not None:
                del self._by_slug[old.slug]
            if old is not None and old.prices != policy.prices:
                self._splits.pop(policy.stream, None)
        for policy in streams:
            self._by_stream[policy.stream] = policy
            self._by_slug[policy.slug] = policy

    def _unanswered(self) -> Admission:
        self.unanswered_total += 1
        return Admission(Verdict.STORE)

    def _cover(self, policy: StreamPolicy, show: int) -> Cover:
        """Return what may be covered of a show; by a pass, only the store knows."""
        if not show:
            return NO_COVER
        cap = show_caps.cap_units(policy.caps, show, self._asset.quantum)
        return Cover(show, policy.preview_s, cap)

    def _untake(self, fetch: Fetch, claim: Claim) -> None:
        """What was delivered before is unsent again; this object was not delivered."""
        is_video = fetch.medium is Medium.VIDEO
        self._memory.give_back(
            claim.account,
            claim.stream,
            claim.video_ms - (fetch.duration_ms if is_video else 0),
            claim.audio_ms - (0 if is_video else fetch.duration_ms),
        )

    def _is_policy_lost(self) -> bool:
        return self._clock.monotonic() - self._heard_s >= self._policy_lost_s

    def _priced(
        self, policy: StreamPolicy, run: Run, account: AccountId | None = None
    ) -> tuple[PricedRun, ...] | None:
        """Return the runs that cost something, None when a price cannot be counted.

        Args:
            account: Of whom; None: of everybody.
        """
        seen = policy if account is None else policy.seen_by(account)
        splits = self._splits.get(policy.stream, {})
        known = splits.get(run) if seen is policy else None
        if known is not None:
            return known
        try:
            runs = price.priced_runs(seen.prices, run, self._asset.quantum)
        except InvalidValueError as error:
            _log.error(
                "metering.price.uncountable",
                slug=policy.slug,
                stream_id=policy.stream.hex,
                error=str(error),
            )
            return None
        if seen is policy:
            if self._splits_count >= _SPLITS_MAX:
                self._forget_splits()
            self._splits.setdefault(policy.stream, {})[run] = runs
            self._splits_count += 1
        return runs

    def _seconds_left(self, fetch: Fetch, balance: Units) -> int | None:
        policy = self._by_stream.get(fetch.stream)
        last = Run(fetch.run.end - 1, 1)
        runs = self._priced(policy, last, fetch.account) if policy else None
        units = runs[0].units_per_tick if runs else 0
        return max(0, balance) // units if units else None

    def _stop_replay(self) -> None:
        if self._replay is not None:
            self._replay.cancel()
            self._replay = None

    async def _offer_since(self, epoch: str, since_ms: int) -> None:
        """Offer what memory committed, until the store of this epoch has taken all of it."""
        while True:
            try:
                offered = 0
                evidence = self._memory.committed_since(since_ms)
                while some := list(islice(evidence, _REPLAY_BATCH)):
                    await self._claims.offer(some)
                    offered += len(some)
            except StoreUnavailableError:
                await asyncio.sleep(_REPLAY_RETRY_S)
                continue
            _log.info("metering.evidence.replayed", epoch=epoch, claims=offered)
            self._is_replayed = True
            return
