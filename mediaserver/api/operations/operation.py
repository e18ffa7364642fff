"""One row for each route: its words, what it takes, what it answers.

Who may is in `mediaserver.people.permissions`; the rows are gathered in `table`, and a test holds
them against the router. What the running server answers is held against the records by the tests'
own clients (tests/support/declared.py).
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from mediaserver.http.request_records import INTEGER_MAX

PROBLEMS: Final = {
    400: "the request is not HTTP, or a line of its head is over 8190 bytes; the body is not a "
    "JSON object; a credit or top-up without `Idempotency-Key`; a key and a cookie at once",
    401: "a key, cookie, passkey, code or viewer's token is missing or wrong; `reason` is "
    "`sign_in` where nobody is signed in, `show_again` where a way in has to be shown again",
    402: "the balance is empty, or a spending limit is reached",
    403: "the role or scope is not enough; the request is from another site; the admin token comes "
    "from outside of `auth.admin_networks`; the viewer's token is damaged, expired or for another "
    "stream; the session was ended",
    404: "no such stream, viewer, address or session",
    405: "the address does not take this method",
    408: "the body did not come within 10 s",
    409: "the idempotency key was used before with another content; it is not possible as things "
    "are, and `detail` says why; there are 10,000 streams already, or too many prices to tell all "
    "HTTP processes of",
    410: "the stream was taken down",
    413: "the body is too large: over 64 KiB (16 KiB without a key), `ingest.offer_bytes_max` for "
    "offers, 4 KiB for a viewer's own requests",
    415: "the body is packed (`Content-Encoding`), or of another type",
    422: "a value is not legal: `detail` says which and what to use",
    429: "too many requests, too many wrong keys at once, or media fetched faster than one player "
    "plays; see `Retry-After`",
    451: "the stream was taken down, as the law demands",
    500: "a bug: the log has `api.request.failed`",
    503: "control, a worker or Redis is away or being recovered, or a bound on connections or "
    "bodies is reached; see `Retry-After`",
}
"""When each error is answered; all are `application/problem+json`."""

PlanckText = Annotated[str, Meta(pattern="^(0|[1-9][0-9]*)$", description="Planck, decimal.")]
SignedText = Annotated[
    str,
    Meta(pattern="^(0|-?[1-9][0-9]*)$", description="A whole number, decimal; may be negative."),
]
CountText = Annotated[
    str, Meta(pattern="^(0|[1-9][0-9]*)$", description="A whole number, decimal.")
]
AccountText = Annotated[
    str, Meta(pattern="^0x[0-9a-f]{64}$", description="An account: a public key.")
]
SessionText = Annotated[str, Meta(pattern="^[0-9a-f]{16}$", description="A session's id.")]


class Answer(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A JSON object that a route answers with; it has these fields and no others."""


class Nothing(Answer, frozen=True):
    """An empty object."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """Something that a query or header may have.

    Attributes:
        name: As it is written.
        kind: Its type, as `msgspec` describes it.
        text: What it does.
        is_required: Whether a request without it is refused.
    """

    name: str
    kind: Any
    text: str
    is_required: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """A route.

    Attributes:
        method: As of HTTP.
        path: As the router has it, names in braces.
        text: Markdown: what it does, and what its fields mean.
        answer: The record of its JSON; None: it answers none.
        statuses: Of what is no error.
        body: The record of the request's body (`request_records`), None for none.
        query: What the query may have.
        media: Other types of content than JSON.
        problems: Statuses of errors beyond those that follow from its other fields.
        is_keyed: It takes the header ``Idempotency-Key``.
    """

    method: str
    path: str
    text: str
    answer: Any
    statuses: tuple[int, ...]
    body: type | None
    query: tuple[Parameter, ...]
    media: tuple[str, ...]
    problems: frozenset[int]
    is_keyed: bool

    @property
    def line(self) -> str:
        """Return method and path."""
        return f"{self.method} {self.path}"

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names in the path."""
        return tuple(re.findall(r"\{(\w+)\}", self.path))


@dataclass(frozen=True, slots=True)
class Group:
    """Routes on one subject, under a heading.

    Attributes:
        text: Markdown that comes before the first.
    """

    title: str
    text: str
    operations: tuple[Operation, ...]


def operation(
    line: str,
    text: str,
    answer: Any = None,
    *,
    status: int | tuple[int, ...] = 200,
    body: type | None = None,
    query: tuple[Parameter, ...] = (),
    media: tuple[str, ...] = (),
    problems: tuple[int, ...] = (),
    is_keyed: bool = False,
) -> Operation:
    """Return a row.

    Args:
        line: Method and path; without a first slash it is below ``/api/v1/``.
        text: Indented as the code is.
        status: Of what is no error.
        problems: Statuses of errors that follow from nothing else; see `expected_problems`.
    """
    method, _, path = line.partition(" ")
    return Operation(
        method,
        path if path.startswith("/") else f"/api/v1/{path}",
        textwrap.dedent(text).strip(),
        answer,
        status if isinstance(status, tuple) else (status,),
        body,
        query,
        media,
        frozenset(problems),
        is_keyed,
    )


def expected_problems(row: Operation) -> frozenset[int]:
    """Return the statuses of all errors that a route may answer with."""
    found = {400, 429, 500, 503} | row.problems
    if row.path.startswith("/api/"):
        found |= {401, 403}
    if row.path.startswith("/w/"):
        found |= {401, 403}
    if row.names:
        found |= {404, 422}
    if row.query or row.body is not None:
        found.add(422)
    if row.method != "GET":
        found |= {400, 408, 413, 415}
    if row.is_keyed:
        found.add(409)
    return frozenset(found)


TEXT: Final = Annotated[str, Meta(max_length=200)]


def limit(most: int, default: int = 100) -> Parameter:
    """Return the parameter of how many rows a page has."""
    kind = Annotated[int, Meta(ge=1, le=most)]
    return Parameter("limit", kind, f"How many rows at most; {default} where it is left out.")


def before(of: str = "next_before") -> Parameter:
    """Return the parameter of a list whose newest rows come first."""
    return Parameter("before", TEXT, f"`{of}` of the page before: what is older.")


def choice(name: str, *words: str) -> Parameter:
    """Return a parameter that is one of some words."""
    kind = Annotated[str, Meta(pattern=f"^({'|'.join(words)})$")]
    return Parameter(name, kind, f"Only those: {', '.join(words)}.")


AFTER: Final = Parameter("after", TEXT, "`next_after` of the page before: what comes behind it.")
NUMBER: Final = Annotated[int, Meta(ge=0, le=INTEGER_MAX)]
BEFORE_NUMBER: Final = Parameter(
    "before", Annotated[int, Meta(ge=1, le=INTEGER_MAX)], "`next_before` of the page before."
)
STREAM: Final = Parameter("stream", TEXT, "Only those of a stream, by its slug.")
VIEWER: Final = Parameter("viewer", TEXT, "Only those of a viewer, by name or account.")
PLACES: Final = {
    "slug": "A stream's public name.",
    "viewer": "A viewer's name or account.",
    "token": "A viewer's token, as it was minted: the right to ask.",
}
"""What some names in paths are; of all others the name says it."""
EDGE: Final = Parameter("edge", TEXT, "Only those who play through this edge now.")
FILE: Final = Parameter("file", TEXT, "The signed file, also for a browser.")
