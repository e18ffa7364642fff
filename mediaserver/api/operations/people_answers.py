"""What is answered about people, their ways in and what is their own."""

from __future__ import annotations

from typing import Any

from mediaserver.api.operations.operation import AccountText, Answer, PlanckText, SessionText


class WaysIn(Answer, frozen=True):
    """Which ways in there are."""

    passkey: bool
    sign_up: bool
    origin: str
    mail: bool
    oidc: list[str]
    is_signed_in: bool


class SignedIn(Answer, frozen=True):
    """Who is signed in now."""

    person: str
    name: str


class Credential(Answer, frozen=True):
    """A way in, as its owner sees it."""

    id: str
    kind: str
    label: str
    subject: str | None
    created_ms: int
    used_ms: int | None


class Challenge(Answer, frozen=True):
    """What a wallet signs."""

    text: str


class LetterSent(Answer, frozen=True):
    """For how many minutes a letter's link is good."""

    minutes: int


class Away(Answer, frozen=True):
    """Where the browser goes."""

    url: str


class RecoveryCodes(Answer, frozen=True):
    """Codes, shown this once."""

    codes: list[str]


class OwnStream(Answer, frozen=True):
    """A stream that somebody works on."""

    id: str
    slug: str
    roles: list[str]
    is_archived: bool


class Me(Answer, frozen=True):
    """Who is signed in."""

    person: str
    name: str
    account: AccountText | None
    roles: list[str]
    credentials: list[Credential]
    recovery_codes: int
    streams: list[OwnStream]
    balance: PlanckText | None
    debt: PlanckText | None
    advice: list[str]


class BrowserSession(Answer, frozen=True):
    """A browser that is signed in."""

    id: str
    is_this: bool
    created_ms: int
    seen_ms: int
    expires_ms: int
    ends_ms: int
    address: str
    agent: str


class BrowserSessions(Answer, frozen=True):
    """All browsers of somebody that are signed in."""

    sessions: list[BrowserSession]


class RemovedCredential(Answer, frozen=True):
    """How many ways in were taken away."""

    removed: int


class Limits(Answer, frozen=True):
    """What may be spent at most; "0" is no limit."""

    session_planck: PlanckText
    stream_planck: PlanckText
    day_planck: PlanckText


class OwnLimits(Limits, frozen=True):
    """One's own limits, and those that are in force."""

    in_force: Limits


class PlayerSettings(Answer, frozen=True):
    """When players stop by themselves."""

    hidden_stop_s: int
    ask_after_s: int
    answer_s: int


class Letters(Answer, frozen=True):
    """Whether one is written to when the balance runs down."""

    low_balance_planck: PlanckText
    address: str | None
    addresses: list[str]
    can_send: bool


class WatchedShow(Answer, frozen=True):
    """A show that was watched, and what it cost."""

    stream: str | None
    title: str | None
    stream_id: str
    show: int | None
    from_ms: int
    to_ms: int
    seconds: int
    covered_seconds: int
    planck: PlanckText
    given_back: PlanckText
    receipts_url: str


class History(Answer, frozen=True):
    """A page of what was watched."""

    shows: list[WatchedShow]
    next_before: str | None


class Player(Answer, frozen=True):
    """A player that one's account pays for."""

    player: SessionText
    stream: str | None
    title: str | None
    stream_id: str
    agent: str
    began_ms: int
    seen_ms: int | None
    ends_ms: int


class Players(Answer, frozen=True):
    """The players that one's account pays for now."""

    players: list[Player]


class Balance(Answer, frozen=True):
    """What an account has."""

    balance: PlanckText
    debt: PlanckText


class InvitationLook(Answer, frozen=True):
    """What an invitation would hand over."""

    kind: str
    role: str | None
    name: str
    expires_ms: int


class Invitation(Answer, frozen=True):
    """An invitation that may be taken."""

    id: str
    kind: str
    target: str
    role: str | None
    made_by: str
    created_ms: int
    expires_ms: int


class MadeInvitation(Invitation, frozen=True):
    """A new invitation, with its code, shown this once."""

    code: str
    url: str


class Invitations(Answer, frozen=True):
    """A page of invitations."""

    invitations: list[Invitation]
    next_before: str | None


class TakenBack(Answer, frozen=True):
    """How many invitations were taken back."""

    taken_back: int


class Person(Answer, frozen=True):
    """A person, as staff sees them."""

    person: str
    name: str
    account: AccountText | None
    created_ms: int
    closed_ms: int | None


class People(Answer, frozen=True):
    """A page of people."""

    people: list[Person]
    next_after: str | None


class KnownCredential(Answer, frozen=True):
    """A way in, as staff sees it."""

    id: str
    kind: str
    created_ms: int


class PersonInFull(Person, frozen=True):
    """A person with roles and ways in."""

    roles: list[str]
    streams: dict[str, list[str]]
    credentials: list[KnownCredential]
    sessions: int


class StreamPerson(Answer, frozen=True):
    """Who works on a stream."""

    person: str
    name: str
    roles: list[str]


class StreamPeople(Answer, frozen=True):
    """All who work on a stream."""

    people: list[StreamPerson]


class TakenRole(Answer, frozen=True):
    """How many roles were taken."""

    taken: int


class Key(Answer, frozen=True):
    """A machine's key, without what opens."""

    prefix: str
    name: str
    scopes: list[str]
    made_by: str
    created_ms: int
    expires_ms: int | None
    used_ms: int | None
    ended_ms: int | None


class MadeKey(Key, frozen=True):
    """A new key, shown this once."""

    key: str


class Keys(Answer, frozen=True):
    """A page of keys."""

    keys: list[Key]
    next_before: str | None


PasskeyOptions = dict[str, Any]
"""What `navigator.credentials` is given, as WebAuthn has it."""


class PaysFrom(Answer, frozen=True):
    """The account that pays."""

    account: AccountText


class Left(Answer, frozen=True):
    """Whether a player that left was live."""

    left: bool


class ExportRow(Answer, frozen=True):
    """A row of a table, as the table has it."""

    table: str
    row: dict[str, Any]


class Export(Answer, frozen=True):
    """A page of all that is held of somebody."""

    rows: list[ExportRow]
    next_after: str | None


class Closed(Answer, frozen=True):
    """An account that is closed and erased."""

    person: str
    account: AccountText | None
    closed_ms: int
