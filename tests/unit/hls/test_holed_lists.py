"""What lists say of media that an encoder failed to make, and who waits for it (R2)."""

from dataclasses import replace

import pytest

from mediaserver.hls import playlist
from mediaserver.hls.blocking_reload import Decision, Ready, Reject, Wait, decide
from mediaserver.hls.rendition_window import Presence, Window
from mediaserver.hls.window_entries import Edge
from mediaserver.ipc.messages import PartMade, SegmentEnded, SlotOpened
from tests.support.builders import Show, live

NOW = Ready(is_blocking=True)


def holed(parts: str, is_ended: bool = False, segments: int = 3) -> tuple[Show, Window]:
    """After whole segments, one whose parts of 360p came (`x`) or are gaps (`-`)."""
    show, window = live(segments)
    return show, more(show, window, parts, is_ended)


def more(show: Show, window: Window, parts: str, is_ended: bool) -> Window:
    for index, kind in enumerate(parts):
        slot = show.slot(index)
        window = window.apply(SlotOpened(slot, is_discontinuity=False))
        for rendition in show.renditions:
            made = show.part(rendition.name, slot).part
            is_gap = kind == "-" and rendition.name == "360p"
            window = window.apply(PartMade(replace(made, is_gap=is_gap)))
    end_ms = show.slot(len(parts)).start_ms
    if not is_ended:
        return window.apply(SlotOpened(show.slot(len(parts)), is_discontinuity=False))
    for rendition in show.renditions:
        window = window.apply(
            SegmentEnded(rendition.name, show.msn, end_ms, (end_ms - show.now_ms) * 1000)
        )
    show.msn, show.now_ms = show.msn + 1, end_ms
    return window


def tail(window: Window, rendition: str = "360p") -> list[str]:
    """The list from the third segment's name on."""
    lines = playlist.media(window, rendition).splitlines()
    return lines[lines.index("2-1700000004x2.m4s") + 1 :]


REPORTS = [
    '#EXT-X-RENDITION-REPORT:URI="../source/media.m3u8",LAST-MSN=3,LAST-PART={0}',
    '#EXT-X-RENDITION-REPORT:URI="../audio/media.m3u8",LAST-MSN=3,LAST-PART={0}',
]


def reports(last: int) -> list[str]:
    return [line.format(last) for line in REPORTS]


@pytest.mark.parametrize(
    ("parts", "is_ended", "lines"),
    [
        pytest.param("-", False, reports(0), id="nothing of it while it is open"),
        pytest.param("-xx", False, reports(2), id="nor what comes after the gap"),
        pytest.param(
            "x-",
            False,
            [
                "#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:26.000Z",
                '#EXT-X-PART:DURATION=0.500,URI="3.0-1700000006x1.m4s",INDEPENDENT=YES',
                *reports(1),
            ],
            id="what came before the gap",
        ),
        pytest.param(
            "x-xx",
            True,
            [
                "#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:26.000Z",
                "#EXT-X-GAP",
                "#EXTINF:2.000,",
                "3-1700000006x2.m4s",
                *reports(3),
            ],
            id="the whole segment as a gap",
        ),
        pytest.param(
            "----",
            True,
            [
                "#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:26.000Z",
                "#EXT-X-GAP",
                "#EXTINF:2.000,",
                "3-1700000006x2.m4s",
                *reports(3),
            ],
            id="a whole segment that never came",
        ),
    ],
)
def test_r2_no_part_is_listed_or_hinted_from_a_gap_on(
    parts: str, is_ended: bool, lines: list[str]
) -> None:
    """hls.js 1.7 stops for good at a part with GAP=YES; a segment with EXT-X-GAP it skips."""
    _, window = holed(parts, is_ended)

    assert tail(window) == lines


def test_r2_after_a_hole_the_next_segment_is_hinted_and_listed() -> None:
    """Who played on at the gap finds its way back at the edge."""
    show, window = holed("x---", is_ended=True)
    window = window.apply(SlotOpened(show.slot(0), is_discontinuity=False))
    hint = '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="4.0-1700000008x1.m4s"'
    assert hint in tail(window)

    window = more(show, window, "xx", is_ended=False)
    assert [line for line in tail(window) if "URI=" in line and "REPORT" not in line] == [
        '#EXT-X-PART:DURATION=0.500,URI="4.0-1700000008x1.m4s",INDEPENDENT=YES',
        '#EXT-X-PART:DURATION=0.500,URI="4.1-1700000008x1.m4s"',
        '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="4.2-1700000009x1.m4s"',
    ]


