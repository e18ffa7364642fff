"""Earnings that go out: asked for by who earned them, approved or refused by finance, then paid.

Who earned them is a stream's creator or a payee of its split table: no account is the creator. One
at a time for each of them and stream, and never more than is available. It is posted when it is
paid: until then the earnings are theirs, less what is asked for.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Row, insert, select, update

from mediaserver.payments.paging import newest
from mediaserver.payments.records import Payout, PayoutState
from mediaserver.payments.schema import payouts as _payouts
from mediaserver.payments.settings import PaymentsSettings
from metering.book.book import Book
from metering.book.facts import PayoutChanged
from metering.book.records import StreamRecord
from metering.errors import IdempotencyConflictError, InvalidValueError, UnknownNameError
from metering.units import AccountId, Asset, Planck

PAGE_MAX: Final = 200
PAYEE_MAX: Final = 70
"""As in ISO 20022 ``Nm`` of SEPA."""
REFERENCE_MAX: Final = 150
WHY_MAX: Final = 500
OPEN: Final = (PayoutState.REQUESTED, PayoutState.APPROVED)
_OPEN: Final = tuple(state.value for state in OPEN)
_BANK_ACCOUNT: Final = re.compile(r"[A-Z0-9][A-Z0-9 ./:-]{2,62}[A-Z0-9]", re.ASCII)
_IBAN: Final = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}", re.ASCII)


class PayoutStateError(Exception):
    """A payout is not where it would have to be for what is asked; says where it is."""


@dataclass(frozen=True, slots=True)
class Currency:
    """What a bank pays in.

    Attributes:
        code: Of ISO 4217; the asset's symbol where nothing is paid in by money.
        decimals: Decimal places of its minor unit.
        planck_per_minor_unit: 1 or more.
    """

    code: str
    decimals: int
    planck_per_minor_unit: int


def currency_of(settings: PaymentsSettings, asset: Asset) -> Currency:
    """Return what earnings are paid in: as top-ups are, by the same rate."""
    rate = int(settings.planck_per_minor_unit)
    if not rate:
        return Currency(asset.symbol, asset.decimals, 1)
    return Currency(settings.currency, settings.currency_decimals, rate)


def bank_faults(payee: str, bank_account: str) -> list[str]:
    """Return what is wrong with whom a bank is to pay."""
    faults = []
    if not 0 < len(payee) <= PAYEE_MAX or not payee[0].isalnum():
        faults.append(
            f"payee: has 1 to {PAYEE_MAX} characters, the first a letter or a digit: the name on "
            "the bank account"
        )
    if not _BANK_ACCOUNT.fullmatch(bank_account):
        faults.append(
            "bank_account: has 4 to 64 capital letters, digits, spaces and ./:- between: an IBAN, "
            "or the bank's code and the number as your bank writes them"
        )
        return faults
    packed = bank_account.replace(" ", "")
    if _IBAN.fullmatch(packed) and not _is_iban(packed):
        faults.append("bank_account: the check digits of this IBAN are wrong; look for a mistype")
    return faults


def _is_iban(packed: str) -> bool:
    """Return whether the check digits hold: ISO 7064, mod 97-10."""
    turned = packed[4:] + packed[:4]
    return int("".join(str(int(character, 36)) for character in turned)) % 97 == 1


def asked_for(connection: Connection, stream: UUID, account: AccountId | None = None) -> Planck:
    """Return what a creator or payee asks for of a stream's earnings, and is not paid yet."""
    c = _payouts.c
    query = select(c.planck).where(c.stream == stream, c.account == account, c.state.in_(_OPEN))
    return Planck(sum(connection.execute(query).scalars()))


def asked_by(connection: Connection, stream: StreamRecord) -> dict[AccountId, Planck]:
    """Return what each asks for of a stream's earnings, and is not paid yet."""
    c, sums = _payouts.c, dict[AccountId, Planck]()
    query = select(c.account, c.planck).where(c.stream == stream.id, c.state.in_(_OPEN))
    for row in connection.execute(query):
        whose = AccountId(row.account or stream.creator)
        sums[whose] = Planck(sums.get(whose, 0) + row.planck)
    return sums


def left_of(
    book: Book, connection: Connection, slug: str, account: AccountId | None = None
) -> Planck:
    """Return what was earned with a stream and not paid out, in whatever state but asked for."""
    stream = book.streams.get(slug)
    asked = asked_for(connection, stream.id, account)
    state = book.payouts.earnings(stream, asked, 0, account)
    return Planck(state.pending + state.maturing + state.available)


def payee_key(account: AccountId, key: str) -> str:
    """Return the idempotency key of a payee's request: keys are unique below a stream."""
    return hashlib.sha256(account + key.encode()).hexdigest()


