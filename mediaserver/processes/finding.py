"""What one check of `vilokanam doctor` found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """How bad it is: a fault keeps somebody from publishing, watching or paying."""

    GOOD = "good"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        check: What was looked at, such as ``disk``.
        state: How bad it is.
        text: What was seen.
        remedy: What to do; empty when all is good.
    """

    check: str
    state: State
    text: str
    remedy: str = ""


def good(check: str, text: str) -> Finding:
    """Return a finding that asks for nothing."""
    return Finding(check, State.GOOD, text)


def warning(check: str, text: str, remedy: str) -> Finding:
    """Return a finding that somebody should look at."""
    return Finding(check, State.WARNING, text, remedy)


def fault(check: str, text: str, remedy: str) -> Finding:
    """Return a finding that must be mended."""
    return Finding(check, State.FAULT, text, remedy)
