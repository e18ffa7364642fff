"""Words that do not come back: the field has others, and a reader searches for those.

`BANNED` names the word to write. `ALLOWED` are spellings that are on a wire, in SQL, in Redis, in
a log event or a metric, and uses in which the word is the field's own.
"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BANNED = {
    "desk": "call service",
    "clerk": "call sender",
    "custody": "custodial wallets",
    "keeper": "registrar",
    "witness": "audit",
    "ear": "listener, handler",
    "door": "adapter",
    "street": "scenario",
    "town": "scenario, soak",
    "house": "fixture",
    "purse": "balance",
    "seat": "player slot",
    "lease": "token renewal; or a lock's name",
    "trouble": "log throttle; problem",
    "leftovers": "unbooked",
    "rehearsal": "DTLS warm-up",
    "stands": "is",
    "lies": "is stored",
    "whoever": "the caller, anyone who",
    "for ever": "indefinitely",
    "mad": "faulty",
    "the metre": "generated",
}
BANNED_NAMES = {"Said", "Was", "Found", "Fate", "Look", "said", "told", "depacketise", "authorise"}
"""As whole identifiers."""
EXCEPT = (
    "chain/",  # a committed build names the hash of this folder; an edit asks for a new wasm
    "tests/golden/",  # written by other programs, and by the version before
    "tests/meta/test_glossary.py",
    "web/package-lock.json",
)
"""Tracked, but not judged."""
READ = (
    *("", ".cjs", ".conf", ".css", ".go", ".html", ".js", ".json", ".lua", ".mako", ".md", ".mjs"),
    *(".py", ".service", ".sh", ".template", ".timer", ".toml", ".ts", ".tsx", ".yaml", ".yml"),
)
"""Endings of what people write."""
ALLOWED = {
    # A log event; the reason on the wire, the verdict, and its number in Lua.
    "purse": (
        r"escrow\.purses|"
        r"[`\"']purse|purse[`\"']|\bPURSE\b|purse +402|1 purse 2 limit|`reason` purse|\(purse\\"
    ),
    "trouble": r"\"trouble\"|trouble=reason|row\.trouble",  # a column
    # The submitter's lock in Redis; a CDN's short token.
    "lease": (
        r"settlement|submitter_lease|metering/store/|book/outbox|tests/support/outside"
        r"|docs/metering\.md.* at most five minutes"
    ),
    "rehearsal": r"whip\.rehearsal",  # a log event
    "witness": r"witness\.mjs",  # a file of chain/
}
"""Matched with a path, a line's number and the line."""


def sources() -> Iterator[Path]:
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in done.stdout.splitlines():
        path = ROOT / name
        if not name.startswith(EXCEPT) and path.suffix in READ and path.is_file():
            yield path


def lines() -> Iterator[tuple[str, str]]:
    for path in sources():
        for number, line in enumerate(path.read_text().splitlines(), 1):
            yield f"{path.relative_to(ROOT)}:{number}", line


ANY = "|".join(BANNED)
PARTS = "|".join(word.capitalize() for word in BANNED if " " not in word)
WORDS = re.compile(
    rf"(?<![A-Za-z])({ANY})s?(?![A-Za-z])|(?-i:(?<![A-Z])({PARTS})s?(?=[A-Z0-9_]|$))"
    rf"|(?-i:(?<=[a-z])({PARTS})s?(?![a-z]))",
    re.IGNORECASE,
)
"""As a word, one or many, and as a part of a name such as OpenDesk or DeskOpener."""
NAMES = re.compile(rf"\b(?:class|def) ({'|'.join(BANNED_NAMES)})\b|\b(said|told) =")


def faults_of(where: str, line: str) -> Iterator[str]:
    for match in WORDS.finditer(line):
        word = (match[1] or match[2] or match[3]).lower()
        if not (word in ALLOWED and re.search(ALLOWED[word], f"{where} {line}")):
            yield f"{where}: {match[0]}: write {BANNED[word]}"
    for match in NAMES.finditer(line):
        yield f"{where}: {match[0]}: name the thing"


def test_words_of_the_field_are_written():
    """A reader from another media server or chain finds the word that they look for."""
    assert [fault for where, line in lines() for fault in faults_of(where, line)] == []


def test_a_banned_word_is_found():
    """The test can fail."""
    assert list(faults_of("x.py:1", "open_desk()")) == ["x.py:1: desk: write call service"]
    assert list(faults_of("x.py:1", "told = 3")) == ["x.py:1: told =: name the thing"]
    assert list(faults_of("x.py:1", "class DeskOpener:")) == ["x.py:1: Desk: write call service"]
    assert list(faults_of("x.py:1", "openDesk(doors)")) == [
        "x.py:1: Desk: write call service",
        "x.py:1: doors: write adapter",
    ]
    assert list(faults_of("x.py:1", "desktop, Yearly, Earth, Verdict.PURSE")) == []
