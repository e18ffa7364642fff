"""What the documents show and promise is what the code does."""

import ast
import doctest
import functools
import inspect
import re
import shlex
import typing
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from mediaserver.cli import main
from mediaserver.hls import addresses
from mediaserver.people import permissions
from mediaserver.people.permissions import OpenTo
from mediaserver.settings.load import load
from mediaserver.settings.records import Settings
from metering.model import audit, bad_seconds_audit

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    [
        *DOCS.rglob("*.md"),
        *(ROOT / f"{name}.md" for name in ("README", "ARCHITECTURE", "CHANGELOG")),
        *(ROOT / f"{name}.md" for name in ("CONTRIBUTING", "SECURITY")),
    ]
)
NOTES = sorted((ROOT / "changes").glob("*.md"))
DEFAULTS = Settings()
TABLES = {
    table.name: {key.name for key in fields(getattr(DEFAULTS, table.name))}
    for table in fields(Settings)
}
LEVELS = {"debug", "info", "warning", "error", "exception"}


def sources(*suffixes: str) -> Iterator[Path]:
    """Yield the files of the code, without what is built or installed."""
    for room in (
        "mediaserver",
        "metering",
        "cdn",
        "tests",
        "bench",
        "web/app",
        "web/sdk",
        "config",
    ):
        for path in sorted((ROOT / room).rglob("*")):
            if path.suffix in suffixes and "static" not in path.parts:
                yield path


def headings(page: Path) -> list[str]:
    """Return the headings of a page, without the number before them."""
    headings = re.findall(r"^#+ (?:\d+\. )?(.+)$", page.read_text(), re.MULTILINE)
    return [heading.strip() for heading in headings]


def code_blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def test_examples_of_the_rules_are_what_the_product_does() -> None:
    """Anyone who recomputes a bill by docs/metering.md gets the server's own numbers."""
    failed, tried = doctest.testfile(
        str(DOCS / "metering.md"),
        module_relative=False,
        encoding="utf-8",
        optionflags=doctest.REPORT_NDIFF,
    )

    assert tried > 40
    assert failed == 0


def test_what_the_code_cites_is_there() -> None:
    """Who follows a docstring to a document finds the page and the section that it names."""
    missing = []
    cited = 0
    for path in sources(".py", ".lua", ".ts", ".toml", ".html", ".css"):
        if path == Path(__file__).resolve():
            continue
        # A citation may be broken over lines, behind a comment's mark.
        text = re.sub(r"\s*\n\s*(?:#|--|\*|//)?\s*", " ", path.read_text())
        for page, section in re.findall(r'docs/([\w/-]+)\.md(?:, "([^"]+?)")?', text):
            cited += 1
            there = (DOCS / f"{page}.md").exists()
            if not there or (section and section not in headings(DOCS / f"{page}.md")):
                missing.append(f'{path.relative_to(ROOT)}: docs/{page}.md, "{section}"')

    assert cited > 10
    assert missing == []


def test_rules_cited_by_number_are_sections() -> None:
    """A comment that cites rule 4 means section 4 of docs/metering.md, and there is one."""
    there = set(re.findall(r"^## (\d+)\. ", (DOCS / "metering.md").read_text(), re.MULTILINE))
    cited = {
        number
        for path in sources(".py", ".lua", ".ts")
        for number in re.findall(r"\brules (\d+)\b", path.read_text())
    }

    assert cited
    assert cited <= there


