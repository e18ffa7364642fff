"""What is answered about streams, who sees them and who watches."""

from __future__ import annotations

from typing import Literal

from mediaserver.api.operations.operation import AccountText, Answer, PlanckText, SessionText
from mediaserver.api.operations.pass_answers import Passes

VisibilityWord = Literal["public", "unlisted", "invited"]
StateWord = Literal["offline", "waiting", "restarting", "live", "ended"]


class Price(Answer, frozen=True):
    """A price version; it holds from second `from_tick` on."""

    number: int
    from_tick: int
    planck_per_s: PlanckText


class NewPriceAnswer(Price, frozen=True):
    """A price that was added, and until when (Unix ms) it can be withdrawn; null: never."""

    withdraw_until_ms: int | None


class ShowCap(Answer, frozen=True):
    """The most that a show costs an account, for shows that begin at `from_show` or later."""

    from_show: int
    planck: PlanckText


class Health(Answer, frozen=True):
    """How the publisher does: numbers, and advice in words."""

    state: StateWord
    show: int | None
    facts: dict[str, float]
    advice: list[str]


class ChainStatus(Answer, frozen=True):
    """How far a stream is on the chain."""

    state: str
    reason: str | None
    stream_id: str
    price: int | None
    call: str | None


class StreamChainStatus(ChainStatus, frozen=True):
    """The same, with whose it is."""

    slug: str


class TakeDown(Answer, frozen=True):
    """Why a stream is taken down."""

    reason: str
    is_legal: bool
    made_ms: int


class MadeTakeDown(TakeDown, frozen=True):
    """A new take-down, and how many players ended by it."""

    stream: str
    ended: int


class EndedTakeDown(TakeDown, frozen=True):
    """A take-down that is over."""

    stream: str
    ended_ms: int


class KeptTakeDown(TakeDown, frozen=True):
    """A take-down, as staff sees it."""

    stream: str | None
    made_by: str
    ended_ms: int | None


class TakeDowns(Answer, frozen=True):
    """A page of take-downs."""

    takedowns: list[KeptTakeDown]
    next_before: int | None


class MadeReport(Answer, frozen=True):
    """The report that was made."""

    report: str


class Report(MadeReport, frozen=True):
    """What somebody reported."""

    stream: str | None
    text: str
    made_ms: int
    word: str | None
    resolved_by: str | None
    resolved_ms: int | None


class Reports(Answer, frozen=True):
    """A page of reports."""

    reports: list[Report]
    next_before: int | None


class Stream(Answer, frozen=True):
    """A stream."""

    id: str
    slug: str
    title: str
    creator: AccountText
    is_enabled: bool
    archived_ms: int | None
    taken_down: TakeDown | None
    visibility: VisibilityWord
    platform_fee_ppm: int
    prices: list[Price]
    price: Price | None
    prices_to_come: list[Price]
    preview_s: int
    show_cap: ShowCap | None
    show_cap_to_come: ShowCap | None
    created_ms: int
    whip_url: str
    watch_url: str
    health: Health
    chain: ChainStatus | None


class MadeStream(Stream, frozen=True):
    """A new stream, with its key, shown this once."""

    stream_key: str


class Streams(Answer, frozen=True):
    """A page of streams."""

    streams: list[Stream]
    next_after: str | None


class StreamKey(Answer, frozen=True):
    """A new key of a stream, shown this once."""

    slug: str
    stream_key: str


class Guest(Answer, frozen=True):
    """A guest of a stream by invitation."""

    guest: str
    kind: Literal["person", "account"]
    way: Literal["listed", "link", "password", "minted"]
    link: str | None
    since_ms: int


class GuestLink(Answer, frozen=True):
    """A link that makes guests."""

    id: str
    is_open: bool
    uses_max: int
    uses: int
    made_by: str
    created_ms: int
    expires_ms: int
    ended_ms: int | None


class MadeGuestLink(GuestLink, frozen=True):
    """A new link, with its secret, shown this once."""

    secret: str
    url: str


class Guests(Answer, frozen=True):
    """Who may see a stream, and a page of its guests."""

    visibility: VisibilityWord
    has_password: bool
    links: list[GuestLink]
    guests: list[Guest]
    next_after: str | None


class Removed(Answer, frozen=True):
    """How many were removed."""

    removed: int


class EndedLink(Answer, frozen=True):
    """How many links ended, and how many guests went with them."""

    ended: int
    removed: int


class HasPassword(Answer, frozen=True):
    """Whether a stream has a password."""

    has_password: bool


class Entry(Answer, frozen=True):
    """What a stream is and costs who asks."""

    stream: str
    title: str
    state: StateWord
    planck_per_s: PlanckText
    preview_s: int
    passes: Passes
    symbol: str
    decimals: int


class GuestEntry(Entry, frozen=True):
    """The same, for who has become a guest."""

    is_guest: bool


class Audience(Answer, frozen=True):
    """Who watches now."""

    stream: str
    at_ms: int
    viewers: int
    players: int
    players_by_edge: dict[str, int]
    estimated_players: int
    is_complete: bool


class Minute(Answer, frozen=True):
    """A minute that somebody watched."""

    minute: int
    peak: int
    viewers: int
    watch_seconds: int
    planck: PlanckText
    seconds: list[int]


class Minutes(Answer, frozen=True):
    """A page of minutes."""

    stream: str
    minutes: list[Minute]
    next_from: int | None


class Session(Answer, frozen=True):
    """A player's session."""

    session: SessionText
    stream: str | None
    state: str
    created_ms: int
    expires_ms: int
    ends_ms: int
    ended_ms: int | None


class Sessions(Answer, frozen=True):
    """The newest sessions of an account."""

    sessions: list[Session]


class PlayingSession(Session, frozen=True):
    """A session, and whether it plays now."""

    viewer: AccountText
    is_playing: bool
    edge: str | None


class PlayingSessions(Answer, frozen=True):
    """A page of sessions."""

    sessions: list[PlayingSession]
    next_before: str | None


class Ended(Answer, frozen=True):
    """How many ended."""

    ended: int


class Bar(Answer, frozen=True):
    """An account that is barred."""

    bar: str
    viewer: AccountText
    is_open: bool
    until_ms: int | None
    reason: str
    made_by: str
    made_ms: int
    ended_ms: int | None


class MadeBar(Bar, frozen=True):
    """A new bar, and how many players ended by it."""

    ended: int


class Bars(Answer, frozen=True):
    """A page of bars."""

    bars: list[Bar]
    next_before: int | None


class ViewerPrice(Answer, frozen=True):
    """What a viewer pays; null: what everybody pays."""

    account: AccountText
    name: str
    from_tick: int
    number: int | None
    planck_per_s: PlanckText | None


class ViewerPrices(Answer, frozen=True):
    """Viewers who pay something else than everybody."""

    viewer_prices: list[ViewerPrice]


class Minted(Answer, frozen=True):
    """A viewer's token, and the session that it is for."""

    token: str
    path: str
    session: SessionText
    expires_ms: int
    ends_ms: int


class Joined(Minted, frozen=True):
    """The same, with where to watch."""

    watch_url: str
    hls_url: str
    account: AccountText
    stream: str


class Rules(Answer, frozen=True):
    """From where a stream, or every stream, may be watched."""

    allow_countries: list[str]
    deny_countries: list[str]
    allow_networks: list[str]
    deny_networks: list[str]
    allow_referrers: list[str]
    deny_referrers: list[str]
    country_fault: str | None


class SetRules(Rules, frozen=True):
    """New rules, and how many players ended by them."""

    ended: int
