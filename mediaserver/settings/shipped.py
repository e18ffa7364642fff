"""Files that come with the package: the reference configuration and the systemd units.

In a checkout both are links, to ``config/`` and ``examples/systemd/``: there is one text of each.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Final

GUIDES_PROGRAM: Final = Path("/opt/vilokanam/bin/vilokanam")
"""Where the guide installs it."""
_LISTEN: Final = "ListenStream="
_HERE: Final = Path(__file__).parent
_TABLE: Final = re.compile(r"\[\[?([a-z_.]+)\]\]?")
_KEY: Final = re.compile(r"([a-z_0-9]+) = ")


def reference_text() -> str:
    """Return the reference configuration: every key, its default, and why."""
    return (_HERE / "mediaserver.toml").read_text()


def unit_text(program: Path) -> str:
    """Return the systemd unit of the server, for a program that is installed at `program`."""
    text = (_HERE / "vilokanam.service").read_text()
    return text.replace(str(GUIDES_PROGRAM), str(program))


def socket_unit_text(places: Collection[str]) -> str:
    """Return the systemd unit that holds the port of a server.

    Args:
        places: Where it listens, such as ``127.0.0.1:8080``.
    """
    before, _, rest = (_HERE / "vilokanam.socket").read_text().partition(_LISTEN)
    after = rest.partition("\n")[2]
    return before + "".join(f"{_LISTEN}{place}\n" for place in sorted(places)) + after


def descriptions(text: str) -> dict[str, str]:
    """Return what a reference configuration says of each key, by its path.

    A comment speaks of all keys below it, up to the next comment.
    """
    described: dict[str, str] = {}
    table, comment, is_open = "", "", False
    for line in text.splitlines():
        if line.startswith("#"):
            words = line.removeprefix("#").strip()
            comment = f"{comment} {words}" if is_open else words
            is_open = True
            continue
        if match := _TABLE.fullmatch(line):
            table = match[1]
            if is_open:
                described[table] = comment
        elif match := _KEY.match(line):
            described[f"{table}.{match[1]}"] = comment
        is_open = False
    return described
