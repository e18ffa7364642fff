"""Words that do not come back: the field has others, and a reader searches for those.

`BANNED` names the word to write. `ALLOWED` are spellings that are on a wire, in SQL, in Redis, in
a log event or a metric, and uses in which the word is the field's own.
"""

import re
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
    "doors": "adapters",
    "street": "scenario",
    "town": "scenario, soak",
    "house": "fixture",
    "purse": "balance",
    "purses": "balances",
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
CLEAN = (
    "docs",
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "cdn",
    "config",
    "examples",
    "web/sdk",
    "web/app",
    "bench",
    "mediaserver/api",
    "mediaserver/cli",
    "mediaserver/clock.py",
    "mediaserver/errors.py",
    "mediaserver/h264.py",
    "mediaserver/hls",
    "mediaserver/http",
    "mediaserver/ingest",
    "mediaserver/ipc",
    "mediaserver/live",
    "mediaserver/log.py",
    "mediaserver/media.py",
    "mediaserver/metrics.py",
    "mediaserver/playback_token.py",
    "mediaserver/processes",
    "mediaserver/settings",
    "mediaserver/transcode",
    "mediaserver/whip_client",
    "metering/admission",
    "metering/errors.py",
    "metering/key_file.py",
    "metering/log_throttle.py",
    "metering/model",
    "metering/ports.py",
    "metering/recovery",
    "metering/settings.py",
    "metering/signing.py",
    "metering/store",
    "metering/testing",
    "metering/units.py",
    "tests/fuzz",
    "mediaserver/accounting",
    "metering/book",
    "metering/escrow",
    "metering/settlement",
    "metering/chain",
    "tests/unit",
    "tests/integration",
    "tests/e2e",
    "tests/contract",
    "tests/support",
    "tests/simulate",
    "tests/conftest.py",
)
"""Rooms and files that hold none of them. The list only grows."""
ALLOWED = {
    "purse": (
        r"(?i:type|kind|reason|verdict|PURSE = )|[`\"']purse|purse[`\"'|]|purse +402|key .*purse"
        r"|\.purse\b|escrow\.purses|set_purse|PURSE|1 purse 2 limit|stopped .*purse"
    ),
    "purses": r"escrow\.purses",
    "trouble": r"attempt|\.trouble|trouble[=:]|c\.trouble|\"trouble\"",
    "lease": (
        r"^    \"lease\",$|def lease\(|Redis|keys\.lease|lease\.lua|submitter|SubmitterLease"
        r"|token|five minutes|store\.lease|\._lease|lease\.is_lost|its_lease|watched\(lease"
    ),
    "rehearsal": r"whip\.rehearsal",
    "witness": r"witness=|\.witness|witness\.mjs",
}


def sources() -> Iterator[Path]:
    for room in CLEAN:
        path = ROOT / room
        yield from (path.rglob("*") if path.is_dir() else (path,))


def lines() -> Iterator[tuple[str, str]]:
    for path in sources():
        skipped = {"static", "node_modules", "dist"} & set(path.parts)
        if path.suffix in (".py", ".lua", ".md", ".ts", ".toml") and not skipped:
            for number, line in enumerate(path.read_text().splitlines(), 1):
                yield f"{path.relative_to(ROOT)}:{number}", line


def faults() -> Iterator[str]:
    words = re.compile(rf"(?<![A-Za-z])({'|'.join(BANNED)})(?![A-Za-z])", re.IGNORECASE)
    names = re.compile(rf"\b(?:class|def) ({'|'.join(BANNED_NAMES)})\b|\b(said|told) =")
    for where, line in lines():
        for match in words.finditer(line):
            word = match[1].lower()
            if not (word in ALLOWED and re.search(ALLOWED[word], line)):
                yield f"{where}: {match[1]}: write {BANNED[word]}"
        for match in names.finditer(line):
            yield f"{where}: {match[0]}: name the thing"


def test_words_of_the_field_are_written():
    """A reader from another media server or chain finds the word that they look for."""
    assert list(faults()) == []


def test_a_banned_word_is_found():
    """The test can fail."""
    pattern = re.compile(r"(?<![A-Za-z])(desk)(?![A-Za-z])")

    assert pattern.search("open_desk()")
    assert not pattern.search("desktop")
