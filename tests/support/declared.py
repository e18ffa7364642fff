"""Holds what the running server answers against the rows of `mediaserver.api.operations`.

The clients of the tests call `hold` with each answer of the API, so that every test of a route is
one of its records too.
"""

import json
import re
from functools import cache

import msgspec

from mediaserver.api.operations.operation import PROBLEMS, Operation, expected_problems
from mediaserver.api.operations.table import OPERATIONS
from mediaserver.http.problem import CONTENT_TYPE

WHERE = "mediaserver/api/operations"
NOT_A_ROUTE = 405


@cache
def _patterns() -> list[tuple[re.Pattern[str], Operation]]:
    # A path that is spelled out comes before one with a name in its place.
    rows = sorted(OPERATIONS, key=lambda row: len(row.names))
    return [(re.compile(re.sub(r"\{\w+\}", "[^/]+", row.path)), row) for row in rows]


def operation_of(method: str, path: str) -> Operation | None:
    """Return the row of a request's path, without its query; None for what is no route."""
    for pattern, row in _patterns():
        if row.method == method and pattern.fullmatch(path):
            return row
    return None


def hold(method: str, path: str, status: int, content_type: str, body: str) -> None:
    """Hold an answer against its row.

    Raises:
        AssertionError: Says what to add, and where.
    """
    row = operation_of("GET" if method == "HEAD" else method, path.partition("?")[0])
    if row is None or (method == "HEAD" and not body):
        return
    if status in PROBLEMS:
        assert content_type == CONTENT_TYPE, f"{row.line} answers {status} as {content_type}"
        known = expected_problems(row)
        assert status in known | {NOT_A_ROUTE}, (
            f"{row.line} answered {status}: add problems=({status},) to its row in {WHERE}: {body}"
        )
        return
    assert status in row.statuses, (
        f"{row.line} answered {status}: add it to status= of its row in {WHERE}"
    )
    if content_type in row.media or (row.answer is None and not body):
        return
    assert row.answer is not None, (
        f"{row.line} answers {content_type}: give its row in {WHERE} an answer or media="
    )
    assert content_type == "application/json", f"{row.line} answers {content_type}: add media="
    try:
        msgspec.json.decode(body, type=row.answer)
    except msgspec.ValidationError as error:
        name = getattr(row.answer, "__name__", row.answer)
        shown = json.dumps(json.loads(body))[:500]
        raise AssertionError(
            f"{row.line} answers what {name} does not declare, in {WHERE}/*_answers.py: "
            f"{error}; it was {shown}"
        ) from error