def ask(  # noqa: PLR0917 -- one row
    book: Book,
    connection: Connection,
    stream: StreamRecord,
    draft: Payout,
    currency: Currency,
    matured_ms: int,
) -> tuple[Payout, bool]:
    """Write down that a creator asks to be paid; return it, and whether it is new.

    Args:
        connection: Of `book.together`.
        draft: Its planck 0: all that is available.

    Raises:
        IdempotencyConflictError: The key was used for another one.
        PayoutStateError: Another one of this stream is under way.
        InvalidValueError: So much is not available, or the bank cannot pay it to the planck.
    """
    c = _payouts.c
    query = select(_payouts).where(
        c.stream == stream.id, c.idempotency_key == draft.idempotency_key
    )
    row = connection.execute(query).one_or_none()
    if row is not None:
        return _same(_payout(row), draft), False
    query = select(_payouts).where(
        c.stream == stream.id, c.account == draft.account, c.state.in_(_OPEN)
    )
    row = connection.execute(query).one_or_none()
    if row is not None:
        raise PayoutStateError(
            f"payout {row.id} of {stream.slug} is {row.state}: one at a time; wait until it is "
            "paid or refused"
        )
    asked = asked_for(connection, stream.id, draft.account)
    state = book.payouts.earnings(stream, asked, matured_ms, draft.account)
    rate = currency.planck_per_minor_unit
    most = state.available // rate * rate
    planck = draft.planck or most
    if not 0 < planck <= most:
        bounds = f"is not in {rate} to {most}" if most else "cannot be paid out"
        raise InvalidValueError(
            f"planck: {planck} {bounds}: {state.available} planck are available "
            f"of {stream.slug}, {state.maturing} mature yet, {state.pending} are not settled yet"
        )
    if planck % rate:
        raise InvalidValueError(
            f"planck: {planck} is not a multiple of {rate}, one minor unit of {currency.code}: a "
            "bank pays whole ones"
        )
    made = replace(
        draft,
        planck=Planck(planck),
        amount=planck // rate,
        currency=currency.code,
        currency_decimals=currency.decimals,
    )
    connection.execute(insert(_payouts).values(**_values(made)))
    _tell(book, connection, made, draft.created_ms)
    return made, True


def _same(known: Payout, draft: Payout) -> Payout:
    asked_for = (draft.planck or known.planck, draft.payee, draft.bank_account)
    if (known.planck, known.payee, known.bank_account) != asked_for:
        raise IdempotencyConflictError(
            "the idempotency key was used for another payout; use a new key for a new one"
        )
    return known


def approve(
    book: Book, connection: Connection, payout: str, matured_ms: int, now_ms: int
) -> tuple[Payout, bool]:
    """Note that a bank is to pay; return it, and whether that is new.

    Raises:
        UnknownNameError: There is none.
        PayoutStateError: It is paid or refused, or less is available than when it was asked for.
    """
    known = get(connection, payout)
    if known.state is PayoutState.APPROVED:
        return known, False
    _require(known, PayoutState.REQUESTED)
    stream = stream_of(book, known)
    asked = asked_for(connection, stream.id, known.account)
    state = book.payouts.earnings(stream, asked, matured_ms, known.account)
    if state.debt:
        raise PayoutStateError(
            f"payout {payout} is {known.planck} planck, and {state.debt} of that are not available "
            f"any more: money of {stream.slug} went back since; refuse it"
        )
    changed = _decide(connection, known, PayoutState.APPROVED, decided_ms=now_ms)
    _tell(book, connection, changed, now_ms)
    return changed, True


def refuse(
    book: Book, connection: Connection, payout: str, why: str, now_ms: int
) -> tuple[Payout, bool]:
    """Note that it is not paid: the earnings are available again.

    Raises:
        UnknownNameError: There is none.
        PayoutStateError: It is paid, or was refused for another reason.
    """
    known = get(connection, payout)
    if (known.state, known.why) == (PayoutState.REFUSED, why):
        return known, False
    _require(known, *OPEN)
    refused = _decide(connection, known, PayoutState.REFUSED, decided_ms=now_ms, why=why)
    _tell(book, connection, refused, now_ms)
    return refused, True


def pay(
    book: Book, connection: Connection, payout: str, reference: str, now_ms: int
) -> tuple[Payout, bool]:
    """Book that a bank has paid; return it, and whether that is new.

    Args:
        connection: Of `book.together`.
        reference: The bank's.

    Raises:
        UnknownNameError: There is none.
        PayoutStateError: It is not approved, or was paid by another reference.
    """
    known = get(connection, payout)
    if (known.state, known.reference) == (PayoutState.PAID, reference):
        return known, False
    _require(known, PayoutState.APPROVED)
    book.payouts.add(known.id, stream_of(book, known), known.planck, now_ms, known.account)
    paid = _decide(connection, known, PayoutState.PAID, paid_ms=now_ms, reference=reference)
    _tell(book, connection, paid, now_ms)
    return paid, True


