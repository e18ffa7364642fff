"""What a client can call, of the OpenAPI description: the same for every language. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

_REF: Final = "#/components/schemas/"
_NOT_FOR_PROGRAMS: Final = ("/hooks/", "/llms.txt")
"""A provider's side, and text for readers."""

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """How a list goes on.

    Attributes:
        cursor: Of the query: ``after`` or ``before``; the answer's is ``next_`` and that.
        field: Which field of the answer has the rows.
        row: Schema of one.
    """

    cursor: str
    field: str
    row: Schema


@dataclass(frozen=True, slots=True)
class Argument:
    """One of a query."""

    name: str
    schema: Schema
    is_required: bool


@dataclass(frozen=True, slots=True)
class Call:
    """One route.

    Attributes:
        name: Of the operation, such as ``get_streams``.
        names: Those in the path.
        body: Schema of the body, None: there is none.
        answer: Schema of the JSON that is answered, None: there is none.
        has_bytes: It may answer something else than JSON.
        is_keyed: It takes an idempotency key.
        page: None: it is no list that goes on.
    """

    name: str
    method: str
    path: str
    text: str
    names: tuple[str, ...]
    query: tuple[Argument, ...]
    body: Schema | None
    answer: Schema | None
    has_bytes: bool
    is_keyed: bool
    page: Page | None

    @property
    def each(self) -> str:
        """Return the name of what goes through all pages: ``each_streams`` of ``get_streams``."""
        return f"each_{self.name.removeprefix('get_')}"


def calls(document: Mapping[str, Any]) -> Iterator[Call]:
    """Yield each route that a program may call."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            answers = operation["responses"].items()
            done = [answer for status, answer in answers if status.startswith("2")]
            if done and not path.startswith(_NOT_FOR_PROGRAMS):
                yield _call(path, method.upper(), operation, done, document)


def ref_name(schema: Schema) -> str:
    """Return the name of the schema that this one refers to, empty where it is itself."""
    return str(schema.get("$ref", "")).removeprefix(_REF)


def _call(
    path: str,
    method: str,
    operation: Mapping[str, Any],
    done: list[Mapping[str, Any]],
    document: Mapping[str, Any],
) -> Call:
    parameters = operation.get("parameters", ())
    content = {
        media: of_media for answer in done for media, of_media in answer.get("content", {}).items()
    }
    answer = content.get("application/json", {}).get("schema")
    query = tuple(
        Argument(it["name"], it["schema"], it["required"])
        for it in parameters
        if it["in"] == "query"
    )
    body = operation.get("requestBody")
    return Call(
        operation["operationId"],
        method,
        path,
        operation["summary"],
        tuple(it["name"] for it in parameters if it["in"] == "path"),
        query,
        body["content"]["application/json"]["schema"] if body else None,
        answer,
        bool(content.keys() - {"application/json"}),
        any(it["in"] == "header" for it in parameters),
        _page(path, query, answer, document) if answer else None,
    )


def _page(
    path: str, query: tuple[Argument, ...], answer: Schema, document: Mapping[str, Any]
) -> Page | None:
    fields = document["components"]["schemas"].get(ref_name(answer), {}).get("properties", {})
    rows = [name for name, kind in fields.items() if ref_name(kind.get("items", {}))]
    last = path.rpartition("/")[2].replace("-", "_")
    for argument in query:
        if f"next_{argument.name}" in fields and rows:
            field = last if last in rows else rows[0]
            return Page(argument.name, field, fields[field]["items"])
    return None
