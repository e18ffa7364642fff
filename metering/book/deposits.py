"""What viewers paid in, where no chain holds escrows: each top-up is written once.

What went back of them: metering/book/returns.py.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Final

from sqlalchemy import Connection, Engine, func, insert, select

from metering.book import schema
from metering.book.facts import DepositBooked, Facts
from metering.book.given_back import given_back
from metering.book.passes import refunded
from metering.book.postings import post
from metering.book.records import Deposit
from metering.book.returns import returned
from metering.book.rows import Repository
from metering.errors import IdempotencyConflictError, InvalidValueError, UnknownNameError
from metering.model.ledger import deposit_postings
from metering.model.price import UNITS_MAX
from metering.units import AccountId, Asset, Planck, account_text

_IDEMPOTENCY_KEY_MAX: Final = 200


class DepositRepository(Repository):
    """Reads and writes deposits."""

    def __init__(self, engine: Engine, asset: Asset, facts: Facts) -> None:
        super().__init__(engine, asset)
        self._facts = facts

    def add(
        self, account: AccountId, planck: Planck, idempotency_key: str, memo: str, now_ms: int
    ) -> Deposit:
        """Book a top-up once: the same key with the same content again changes nothing.

        Raises:
            UnknownNameError: If there is no such viewer.
            InvalidValueError: If the amount is 0, not whole units, or more than Redis can count.
            IdempotencyConflictError: If the key was used with other content.
        """
        if not 0 < len(idempotency_key) <= _IDEMPOTENCY_KEY_MAX:
            raise InvalidValueError(f"an idempotency key has 1 to {_IDEMPOTENCY_KEY_MAX} letters")
        if planck <= 0:
            raise InvalidValueError(f"deposit of {planck} planck: it must be above 0")
        body = json.dumps([account_text(account), str(planck), memo]).encode()
        body_hash = hashlib.sha256(body).digest()
        deposits = schema.deposits.c
        with self._writing() as connection:
            # A repeated request is answered as the first was, and books nothing.
            known = connection.execute(
                select(deposits.body_hash).where(deposits.idempotency_key == idempotency_key)
            ).scalar_one_or_none()
            if known is not None and known != body_hash:
                raise IdempotencyConflictError(
                    f"idempotency key {idempotency_key!r} was used for another deposit; use a new "
                    "key for a new deposit"
                )
            before = deposited(connection, [account]).get(account)
            if before is None:
                raise UnknownNameError(f"there is no viewer {account_text(account)}")
            if known is not None:
                return Deposit(is_new=False, total_planck=before)

            # Redis adds in whole units and within its integers: the amount and the sum must fit.
            self._require_units(planck, "deposit", UNITS_MAX)
            total = self._require_units(before + planck, "sum of deposits", UNITS_MAX)
            connection.execute(
                insert(schema.deposits).values(
                    idempotency_key=idempotency_key,
                    body_hash=body_hash,
                    account=account,
                    planck=planck,
                    memo=memo,
                    created_ms=now_ms,
                )
            )
            post(connection, "deposit", idempotency_key, now_ms, deposit_postings(account, planck))
            fact = DepositBooked(account, idempotency_key, planck, memo, now_ms)
            self._facts.tell(connection, fact)
        return Deposit(is_new=True, total_planck=total)

    def total(self, account: AccountId) -> Planck:
        """Return what an account may have spent in all; 0 for one that is not known.

        It paid that in and did not get it out again, or was given it back for bad seconds, or for a
        pass that was refunded: in the store what those cost stays spent.
        """
        none = Planck(0)
        with self._reading() as connection:
            paid = deposited(connection, [account]).get(account, none)
            again = given_back(connection, [account]).get(account, none)
            again = Planck(again + refunded(connection, [account]).get(account, none))
            return Planck(paid + again - returned(connection, [account]).get(account, none))

    def with_keys(self, prefix: str) -> dict[str, tuple[AccountId, Planck]]:
        """Return account and planck of each deposit whose idempotency key begins with `prefix`."""
        deposits = schema.deposits.c
        query = select(deposits.idempotency_key, deposits.account, deposits.planck).where(
            deposits.idempotency_key.startswith(prefix, autoescape=True)
        )
        with self._reading() as connection:
            return {
                row.idempotency_key: (AccountId(row.account), row.planck)
                for row in connection.execute(query)
            }

    def accounts(self) -> list[AccountId]:
        """Return every account that paid in, the newest deposit first."""
        deposits = schema.deposits.c
        with self._reading() as connection:
            newest = func.max(deposits.created_ms)
            query = select(deposits.account).group_by(deposits.account).order_by(newest.desc())
            return [AccountId(account) for account in connection.execute(query).scalars()]


def deposited(connection: Connection, accounts: Iterable[AccountId]) -> dict[AccountId, Planck]:
    """Return what each of some viewers paid in; accounts that are no viewers are left out."""
    wanted = list(accounts)
    viewers, deposits = schema.viewers.c, schema.deposits.c
    sums = dict.fromkeys(
        connection.execute(select(viewers.account).where(viewers.account.in_(wanted))).scalars(), 0
    )
    for row in connection.execute(
        select(deposits.account, deposits.planck).where(deposits.account.in_(wanted))
    ):
        sums[row.account] += row.planck
    return {account: Planck(planck) for account, planck in sums.items()}
