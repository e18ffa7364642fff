"""What an encoder failed to make, as stock players meet it."""

from __future__ import annotations

import time

import pytest

from tests.support.holed_show import holed_show
from tests.support.servers.vilokanam import chromium, get, until
from tests.support.stock.pages import PagePlayer, pages
from tests.support.stock.processes import ProcessPlayer
from tests.support.stock.progress import stood_s

pytestmark = pytest.mark.timeout(240)

HOLE_S = 8
"""Longer than a part is waited for, and than what a player holds."""
PLAYED = 5
"""Seconds, or pictures, that a player moves on by after it."""
STEADY_S = 8
STOOD_MAX_S = 3.0
FREE, PINNED, PROGRAM, SOUND = 1, 2, 3, 4
"""Sessions: may change the rendition; two that stay with the holed one; hears the sound alone."""


def test_r2_stock_players_play_on_across_what_an_encoder_failed_to_make(tmp_path):
    """Who may goes to another rendition; who stays goes over the hole, and pays nothing for it."""
    with holed_show(tmp_path) as show, pages() as address, chromium() as tab:
        media = show.url(PINNED, "source")
        until(lambda: get(media)[1].count(b"#EXTINF") >= 3, "whole segments")
        free = PagePlayer(tab, address, "hls.js", show.url(FREE))
        pinned = PagePlayer(tab, address, "hls.js", media)
        sound = PagePlayer(tab, address, "hls.js", show.url(SOUND, "audio"))
        program = ProcessPlayer("ffmpeg", show.url(PROGRAM, "source"), tmp_path)
        players: dict[str, PagePlayer | ProcessPlayer] = {
            "free": free,
            "pinned": pinned,
            "sound": sound,
            "ffmpeg": program,
        }
        try:
            until(lambda: all(any(s.place for s in p.samples()) for p in players.values()), "play")
            free.wait(4)
            holed_s = time.time()
            show.stuck.add("source")
            until(lambda: b"#EXT-X-GAP" in get(media)[1], "a gap")
            # Where hls.js 1.7 stops for good, in as many runs as it comes to one.
            assert b"GAP=YES" not in get(media)[1]
            free.wait(HOLE_S)
            show.stuck.clear()
            at = {n: p.samples()[-1].place + PLAYED for n, p in players.items()}
            until(
                lambda: all(p.samples()[-1].place > at[n] for n, p in players.items()),
                "all play on",
                40,
            )
            free.wait(STEADY_S)
            end_s = time.time()
            whole = {n: stood_s(p.samples(), holed_s, end_s) for n, p in players.items()}
            last = {n: stood_s(p.samples(), end_s - STEADY_S, end_s) for n, p in players.items()}
            notes = [note for page in (free, pinned, sound) for note in page.notes()]
        finally:
            program.close()
            print({n: p.samples()[-1:] for n, p in players.items()})
            print([page.notes() for page in (free, pinned, sound)], program.log())
        hole = show.hole("source")
        paid = {session: show.claimed(session) for session in (FREE, PINNED, PROGRAM, SOUND)}

    print(whole, last, notes)
    assert len(hole) >= HOLE_S
    assert max(last.values()) <= STOOD_MAX_S, last
    assert not [note for note in notes if note[1] == "fatal"]
    # A player finds out by a question that is not answered, which takes hls.js some seconds.
    assert whole["free"] < HOLE_S, whole
    assert whole["sound"] <= STOOD_MAX_S, whole
    assert not hole & (paid[PINNED] | paid[PROGRAM])
    for session in (PINNED, PROGRAM):
        assert min(paid[session]) < min(hole) < max(hole) < max(paid[session])
