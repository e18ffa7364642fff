"""Bodies of requests: which texts are taken as they came."""

from __future__ import annotations

import json
import sys
import unicodedata
from dataclasses import dataclass

import pytest

from mediaserver import text
from mediaserver.http.problem import ApiError
from mediaserver.http.request_records import parse
from mediaserver.ingest import sdp


@dataclass(frozen=True, slots=True)
class Titled:
    title: str


@pytest.mark.parametrize(
    "title",
    [
        "ශ්\N{ZERO WIDTH JOINER}රී ලංකා",
        "می\N{ZERO WIDTH NON-JOINER}خواهم",
        "\N{MAN}\N{ZERO WIDTH JOINER}\N{WOMAN}\N{ZERO WIDTH JOINER}\N{GIRL}",
        "Qui\N{NO-BREAK SPACE}?",
        "12\N{NARROW NO-BREAK SPACE}000",
        "日本\N{IDEOGRAPHIC SPACE}放送",
        "อ\N{ZERO WIDTH SPACE}า",
        "שלום\N{RIGHT-TO-LEFT MARK}!",
        "co\N{SOFT HYPHEN}operate",
        "\N{WAVING BLACK FLAG}\N{TAG LATIN SMALL LETTER G}\N{CANCEL TAG}",
        "❤\N{VARIATION SELECTOR-16}",
        "é, e\N{COMBINING ACUTE ACCENT}",
        "\ue000",
    ],
)
def test_f13_titles_of_people_are_taken_as_they_came(title: str) -> None:
    """Joiners, no-break spaces and marks belong to the scripts that use them."""
    assert parse(Titled, json.dumps({"title": title}).encode()).title == title


@pytest.mark.parametrize("code", [0, 9, 10, 13, 0x1B, 0x7F, 0x85, 0x2028, 0x202E, 0x2066, 0xD800])
def test_f13_controls_and_overrides_of_direction_are_refused(code: int) -> None:
    """They change how the text around them reads, in a page and in a terminal."""
    with pytest.raises(ApiError) as refusal:
        parse(Titled, json.dumps({"title": f"a{chr(code)}b"}).encode())

    assert f"U+{code:04X}" in refusal.value.detail


def test_f13_every_letter_and_mark_is_taken() -> None:
    """Of every script that this Python knows."""
    for code in range(sys.maxunicode + 1):
        if unicodedata.category(chr(code))[0] in "LMNPS" or code == 0x20:
            assert not text.fault(chr(code))


def test_f13_sdp_with_a_name_of_people_is_sdp() -> None:
    """Encoders put the show's title into `s=`."""
    session, _ = sdp.parse_sections("v=0\r\ns=می\N{ZERO WIDTH NON-JOINER}خواهم\r\na=x:1\r\n")

    assert session.get("x") == "1"
