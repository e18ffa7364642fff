"""Each row of what was found on the first version has a test named after it, or an answer.

`tests/golden/rows.txt` lists the rows. A test is named by its row's id, in lower case and with
underscores: ``test_o5_...``, ``test_a_m1_...``, ``test_v3_v4_...`` for two; a test of the page has
the id in its title. An answer is a line of docs/developer/answers.md.
"""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROWS = ROOT / "tests/golden/rows.txt"
ANSWERS = ROOT / "docs/developer/answers.md"
ID = r"(?:[FOCVDR]\d+|A-[HML]\d+)"
OPEN_ISSUES = {12: "money and people", 13: "edges", 14: "every clause", 15: "the pages"}


def rows() -> dict[str, str]:
    """Return each row's id and what may answer it: an issue's number, or a reason too."""
    listed = (line.split() for line in lines(ROWS))
    return {row: kind for row, kind, *_ in listed}


def lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line and line[0] != "#"]


def with_tests() -> set[str]:
    """Return the ids that the names of tests begin with."""
    ids: set[str] = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                ids |= of_name(node.name)
    for path in (ROOT / "web/test").rglob("*.test.ts"):
        for title in re.findall(
            r"\b(?:it|test|describe)(?:\.each\([^)]*\))?\(\s*[\"'`](.+)", path.read_text()
        ):
            ids |= set(re.findall(rf"\b{ID}\b", title))
    return ids


def of_name(name: str) -> set[str]:
    """Return the ids at the head of a test's name: `test_a_m1_o5_links_end` has two."""
    head = re.match(r"test_((?:(?:[focvdr]\d+|a_[hml]\d+)_)+)", name)
    found = re.findall(r"([focvdr]\d+|a_[hml]\d+)_", head[1]) if head else []
    return {id_.upper().replace("_", "-") for id_ in found}


def answers() -> dict[str, str]:
    """Return the answer to each row of the page's table; a line may answer several."""
    table = re.findall(r"^\| ([^|]+) \| (.+) \|$", ANSWERS.read_text(), re.MULTILINE)
    return {row: text for ids, text in table for row in re.findall(rf"\b{ID}\b", ids)}


def test_each_row_has_a_test_or_an_answer() -> None:
    """Nobody has to ask what became of a row."""
    assert len(rows()) == 117
    assert sorted(set(rows()) - with_tests() - set(answers())) == []


def test_answers_are_of_rows() -> None:
    """An answer to a row that there is not is a slip."""
    assert sorted(set(answers()) - set(rows())) == []


def test_what_costs_money_or_a_day_is_answered_by_the_issue_that_builds_it() -> None:
    """Such a row is not closed by a reason: only by planned work, by its number."""
    loose = [
        row
        for row, text in answers().items()
        if rows().get(row) == "issue"
        and row not in with_tests()
        and not set(map(int, re.findall(r"\bissue (\d+)\b", text))) & set(OPEN_ISSUES)
    ]

    assert sorted(loose) == []


def test_ids_are_read_from_names() -> None:
    """Only the head of a name counts: a test about `source_r2` is of no row."""
    assert of_name("test_a_m1_o5_links_end") == {"A-M1", "O5"}
    assert of_name("test_v17_any_pause") == {"V17"}
    assert of_name("test_switch_r2_to_r3_") == set()
    assert of_name("test_r2d2") == set()
