"""What the documents show and promise is what the code does."""

import doctest
import re
import typing
from pathlib import Path

from mediaserver.api import ledger, own, streams, tokens, viewers
from mediaserver.hls import addresses

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def test_examples_of_the_rules_are_what_the_product_does() -> None:
    """Whoever recomputes a bill by docs/metering.md gets the server's own numbers."""
    failed, tried = doctest.testfile(
        str(ROOT / "docs/metering.md"),
        module_relative=False,
        encoding="utf-8",
        optionflags=doctest.REPORT_NDIFF,
    )

    assert tried > 40
    assert failed == 0


def test_the_routes_of_the_api_are_those_described() -> None:
    """A route that an operator reads of is there, and none is kept from them."""
    rooms = (streams, viewers, tokens, ledger, own)
    routes = {f"{one.method} {one.path}" for room in rooms for one in room.routes()}
    told = set(re.findall(r"^### ([A-Z]+ /\S+)$", (DOCS / "api.md").read_text(), re.MULTILINE))

    assert {one for one in told if "/api/" in one or own_path(one)} == routes


def test_every_place_of_the_address_grammar_is_described() -> None:
    """What the URL grammar can say, the page of the API speaks of."""
    told = (DOCS / "api.md").read_text()
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
    for path in re.findall(r"^### [A-Z]+ (/\S+)$", told, re.MULTILINE):
        for name, value in filled.items():
            path = path.replace(name, value)
        if path.startswith(("/cam", "/w/")):
            places.add(type(addresses.parse(path).place))

    assert places == set(typing.get_args(addresses.Place))


def own_path(route: str) -> bool:
    """True for what viewers ask of control with their token; the meter is answered elsewhere."""
    return "/w/{token}/" in route and not route.endswith("/meter")
