"""What a clone must not hold: a path or host name of one machine, a secret."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HERE = re.escape(str(ROOT))
MACHINE = re.compile(
    rf"{HERE}|(?<![\w.])/(?:work|root|Users)/|/home/\w"
    r"|https?://[^\s\"']*(?:pypi|pythonhosted|npmjs|registry|artifactory|nexus|crates\.io)"
)
SECRET = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_\w{36}|\bglpat-[\w-]{20}"
    r"|\bxox[abp]-[\w-]{10}|//[^/\s:@\"'{}<]+:[^/\s:@\"'{}<]{8,}@[\w.-]+\.[a-z]"
)
"""Private keys, tokens of clouds and forges, passwords in addresses."""
SECRET_FILES = re.compile(
    r"(?:^|/)(?:admin\.token|edge\.key|operator\.key|token\.keys|\.env|id_\w+|[^/]+\.pem)$"
)
"""Such as a data directory holds."""


def tracked() -> Iterator[tuple[str, str]]:
    """Yield each file's name and text."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    for name in listed.decode().split("\0"):
        path = ROOT / name
        if name and path.is_file() and path.resolve() != Path(__file__).resolve():
            yield name, path.read_bytes().decode("utf-8", "ignore")


def test_no_path_or_registry_of_one_machine_is_kept() -> None:
    """A clean clone works elsewhere: nothing in it names a machine it was made on."""
    broken = []
    for name, text in tracked():
        # Cargo's own name of it, whichever mirror answers.
        rest = text.replace("registry+https://github.com/rust-lang/crates.io-index", "")
        broken += [f"{name}: {match[0]}" for match in MACHINE.finditer(rest)]

    assert broken == []


def test_no_secret_is_kept() -> None:
    """A key that was in a commit once is everybody's."""
    broken = []
    for name, text in tracked():
        broken += [f"{name}: a file of secrets" for _ in SECRET_FILES.finditer(name)]
        broken += [f"{name}: {match[0][:20]}" for match in SECRET.finditer(text)]

    assert broken == []


def test_a_secret_is_found() -> None:
    """The test can fail."""
    assert SECRET.search("-----BEGIN OPENSSH PRIVATE KEY-----")
    assert SECRET.search("redis://user:hunter2hunter2@db.example.com/0")
    assert SECRET_FILES.search("demo-data/operator.key")
    assert MACHINE.search("see /home/someone/notes")
