"""What caches may keep, and for how long."""

import pytest

from mediaserver.hls.cache_policy import TABLE, Kind, cache_control


@pytest.mark.parametrize(
    ("kind", "status", "value"),
    [
        (Kind.MULTIVARIANT, 200, "public, max-age=1"),
        (Kind.PLAYLIST, 200, "public, max-age=1"),
        (Kind.BLOCKING_PLAYLIST, 200, "public, max-age=18"),
        (Kind.ENDED_PLAYLIST, 200, "public, max-age=86400"),
        (Kind.INIT, 206, "public, max-age=31536000, immutable"),
        (Kind.MEDIA, 200, "public, max-age=30, immutable"),
        (Kind.MEDIA, 304, "public, max-age=30, immutable"),
        (Kind.MEDIA, 404, "no-store"),
        (Kind.GONE, 404, "public, max-age=3"),
        (Kind.PLAYLIST, 400, "no-store"),
        (Kind.MEDIA, 402, "no-store"),
        (Kind.PLAYLIST, 503, "no-store"),
    ],
)
def test_an_answer_is_kept_as_long_as_it_stays_true(kind: Kind, status: int, value: str) -> None:
    """No edge serves what is stale, nor remembers as missing what comes in a moment."""
    assert cache_control(kind, status, 3, 30_000) == value


def test_only_good_answers_and_the_gone_are_ever_kept() -> None:
    """A refusal is never somebody else's answer."""
    assert {status for _, status in TABLE} == {200, 206, 404}
    assert [kind for kind, status in TABLE if status == 404] == [Kind.GONE]


def test_the_plain_playlist_lives_half_a_target() -> None:
    """rfc8216bis, Appendix B."""
    assert cache_control(Kind.PLAYLIST, 200, 6, 30_000) == "public, max-age=3"
