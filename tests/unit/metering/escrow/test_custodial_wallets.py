"""Calls made for viewers whose key we hold are made once, whatever is lost on the way."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field

import pytest

from metering.chain.node import storage
from metering.chain.node.extrinsic import Era, Terms
from metering.chain.node.scale import U128, Hash
from metering.chain.node.storage import Account
from metering.errors import (
    ChainUnavailableError,
    ExtrinsicRejectedError,
    IdempotencyConflictError,
    InvalidValueError,
)
from metering.escrow import custodial_wallets
from metering.escrow.call_client import CallOutcome, ChainFacts, Draft, Reading, Verdict
from metering.escrow.call_sender import CallSender
from metering.escrow.custodial_wallets import CustodialWallets
from metering.units import AccountId, Planck
from tests.support.book_fixture import OPERATOR, InlineBook, make_book

HASH = Hash(b"\x01" * 32)
RICH = 10**15


@dataclass
class ForgedNode:
    """A chain of one account table; what is sent is final at once, or when it is let.

    Attributes:
        lost: So many answers to come are lost after the call was taken.
        fails: Names of calls that the chain refuses in a block.
        unfinal: Names of calls whose blocks do not become final.
    """

    free: dict[AccountId, int] = field(default_factory=dict)
    nonces: dict[AccountId, int] = field(default_factory=dict)
    escrow: dict[AccountId, int] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    lost: int = 0
    is_away: bool = False
    fails: frozenset[str] = frozenset()
    unfinal: frozenset[str] = frozenset()

    async def facts(self) -> ChainFacts:
        raise NotImplementedError

    async def read(self, keys, account=None, *, best=False) -> Reading:  # noqa: ARG002 -- the port's
        if self.is_away:
            raise ChainUnavailableError("the node is away")
        values = tuple(self._value(key) for key in keys)
        return Reading(1, HASH, self.nonces.get(account, 0), values)

    def _value(self, key: bytes) -> bytes | None:
        for account, free in self.free.items():
            if storage.account_key(account) == key:
                return storage.SYSTEM_ACCOUNT.encode(Account(0, 0, 0, 0, free, 0, 0, 0))
        return None

    async def prepare(self, account, pallet, name, data, at) -> Draft:  # noqa: ARG002 -- the port's
        terms = Terms(self.nonces.get(account, 0), Era(64, 1), HASH, 100, 1, HASH)
        return Draft(account, name.encode() + b"|" + data, terms, b"payload")

    async def send(self, draft: Draft, signature: bytes) -> Hash:
        assert len(signature) == 64
        if draft.terms.nonce == self.nonces.get(draft.account, 0):
            self._apply(draft)
        if self.lost:
            self.lost -= 1
            raise ChainUnavailableError("the answer was lost")
        return HASH

    def _apply(self, draft: Draft) -> None:
        name, _, data = draft.call.partition(b"|")
        self.nonces[draft.account] = self.nonces.get(draft.account, 0) + 1
        self.calls.append(name.decode())
        if name.decode() in self.fails:
            return
        if name == b"deposit":
            planck = U128.decode(data[32:])
            self.escrow[draft.account] = self.escrow.get(draft.account, 0) + planck
            self.free[draft.account] -= planck
        if name == b"transfer_keep_alive":
            to = AccountId(data[1:33])
            self.free[to] = RICH

    async def verdict(self, draft: Draft, sent: Hash) -> Verdict:  # noqa: ARG002 -- the port's
        name = draft.call.partition(b"|")[0].decode()
        if name in self.fails:
            return Verdict(CallOutcome.FAILED, 1, "TickStream.NotActive")
        return Verdict(CallOutcome.WAITING if name in self.unfinal else CallOutcome.DONE, 1)


@pytest.fixture
def fixture():
    made = make_book()
    yield made
    made.book.close()


def make(fixture, chain: ForgedNode) -> CustodialWallets:
    return CustodialWallets(
        CallSender(chain, poll_s=0, wait_s=0.2),
        InlineBook(fixture.book),
        operator=OPERATOR,
        float_planck=100,
        now_ms=fixture.clock,
    )


@pytest.fixture
def walletless(fixture):
    record, _ = fixture.book.viewers.create("nora", None, 1)
    return record.account


async def test_a_deposit_is_funded_made_and_made_once(fixture, walletless):
    """The same key again, by another control too, changes nothing."""
    chain = ForgedNode()
    first = await make(fixture, chain).deposit(walletless, Planck(500), "k")
    again = await make(fixture, chain).deposit(walletless, Planck(500), "k")

    assert (first, again) == (True, False)
    assert chain.calls == ["transfer_keep_alive", "deposit"]
    assert chain.escrow == {walletless: 500}


async def test_what_pays_the_fees_need_not_be_final_first(fixture, walletless, monkeypatch):
    """A viewer waits: the call itself goes on as soon as a block has the money."""
    monkeypatch.setattr(custodial_wallets, "_FUND_TRIES", 1)
    chain = ForgedNode(unfinal=frozenset({"transfer_keep_alive"}))

    assert await make(fixture, chain).deposit(walletless, Planck(500), "k")

    assert chain.calls == ["transfer_keep_alive", "deposit"]


@pytest.mark.parametrize("lost", [1, 2])
async def test_a_lost_answer_and_a_repeat_make_one_deposit(fixture, walletless, lost, monkeypatch):
    """Whichever of the two calls it was that nobody answered."""
    monkeypatch.setattr(custodial_wallets, "_POLL_S", 0)
    chain = ForgedNode(lost=lost)
    with contextlib.suppress(ChainUnavailableError):
        await make(fixture, chain).deposit(walletless, Planck(500), "k")

    await make(fixture, chain).deposit(walletless, Planck(500), "k")

    assert chain.escrow == {walletless: 500}
    assert chain.calls.count("deposit") == 1


async def test_what_was_begun_before_is_finished_first(fixture, walletless):
    """Another deposit does not take the nonce of one that nobody repeated."""
    chain = ForgedNode(free={walletless: RICH}, lost=1)
    with pytest.raises(ChainUnavailableError):
        await make(fixture, chain).deposit(walletless, Planck(500), "one")

    await make(fixture, chain).deposit(walletless, Planck(70), "two")
    again = await make(fixture, chain).deposit(walletless, Planck(500), "one")

    assert not again
    assert chain.escrow == {walletless: 570}


async def test_a_node_that_is_away_leaves_it_to_be_repeated(fixture, walletless):
    """Nothing is sent, and nothing is lost."""
    chain = ForgedNode(free={walletless: RICH}, is_away=True)
    with pytest.raises(ChainUnavailableError):
        await make(fixture, chain).deposit(walletless, Planck(500), "k")
    chain.is_away = False

    await make(fixture, chain).deposit(walletless, Planck(500), "k")

    assert chain.escrow == {walletless: 500}


async def test_a_call_that_the_chain_refuses_is_over_and_says_why(fixture, walletless):
    """It does not stand in the way of the next, and a repeat says the same."""
    chain = ForgedNode(free={walletless: RICH}, fails=frozenset({"deposit"}))
    for _ in range(2):
        with pytest.raises(ExtrinsicRejectedError, match="NotActive"):
            await make(fixture, chain).deposit(walletless, Planck(500), "k")
    chain.fails = frozenset()
    await make(fixture, chain).deposit(walletless, Planck(70), "other")

    assert chain.calls == ["deposit", "deposit"]
    assert chain.escrow == {walletless: 70}


async def test_a_key_used_for_another_deposit_is_refused(fixture, walletless):
    """One key, one deposit."""
    chain = ForgedNode(free={walletless: RICH})
    await make(fixture, chain).deposit(walletless, Planck(500), "k")

    with pytest.raises(IdempotencyConflictError):
        await make(fixture, chain).deposit(walletless, Planck(501), "k")


async def test_a_wallets_owner_signs_for_themselves(fixture):
    """We have no key to sign with."""
    [ann] = fixture.accounts
    wallets = make(fixture, ForgedNode())

    assert not await wallets.holds(ann)
    with pytest.raises(InvalidValueError, match="own wallet"):
        await wallets.deposit(ann, Planck(5), "k")
    with pytest.raises(InvalidValueError, match="above 0"):
        await wallets.deposit(ann, Planck(0), "k")


async def test_a_join_allows_twice_the_price_and_is_made(fixture, walletless):
    """A price may rise without another join; the spending cap is the operator's to set."""
    chain = ForgedNode(free={walletless: RICH})
    await make(fixture, chain).join(walletless, fixture.stream.id, Planck(7), 0)

    assert chain.calls == ["join_with_caps"]
    assert custodial_wallets.PRICE_FACTOR == 2
