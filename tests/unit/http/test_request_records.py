"""Bodies of requests: which texts are taken as they came."""

from __future__ import annotations

import json
import sys
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


def test_f13_nothing_but_controls_and_overrides_is_refused() -> None:
    """Whatever else there is, also what a newer Unicode adds, is somebody's script."""
    refused = {code for code in range(sys.maxunicode + 1) if text.fault(chr(code))}

    assert refused == {
        *range(0x20),
        *range(0x7F, 0xA0),
        *(0x2028, 0x2029),  # ends of lines and paragraphs
        *range(0x202A, 0x202F),  # embeddings and overrides of the direction
        *range(0x2066, 0x2070),  # isolates, and format characters that are deprecated
        *range(0xD800, 0xE000),
        *range(0xFFF9, 0xFFFC),  # annotations between lines
    }


def test_f13_sdp_with_a_name_of_people_is_sdp() -> None:
    """Encoders put the show's title into `s=`."""
    session, _ = sdp.parse_sections("v=0\r\ns=می\N{ZERO WIDTH NON-JOINER}خواهم\r\na=x:1\r\n")

    assert session.get("x") == "1"
