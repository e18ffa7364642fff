"""SCALE by hand: what goes in comes out, and what is not SCALE is refused."""

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.chain.node import scale
from metering.chain.node.scale import Reader
from metering.errors import InvalidValueError


@dataclass(frozen=True)
class Pair:
    number: int
    name: bytes


CODECS: dict[str, tuple[scale.Codec[Any], st.SearchStrategy[Any]]] = {
    "u8": (scale.U8, st.integers(0, 2**8 - 1)),
    "u32": (scale.U32, st.integers(0, 2**32 - 1)),
    "u64": (scale.U64, st.integers(0, 2**64 - 1)),
    "u128": (scale.U128, st.integers(0, 2**128 - 1)),
    "compact": (scale.COMPACT, st.integers(0, 2**536 - 1)),
    "bool": (scale.BOOL, st.booleans()),
    "bytes": (scale.BYTES, st.binary(max_size=200)),
    "hash": (scale.HASH, st.binary(min_size=32, max_size=32)),
    "option": (scale.option(scale.U32), st.none() | st.integers(0, 2**32 - 1)),
    "vector": (scale.vector(scale.U32, 9), st.lists(st.integers(0, 9), max_size=9).map(tuple)),
    "pair": (scale.pair(scale.U8, scale.BOOL), st.tuples(st.integers(0, 9), st.booleans())),
    "choice": (scale.choice(("a", "b", "c")), st.sampled_from("abc")),
    "record": (
        scale.record(Pair, number=scale.U32, name=scale.BYTES),
        st.builds(Pair, st.integers(0, 9), st.binary(max_size=9)),
    ),
}


@pytest.mark.parametrize("name", CODECS)
@given(data=st.data())
def test_what_goes_in_comes_out(name, data):
    """All of it, and nothing beside it."""
    codec, values = CODECS[name]
    value = data.draw(values)

    encoded = codec.encode(value)

    assert codec.decode(encoded) == value
    with pytest.raises(InvalidValueError):
        codec.decode(encoded + b"\x00")
    with pytest.raises(InvalidValueError):
        codec.decode(encoded[:-1])


@pytest.mark.parametrize("name", CODECS)
@given(raw=st.binary(max_size=60))
def test_any_bytes_parse_or_are_refused_by_name(name, raw):
    """And what parses is spelt in one way only."""
    codec, _ = CODECS[name]
    try:
        value = codec.decode(raw)
    except InvalidValueError:
        return

    assert codec.encode(value) == raw


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (0, "00"),
        (1, "04"),
        (63, "fc"),
        (64, "0101"),
        (16383, "fdff"),
        (16384, "02000100"),
        (2**30 - 1, "feffffff"),
        (2**30, "0300000040"),
        (2**32 - 1, "03ffffffff"),
        (2**32, "070000000001"),
        (100000000000000, "0b00407a10f35a"),
    ],
)
def test_compact_as_the_specification_spells_it(value, encoded):
    """The format's own examples."""
    assert scale.compact(value).hex() == encoded


@pytest.mark.parametrize(
    ("codec", "value"),
    [
        (scale.U8, 256),
        (scale.U32, -1),
        (scale.COMPACT, -1),
        (scale.COMPACT, 2**536),
        (scale.HASH, b"short"),
        (scale.vector(scale.U8, 2), (1, 2, 3)),
        (scale.choice(("a",)), "b"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(codec, value):
    """Never cut short."""
    with pytest.raises(InvalidValueError):
        codec.encode(value)


def test_a_list_that_claims_more_than_its_bytes_costs_nothing():
    """A count of 2**60 is refused before anything is made of it."""
    with pytest.raises(InvalidValueError, match="are declared"):
        scale.vector(scale.U8).read(Reader(scale.compact(2**60)))
