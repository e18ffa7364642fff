"""Every function of the product is used by the product.

`make lint` runs vulture for what it is certain of. Of what it only suspects, functions, methods and
properties are judged here; names that a framework calls, and what tests and documents compare with,
are listed.
"""

from collections.abc import Iterator
from pathlib import Path

from vulture import Vulture

ROOT = Path(__file__).resolve().parents[2]
PATHS = ("mediaserver", "metering", "cdn", "bench")
CALLED_BY_OTHERS = {
    *("do_DELETE", "do_GET", "do_POST", "log_message", "redirect_request"),  # http.server, urllib
    *("_do_handshake", "_recv", "get_component_candidates"),  # aiortc, aioice
    "data_received",  # asyncio
    *("_on_begin", "process_bind_param", "process_result_value"),  # sqlalchemy
}
COMPARED_WITH = {
    "segment_run",  # docs/metering.md
    "ticks_allowed",  # the law that claim.lua is held to
    "ref",  # blocks of the escrow's tests
    "of_show",  # the kept record of parts that were cut short
}


def unused() -> Iterator[str]:
    vulture = Vulture()
    vulture.scavenge([str(ROOT / path) for path in PATHS])
    for item in vulture.get_unused_code(min_confidence=60):
        if item.typ in ("function", "method", "property", "class"):
            yield str(item.name)


def test_no_function_is_for_nobody() -> None:
    """What nothing runs is read, mended and believed all the same."""
    assert sorted(set(unused()) - CALLED_BY_OTHERS - COMPARED_WITH) == []


def test_no_exception_is_for_nobody() -> None:
    """A listed name that is used, or gone, leaves the list."""
    assert sorted((CALLED_BY_OTHERS | COMPARED_WITH) - set(unused())) == []
