"""Signs calls for a chain by hand: what a viewer, a creator or an operator would send."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from metering import keys
from metering.chain import fake_tables as tables
from metering.chain.entries import batch_hash, encode
from metering.chain.extrinsic import Terms, era_at, sign
from metering.chain.facts import PALLET, RuntimeFacts
from metering.chain.fake_tables import Call
from metering.chain.scale import Hash
from metering.ports import Entry
from metering.units import AccountId
from tests.fakes.runtime import FACTS


def account(name: str) -> keys.KeyPair:
    """Return a key pair of a test's own."""
    return keys.from_seed(name.encode().ljust(32, b"."))


def dev(name: str) -> keys.KeyPair:
    """Return a development account's key pair, ``//Alice`` for "Alice"."""
    from substrateinterface import Keypair

    pair = Keypair.create_from_uri(f"//{name}")
    return keys.KeyPair(AccountId(pair.public_key), pair.private_key)


def of_stream(name: str, **arguments: Any) -> Call:
    """Return a call of the pallet."""
    return Call(PALLET, name, arguments)


def transfer(target: bytes, planck: int) -> Call:
    """Return a transfer that keeps the sender alive."""
    return Call("Balances", "transfer_keep_alive", {"dest": target, "value": planck})


def settle_of(seq: int, entries: list[Entry]) -> Call:
    """Return the call that settles these entries, in canonical order."""
    data = encode(entries)
    vector = tables.TICK_STREAM_CALLS["settle"].arguments["entries"]
    return of_stream("settle", seq=seq, hash=Hash(batch_hash(data)), entries=vector.decode(data))


@dataclass
class Signer:
    """What is signed under: the chain's, as a test last learnt them."""

    genesis: Hash
    born: int
    born_hash: Hash
    spec_version: int = 100
    period: int = 64
    facts: RuntimeFacts = field(default=FACTS)

    def sign(self, who: keys.KeyPair, nonce: int, call: Call) -> bytes:
        """Return the bytes to submit."""
        terms = Terms(
            nonce,
            era_at(self.born, self.period),
            self.born_hash,
            self.spec_version,
            tables.TX_VERSION,
            self.genesis,
        )
        return sign(self.facts, call.encode(), terms, who.account, who.sign)
