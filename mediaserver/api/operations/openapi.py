"""The OpenAPI 3.1 description of the API, of the rows, the permission table and the records. Pure.

Answers may get more fields, so their schemas leave that open; bodies of requests may not.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from types import NoneType
from typing import Annotated, Any, Final, cast, get_args, get_type_hints

import msgspec
from msgspec import Meta

from mediaserver.api.operations.operation import (
    PLACES,
    PROBLEMS,
    Operation,
    PlanckText,
    expected_problems,
)
from mediaserver.api.operations.table import GROUPS, OPERATIONS
from mediaserver.http.problem import CONTENT_TYPE
from mediaserver.http.request_records import INTEGER_MAX, TEXT_CHARACTERS_MAX
from mediaserver.people import permissions
from mediaserver.people.permissions import OpenTo
from metering.units import Planck

VERSION: Final = "1"
"""Of the API: the first segment behind ``/api/``."""
_KEY: Final = "key"
_SESSION: Final = "session"
_TOKEN: Final = "viewerToken"  # noqa: S105 -- a name
_WEBHOOK: Final = "webhook"
_SCHEMES: Final = {
    _KEY: {
        "type": "http",
        "scheme": "bearer",
        "description": "A key of `vilokanam keys make`, with the scopes that the route names, or "
        "the admin token, which is taken from `auth.admin_networks` only.",
    },
    _SESSION: {
        "type": "apiKey",
        "in": "cookie",
        "name": "__Host-vilokanam",
        "description": "A browser's session; on http://localhost the name has no `__Host-`. What "
        "it changes needs `Content-Type: application/json` and the `Origin` of our own pages.",
    },
    _TOKEN: {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A token of an issuer in `[[watch.issuers]]`; or `token` in the body.",
    },
    _WEBHOOK: {
        "type": "apiKey",
        "in": "header",
        "name": "webhook-signature",
        "description": "A signature of the provider over the body, by standardwebhooks or by the "
        "provider's own scheme.",
    },
}
_ABOUT: Final = """
A live media server with per-second metering. Amounts are planck as decimal strings; times ending
in `_ms` are Unix milliseconds, ticks are Unix seconds. Every error is
`application/problem+json` (RFC 9457).
"""


class Problem(msgspec.Struct, frozen=True):
    """An error (RFC 9457); it may have more members, which a program can act on.

    Attributes:
        type: What kind it is.
        title: A few words, the same for every error of this kind.
        status: As of the answer.
        detail: One sentence about this one: the value at fault and the remedy.
        reason: A word for programs, where there is one.
        faults: Each fault of a body, by field.
    """

    type: str
    title: str
    status: int
    detail: str
    reason: str | msgspec.UnsetType = msgspec.UNSET
    faults: list[str] | msgspec.UnsetType = msgspec.UNSET


def document() -> dict[str, Any]:
    """Return the OpenAPI document, as JSON has it."""
    names = _body_names()
    bodies = {kind: _body_struct(kind, name) for kind, name in names.items()}
    records = [row.answer for row in OPERATIONS if row.answer is not None]
    (*answers, problem), schemas = _schemas([*records, Problem])
    schemas = {name: _opened(schema) for name, schema in schemas.items()}
    body_refs, body_schemas = _schemas(bodies.values())
    schema_of = dict(zip([r for r in OPERATIONS if r.answer is not None], answers, strict=True))
    body_of = dict(zip(bodies, body_refs, strict=True))
    if both := schemas.keys() & body_schemas.keys():
        raise ValueError(f"a body and an answer have one name: {sorted(both)}")
    paths: dict[str, dict[str, Any]] = {}
    for group in GROUPS:
        for row in group.operations:
            shown = _operation(row, group.title, schema_of.get(row), body_of)
            paths.setdefault(row.path, {})[row.method.lower()] = shown
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Vilokanam",
            "version": VERSION,
            "description": " ".join(_ABOUT.split()),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": group.title, "description": _text(group.text)} for group in GROUPS],
        "paths": paths,
        "components": {
            "schemas": {**schemas, **body_schemas},
            "securitySchemes": _SCHEMES,
            "responses": {
                f"Problem{status}": {
                    "description": text,
                    "headers": _RETRY if status in (429, 503) else {},
                    "content": {CONTENT_TYPE: {"schema": problem}},
                }
                for status, text in PROBLEMS.items()
            },
        },
    }


def summary(row: Operation) -> str:
    """Return the first sentence of a row's words."""
    first = re.split(r"(?<=[a-z`)])[.:;](?:\s|$)", " ".join(row.text.split()), maxsplit=1)[0]
    return first[:120]


def body_name(kind: type) -> str:
    """Return the name of a body's schema."""
    return _body_names()[kind]


_RETRY: Final = {
    "Retry-After": {"schema": {"type": "integer"}, "description": "In so many seconds."}
}


