"""What caches may keep, and for how long."""

import pytest

from mediaserver.hls.cache_policy import PREFLIGHT_HEADERS, TABLE, Kind, cache_control


@pytest.mark.parametrize(
    ("kind", "status", "value"),
    [
        (Kind.MULTIVARIANT, 200, "public, max-age=1"),
        (Kind.PLAYLIST, 200, "public, max-age=1"),
        (Kind.BLOCKING_PLAYLIST, 200, "public, max-age=0, s-maxage=1"),
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
    assert cache_control(kind, status, 3, 30_000, 500) == value


def test_only_good_answers_and_the_gone_are_ever_kept() -> None:
    """A refusal is never somebody else's answer."""
    assert {status for _, status in TABLE} == {200, 206, 404}
    assert [kind for kind, status in TABLE if status == 404] == [Kind.GONE]


def test_the_plain_playlist_lives_half_a_target() -> None:
    """rfc8216bis, Appendix B."""
    assert cache_control(Kind.PLAYLIST, 200, 6, 30_000, 500) == "public, max-age=3"


@pytest.mark.parametrize(
    ("part_target_ms", "own_s", "shared_s"), [(200, 0, 1), (500, 0, 1), (1000, 1, 1), (1500, 1, 2)]
)
def test_r10_viewers_own_cache_keeps_a_blocking_answer_no_longer_than_a_part(
    part_target_ms: int, own_s: int, shared_s: int
) -> None:
    """video.js asks the same question twice; its browser gave it the old answer for 18 s."""
    value = cache_control(Kind.BLOCKING_PLAYLIST, 200, 3, 30_000, part_target_ms)

    assert value == f"public, max-age={own_s}, s-maxage={shared_s}"
    assert own_s * 1000 <= part_target_ms


def test_r11_players_may_send_cmcd_in_headers() -> None:
    """hls.js `cmcd.useHeaders` and shaka (CTA-5004, 3.1) were stopped by the preflight."""
    allowed = dict(PREFLIGHT_HEADERS)["Access-Control-Allow-Headers"].split(", ")

    assert {"CMCD-Request", "CMCD-Object", "CMCD-Status", "CMCD-Session"} <= set(allowed)
    assert "Range" in allowed
