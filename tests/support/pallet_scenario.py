"""A fake chain in memory with an operator, a stream and viewers who joined and paid in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from metering.ports import Entry
from metering.signing import KeyPair
from metering.testing.fake_node import tables
from metering.testing.fake_node.runtime import UNIT, Validity
from metering.testing.fake_node.state import State
from metering.testing.fake_node.tables import Call
from metering.testing.fake_node.world import World
from metering.units import AccountId, EntryKey
from tests.support.wallet import Signer, account, of_stream, settle_of

NOW_MS = 1_700_000_000_000
STREAM = 7
PRICE = 10**8


@dataclass
class PalletScenario:
    """A chain in memory and the accounts on it."""

    world: World
    operator: KeyPair
    creator: KeyPair
    viewers: list[KeyPair]
    nonces: dict[bytes, int] = field(default_factory=dict)

    @property
    def state(self) -> State:
        """Return the state after the best block."""
        return State(self.world.forks.head.values)

    def signer(self, **changes: Any) -> Signer:
        """Return what is signed under now."""
        forks = self.world.forks
        genesis = forks.hash_at(0)
        assert genesis is not None
        fields = {"born": forks.finalized, "born_hash": forks.finalized_hash, **changes}
        return Signer(genesis, **fields)

    def signed(self, who: KeyPair, call: Call, **changes: Any) -> bytes:
        """Return bytes under the account's next nonce, as the scenario counts them."""
        nonce = changes.pop("nonce", None)
        if nonce is None:
            nonce = self.nonces.get(who.account, 0)
            self.nonces[who.account] = nonce + 1
        return self.signer(**changes).sign(who, nonce, call)

    def do(self, who: KeyPair, name: str, **arguments: Any) -> None:
        """Submit a call of the pallet and make a block."""
        self.world.submit(self.signed(who, of_stream(name, **arguments)))
        self.world.make_block()

    def entry(self, viewer: int, ticks: int, *, join: int = 1, version: int = 1) -> Entry:
        """Return an entry of a viewer."""
        who = AccountId(self.viewers[viewer].account)
        return Entry(EntryKey(UUID(int=STREAM), who, join, version), ticks)

    def settle(self, seq: int, *entries: Entry) -> bytes:
        """Return signed bytes of a batch."""
        return self.signed(self.operator, settle_of(seq, list(entries)))


def make_pallet_scenario(
    viewers: int = 2, seed: int = 1, *, deposit: int = UNIT, **options: Any
) -> PalletScenario:
    """Return a scenario whose chain has only the faults that `options` name."""
    operator, creator = account("operator"), account("creator")
    people = [account(f"viewer {number}") for number in range(viewers)]
    funds = {one.account: 1000 * UNIT for one in (operator, creator, *people)}
    world = World(seed, now_ms=NOW_MS, funds=funds, **options)
    scenario = PalletScenario(world, operator, creator, people)
    scenario.do(operator, "register_operator")
    scenario.do(
        creator,
        "create_stream",
        stream_id=STREAM,
        operator=operator.account,
        title=b"Talks",
        price=PRICE,
        splits=(),
    )
    for one in people:
        world.submit(
            scenario.signed(one, of_stream("deposit", operator=operator.account, amount=deposit))
        )
        world.submit(
            scenario.signed(
                one,
                of_stream(
                    "join_with_caps",
                    stream_id=STREAM,
                    max_spend=UNIT,
                    max_price=PRICE,
                    duration=86400,
                ),
            )
        )
    world.make_block()
    return scenario


__all__ = [
    "NOW_MS",
    "PRICE",
    "STREAM",
    "PalletScenario",
    "Validity",
    "make_pallet_scenario",
    "tables",
]