@pytest.mark.parametrize(
    ("parts", "is_ended", "last"),
    [
        ("-", False, "LAST-MSN=2,LAST-PART=3"),
        ("x-x", False, "LAST-MSN=3,LAST-PART=0"),
        ("x-xx", True, "LAST-MSN=3"),
    ],
)
def test_r2_other_lists_report_the_last_part_that_is_listed(
    parts: str, is_ended: bool, last: str
) -> None:
    """A player that changes its rendition asks for what there is."""
    _, window = holed(parts, is_ended)

    report = f'#EXT-X-RENDITION-REPORT:URI="../360p/media.m3u8",{last}'
    assert report in playlist.media(window, "source").splitlines()


def test_r2_no_part_before_a_whole_gap_is_listed() -> None:
    """hls.js 1.7 waits for more parts while it finds one, and else goes past the gap."""
    show, window = holed("x-xx", is_ended=True)
    assert "#EXT-X-PART:" not in playlist.media(window, "360p")
    assert "#EXT-X-PART:" in playlist.media(window, "source")

    window = more(show, window, "x", is_ended=False)
    assert playlist.media(window, "360p").count("#EXT-X-PART:") == 1


def test_r2_a_delta_ends_as_its_whole_list_does() -> None:
    """A player that merges it has no part of a hole either."""
    _, window = holed("x-", segments=14)
    whole = playlist.media(window, "360p").splitlines()
    delta = playlist.media(window, "360p", is_delta=True).splitlines()

    skip = next(line for line in delta if line.startswith("#EXT-X-SKIP"))
    rest = delta[delta.index(skip) + 1 :]
    assert [line for line in rest if "EXT-X-MAP" not in line] == whole[-len(rest) + 1 :]
    assert rest[-3].startswith("#EXT-X-PART")


def test_r2_an_edge_counts_what_is_listed_apart_from_what_is_not() -> None:
    """Requests for a list go by the one, those for media by both."""
    _, window = holed("x-xx")

    assert window.edge("360p") == Edge(3, 1, False, False, unlisted_count=3)
    assert window.edge("source") == Edge(3, 4, False, False)
    assert window.presence("360p", 3, 2) is Presence.PASSED
    assert window.presence("360p", 3, 4) is Presence.PLANNED


def test_r2_a_hole_at_the_very_begin_is_no_list() -> None:
    """There is nothing to play yet."""
    show, window = live(0)
    window = more(show, window, "-", is_ended=False)

    assert window.listed("360p") == ()
    assert not window.has_segment("360p")
    assert "360p/" not in playlist.media(window, "source")


OPEN = Edge(10, 1, is_segment_ended=False, is_show_ended=False, unlisted_count=2)
DARK = Edge(10, 0, is_segment_ended=False, is_show_ended=False, unlisted_count=3)
WHOLE = Edge(10, 0, is_segment_ended=True, is_show_ended=False, unlisted_count=4)


@pytest.mark.parametrize(
    ("query", "edge", "decision"),
    [
        ("_HLS_msn=10&_HLS_part=0", OPEN, NOW),
        ("_HLS_msn=10&_HLS_part=1", OPEN, Wait()),
        ("_HLS_msn=10&_HLS_part=2", OPEN, Wait()),
        ("_HLS_msn=10&_HLS_part=3", OPEN, Wait()),
        ("_HLS_msn=10", OPEN, Wait()),
        ("_HLS_msn=11&_HLS_part=0", OPEN, Wait()),
        ("_HLS_msn=10&_HLS_part=0", DARK, Wait()),
        ("_HLS_msn=9&_HLS_part=3", DARK, NOW),
        ("_HLS_msn=10&_HLS_part=1", WHOLE, NOW),
        ("_HLS_msn=10&_HLS_part=3", WHOLE, NOW),
        ("_HLS_msn=10", WHOLE, NOW),
        # L12: past the last part is part 0 of the next
        ("_HLS_msn=10&_HLS_part=4", WHOLE, Wait()),
        ("_HLS_msn=11&_HLS_part=0", WHOLE, Wait()),
        # L11: as far ahead as of what other renditions list
        ("_HLS_msn=10&_HLS_part=8", OPEN, Wait()),
    ],
)
def test_r2_who_asks_for_a_part_of_a_hole_is_answered_at_its_segments_end(
    query: str, edge: Edge, decision: Decision
) -> None:
    """It will never be listed, so the next that is must do."""
    assert decide(query, edge, 500) == decision


def test_r2_too_far_ahead_of_a_hole_is_refused_as_ever() -> None:
    """A confused player hears it at once."""
    assert isinstance(decide("_HLS_msn=10&_HLS_part=9", OPEN, 500), Reject)
