"""A stream as `vilokanam streams show` tells it."""

import pytest

from mediaserver.cli.clock_text import clock_text, span_text
from mediaserver.cli.stream_text import show_lines
from metering.units import Asset

UNIT = Asset("UNIT", 12, 1)
NOW = 1_800_000_000
ALONE = {"passkey": False, "sign_up": True, "mail": False, "oidc": []}
"""A server where nobody signs in."""
STREAM = {
    "slug": "cam",
    "title": "Camera",
    "is_enabled": True,
    "visibility": "public",
    "price": {"number": 1, "from_tick": 0, "planck_per_s": "250000000"},
    "prices_to_come": [],
    "show_cap": None,
    "show_cap_to_come": None,
    "watch_url": "https://live.example.org/cam/",
    "whip_url": "https://live.example.org/cam/whip",
    "chain": None,
    "taken_down": None,
    "health": {
        "state": "live",
        "show": NOW - 12_000,
        "advice": ["set a keyframe interval of 2 s"],
        "facts": {
            "width": 1280.0,
            "height": 720.0,
            "fps": 29.97,
            "gop_s": 8.0,
            "video_kbps": 3500.4,
            "audio_kbps": 128.0,
            "upload_loss_percent": 0.5,
            "repaired": 12.0,
            "lost": 1.0,
            "renditions": 3.0,
            "reencoding": 1.0,
            "frames_not_made": 7.0,
            "plis": 3.0,
            "nacks": 4.0,
            "packets": 99.0,
            "sessions_pending": 0.0,
        },
    },
}


def test_c9_a_live_stream_is_told_in_plain_words_advice_first():
    """A creator reads what goes out, since when and what to change; no counters of protocols."""
    lines = list(show_lines(STREAM, UNIT, NOW, ALONE))

    assert lines[1] == f"state: live since {clock_text(NOW - 12_000, NOW)}, 3 h 20 min"
    assert lines[2] == "advice: set a keyframe interval of 2 s"
    assert lines[3] == (
        "picture: H.264, 1280 x 720 at 30 frames a second, 3500 kbit/s, a keyframe every 8.0 s"
    )
    assert lines[4] == "sound: Opus, 128 kbit/s"
    assert "12 were mended and 1 never came" in lines[5]
    assert lines[6] == (
        "viewers choose from: 3 renditions, the source encoded again here; "
        "7 frames were not made in time"
    )
    for word in ("plis", "nacks", "packets:", "sessions_pending"):
        assert word not in "\n".join(lines)


def test_c9_a_stream_that_nobody_publishes_shows_no_numbers():
    """Nothing arrives, so no rate and no loss is told."""
    idle = {**STREAM, "health": {"state": "offline", "show": None, "facts": {}, "advice": []}}

    lines = list(show_lines(idle, UNIT, NOW, ALONE))

    assert lines[1] == "state: offline, nobody publishes"
    assert not any(line.startswith(("picture", "sound", "upload")) for line in lines)


def test_what_a_show_costs_at_most_is_told_with_its_time():
    """One that is to come holds for shows that begin from then on; without any nothing is said."""
    cap = {"from_show": 0, "planck": "500000000000"}
    later = {"from_show": NOW + 36, "planck": "0"}

    lines = list(
        show_lines({**STREAM, "show_cap": cap, "show_cap_to_come": later}, UNIT, NOW, ALONE)
    )

    assert lines[-2:] == [
        "a show costs: never more than 0.5 UNIT",
        f"a show that begins from {clock_text(NOW + 36, NOW)} on costs: as long as it is watched",
    ]
    assert not any("a show costs" in line for line in show_lines(STREAM, UNIT, NOW, ALONE))


def test_times_are_told_as_people_say_them():
    """Two units are enough, and another day has its date."""
    assert [span_text(s) for s in (0, 59.6, 125, 12_000, 90_000)] == [
        "0 s",
        "1 min",
        "2 min 5 s",
        "3 h 20 min",
        "1 d 1 h",
    ]
    assert clock_text(NOW, NOW - 3 * 86_400).startswith("2027-01-1")


def test_what_does_not_come_is_said() -> None:
    """A creator whose microphone is on no track read nothing of it."""
    health = {"state": "live", "show": NOW, "advice": [], "facts": {"renditions": 1.0}}
    lines = list(show_lines({**STREAM, "health": health}, UNIT, NOW, ALONE))

    assert "picture: none comes" in lines
    assert "sound: none comes" in lines
    assert any("1 rendition," in line for line in lines)


def test_a_stream_that_was_taken_down_tells_its_creator_why():
    """The advice names this command for it."""
    taken = {"reason": "the film is somebody else's", "is_legal": True, "made_ms": NOW * 1000}

    lines = list(show_lines({**STREAM, "taken_down": taken}, UNIT, NOW, ALONE))

    assert lines[2] == (
        f"taken down: since {clock_text(NOW, NOW)}, as the law demands it: "
        "the film is somebody else's"
    )
    assert not any("taken down" in line for line in show_lines(STREAM, UNIT, NOW, ALONE))


@pytest.mark.parametrize(
    ("ways", "said"),
    [
        ({}, "each viewer needs a link of their own"),
        ({"passkey": True}, "who signs in there watches without a link"),
        ({"mail": True, "sign_up": False}, "who has an account here and signs in there watches"),
    ],
)
def test_who_needs_a_link_depends_on_who_may_sign_in(ways, said):
    """People who sign in at the address are given none."""
    lines = "\n".join(show_lines(STREAM, UNIT, NOW, {**ALONE, **ways}))

    assert said in lines
    assert ("each viewer needs" in lines) is (not ways)
