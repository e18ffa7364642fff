"""The fake node in the test's own process: the real `PalletChain`, without socket or thread."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from metering.chain.node import storage
from metering.chain.node.client import Node, Runtime
from metering.chain.node.metadata import Metadata
from metering.chain.node.runtime_info import RuntimeFacts
from metering.chain.node.scale import Hash
from metering.chain.node.substrate import RpcError, read_metadata
from metering.chain.pallet_chain import PalletChain
from metering.errors import ChainUnavailableError
from metering.signing import KeyPair
from metering.testing.fake_node import pool
from metering.testing.fake_node.rpc import Rpc
from metering.testing.fake_node.state import State
from metering.testing.fake_node.tables import SPEC_NAME, Call
from metering.testing.fake_node.world import World
from metering.units import EntryKey
from tests.support.book_fixture import OPERATOR, PRICE, BookFixture
from tests.support.chain_scenario import DEPOSIT, NOW_MS, funds, setup_calls
from tests.support.servers import chopsticks
from tests.support.wallet import Signer

ERA_BLOCKS = 16


@functools.cache
def _metadata() -> Metadata:
    """Decode the committed runtime's metadata, half a second of work, once for all tests."""
    return read_metadata(chopsticks.metadata_bytes())


@functools.cache
def _facts(spec_version: int, tx_version: int, genesis: Hash) -> RuntimeFacts:
    return _metadata().facts(SPEC_NAME, spec_version, tx_version, genesis)


class InlineNode(Node):
    """A `Node` whose requests are answered where they are made.

    Attributes:
        is_away: No request is answered.
        constants: The pallet's constants that differ from the committed runtime's.
    """

    def __init__(self, world: World) -> None:
        super().__init__("ws://inline", 1.0)
        self.is_away = False
        self.constants: Mapping[str, int] = {}
        self._rpc = Rpc(world, b"")

    async def request(self, method: str, params: list[Any]) -> Any:
        """Return the result of one request."""
        if self.is_away:
            raise ChainUnavailableError("the node does not answer")
        try:
            return self._rpc.answer(method, list(params))
        except pool.RpcError as error:
            raise RpcError(error.code, error.message) from error

    async def runtime(self, at: Hash) -> Runtime:
        """Return the runtime after a block."""
        version = await self.request("state_getRuntimeVersion", [f"0x{at.hex()}"])
        facts = _facts(version["specVersion"], version["transactionVersion"], await self.genesis())
        constants = {**facts.constants, **self.constants}
        return Runtime(replace(facts, constants=constants), _metadata())


@dataclass
class InlineChain:
    """A stream and viewers who joined and paid in, on a chain whose blocks are final when made."""

    fixture: BookFixture
    world: World
    node: InlineNode
    in_flight_max: int = 1
    nonces: dict[bytes, int] = field(default_factory=dict)

    def port(self, operator: KeyPair = OPERATOR) -> PalletChain:
        """Return a back end that has just started."""
        return PalletChain(
            self.node, operator, era_blocks=ERA_BLOCKS, in_flight_max=self.in_flight_max
        )

    def submit(self, who: KeyPair, call: Call) -> None:
        """Put a call behind those that the account has submitted here."""
        forks = self.world.forks
        genesis = forks.hash_at(0)
        assert genesis is not None
        nonce = self.nonces.get(who.account, State(forks.head.values).account(who.account).nonce)
        self.nonces[who.account] = nonce + 1
        signer = Signer(genesis, forks.finalized, forks.finalized_hash)
        self.world.submit(signer.sign(who, nonce, call))

    def make_block(self, count: int = 1) -> None:
        """Take what is ready into a block, and so many more."""
        for _ in range(count):
            self.world.make_block()

    def now_ms(self) -> int:
        """Return the best block's time."""
        now_ms: int = self.world.forks.head.values[storage.now_key()]
        return now_ms

    def drop_first(self) -> None:
        """Let the pool lose the oldest extrinsic."""
        for extrinsic in self.world.pool.all()[:1]:
            self.world.pool.drop(extrinsic)

    def expire_pool(self) -> None:
        """Lose all that waits, and let its era pass."""
        self.world.pool.clear()
        self.make_block(ERA_BLOCKS)

    def settled(self) -> dict[EntryKey, int]:
        """Return the ticks that the sessions hold of join 1 of each viewer."""
        values, stream = self.world.forks.head.values, self.fixture.stream.id
        return {
            EntryKey(stream, who, 1, version): ticks
            for who in self.fixture.accounts
            if (session := values.get(storage.session_key(stream, who, 1))) is not None
            for version, ticks in session.by_price
        }

    def paid(self) -> dict[EntryKey, int]:
        """Return the ticks that each viewer's escrow was charged for."""
        values = self.world.forks.head.values
        charged = {
            self.fixture.key(viewer): DEPOSIT - values[key].held
            for viewer, who in enumerate(self.fixture.accounts)
            if (key := storage.escrow_key(OPERATOR.account, who)) in values
        }
        assert all(planck % PRICE == 0 for planck in charged.values())
        return {key: planck // PRICE for key, planck in charged.items() if planck}


def make_chain(
    fixture: BookFixture, *, in_flight_max: int = 1, absent: int = 0, seed: int = 1
) -> InlineChain:
    """Return a chain with the stream and the viewers of a book.

    Args:
        fixture: The book.
        in_flight_max: Batches signed before the first is final.
        absent: So many of the viewers, the first ones, have not paid in and joined: `join` lets
            them.
        seed: Chains of different seeds have different genesis blocks.
    """
    viewers = len(fixture.accounts)
    world = World(seed, now_ms=NOW_MS, funds=funds(viewers), finality_blocks=0)
    chain = InlineChain(fixture, world, InlineNode(world), in_flight_max)
    missing = set(fixture.accounts[:absent])
    for who, call in setup_calls(fixture.stream.id, viewers):
        if who.account not in missing:
            chain.submit(who, call)
    chain.make_block()
    chain.nonces.clear()
    return chain


def join(chain: InlineChain) -> None:
    """Let those pay in and join who have not."""
    values = chain.world.forks.head.values
    for who, call in setup_calls(chain.fixture.stream.id, len(chain.fixture.accounts))[2:]:
        if storage.escrow_key(OPERATOR.account, who.account) not in values:
            chain.submit(who, call)
    chain.make_block()
    chain.nonces.clear()
