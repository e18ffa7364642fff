"""``vilokanam streams split``: who else earns of a stream, and what part."""

from __future__ import annotations

import argparse
import re
import time
from decimal import Decimal
from typing import Any, Final

from mediaserver.cli.client import api_of, show, table, verb
from mediaserver.cli.clock_text import clock_text
from mediaserver.cli.errors import EXIT_USAGE, CliError

_SHARE: Final = re.compile(r"(0x[0-9a-f]{64}|person:[0-9a-f]{32})=(\d{1,3}(?:\.\d{1,4})?)%")
SHARE_HELP: Final = (
    "ACCOUNT=PERCENT%% of what viewers pay, such as 0x12…=25%% or person:ab12…=2.5%%"
)
_PPM_OF_PERCENT: Final = 10_000


def add(verbs: Any) -> None:
    """Add the command below ``streams``."""
    split = verb(verbs, "split", _split, "share what a stream earns among payees, or show how")
    split.add_argument("slug")
    split.add_argument(
        "payees",
        nargs="*",
        metavar="ACCOUNT=PERCENT%|none",
        help=f"{SHARE_HELP}; none: all of it is the creator's; left out: show it",
    )
    split.add_argument("--from-tick", type=int, help="first second of it (Unix)")


def payees_of(texts: list[str]) -> dict[str, int]:
    """Return parts in a million by account.

    Raises:
        CliError: One of them is not written so, or comes twice.
    """
    payees: dict[str, int] = {}
    for text in texts:
        match = _SHARE.fullmatch(text)
        if match is None:
            raise CliError(
                f"{text!r} is not an account and its part, such as 0x12…=25%", EXIT_USAGE
            )
        if match[1] in payees:
            raise CliError(f"{match[1]} is there twice", EXIT_USAGE)
        payees[match[1]] = int(Decimal(match[2]) * _PPM_OF_PERCENT)
    return payees


def _split(arguments: argparse.Namespace) -> int:
    api, path = api_of(arguments), ("streams", arguments.slug, "split")
    if not arguments.payees:
        answer = api.get(*path)
        tables = [answer["split"], *answer["splits_to_come"]]
        show(arguments, answer, "\n".join(map(_text, tables)))
        return 0
    texts = [] if arguments.payees == ["none"] else arguments.payees
    body: dict[str, Any] = {"payees": payees_of(texts)}
    if arguments.from_tick is not None:
        body["from_tick"] = arguments.from_tick
    made = api.put(*path, body=body)
    show(arguments, made, _text(made))
    return 0


def _text(made: dict[str, Any]) -> str:
    """Return a table as a person reads it."""
    begins = clock_text(made["from_tick"], time.time()) if made["from_tick"] else "the first second"
    rows = [(payee["account"], _percent(payee["ppm"])) for payee in made["payees"]]
    rows += [("creator", _percent(made["creator_ppm"]))]
    rows += [("platform", _percent(made["platform_ppm"]))]
    return f"from {begins} on:\n" + table(("WHO", "PART"), rows)


def _percent(ppm: int) -> str:
    return f"{Decimal(ppm) / _PPM_OF_PERCENT:f}%"
