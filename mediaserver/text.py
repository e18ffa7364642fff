"""Text that people write: what of it is taken. Pure.

Letters of every script are, with the joiners, marks and spaces that they need; `str.isprintable`
refuses some of those. What would change how the text around it reads is not.
"""

from __future__ import annotations

import unicodedata
from typing import Final

_REFUSED_CATEGORIES: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Controls, lone surrogates (header bytes that are not UTF-8), line and paragraph separators."""
_REFUSED: Final = frozenset(
    chr(code)
    for codes in (
        range(0x202A, 0x202F),  # embeddings and overrides of the direction, and their end
        range(0x2066, 0x206A),  # isolates and their end: unclosed ones reach the text behind
        range(0x206A, 0x2070),  # deprecated format characters
        range(0xFFF9, 0xFFFC),  # interlinear annotation
    )
    for code in codes
)


def fault(text: str) -> str:
    """Return what a text of people holds that is not taken, or nothing."""
    if text.isprintable():  # by far most; it allows nothing that is refused below
        return ""
    for character in text:
        if character in _REFUSED or unicodedata.category(character) in _REFUSED_CATEGORIES:
            return f"holds the control character U+{ord(character):04X}"
    return ""
