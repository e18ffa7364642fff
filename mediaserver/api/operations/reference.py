"""The part of docs/api.md that is made of the rows: ``vilokanam api docs`` writes it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

from mediaserver.api.operations import openapi
from mediaserver.api.operations.operation import PROBLEMS, Operation
from mediaserver.api.operations.table import GROUPS


def statuses() -> str:
    """Return the table of errors, in Markdown."""
    rows = [f"| {status} | {text} |" for status, text in PROBLEMS.items()]
    return "\n".join(("| Status | When |", "|---|---|", *rows))


def routes() -> str:
    """Return a section for each route, in Markdown."""
    return "\n\n".join(_lines())


def _lines() -> Iterator[str]:
    for group in GROUPS:
        yield f"## {group.title}"
        if text := textwrap.dedent(group.text).strip():
            yield text
        for row in group.operations:
            yield f"### {row.line}"
            yield row.text
            yield _facts(row)


def _facts(row: Operation) -> str:
    """Return what a row takes and answers, in one line."""
    parts = []
    if row.body is not None:
        parts.append(f"Body `{openapi.body_name(row.body)}`.")
    if row.query:
        parts.append("Query " + ", ".join(f"`{item.name}`" for item in row.query) + ".")
    content = [] if row.answer is None else [f"`{getattr(row.answer, '__name__', 'object')}`"]
    shown = " or ".join((*content, *row.media))
    statuses_ = ", ".join(map(str, row.statuses))
    parts.append(f"Answers {statuses_}{f' {shown}' if shown else ''}.")
    return "*" + " ".join(parts) + "*"


def page(text: str) -> str:
    """Return a page with its two parts between ``<!-- made: … -->`` and ``<!-- end -->`` made anew.

    Raises:
        ValueError: It has no such part.
    """
    for name, made in (("statuses", statuses()), ("routes", routes())):
        match = re.search(rf"<!-- made: {name} .*?-->\n(.*?)\n<!-- end -->", text, re.DOTALL)
        if match is None:
            raise ValueError(f"the page has no part `<!-- made: {name} … -->`")
        text = text[: match.start(1)] + made + text[match.end(1) :]
    return text
