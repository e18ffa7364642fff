"""Addresses: one spelling each, and nothing else is one."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaserver.errors import AddressError
from mediaserver.hls import addresses as a
from mediaserver.media import Slot

SLUGS = st.from_regex(re.compile(r"[a-z0-9][a-z0-9-]{0,20}", re.ASCII), fullmatch=True).filter(
    a.is_slug
)
RENDITIONS = st.sampled_from(["source", "360p", "audio"])
SHOWS = st.integers(0, a.SHOW_MAX)
NUMBERS = st.integers(0, 10**14)
COUNTS = st.integers(1, 9999)
TOKENS = st.from_regex(re.compile(r"[A-Za-z0-9_-]{1,108}", re.ASCII), fullmatch=True)
MEDIA = st.one_of(
    st.builds(a.WatchPage, SLUGS),
    st.builds(a.Multivariant, SLUGS),
    st.builds(a.MediaPlaylist, SLUGS, SHOWS, RENDITIONS),
    st.builds(a.Init, SLUGS, SHOWS, RENDITIONS, st.just("0123456789abcdef")),
    st.builds(a.Segment, SLUGS, SHOWS, RENDITIONS, NUMBERS, NUMBERS, COUNTS),
    st.builds(a.PartAddress, SLUGS, SHOWS, RENDITIONS, NUMBERS, NUMBERS, NUMBERS, COUNTS),
)
ADDRESSES = st.one_of(
    st.builds(a.Address, MEDIA, st.just("") | TOKENS),
    st.builds(
        a.Address,
        st.sampled_from([a.Meter, a.SessionMint, a.TopUp, a.Receipts]).flatmap(
            lambda kind: st.builds(kind, SLUGS)
        ),
        TOKENS,
    ),
    st.builds(
        a.Address,
        st.builds(a.WhipEndpoint, SLUGS) | st.builds(a.WhipSession, SLUGS, TOKENS, TOKENS),
    ),
)


@given(ADDRESSES)
def test_an_address_parsed_back_is_the_address(address: a.Address) -> None:
    """What we write into playlists is what we understand."""
    assert a.parse(a.build(address)) == address


@given(ADDRESSES)
def test_the_token_is_not_part_of_what_is_meant(address: a.Address) -> None:
    """All viewers share one name for the same bytes."""
    assert a.build(address).endswith(address.bare)
    assert not address.token or address.token not in address.bare.split("/")[:1]


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "//",
        "cam/",
        "/cam",
        "/Cam/",
        "/-cam/",
        "/w/",
        "/w//cam/",
        "/w/t",
        "/w/t/",
        "/w/t%41/cam/",
        "/w/w/w/",
        "/api/index.m3u8",
        "/whip/whip",
        "/metrics/",
        "/cam/index.m3u8/",
        "/cam/./index.m3u8",
        "/cam//index.m3u8",
        "/cam/index.m3u8\n",
        "/cam/01/source/media.m3u8",
        "/cam/4294967296/source/media.m3u8",
        "/cam/1/source/media.m3u",
        "/cam/1/../media.m3u8",
        "/cam/1/source/init-0123456789ABCDEF.mp4",
        "/cam/1/source/init-0123.mp4",
        "/cam/1/source/07-1700x1.m4s",
        "/cam/1/source/7-01700x1.m4s",
        "/cam/1/source/7-1700x01.m4s",
        "/cam/1/source/7-1700x00.m4s",
        "/cam/1/source/7-1700.m4s",
        "/cam/1/source/7.-1700x1.m4s",
        "/cam/1/source/7.0-1700x1.M4S",
        "/cam/1/source/7.0-1700x1.m4s ",
        "/cam/1/source/%37.0-1700x1.m4s",
        "/cam/1/source/\u0667.0-1700x1.m4s",
        "/cam/meter",
        "/cam/session",
        "/w/t/cam/whip",
        "/w/t/cam/whip/worker.secret",
        "/cam/whip/worker",
        "/cam/" + "9" * 2000,
    ],
)
def test_another_spelling_is_no_address(path: str) -> None:
    """A second spelling would be a second cache key, or a second bill."""
    with pytest.raises(AddressError):
        a.parse(path)


def test_the_names_in_playlists_are_the_addresses() -> None:
    """Relative URIs and addresses come from one grammar."""
    slot = Slot(7, 2, 1_700_000_900, 1_700_001_400)

    assert a.parse("/cam/5/source/" + a.part_name(slot)).place == a.PartAddress(
        "cam", 5, "source", 7, 2, 1_700_000, 2
    )
    assert a.parse("/cam/5/source/" + a.segment_name(7, 1_700_000, 2)).place == a.Segment(
        "cam", 5, "source", 7, 1_700_000, 2
    )
    assert a.parse("/cam/" + a.playlist_uri(5, "360p")).place == a.MediaPlaylist("cam", 5, "360p")


@pytest.mark.parametrize(
    "slug", ["w", "me", "api", "join", "favicon.ico", "a" * 64, "", "a_b", "Ä"]
)
def test_a_reserved_or_ugly_name_is_no_slug(slug: str) -> None:
    """A stream cannot take the place of the server's own pages."""
    assert not a.is_slug(slug)


KINDS = {
    a.Multivariant: "multivariant",
    a.MediaPlaylist: "playlist",
    a.Init: "init",
    a.Segment: "segment",
    a.PartAddress: "part",
}


def kinds_of(path: str) -> list[str]:
    """What a cache that routes by our patterns takes a path for."""
    patterns = a.patterns()
    token = f"(?:/w/{patterns.pop('token')})?"
    return [
        kind for kind, pattern in patterns.items() if re.fullmatch(token + pattern, path, re.ASCII)
    ]


@given(ADDRESSES)
def test_a_cache_takes_each_address_for_what_it_is(address: a.Address) -> None:
    """Exactly its own kind; pages, sockets and publishers' addresses are none of a cache's."""
    kind = KINDS.get(type(address.place))

    assert kinds_of(a.build(address)) == ([kind] if kind else [])


@given(ADDRESSES, st.data())
def test_a_cache_takes_no_other_spelling_for_an_address(address: a.Address, data) -> None:
    """What the origin would not know, no pattern matches."""
    path = a.build(address)
    place = data.draw(st.integers(0, len(path)))
    noise = data.draw(st.sampled_from(["%", "/", ".", "0", "%2e", "\n", "A", "-", "x", "w/", "/w"]))
    other = path[:place] + noise + path[place + data.draw(st.integers(0, 2)) :]
    try:
        expected = KINDS.get(type(a.parse(other).place))
    except AddressError:
        expected = None

    if re.search("/[0-9]{10,}/", other):
        return  # Only a show above SHOW_MAX is matched and no address.
    assert kinds_of(other) == ([expected] if expected else [])


@pytest.mark.parametrize("slug", [*sorted(a.RESERVED_SLUGS), "w", "me"])
def test_a_cache_takes_no_page_of_the_server_for_media(slug: str) -> None:
    """What is below a reserved name is passed on."""
    assert kinds_of(f"/{slug}/index.m3u8") == []
    assert kinds_of(f"/{slug}/1/source/7-1700x1.m4s") == []