def get(connection: Connection, payout: str) -> Payout:
    """Return a payout by its id.

    Raises:
        UnknownNameError: There is none.
    """
    row = connection.execute(select(_payouts).where(_payouts.c.id == payout)).one_or_none()
    if row is None:
        raise UnknownNameError(f"there is no payout {payout[:64]!r}")
    return _payout(row)


def page(
    connection: Connection,
    *,
    limit: int,
    before: str | None = None,
    state: PayoutState | None = None,
    stream: UUID | None = None,
    accounts: Sequence[AccountId] | None = None,
    is_creators: bool = False,
) -> list[Payout]:
    """Return payouts, the newest first.

    Args:
        before: Id of the payout behind which the page begins; one not known is behind all.
        state: Only those in this state.
        stream: Only its.
        accounts: Only these payees'.
        is_creators: Only those of streams' creators.
    """
    where = [_payouts.c.account.is_(None)] if is_creators else []
    if accounts is not None:
        where.append(_payouts.c.account.in_(accounts))
    only = {"state": state, "stream": stream}
    rows = newest(connection, _payouts, *where, limit=limit, before=before, **only)
    return [_payout(row) for row in rows]


def bank_references(connection: Connection, stream: UUID) -> dict[str, str]:
    """Return the bank's reference of each payout of a stream that is paid."""
    c = _payouts.c
    query = select(c.id, c.reference).where(c.stream == stream, c.reference.is_not(None))
    return {row.id: row.reference for row in connection.execute(query)}


def approved(connection: Connection) -> list[Payout]:
    """Return all that a bank is to pay, the oldest first."""
    c = _payouts.c
    query = select(_payouts).where(c.state == PayoutState.APPROVED.value).order_by(c.number)
    return [_payout(row) for row in connection.execute(query)]


def differences(book: Book, connection: Connection) -> list[str]:
    """Return where payouts and the book differ, in words."""
    creators = {stream.id: stream.creator for stream in book.streams.all()}
    booked = {
        name: (holder.stream, holder.account, planck)
        for name, (holder, planck) in book.payouts.all().items()
    }
    query = select(_payouts).where(_payouts.c.state == PayoutState.PAID.value)
    paid = {
        row.id: (row.stream, row.account or creators[row.stream], Planck(row.planck))
        for row in connection.execute(query)
    }
    none = (None, None, 0)
    return [
        f"payout {name} is paid {paid.get(name, none)[2]} planck, and the book has "
        f"{booked.get(name, none)[2]}"
        for name in sorted(paid.keys() | booked.keys())
        if paid.get(name) != booked.get(name)
    ]


def stream_of(book: Book, payout: Payout) -> StreamRecord:
    """Return the stream whose earnings a payout is of."""
    return book.streams.get(book.streams.slugs([payout.stream])[payout.stream])


def decimal_text(amount: int, decimals: int) -> str:
    """Return minor units as a bank reads them: ``12.30``."""
    whole, rest = divmod(amount, 10**decimals)
    return f"{whole}.{rest:0{decimals}d}" if decimals else str(whole)


def _require(known: Payout, *states: PayoutState) -> None:
    if known.state not in states:
        detail = f" by reference {known.reference}" if known.reference else ""
        detail = f": {known.why}" if known.why else detail
        raise PayoutStateError(
            f"payout {known.id} is {known.state}{detail}; it has to be {' or '.join(states)}"
        )


def _decide(connection: Connection, known: Payout, state: PayoutState, **changed: Any) -> Payout:
    made = replace(known, state=state, **changed)
    connection.execute(
        update(_payouts).where(_payouts.c.id == known.id).values(state=state.value, **changed)
    )
    return made


def _tell(book: Book, connection: Connection, payout: Payout, now_ms: int) -> None:
    """Tell those who write it down, too: whom the bank pays is not for them."""
    fact = PayoutChanged(
        payout.id,
        payout.stream,
        payout.state.value,
        payout.planck,
        payout.amount,
        payout.currency,
        now_ms,
        payout.account,
    )
    book.facts.tell(connection, fact)


def _values(payout: Payout) -> dict[str, Any]:
    names: Sequence[str] = Payout.__slots__
    return {name: getattr(payout, name) for name in names} | {"state": payout.state.value}


def _payout(row: Row[Any]) -> Payout:
    values = {name: getattr(row, name) for name in Payout.__slots__}
    return Payout(
        **values
        | {
            "planck": Planck(row.planck),
            "amount": int(row.amount),
            "state": PayoutState(row.state),
        }
    )
