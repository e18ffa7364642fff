"""config/mediaserver.toml says what the code does, and config/schema.json is made from it."""

import dataclasses
import json
import re
import tomllib
from pathlib import Path

from mediaserver.settings.load import load
from mediaserver.settings.records import Settings
from mediaserver.settings.schema import schema

CONFIG = Path(__file__).resolve().parents[2] / "config"
REFERENCE = CONFIG / "mediaserver.toml"


def plain(value):
    if dataclasses.is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return [plain(item) for item in value] if isinstance(value, tuple) else value


def test_the_reference_file_holds_every_key_with_its_default() -> None:
    """What an operator reads in the reference is what the server does without it."""
    assert tomllib.loads(REFERENCE.read_text()) == plain(Settings())


def test_the_reference_file_is_a_legal_configuration() -> None:
    """An operator may start from a copy of the reference."""
    assert load(REFERENCE, {}) == Settings()


def test_each_key_of_the_reference_says_why() -> None:
    """A comment is above each key, or above the group of keys that it speaks of."""
    lines = REFERENCE.read_text().splitlines()
    silent = []
    is_explained = False
    for line in lines:
        if re.match(r"\w+ = ", line):
            if not is_explained:
                silent.append(line)
        else:
            is_explained = line.startswith("#")

    assert silent == []


def test_ranges_in_the_reference_are_those_of_the_code() -> None:
    """Where a comment gives a range, it is the range that is enforced."""
    defaults = Settings()
    ranges = {
        f.name: (f.metadata["low"], f.metadata["high"])
        for table in dataclasses.fields(Settings)
        for f in dataclasses.fields(getattr(defaults, table.name))
        if "low" in f.metadata
    }
    written = re.findall(
        r"# [^\n]*\((\d+) to (\d+)\)[^\n]*\n(?:# [^\n]*\n)*(\w+) = ", REFERENCE.read_text()
    )

    assert len(written) > 15
    assert {key: (int(low), int(high)) for low, high, key in written} == {
        key: ranges[key] for _, _, key in written
    }


def test_the_schema_is_made_from_the_code() -> None:
    """An editor that checks a file against the schema knows the same keys and ranges."""
    assert json.loads((CONFIG / "schema.json").read_text()) == schema()
