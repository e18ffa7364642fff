"""What is answered about the machine, the chain and the servers that are told what happens."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import UNSET, UnsetType

from mediaserver.api.operations.operation import AccountText, Answer, PlanckText

OpenApi = dict[str, Any]
"""An OpenAPI 3.1 document."""


class Worker(Answer, frozen=True):
    """A worker process."""

    name: str
    pid: int
    stream: str | None
    state: str
    show: int | None


class Workers(Answer, frozen=True):
    """All workers."""

    workers: list[Worker]


class ChainOperator(Answer, frozen=True):
    """What the operator has on the chain."""

    account: AccountText
    is_registered: bool
    is_active: bool
    bond: PlanckText
    last_seq: int
    nonce: int
    free: PlanckText


class ChainSettlement(Answer, frozen=True):
    """How far settlement is."""

    in_flight: int
    in_block: int
    exposure: PlanckText
    lag_ms: int


class Chain(Answer, frozen=True):
    """Where the chain is."""

    url: str
    spec: str
    genesis: str
    finalized: int
    best: int
    chain_time_s: int
    operator: ChainOperator
    settlement: ChainSettlement


class RegisteredOperator(Answer, frozen=True):
    """The operator's registration."""

    account: AccountText
    bond: PlanckText
    is_new: bool
    block: int


class ChainPayout(Answer, frozen=True):
    """What was earned on the chain and not taken yet."""

    account: AccountText
    role: Literal["creator", "payee", "platform"]
    streams: list[str]
    available: PlanckText
    maturing: PlanckText
    pending: PlanckText


class ChainPayouts(Answer, frozen=True):
    """All that was earned on the chain and not taken yet."""

    payouts: list[ChainPayout]


class TakenPayout(Answer, frozen=True):
    """What was taken."""

    account: AccountText
    planck: PlanckText
    block: int


class Escrow(Answer, frozen=True):
    """What a viewer holds for the operator on the chain."""

    account: AccountText
    operator: AccountText
    held: PlanckText
    free: PlanckText
    asked_back: PlanckText | None
    ready_at: int | None
    block: int | UnsetType = UNSET
    """Of the call that was made, where one was."""


class WebhookTarget(Answer, frozen=True):
    """A server that is told what happens."""

    target: str
    host: str
    events: list[str]
    waiting: int
    oldest_waiting_ms: int | None
    dead: int
    sent: int


class WebhookTargets(Answer, frozen=True):
    """All servers that are told what happens."""

    targets: list[WebhookTarget]


class Delivery(Answer, frozen=True):
    """An event and a server that is told it."""

    event: str
    kind: str
    target: str
    state: Literal["waiting", "sent", "dead"]
    tries: int
    created_ms: int
    next_ms: int | None
    detail: str


class Deliveries(Answer, frozen=True):
    """A page of deliveries."""

    deliveries: list[Delivery]
    next_before: str | None


class Replayed(Answer, frozen=True):
    """How many events a server is told again."""

    target: str
    events: int


class Tested(Answer, frozen=True):
    """The event that a server is told for a test."""

    target: str
    event: str


class AuditEntry(Answer, frozen=True):
    """Who did what to whom."""

    number: int
    at_ms: int
    actor: str
    action: str
    target: str
    before: dict[str, Any]
    after: dict[str, Any]
    address: str
    hash: str


class AuditLog(Answer, frozen=True):
    """A page of the audit log."""

    entries: list[AuditEntry]
    next_after: int | None
    fault: str | None
