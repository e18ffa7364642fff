"""Who watches and pays in the soak, what they watched, and whether the chain agrees."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
import time
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from metering.book.book import Book
from metering.chain import attempt
from metering.chain.node import storage
from metering.chain.node.scale import Hash
from metering.errors import ChainUnavailableError
from metering.model.ledger import Holder, Role
from metering.recovery.reconcile import reconcile
from metering.signing import KeyPair
from metering.testing.fake_node.tables import Call
from metering.units import AccountId
from tests.simulate.settlement_chains import VIEWERS, ChainProcess
from tests.support.book_fixture import OPERATOR, PRICE, InlineBook, make_book
from tests.support.chain_scenario import DEPOSIT, FEE_PPM, feed, funds, open_book, setup_calls
from tests.support.wallet import Signer, dev, of_stream, transfer

LOW_PRIORITY = "1014"
"""The pool's answer when other bytes wait under the same nonce."""
CALL_S = 30.0
TICKS_AT_ONCE = 9


@dataclass
class SettlementSoak:
    """The book's path, the chain, and the count of what was watched.

    Attributes:
        backup: What was watched and the last batch when the book was copied.
        forgotten: Batches that an older book, put back, does not know of.
    """

    path: Path
    chain: ChainProcess
    stream: UUID
    viewers: list[AccountId]
    fed: dict[AccountId, int] = field(default_factory=dict)
    backup: tuple[dict[AccountId, int], int] | None = None
    forgotten: set[int] = field(default_factory=set)

    @classmethod
    def found(cls, path: Path, chain: ChainProcess) -> SettlementSoak:
        """Make the book, and on the chain its counterparts."""
        fixture = make_book(f"sqlite:///{path}", VIEWERS, FEE_PPM, deposit=DEPOSIT)
        fixture.book.close()
        settlement = cls(path, chain, fixture.stream.id, fixture.accounts)
        if not chain.has_faults:
            for who, planck in funds(VIEWERS).items():
                settlement.do(dev("Alice"), transfer(who, planck))
        for pair, call in setup_calls(fixture.stream.id, VIEWERS):
            settlement.do(pair, call)
        return settlement

    def feed(self, chance: random.Random, at_least: int = 0) -> None:
        """Book some more seconds of some viewers, never more than the chain's rate allows."""
        elapsed_s = self._now_s() - self._session(self.viewers[0]).joined_at
        allowed = 100 + elapsed_s
        more: dict[AccountId, int] = {}
        for who in self.viewers:
            most = min(TICKS_AT_ONCE, allowed - self.fed.get(who, 0))
            if most > 0 and (chance.random() < 0.6 or len(more) < at_least):
                more[who] = chance.randint(1, most)
        book = open_book(self.path)
        feed(book, self.stream, self.fed, more)
        book.close()

    def back_up(self) -> None:
        """Copy the book as an operator does."""
        book = open_book(self.path)
        self.backup = dict(self.fed), book.outbox.last_final_seq()
        book.close()
        with (
            contextlib.closing(sqlite3.connect(self.path)) as source,
            contextlib.closing(sqlite3.connect(self.path.with_suffix(".copy"))) as copy,
        ):
            source.backup(copy)

    def put_back(self, chance: random.Random) -> None:
        """Put the copy back; what was watched since comes in again, and a little more."""
        assert self.backup is not None
        book = open_book(self.path)
        last = book.outbox.last_final_seq()
        book.close()
        for end in ("-wal", "-shm"):
            self.path.with_name(self.path.name + end).unlink(missing_ok=True)
        self.path.write_bytes(self.path.with_suffix(".copy").read_bytes())
        now, (self.fed, old) = self.fed, self.backup
        self.backup = None
        self.forgotten |= set(range(old + 1, last + 1))
        again = {who: now[who] - self.fed.get(who, 0) + chance.randint(1, 3) for who in now}
        book = open_book(self.path)
        feed(book, self.stream, self.fed, again)
        book.close()

    def total(self) -> int:
        """Return the seconds watched."""
        return sum(self.fed.values())

    def usurp(self) -> None:
        """Let another process of the operator's key use the next nonce."""
        self.do(OPERATOR, transfer(self.viewers[0], 10**6))

    def fail_what_waits(self) -> None:
        """Get the signed bytes that nobody has sent yet into a block in which they fail."""
        book = open_book(self.path)
        waiting = book.outbox.open(1)
        kept = book.outbox.attempts(waiting[0].seq) if waiting else []
        book.close()
        if not kept:
            return
        self._switch(active=False)
        raw = attempt.decode(kept[-1].signed).extrinsic
        nonce = self._account(OPERATOR.account).nonce
        try:
            self.chain.call("author_submitExtrinsic", "0x" + raw.hex())
        except Exception:  # noqa: BLE001 -- known, banned or expired: then it does not fail here
            self._switch(active=True)
            return
        self._until(lambda: self._account(OPERATOR.account).nonce > nonce, "it is in a block")
        self._switch(active=True)

    def do(self, who: KeyPair, call: Call) -> None:
        """Send a call and wait until it is final."""
        head = self.chain.call("chain_getFinalizedHead")
        number = int(self.chain.call("chain_getHeader", head)["number"], 16)
        version = self.chain.call("state_getRuntimeVersion")["specVersion"]
        genesis = Hash(bytes.fromhex(self.chain.call("chain_getBlockHash", 0)[2:]))
        signer = Signer(genesis, number, Hash(bytes.fromhex(head[2:])), version)
        while True:
            nonce = self._account(who.account).nonce
            raw = signer.sign(who, nonce, call)
            try:
                self.chain.call("author_submitExtrinsic", "0x" + raw.hex())
                break
            except ChainUnavailableError as error:
                is_used = self._account(who.account).nonce > nonce
                if not is_used and LOW_PRIORITY not in str(error):
                    raise
            # A settler that was killed had sent its bytes under it: they come first.
            self._until(lambda: self._is_free(who.account, nonce), "its nonce is free")  # noqa: B023 -- asked now
        self._until(lambda: self._account(who.account, is_final=True).nonce > nonce, call.name)

    def differences(self) -> list[str]:
        """Return every way in which chain, book and what was watched differ."""
        wrong = []
        book = open_book(self.path)
        try:
            report = asyncio.run(reconcile(InlineBook(book), None, has_journal=False))
            wrong += [f"reconcile: {item}" for item in report.differences]
            entries = {item.key.account: item for item in book.cuts.entries()}
            for who, ticks in self.fed.items():
                entry = entries[who]
                session, escrow = self._session(who), self._escrow(who)
                of_viewer = DEPOSIT - escrow.held
                state = (entry.booked, entry.settled, session.ticks, session.amount, of_viewer)
                if state != (ticks, ticks, ticks, ticks * PRICE, ticks * PRICE):
                    wrong.append(f"viewer {who.hex()[:8]} watched {ticks}, found {state}")
            ledger = book.ledger.balances()
            spent = sum(DEPOSIT - ledger[Holder(Role.VIEWER, item)] for item in self.viewers)
            if spent != self.total() * PRICE or sum(ledger.values()) != 0:
                wrong.append(f"the ledger has {spent} spent of {self.total()} seconds")
            wrong += self._outcomes(book)
        finally:
            book.close()
        info = storage.STREAM_INFO.decode(self._read(storage.stream_key(self.stream)) or b"")
        if (info.total_ticks, info.total_amount) != (self.total(), self.total() * PRICE):
            wrong.append(f"the stream has {info.total_ticks} of {self.total()} seconds")
        return wrong

    def _outcomes(self, book: Book) -> list[str]:
        """Return where the chain's outcomes are not the book's batches."""
        wrong, ticks = [], 0
        operator = storage.OPERATOR.decode(
            self._read(storage.operator_key(OPERATOR.account)) or b""
        )
        last = book.outbox.last_final_seq()
        if operator.last_seq != last:
            wrong.append(f"the chain is at batch {operator.last_seq}, the book at {last}")
        for seq in range(max(1, last - 1000), last + 1):
            raw = self._read(storage.outcome_key(OPERATOR.account, seq))
            if raw is None:
                wrong.append(f"batch {seq} has no outcome")
                continue
            outcome = storage.OUTCOME.decode(raw)
            ticks += outcome.ticks
            if seq in self.forgotten:
                continue  # settled by a book that was replaced by an older one
            if outcome.hash != book.settlements.get(seq).hash or outcome.refused:
                wrong.append(f"batch {seq} is settled otherwise than the book has it")
        if last <= 1000 and ticks != self.total():
            wrong.append(f"outcomes sum to {ticks} of {self.total()} seconds")
        return wrong

    def _switch(self, *, active: bool) -> None:
        call = of_stream("set_operator_active", operator=OPERATOR.account, active=active)
        self.do(dev("Alice"), Call("Sudo", "sudo", {"call": call}))

    def _now_s(self) -> int:
        return int.from_bytes(self._read(storage.now_key()) or b"", "little") // 1000

    def _session(self, who: AccountId) -> storage.ChainSession:
        return storage.SESSION.decode(
            self._read(storage.session_key(self.stream, who, 1), is_final=True) or b""
        )

    def _escrow(self, who: AccountId) -> storage.Escrow:
        key = storage.escrow_key(OPERATOR.account, who)
        return storage.ESCROW.decode(self._read(key, is_final=True) or b"")

    def _account(self, who: AccountId, *, is_final: bool = False) -> storage.Account:
        raw = self._read(storage.account_key(who), is_final=is_final)
        if raw is None:
            return storage.Account(0, 0, 0, 0, 0, 0, 0, 0)
        return storage.SYSTEM_ACCOUNT.decode(raw)

    def _read(self, key: bytes, *, is_final: bool = False) -> bytes | None:
        at = [self.chain.call("chain_getFinalizedHead")] if is_final else []
        value = self.chain.call("state_getStorage", "0x" + key.hex(), *at)
        return None if value is None else bytes.fromhex(value[2:])

    def _is_free(self, account: AccountId, nonce: int) -> bool:
        """Return True once a nonce is used, or nothing waits that could use it."""
        is_used = self._account(account).nonce > nonce
        return is_used or not self.chain.call("author_pendingExtrinsics")

    def _until(self, holds, what: str) -> None:
        deadline = time.monotonic() + CALL_S
        while not holds():
            assert time.monotonic() < deadline, f"{what}: not within {CALL_S} s"
            time.sleep(0.02)
