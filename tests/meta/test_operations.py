"""Each route is described once, and OpenAPI, docs/api.md and llms.txt are made of that."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from mediaserver.api.admin import ROOMS
from mediaserver.api.operations import llms, openapi, reference
from mediaserver.api.operations.operation import PROBLEMS, Operation
from mediaserver.api.operations.table import GROUPS, OPERATIONS
from mediaserver.people import permissions
from tests.support import declared
from tests.support.route_names import NAMES

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "api.md"
HOW = (
    'a new route needs: 1. a row `operation("METHOD path", "words", AnswerRecord, body=…, '
    "query=…)` in mediaserver/api/operations/<subject>.py, 2. its answer's record in "
    "mediaserver/api/operations/*_answers.py, 3. `vilokanam api docs docs/api.md`"
)


def test_each_route_has_its_row_and_each_row_its_route() -> None:
    """Who reads the description of the API finds every route, and none that is not there."""
    routes = {f"{route.method} {route.path}" for room in ROOMS for route in room.routes()}
    rows = {row.line for row in OPERATIONS}

    assert len(rows) == len(OPERATIONS), "a route has two rows"
    assert routes - rows == set(), f"routes without a row; {HOW}"
    assert rows - routes == set(), "rows whose route is gone: remove them"


def test_the_page_of_the_api_is_made_of_the_rows() -> None:
    """What a person reads and what a program reads is one text."""
    text = PAGE.read_text()

    assert text == reference.page(text), (
        "docs/api.md is not what the rows say: run `vilokanam api docs docs/api.md`"
    )


@pytest.mark.parametrize("row", OPERATIONS, ids=lambda row: row.line)
def test_a_rows_words_begin_with_what_it_does(row: Operation) -> None:
    """A list of the routes, each with its first sentence, is one that can be read."""
    first = openapi.summary(row)

    assert 5 < len(first) <= 100, f"begin with one short sentence: {first}"
    assert first[0].isupper(), f"begin with one plain sentence, no shape: {first}"
    assert not first.startswith("Body"), f"say what it does before what it takes: {first}"
    assert '{"' not in first, f"say what it does before what it answers: {first}"


def test_the_document_is_whole() -> None:
    """Every reference leads somewhere, every name is used once, and it is JSON."""
    document = json.loads(json.dumps(openapi.document()))
    named = re.findall(r'"\$ref": "#/components/(\w+)/(\w+)"', json.dumps(document))
    operations = list(of_document(document))

    assert {name for kind, name in named if name not in document["components"][kind]} == set()
    assert len({item["operationId"] for item in operations}) == len(operations) == len(OPERATIONS)
    assert {tag for item in operations for tag in item["tags"]} == {g.title for g in GROUPS}
    schemes = set(document["components"]["securitySchemes"])
    assert {name for item in operations for way in item["security"] for name in way} == schemes


def test_the_document_says_who_may() -> None:
    """A machine's scope, and what a person has to show again, are those of the one table."""
    document = openapi.document()
    for permission in permissions.TABLE:
        item = document["paths"][permission.path][permission.method.lower()]
        scopes = [way["key"] for way in item["security"] if "key" in way]

        assert item["x-fresh-credential"] is permission.is_fresh
        assert item["x-roles"] == sorted(permission.roles)
        assert permission.scope in (scopes[0] if permission.scope else [""])


def test_every_answer_and_body_has_its_schema() -> None:
    """No program is left to guess the shape of what it gets."""
    document = openapi.document()
    for row in OPERATIONS:
        item = document["paths"][row.path][row.method.lower()]
        content = [item["responses"][str(status)].get("content") for status in row.statuses]
        assert all(content) is bool(row.answer or row.media), row.line
        assert ("requestBody" in item) is (row.body is not None), row.line
        assert {"500", "503"} <= item["responses"].keys()


def test_every_error_of_the_rows_is_described() -> None:
    """A status that a row names is one of the table of statuses."""
    assert {status for row in OPERATIONS for status in row.problems} <= PROBLEMS.keys()


def test_every_name_in_a_path_has_an_example() -> None:
    """Tests that go through all routes can ask each."""
    named = {name for row in OPERATIONS for name in row.names}

    assert named - NAMES.keys() <= {"token", "provider"}


@pytest.mark.parametrize(
    ("status", "media", "body", "fault"),
    [
        (200, "application/json", '{"sessions": [], "more": 1}', "unknown field `more`"),
        (200, "application/json", "{}", "missing required field `sessions`"),
        (200, "text/plain", "x", "text/plain"),
        (202, "application/json", '{"sessions": []}', "answered 202"),
        (402, "application/problem+json", "{}", "problems=(402,)"),
        (404, "application/json", "{}", "as application/json"),
    ],
)
def test_an_answer_that_is_not_declared_fails_the_tests_client(
    status: int, media: str, body: str, fault: str
) -> None:
    """A field that a handler adds is declared before any test of it passes."""
    declared.hold(
        "GET", "/api/v1/viewers/ann/sessions?x=1", 200, "application/json", '{"sessions": []}'
    )
    with pytest.raises(AssertionError, match=re.escape(fault)):
        declared.hold("GET", "/api/v1/viewers/ann/sessions", status, media, body)


def test_the_ten_most_used_calls_are_calls() -> None:
    """A program that reads llms.txt first is sent to routes that are there."""
    text = llms.text("https://live.example.org")
    lines = re.findall(r"^- `([A-Z]+ /\S+)`: (.+)$", text, re.MULTILINE)

    assert len(lines) == 10
    assert {line for line, _ in lines} <= {row.line for row in OPERATIONS}
    assert "https://live.example.org/api/v1/openapi.json" in text


def of_document(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [item for path in document["paths"].values() for item in path.values()]
