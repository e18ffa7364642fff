"""What went back of deposits, and what of that is here again: each is written once.

A return names its deposit, and of a deposit no more goes back than it brought. What was spent
already is not asked for: the balance falls below what was spent, and that is a debt.

Source: docs/metering.md, "Money that goes back".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, Engine, insert, select

from metering.book import schema
from metering.book.facts import Facts, MoneyReturned
from metering.book.postings import post
from metering.book.return_schema import deposit_returns as _returns
from metering.book.rows import Repository, chunks
from metering.errors import IdempotencyConflictError, InvalidValueError, UnknownNameError
from metering.model.ledger import withdrawal_postings
from metering.model.price import UNITS_MAX
from metering.units import AccountId, Asset, Planck

_REFERENCE_MAX: Final = 200


class ReturnKind(StrEnum):
    """Why money goes back, or comes again. The kind of its transfer."""

    REFUND = "refund"
    WITHDRAWAL = "withdrawal"
    """Its owner took it out."""
    REFUND_FAILED = "refund_failed"
    """It did not reach the payer: it is here again."""
    CHARGEBACK = "chargeback"
    CHARGEBACK_WON = "chargeback_won"
    """The bank gave back what it had taken."""


COMES_AGAIN: Final = frozenset({ReturnKind.REFUND_FAILED, ReturnKind.CHARGEBACK_WON})


@dataclass(frozen=True, slots=True)
class Return:
    """Money that went back, or is here again.

    Attributes:
        reference: Unique below its kind: whose word it is.
        deposit: Idempotency key of the deposit.
        planck: Positive went back, negative is here again.
        why: For people.
    """

    kind: ReturnKind
    reference: str
    deposit: str
    planck: Planck
    why: str


class ReturnRepository(Repository):
    """Reads and writes what went back."""

    def __init__(self, engine: Engine, asset: Asset, facts: Facts) -> None:
        super().__init__(engine, asset)
        self._facts = facts

    def add(self, wanted: Return, now_ms: int) -> AccountId | None:
        """Book a return; answer whose it is, None when it was booked before.

        Raises:
            UnknownNameError: There is no such deposit.
            InvalidValueError: The amount is 0, of the wrong sign, not whole units, or more than is
                left of the deposit.
            IdempotencyConflictError: The reference was used with other content.
        """
        if not 0 < len(wanted.reference) <= _REFERENCE_MAX:
            raise InvalidValueError(f"a return's reference has 1 to {_REFERENCE_MAX} characters")
        if not wanted.planck or (wanted.planck < 0) != (wanted.kind in COMES_AGAIN):
            raise InvalidValueError(f"{wanted.kind} of {wanted.planck} planck: of the wrong sign")
        self._require_units(abs(wanted.planck), "return", UNITS_MAX)
        deposits = schema.deposits.c
        with self._writing() as connection:
            known = connection.execute(
                select(_returns).where(
                    _returns.c.kind == wanted.kind.value,
                    _returns.c.reference == wanted.reference,
                )
            ).one_or_none()
            if known is not None:
                if (known.deposit, known.planck) != (wanted.deposit, wanted.planck):
                    raise IdempotencyConflictError(
                        f"{wanted.kind} {wanted.reference!r} was booked before with another "
                        "content; use a new key for a new one"
                    )
                return None
            deposit = connection.execute(
                select(deposits.account, deposits.planck).where(
                    deposits.idempotency_key == wanted.deposit
                )
            ).one_or_none()
            if deposit is None:
                raise UnknownNameError(f"there is no deposit {wanted.deposit[:80]!r}")
            gone = _gone(connection, wanted.deposit)
            if not 0 <= gone + wanted.planck <= deposit.planck:
                raise InvalidValueError(
                    f"{wanted.kind} of {wanted.planck} planck: of deposit {wanted.deposit!r}, "
                    f"{deposit.planck} planck, {gone} went back already; choose an amount within "
                    "what is left"
                )
            connection.execute(
                insert(_returns).values(
                    kind=wanted.kind.value,
                    reference=wanted.reference,
                    deposit=wanted.deposit,
                    account=deposit.account,
                    planck=wanted.planck,
                    why=wanted.why,
                    created_ms=now_ms,
                )
            )
            lines = withdrawal_postings(deposit.account, wanted.planck)
            post(connection, wanted.kind.value, wanted.reference, now_ms, lines)
            fact = MoneyReturned(
                AccountId(deposit.account),
                wanted.kind.value,
                wanted.reference,
                wanted.deposit,
                wanted.planck,
                now_ms,
            )
            self._facts.tell(connection, fact)
        return AccountId(deposit.account)

    def of_deposit(self, deposit: str) -> Planck:
        """Return what went back of a deposit so far."""
        with self._reading() as connection:
            return _gone(connection, deposit)

    def of_deposits(self, prefix: str) -> dict[str, Planck]:
        """Return what went back of each deposit whose key begins with `prefix`."""
        sums: dict[str, int] = defaultdict(int)
        query = select(_returns.c.deposit, _returns.c.planck).where(
            _returns.c.deposit.startswith(prefix, autoescape=True)
        )
        with self._reading() as connection:
            for row in connection.execute(query):
                sums[row.deposit] += row.planck
        return {deposit: Planck(planck) for deposit, planck in sums.items()}

    def by_account(self) -> dict[AccountId, Planck]:
        """Return what went back to each account."""
        with self._reading() as connection:
            return returned(connection)


def returned(
    connection: Connection, accounts: Sequence[AccountId] | None = None
) -> dict[AccountId, Planck]:
    """Return what went back to accounts, to all where none are named; nothing is left out."""
    query = select(_returns.c.account, _returns.c.planck)
    queries = [query]
    if accounts is not None:
        queries = [query.where(_returns.c.account.in_(some)) for some in chunks(accounts)]
    sums: dict[AccountId, int] = defaultdict(int)
    for each in queries:
        for row in connection.execute(each):
            sums[AccountId(row.account)] += row.planck
    return {account: Planck(planck) for account, planck in sums.items()}


def _gone(connection: Connection, deposit: str) -> Planck:
    query = select(_returns.c.planck).where(_returns.c.deposit == deposit)
    return Planck(sum(connection.execute(query).scalars()))
