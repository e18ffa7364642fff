"""Any path parses or raises the named error, never another."""

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from mediaserver.errors import AddressError
from mediaserver.hls.addresses import build, parse

NAMES = ["w", "cam", "1", "0", "source", "media.m3u8", "index.m3u8", "7.0-17x1.m4s", "7-17x1.m4s"]
NOISE = ["/", "/", "/", "whip", ".", "%2e", "meter", "-", "x", "init-0123456789abcdef.mp4", "\n"]
PIECES = st.sampled_from(NAMES + NOISE)


@given(st.text(max_size=200) | st.lists(PIECES, max_size=12).map("".join))
def test_any_path_is_an_address_in_its_one_spelling_or_the_named_error(path: str) -> None:
    """A hostile path takes nothing down and has no second spelling."""
    with contextlib.suppress(AddressError):
        assert build(parse(path)) == path
