"""The port `metering.ports.Chain` over the pallet tick-stream: what is kept, never guessed.

It keeps nothing between calls that finalized state and the kept attempts do not say again, so it
may be killed at any await. Each attempt explains itself (attempt.py); what follows from finalized
state is finality.py's to decide; this file only reads, signs and sends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from metering.chain import attempt as attempts
from metering.chain.attempt import Attempt
from metering.chain.finality import Decision, FinalState, InclusionStatus, decide, next_nonce
from metering.chain.node import extrinsic, storage
from metering.chain.node.client import Head, Node
from metering.chain.node.extrinsic import ERA_BLOCKS_MIN, Terms, era_at
from metering.chain.node.scale import Hash, Reader
from metering.chain.weight import WeightCheck
from metering.errors import (
    BatchTooLargeError,
    ChainUnavailableError,
    ExtrinsicRejectedError,
    InvalidValueError,
    OperatorNotReadyError,
    OutcomeUnknownError,
)
from metering.log_throttle import LogThrottle
from metering.ports import (
    BatchOutcome,
    BatchStatus,
    ChainLimits,
    ChainSettled,
    ChainSnapshot,
    Finding,
    InFlight,
)
from metering.signing import KeyPair
from metering.units import EntryKey, account_text

POOL_CODES: Final = {
    1010: "invalid",
    1011: "unknown validity",
    1012: "banned",
    1013: "known",
    1014: "priority too low",
    1015: "cycle",
    1016: "pool full",
    1018: "unactionable",
    1019: "no tags",
    1021: "future",
}
"""polkadot-sdk, author/error.rs. For people and metrics: nothing is decided by them."""
_TAKEN: Final = frozenset({0, 1013})
_REST_BLOCKS_MAX: Final = 8
"""After 1012, 1016 and the like the same bytes rest for some blocks before they are sent again."""

_log = structlog.get_logger(room="settlement")


@dataclass(frozen=True, slots=True)
class _Reading:
    """What one look read before it judged any batch."""

    final: Head
    best: Head
    state: FinalState
    best_nonce: int


class PalletChain:
    """A `metering.ports.Chain` over a node.

    Args:
        operator: Whose batches; its account pays and is charged nothing for those that succeed.
        era_blocks: Blocks that signed bytes live, a power of two.
        in_flight_max: Batches signed before the first is final.

    Attributes:
        answers: How often the node's pool gave each answer.
        free_planck: What the operator's account may spend, at the newest head that was read; None
            before the first.
    """

    def __init__(
        self, node: Node, operator: KeyPair, *, era_blocks: int, in_flight_max: int
    ) -> None:
        self._node = node
        self._operator = operator
        self._era_blocks = era_blocks
        self._in_flight_max = in_flight_max
        self._rests: dict[bytes, tuple[int, int]] = {}
        self._best = 0
        self._weight = WeightCheck(node)
        self._pool = LogThrottle()
        self.answers: dict[str, int] = {}
        self.free_planck: int | None = None

    async def limits(self) -> ChainLimits:
        """Return what the pallet takes.

        Raises:
            ChainUnavailableError: Try again.
            RuntimeUnsupportedError: An operator must act; nothing is lost.
        """
        best = await self._node.best()
        runtime = await self._node.runtime(best.hash)
        return ChainLimits(runtime.facts.entries_max, self._in_flight_max)

    async def sign(
        self, seq: int, batch_hash: bytes, entries: bytes, alive: Sequence[bytes] = ()
    ) -> bytes:
        """Return an attempt: the bytes to submit, and under which terms they were signed.

        Raises:
            ChainUnavailableError: Try again.
            BatchTooLargeError: No block takes so many entries.
            OperatorNotReadyError: The operator is not registered, or not active.
            RuntimeUnsupportedError: The runtime has what we cannot sign for.
        """
        taken = frozenset(_decoded(signed).terms.nonce for signed in alive)
        final = await self._node.finalized()
        best = await self._node.best()
        # The next block is made with what the best head says; an era is born where nothing moves.
        runtime = await self._node.runtime(best.hash)
        facts = runtime.facts
        count = Reader(entries).compact()
        if count > facts.entries_max:
            raise BatchTooLargeError(
                f"batch {seq} has {count} entries and the pallet takes {facts.entries_max}",
                facts.entries_max,
            )
        await self._require_operator(best)
        nonce = next_nonce(await self._nonce(final), await self._nonce(best), taken)
        era = era_at(final.number, _period(self._era_blocks, facts.block_hash_count))
        birth = final.hash
        if era.birth != final.number:
            birth_hash = await self._node.block_hash(era.birth)
            if birth_hash is None:
                raise ChainUnavailableError(f"the node does not have block {era.birth}")
            birth = birth_hash
        terms = Terms(nonce, era, birth, facts.spec_version, facts.tx_version, facts.genesis)
        call = extrinsic.settle_call(facts, seq, batch_hash, entries)
        operator = self._operator
        signed = extrinsic.sign(facts, call, terms, operator.account, operator.sign)
        await self._weight.require(runtime, best, signed, seq, count)
        return attempts.encode(Attempt(seq, terms, signed))

    async def submit(self, signed: bytes) -> None:
        """Hand an attempt's bytes over, unless they rest after a refusal that says *not now*.

        What the pool answers is counted and never believed: only `look` decides.

        Raises:
            ChainUnavailableError: No answer: it may or may not have arrived.
            ExtrinsicRejectedError: They are not this operator's, or not whole.
        """
        attempt = _decoded(signed)
        if extrinsic.parse(attempt.extrinsic).account != self._operator.account:
            raise ExtrinsicRejectedError(
                f"batch {attempt.seq} was signed with another operator's key: put that key back"
            )
        until, rest = self._rests.get(attempt.hash, (0, 0))
        if self._best < until:
            return  # once for each new head is enough
        code = await self._node.submit(attempt.extrinsic)
        answer = POOL_CODES.get(code, str(code)) if code else "taken"
        self.answers[answer] = self.answers.get(answer, 0) + 1
        rest = 0 if code in _TAKEN else min(max(1, rest * 2), _REST_BLOCKS_MAX)
        self._rests[attempt.hash] = (self._best + max(1, rest), rest)
        while len(self._rests) > 4 * self._in_flight_max:
            self._rests.pop(next(iter(self._rests)))
        if code in _TAKEN:
            self._pool.succeeded()
        elif count := self._pool.failed(answer):
            _log.warning(
                "settlement.pool.refused",
                batch_id=attempt.seq,
                code=code,
                answer=answer,
                times=count,
            )

    async def look(self, flights: Sequence[InFlight]) -> ChainSnapshot:
        """Return what finalized state says of batches, all read at one finalized block.

        Raises:
            ChainUnavailableError: Try again.
            OutcomeUnknownError: The chain dropped what it must be asked, or is another chain.
        """
        reading = await self._read()
        self._best = reading.best.number
        findings = [await self._find(flight, reading) for flight in flights]
        return ChainSnapshot(
            reading.state.number, reading.best.number, reading.state.last_seq, tuple(findings)
        )

    async def last_settled(self) -> int:
        """Return the operator's last finalized sequence number, 0 before the first.

        Raises:
            ChainUnavailableError: Try again.
        """
        final = await self._node.finalized()
        operator = await self._read_operator(final)
        return operator.last_seq if operator else 0

    async def settled(
        self, keys: Sequence[EntryKey], at: bytes | None = None
    ) -> ChainSettled | None:
        """Return what the chain's sessions hold of entries.

        Raises:
            ChainUnavailableError: Try again.
        """
        if at is None:
            block = await self._node.finalized()
        else:
            block = await self._node.head(Hash(at))
        operator = await self._read_operator(block)
        joins = sorted({(key.stream, key.account, key.join) for key in keys}, key=str)
        session_keys = [storage.session_key(*join) for join in joins]
        sessions = await self._node.values(storage.SESSION, session_keys, block.hash)
        session_of = dict(zip(joins, sessions, strict=True))
        ticks: dict[EntryKey, int] = {}
        for key in keys:
            session = session_of[key.stream, key.account, key.join]
            if session is not None:
                ticks[key] = dict(session.by_price).get(key.version, 0)
        number = operator.last_seq if operator else 0
        held = {key: count for key, count in ticks.items() if count}
        return ChainSettled(block.hash, number, held)

    async def _read(self) -> _Reading:
        final = await self._node.finalized()
        operator = await self._read_operator(final)
        genesis = await self._node.genesis()
        nonce = await self._nonce(final)
        best = await self._node.best()
        best_nonce = await self._nonce(best)
        # Whether the runtime's storage is what we read it as: it raises when it is not.
        await self._node.runtime(final.hash)
        state = FinalState(final.number, genesis, nonce, operator.last_seq if operator else 0)
        return _Reading(final, best, state, best_nonce)

    async def _find(self, flight: InFlight, reading: _Reading) -> Finding:
        attempt = None if flight.signed is None else _decoded(flight.signed)
        terms = None if attempt is None else attempt.terms
        state = reading.state
        decision = decide(flight.seq, terms, state)
        reason = ""
        if decision is Decision.LOOK_BACK:
            assert attempt is not None
            inclusion, reason = await self._look_back(attempt, reading.final)
            decision = decide(flight.seq, terms, state, inclusion)
        match decision:
            case Decision.READ_OUTCOME:
                return await self._outcome(flight, reading.final)
            case Decision.OTHER_CHAIN:
                assert terms is not None
                raise OutcomeUnknownError(
                    f"batch {flight.seq} was signed for the chain 0x{terms.genesis.hex()} and the "
                    f"node {self._node.url} is on 0x{state.genesis.hex()}: check chain.url"
                )
            case Decision.EXPIRED:
                assert terms is not None
                reason = f"not in a block before {terms.era.death}, the end of its era"
        is_in_block = terms is not None and reading.best_nonce > terms.nonce
        return Finding(
            flight.seq,
            decision.status,
            None,
            reason,
            is_in_block and decision is Decision.WAIT,
        )

    async def _outcome(self, flight: InFlight, final: Head) -> Finding:
        """Return how a batch was settled; it is, as the sequence has passed it."""
        key = storage.outcome_key(self._operator.account, flight.seq)
        outcome = await self._node.value(storage.OUTCOME, key, final.hash)
        if outcome is None:
            # More than OutcomesKept batches ago: not one of ours, or a very old book. Its entries
            # are still in the sessions.
            return Finding(
                flight.seq,
                BatchStatus.OTHER_CONTENT,
                None,
                f"the chain has passed batch {flight.seq} and keeps nothing of it any more",
            )
        runtime = await self._node.runtime(final.hash)
        refused = tuple((index, runtime.facts.refusal(reason)) for index, reason in outcome.refused)
        result = BatchOutcome(flight.seq, outcome.hash, refused, outcome.block)
        if outcome.hash != flight.hash:
            return Finding(
                flight.seq,
                BatchStatus.OTHER_CONTENT,
                result,
                f"batch {flight.seq} is final with other content, in block {outcome.block}",
            )
        return Finding(flight.seq, BatchStatus.FINAL, result)

    async def _look_back(self, attempt: Attempt, final: Head) -> tuple[InclusionStatus, str]:
        """Look for an attempt in the finalized blocks of its life, and say why it failed."""
        wanted = attempt.hash
        era = attempt.terms.era
        for number in range(era.birth, min(final.number, era.death - 1) + 1):
            block = await self._node.block_hash(number)
            inside = None
            if block is not None:
                inside = await self._node.extrinsics(block)
            if block is None or inside is None:
                return (
                    InclusionStatus.PRUNED,
                    f"its nonce is used, and the node dropped block {number}",
                )
            for index, raw in enumerate(inside):
                if extrinsic.extrinsic_hash(raw) == wanted:
                    head = await self._node.head(block)
                    return InclusionStatus.FAILED, await self._failure(head, index)
        return (
            InclusionStatus.ABSENT,
            f"another transaction of the key took nonce {attempt.terms.nonce}",
        )

    async def _failure(self, block: Head, index: int) -> str:
        """Return why an extrinsic of a block failed."""
        events = await self._node.events(block)
        for event in events:
            if event.extrinsic == index and (event.pallet, event.name) == (
                "System",
                "ExtrinsicFailed",
            ):
                parent = await self._node.runtime(block.parent)
                error = parent.metadata.error(event.fields["dispatch_error"])
                return f"failed in block {block.number}: {error}"
        return f"is in block {block.number} and settled nothing"

    async def _read_operator(self, head: Head) -> storage.Operator | None:
        key = storage.operator_key(self._operator.account)
        return await self._node.value(storage.OPERATOR, key, head.hash)

    async def _require_operator(self, head: Head) -> None:
        operator = await self._read_operator(head)
        if operator is None or not operator.active:
            account = account_text(self._operator.account)
            what = "is not registered" if operator is None else "is not active"
            raise OperatorNotReadyError(
                f"the operator {account} {what} on the chain: `vilokanam operator register`; "
                "settlement waits"
            )

    async def _nonce(self, head: Head) -> int:
        key = storage.account_key(self._operator.account)
        account = await self._node.value(storage.SYSTEM_ACCOUNT, key, head.hash)
        self.free_planck = account.free if account else 0
        return account.nonce if account else 0


def _decoded(signed: bytes) -> Attempt:
    """Return an attempt.

    Raises:
        ExtrinsicRejectedError: If the bytes are none, as when the journal signed them.
    """
    try:
        return attempts.decode(signed)
    except InvalidValueError as error:
        raise ExtrinsicRejectedError(str(error)) from error


def _period(wanted: int, hashes_kept: int) -> int:
    """Return the era's period: the chain must still have the birth's hash at its end."""
    period = wanted
    while hashes_kept and period > hashes_kept and period > ERA_BLOCKS_MIN:
        period //= 2
    return period
