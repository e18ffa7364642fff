"""What the documents show and promise is what the code does."""

import doctest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


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
