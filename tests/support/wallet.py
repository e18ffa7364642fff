"""Signs calls for a chain by hand: what a viewer, a creator or an operator would send."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from metering import signing
from metering.chain.node import storage
from metering.chain.node.extrinsic import Terms, era_at, sign
from metering.chain.node.runtime_info import PALLET, RuntimeFacts
from metering.chain.node.scale import Hash
from metering.model.entries import batch_hash, encode
from metering.ports import Entry
from metering.testing.fake_node import tables
from metering.testing.fake_node.tables import Call
from metering.units import AccountId
from tests.support.runtime_facts import FACTS

Ask = Callable[..., Any]
"""Asks a node: method, parameters, result."""


def account(name: str) -> signing.KeyPair:
    """Return a key pair of a test's own."""
    return signing.from_seed(name.encode().ljust(32, b"."))


def dev(name: str) -> signing.KeyPair:
    """Return a development account's key pair, ``//Alice`` for "Alice"."""
    from substrateinterface import Keypair

    pair = Keypair.create_from_uri(f"//{name}")
    return signing.KeyPair(AccountId(pair.public_key), pair.private_key)


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

    def sign(self, who: signing.KeyPair, nonce: int, call: Call) -> bytes:
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


def send(ask: Ask, who: signing.KeyPair, call: Call) -> None:
    """Sign a call as the chain is now and submit it, behind what the account has waiting."""
    head = ask("chain_getFinalizedHead")
    number = int(ask("chain_getHeader", head)["number"], 16)
    version = ask("state_getRuntimeVersion")["specVersion"]
    genesis = Hash(bytes.fromhex(ask("chain_getBlockHash", 0)[2:]))
    signer = Signer(genesis, number, Hash(bytes.fromhex(head[2:])), version)
    raw = signer.sign(who, nonce_of(ask, who.account) + waiting(ask, who.account), call)
    ask("author_submitExtrinsic", "0x" + raw.hex())


def nonce_of(ask: Ask, who: AccountId) -> int:
    """Return how many extrinsics of an account are in."""
    found = ask("state_getStorage", "0x" + storage.account_key(who).hex())
    return storage.SYSTEM_ACCOUNT.decode(bytes.fromhex(found[2:])).nonce if found else 0


def waiting(ask: Ask, who: AccountId) -> int:
    """Return how many extrinsics of an account wait."""
    raw = [bytes.fromhex(one[2:]) for one in ask("author_pendingExtrinsics")]
    return sum(bytes(who) in one[4:40] for one in raw)