def _operation(
    row: Operation, tag: str, answer: dict[str, Any] | None, body_of: Mapping[type, Any]
) -> dict[str, Any]:
    permission = permissions.of_route(row.method, row.path)
    made: dict[str, Any] = {
        "operationId": operation_id(row),
        "tags": [tag],
        "summary": summary(row),
        "description": row.text,
        "security": _security(row),
        "responses": _responses(row, answer),
    }
    if parameters := list(_parameters(row)):
        made["parameters"] = parameters
    if row.body is not None:
        made["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": body_of[row.body]}},
        }
    if permission is not None:
        made["x-open-to"] = permission.open_to.value
        made["x-roles"] = sorted(permission.roles)
        made["x-fresh-credential"] = permission.is_fresh
    return made


def operation_id(row: Operation) -> str:
    """Return a name of a route that is no other's."""
    words = re.findall(r"[a-z]+", row.path.removeprefix(f"/api/v{VERSION}/").replace("}", ""))
    return "_".join((row.method.lower(), *words))


def _security(row: Operation) -> list[dict[str, list[str]]]:
    """Return what opens a route: any of the list; an empty object is nothing at all."""
    permission = permissions.of_route(row.method, row.path)
    if row.path == permissions.TOKEN_PATH:
        return [{_TOKEN: []}, {}]
    if permission is None:
        return [{_WEBHOOK: []}] if row.path.startswith("/hooks/") else []
    if permission.open_to is OpenTo.ANYONE:
        return [{}, {_SESSION: []}]
    session: dict[str, list[str]] = {_SESSION: []}
    if permission.open_to is OpenTo.SIGNED_IN and not permission.roles:
        return [session]
    return [{_KEY: [permission.scope] if permission.scope else []}, session]


def _responses(row: Operation, answer: dict[str, Any] | None) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for status in row.statuses:
        content: dict[str, Any] = {media: {} for media in row.media}
        if answer is not None:
            content = {"application/json": {"schema": answer}, **content}
        made[str(status)] = {"description": _STATUS_TEXTS[status]}
        if content:
            made[str(status)]["content"] = content
    for status in sorted(expected_problems(row)):
        made[str(status)] = {"$ref": f"#/components/responses/Problem{status}"}
    return made


_STATUS_TEXTS: Final = {
    200: "Done, or as it was before.",
    201: "Made.",
    202: "Taken; it is done behind the answer.",
    204: "Done; there is nothing to say.",
    303: "Go on at `Location`.",
}


def _parameters(row: Operation) -> Iterator[dict[str, Any]]:
    for name in row.names:
        text = PLACES.get(name, f"The {name}.")
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "description": text,
            "schema": {"type": "string"},
        }
    for parameter in row.query:
        yield {
            "name": parameter.name,
            "in": "query",
            "required": parameter.is_required,
            "description": parameter.text,
            "schema": msgspec.json.schema(parameter.kind),
        }
    if row.is_keyed:
        yield {
            "name": "Idempotency-Key",
            "in": "header",
            "required": True,
            "description": "Your own name of this: repeated with it, a request is the same.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 200},
        }


def _schemas(kinds: Any) -> tuple[tuple[dict[str, Any], ...], dict[str, Any]]:
    return msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")


def _opened(schema: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key != "additionalProperties"}


def _body_names() -> dict[type, str]:
    """Return the names of the bodies: those of their classes, longer where two have one."""
    kinds = list(dict.fromkeys(row.body for row in OPERATIONS if row.body is not None))
    counts = Counter(kind.__name__ for kind in kinds)
    answers = {getattr(row.answer, "__name__", "") for row in OPERATIONS}
    made = {}
    for kind in kinds:
        name = kind.__name__
        if counts[name] > 1 or name in answers:
            room = kind.__module__.rpartition(".")[2]
            name = room.title().replace("_", "") + name
        made[kind] = name if name.endswith("Body") else f"{name}Body"
    return made


def _body_struct(kind: type, name: str) -> type[msgspec.Struct]:
    """Return what a body looks like on the wire; `request_records` reads it."""
    hints = get_type_hints(kind)
    columns: list[Any] = []
    for field in fields(cast(Any, kind)):
        longest = field.metadata.get("characters_max", TEXT_CHARACTERS_MAX)
        most = field.metadata.get("most", INTEGER_MAX)
        wire = _wire(hints[field.name], longest, most)
        if field.default is not MISSING:
            is_amount = Planck in (hints[field.name], *get_args(hints[field.name]))
            default = field.default
            default = str(default) if is_amount and default is not None else default
            columns.append((field.name, wire, default))
        elif field.default_factory is not MISSING:
            columns.append((field.name, wire, msgspec.field(default_factory=field.default_factory)))
        else:
            columns.append((field.name, wire))
    text = (kind.__doc__ or "").partition("\n")[0]
    return msgspec.defstruct(
        name, columns, forbid_unknown_fields=True, kw_only=True, namespace={"__doc__": text}
    )


def _wire(kind: Any, characters_max: int, most: int) -> Any:
    if NoneType in get_args(kind):
        inner = next(option for option in get_args(kind) if option is not NoneType)
        return _wire(inner, characters_max, most) | None
    if kind is Planck:
        return PlanckText
    if kind is int:
        return Annotated[int, Meta(ge=0, le=most)]
    if kind is str:
        return Annotated[str, Meta(max_length=characters_max)]
    return kind


def _text(text: str) -> str:
    return " ".join(text.split())
