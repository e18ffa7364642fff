"""Makes the chain have every stream of the book, with its prices: looks, does a step, repeats.

Nothing of it is kept: what is to be done is read from the chain each time, and done by
compare-and-swap (call_service.py), so a control that dies in the middle does nothing twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import structlog

from metering import signing
from metering.book.async_book import AsyncBook
from metering.book.records import StreamRecord
from metering.chain.node import storage
from metering.chain.node.runtime_info import PALLET
from metering.errors import (
    ChainUnavailableError,
    ExtrinsicRejectedError,
    MeteringError,
    OperatorNotReadyError,
    RuntimeUnsupportedError,
)
from metering.escrow import calls
from metering.escrow.call_client import ChainFacts
from metering.escrow.call_sender import CallSender, decoded
from metering.escrow.stream_plan import Plan, State, is_there, plan
from metering.log_throttle import LogThrottle
from metering.signing import KeyPair
from metering.units import account_text

PERIOD_S: Final = 5.0
READ_AT_ONCE: Final = 200
LOOK_AGAIN: Final = 120
"""Turns after which a stream that agreed is read again: ten minutes."""

_log = structlog.get_logger(room="metering")


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """Where the registration of a stream is.

    Attributes:
        state: In one word.
        reason: Why it is not registered, or what must be done; empty when it is.
        price: Newest price version that the chain has, 0 when it has none.
        call: Call data that the creator must sign, empty when they need not.
    """

    state: State
    reason: str = ""
    price: int = 0
    call: bytes = b""


class StreamRegistrar:
    """Keeps the streams on the chain.

    Args:
        operator: Whose streams; pays what a creator's account needs for fees.
        float_planck: That much is sent to a creator's account whose key is here, when it has less
            than half of it; 0 sends nothing.
    """

    def __init__(
        self,
        sender: CallSender,
        book: AsyncBook,
        operator: KeyPair,
        float_planck: int,
    ) -> None:
        self._sender = sender
        self._book = book
        self._operator = operator
        self._float = float_planck
        self._status: dict[UUID, StreamStatus] = {}
        self._agreed: dict[UUID, tuple[int, int]] = {}
        self._turns = 0
        self._busy = asyncio.Lock()
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Look at once: a stream or a price was made."""
        self._wake.set()

    def status(self, stream: UUID) -> StreamStatus:
        """Return how a stream stood when it was last looked at."""
        return self._status.get(stream, StreamStatus(State.WAITING, "it was not looked at yet"))

    async def run(self) -> None:
        """Make turns until cancelled."""
        throttle = LogThrottle()
        while True:
            self._wake.clear()
            try:
                await self.turn()
                throttle.succeeded()
            except MeteringError as error:
                if count := throttle.failed(str(error)):
                    _log.warning("metering.stream.waiting", error=str(error), times=count)
            try:
                async with asyncio.timeout(PERIOD_S):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def turn(self) -> None:
        """Look at all streams that may differ, and do one step for each.

        Raises:
            ChainUnavailableError: The node or the settler is away.
            OperatorNotReadyError: The operator is not registered, or not active.
            RuntimeUnsupportedError: The runtime cannot be used.
            BookError: The book does not answer.
        """
        async with self._busy:
            self._turns += 1
            records = await self._book.run(lambda book: book.streams.all())
            unsettled = [record for record in records if not self._is_settled(record)]
            if not unsettled:
                return
            try:
                facts = await self._sender.service.facts()
                await self._require_operator()
            except MeteringError as error:
                for record in unsettled:
                    self._note(record, StreamStatus(State.WAITING, str(error)))
                raise
            for start in range(0, len(unsettled), READ_AT_ONCE):
                await self._some(unsettled[start : start + READ_AT_ONCE], facts)

    async def look(self, record: StreamRecord) -> StreamStatus:
        """Do all that is to be done for one stream now; return its status then.

        Raises:
            ChainUnavailableError: The node or the settler is away.
            OperatorNotReadyError: The operator is not registered, or not active.
            ExtrinsicRejectedError: The chain refuses it.
            RuntimeUnsupportedError: The runtime cannot be used.
        """
        async with self._busy:
            for _ in range(len(record.prices) + 1):
                facts = await self._sender.service.facts()
                await self._require_operator()
                info = await self._sender.value(storage.STREAM_INFO, storage.stream_key(record.id))
                if not await self._step(record, info, facts):
                    break
            return self.status(record.id)

    async def _some(self, records: Sequence[StreamRecord], facts: ChainFacts) -> None:
        reading = await self._sender.service.read([storage.stream_key(item.id) for item in records])
        for record, raw in zip(records, reading.values, strict=True):
            try:
                await self._step(record, decoded(storage.STREAM_INFO, raw), facts)
            except (ExtrinsicRejectedError, ChainUnavailableError) as error:
                self._note(record, StreamStatus(State.WAITING, str(error)))

    async def _step(
        self, record: StreamRecord, info: storage.StreamInfo | None, facts: ChainFacts
    ) -> bool:
        """Do the next step; return True when there was one and it is done."""
        # What is to be done next, by the book's record and the chain's.
        notice_s = facts.constants.get("PriceNotice")
        if notice_s is None:
            raise RuntimeUnsupportedError(f"the runtime has no constant {PALLET}.PriceNotice")
        tables = await self._book.run(lambda book: book.splits.of(record.id))
        todo = plan(
            record,
            info,
            operator=self._operator.account,
            now_s=facts.time_s,
            notice_s=notice_s,
            tables=tables,
        )

        # Nothing: it differs in what no call can change, or it is as it should be.
        has = info.prices[-1].number if info else 0
        if todo.fault:
            self._note(record, StreamStatus(State.DIFFERS, todo.fault, has))
            return False
        if todo.call is None:
            self._note(record, StreamStatus(State.REGISTERED, "", has))
            self._agreed[record.id] = (len(record.prices), self._turns)
            return False

        # Only a creator whose key is here can be signed for; others must sign themselves.
        seed = await self._book.run(lambda book: book.streams.creator_seed(record.slug))
        if seed is None:
            self._note(record, await self._unsigned(record, todo, has))
            return False
        self._note(record, StreamStatus(State.WAITING, f"{todo.call} is on its way", has))

        # `unless` keeps a call that was sent by an earlier process from being repeated.
        creator = signing.from_seed(seed)
        await self._provide(creator)
        block = await self._sender.do(
            creator,
            todo.call,
            depends=(storage.stream_key(record.id),),
            unless=lambda read: is_there(decoded(storage.STREAM_INFO, read.values[0]), todo.price),
        )
        _log.info(
            "metering.stream.registered",
            slug=record.slug,
            stream_id=record.id.hex,
            price=todo.price,
            block=block,
        )
        return True

    async def _unsigned(self, record: StreamRecord, todo: Plan, has: int) -> StreamStatus:
        """Return what the creator must sign, as call data that any wallet reads."""
        assert todo.call is not None
        reading = await self._sender.service.read([])
        draft = await self._sender.service.prepare(
            record.creator, todo.call.pallet, todo.call.name, todo.call.data, reading.hash
        )
        return StreamStatus(
            State.UNSIGNED,
            f"its creator {account_text(record.creator)} must sign {todo.call}",
            has,
            draft.call,
        )

    async def _require_operator(self) -> None:
        """Raise OperatorNotReadyError unless the operator is registered and active."""
        account = self._operator.account
        info = await self._sender.value(storage.OPERATOR, storage.operator_key(account))
        if info is None or not info.bond or not info.active:
            raise OperatorNotReadyError(
                f"the operator {account_text(account)} is not "
                f"{'active' if info and info.bond else 'registered'} on the chain: `vilokanam "
                "operator register`; its streams wait"
            )

    async def _provide(self, creator: KeyPair) -> None:
        """Send a creator, whose key is here, what their calls cost."""
        if not self._float:
            return
        key = storage.account_key(creator.account)

        def has_enough(raw: bytes | None) -> bool:
            account = decoded(storage.SYSTEM_ACCOUNT, raw)
            return account is not None and account.free * 2 >= self._float

        if has_enough((await self._sender.service.read([key])).values[0]):
            return
        await self._sender.do(
            self._operator,
            calls.transfer(creator.account, self._float),
            depends=(key,),
            unless=lambda read: has_enough(read.values[0]),
        )

    def _is_settled(self, record: StreamRecord) -> bool:
        prices, turn = self._agreed.get(record.id, (0, 0))
        return prices == len(record.prices) and self._turns - turn < LOOK_AGAIN

    def _note(self, record: StreamRecord, status: StreamStatus) -> None:
        before = self._status.get(record.id)
        self._status[record.id] = status
        if status.state is State.DIFFERS and before != status:
            _log.error(
                "metering.stream.differs",
                slug=record.slug,
                stream_id=record.id.hex,
                reason=status.reason,
            )