@pytest.mark.parametrize("page", [*PAGES, *NOTES], ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """No reader is sent to a page that is not there."""
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    local = [target for target in targets if not target.startswith(("http://", "https://"))]

    assert [target for target in local if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", [*PAGES, *NOTES], ids=lambda page: str(page.relative_to(ROOT)))
def test_sections_named_beside_a_link_are_there(page: Path) -> None:
    """`[metering.md](metering.md), "Addresses"` names a heading of that page."""
    named = re.findall(r'\]\(([\w./]+\.md)\),\s+"([^"]+)"', page.read_text())

    assert [
        f"{target}: {section}"
        for target, section in named
        if section not in headings(page.parent / target)
    ] == []


@pytest.mark.parametrize("page", [*PAGES, *NOTES], ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_shown_are_commands(page: Path) -> None:
    """A command line that a reader copies is one that the program takes."""
    text = page.read_text()
    whole = re.findall(r"^ {4}(vilokanam .+)$", text, re.MULTILINE)
    named = re.findall(r"`(vilokanam [^`]+)`", text)
    wrong = [
        command for command in whole if not is_command(shlex.split(command, comments=True)[1:])
    ]
    wrong += [command for command in named if not is_verb(command.split()[1:])]

    assert wrong == []


@pytest.mark.parametrize("page", [*PAGES, *NOTES], ids=lambda page: str(page.relative_to(ROOT)))
def test_settings_named_are_settings(page: Path) -> None:
    """Every `table.key` and VILOKANAM_TABLE__KEY that a page names is one that the server reads."""
    text = page.read_text()
    named = re.findall(rf"`({'|'.join(TABLES)})\.(\w+)(?: = [^`]*)?`", text)
    named += [
        (table.lower(), key.lower().removesuffix("_file") if key != "FILE" else key)
        for table, key in re.findall(r"VILOKANAM_([A-Z]+)__([A-Z_]+)", text)
    ]
    files = {"server.lock", "edge.key", "operator.key", "edge.md"}

    assert [
        f"{table}.{key}"
        for table, key in named
        if key not in TABLES[table] and f"{table}.{key}" not in files
    ] == []


def test_configurations_shown_are_legal(tmp_path: Path) -> None:
    """A configuration copied from a page is one that the server takes."""
    shown = [text for page in PAGES for text in code_blocks(page, "toml")]
    for text in shown:
        path = tmp_path / "shown.toml"
        path.write_text(text)
        load(path, {})

    assert shown


def test_the_table_of_who_may_what_is_the_codes() -> None:
    """An owner who reads that support may not, has it so."""
    columns = ("owner", "finance", "support", "auditor", "creator", "moderator")
    rows = []
    for row in permissions.TABLE:
        marks = " | ".join("x" if name in row.roles else "" for name in columns)
        route = f"`{row.method} {row.path.removeprefix('/api/v1/')}`{' *' if row.is_fresh else ''}"
        others = "" if row.open_to is OpenTo.ROLES else row.open_to.value
        rows.append(f"| {route} | {marks} | {others} | {f'`{row.scope}`' if row.scope else ''} |")
    text = (DOCS / "people.md").read_text()

    assert [line for line in text.splitlines() if re.match(r"\| `[A-Z]+ [a-z]", line)] == rows


def test_every_place_of_the_address_grammar_is_described() -> None:
    """What the URL grammar can say, the page of the API speaks of."""
    filled = {
        "{token}": "T",
        "{slug}": "cam",
        "{show}": "1",
        "{rendition}": "source",
        "{hash}": "0" * 16,
        "{msn}": "7",
        "{part}": "2",
        "{first_tick}": "5",
        "{count}": "2",
        "{worker}": "w1",
        "{secret}": "s",
    }
    places = set()
    described = (DOCS / "api.md").read_text()
    for path in re.findall(r"^### [A-Z]+ (/\S+)$", described, re.MULTILINE):
        shown = path
        for name, value in filled.items():
            shown = shown.replace(name, value)
        if shown.startswith(("/cam", "/w/")):
            places.add(type(addresses.parse(shown).place))

    assert places == set(typing.get_args(addresses.Place))


def test_log_events_are_those_described() -> None:
    """An operator who searches the log for an event of the table finds it, at that level."""
    described = re.findall(
        r"^\| `([a-z_.]+)` \| (\w+) \|", (DOCS / "developer/logs.md").read_text(), re.MULTILINE
    )

    assert dict(described) == dict(logged())
    assert [name for name, _ in described] == sorted(name for name, _ in described)


def test_log_events_that_operators_are_told_of_exist() -> None:
    """Every event that the operator's page names is one that is logged."""
    rooms = {name.partition(".")[0] for name, _ in logged()}
    named = {
        name
        for page in (DOCS / "operator").glob("*.md")
        for name in re.findall(r"`([a-z_]+\.[a-z_]+\.[a-z_]+)`", page.read_text())
        if name.partition(".")[0] in rooms
    }

    assert named
    assert named <= {name for name, _ in logged()}


def test_every_difference_of_the_books_has_its_remedy() -> None:
    """Whatever `vilokanam reconcile` names, the operator's page says what to do about it."""
    trees = [ast.parse(inspect.getsource(module)) for module in (audit, bad_seconds_audit)]
    described = (DOCS / "operator/money.md").read_text()
    called = [
        node.args[1]
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Difference"
    ]
    named = [
        [str(part.value) for part in ast.walk(what) if isinstance(part, ast.Constant)][-1].strip()
        for what in called
    ]

    assert len(named) > 8
    assert [text for text in named if text not in described] == []


def test_every_error_is_in_its_drawn_tree() -> None:
    """Who reads the tree of errors sees all of them."""
    for module in ("mediaserver/errors.py", "metering/errors.py"):
        tree = ast.parse((ROOT / module).read_text())
        drawn = set(re.findall(r"\w+Error\b", ast.get_docstring(tree) or ""))

        assert {node.name for node in tree.body if isinstance(node, ast.ClassDef)} == drawn


def test_metrics_are_those_described() -> None:
    """An alarm on a metric of the table is an alarm on something, and none is kept from it."""
    defined = set()
    for path in sources(".py"):
        if path.relative_to(ROOT).parts[0] in ("tests", "bench"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            kind = getattr(getattr(node, "func", None), "id", "").lower()
            values = getattr(node, "args", ())
            name = getattr(values[0], "value", None) if kind and values else None
            if re.search("counter|gauge|histogram", kind) and isinstance(name, str):
                defined.add(f"{name}_total" if "counter" in kind else name)
    described = re.findall(
        r"^\| `((?:mediaserver|metering|cdn)_\w+)` \|",
        (DOCS / "operator/metrics.md").read_text(),
        re.MULTILINE,
    )

    assert set(described) == defined


def test_advice_shown_to_creators_is_given() -> None:
    """A sentence that the creator's page explains is one that the server says."""
    texts = "".join(
        (ROOT / "mediaserver" / path).read_text()
        for path in ("live/health.py", "ingest/upload_health.py", "ingest/takeovers.py")
    )
    texts = re.sub(r'"\s*\n\s*f?"', "", texts)
    table = re.findall(r"^\| \*(.+?)\* \|", (DOCS / "creator.md").read_text(), re.MULTILINE)

    assert len(table) > 3
    assert [text for text in table if not all(piece in texts for piece in text.split("…"))] == []


def is_command(words: list[str]) -> bool:
    """True when the command line takes these words as they are."""
    try:
        main._parser().parse_args(words)
    except SystemExit:
        return False
    return True


def is_verb(words: list[str]) -> bool:
    """True when these words begin a command, whatever arguments it wants besides."""
    parser = main._parser()
    for word in words:
        groups: list[Any] = [
            action for action in parser._actions if getattr(action, "_name_parser_map", None)
        ]
        if not groups:
            return word.startswith("-") is False or word in parser._option_string_actions
        if word not in groups[0]._name_parser_map:
            return word in parser._option_string_actions
        parser = groups[0]._name_parser_map[word]
    return True


@functools.cache
def logged() -> set[tuple[str, str]]:
    """Return every event that the code logs, with its level."""
    events = set()
    for path in sources(".py"):
        if path.relative_to(ROOT).parts[0] in ("tests", "bench"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in LEVELS
                and node.args
                and isinstance(node.args[0], ast.Constant)
                and re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", str(node.args[0].value))
            ):
                level = node.func.attr.replace("exception", "error")
                events.add((str(node.args[0].value), level))
    return events
