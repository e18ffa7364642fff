"""A restart of the whole server, as its viewers meet it."""

from __future__ import annotations

import time

import pytest

from tests.support.audience import open_stream, wait_live
from tests.support.servers.held import HeldServer
from tests.support.servers.vilokanam import SmallPublisher, chromium, get, running, until
from tests.support.stock.pages import PagePlayer, pages
from tests.support.stock.processes import ProcessPlayer
from tests.support.stock.progress import stood_s

pytestmark = pytest.mark.timeout(240)

PLAYED = 3
"""Pictures, or seconds, that a player moves on by before anything happens to it."""
STEADY_S = 10
STOOD_MAX_S = 3.0
"""FFmpeg is given two seconds at a time, as whole segments come."""


def test_r5_stock_players_play_on_through_a_restart_of_the_server(tmp_path):
    """With the port held their questions wait, and the publisher comes back to the same show."""
    server = HeldServer(tmp_path)
    # A busy machine takes long to restart.
    text = server.config.read_text()
    server.config.write_text(text.replace("reconnect_wait_s = 20", "reconnect_wait_s = 60"))
    with running(server), pages() as address, chromium() as tab:
        key = open_stream(server, "cam", "0")
        publisher = SmallPublisher(server, "cam", key)
        wait_live(server, None, "cam")
        url = f"{server.url}/cam/index.m3u8"
        media = f"{server.url}/cam/{_media(url)}"
        until(lambda: get(media)[1].count(b"#EXTINF") >= 3, "whole segments to play")
        player = PagePlayer(tab, address, "hls.js", url)
        program = ProcessPlayer("ffmpeg", url, tmp_path)
        players: tuple[PagePlayer | ProcessPlayer, ...] = (player, program)
        try:
            until(lambda: all(_place(p) > PLAYED for p in players), "both play", 60)
            server.stop()
            publisher.stop(hard=True)
            places = [_place(p) for p in players]
            server.launch()
            # Its offer waits at the port as the viewers' questions do.
            publisher = SmallPublisher(server, "cam", key)
            server.wait_ready()
            until(
                lambda: all(_place(p) > n + PLAYED for p, n in zip(players, places, strict=True)),
                "both play on",
                60,
            )
            player.wait(STEADY_S)
            end_s = time.time()
            stood = {p.name: stood_s(p.samples(), end_s - STEADY_S, end_s) for p in players}
            fatal = [note for note in player.notes() if note[1] == "fatal"]
        finally:
            publisher.stop(hard=True)
            program.close()
            server.close()
            print(player.notes(), program.log(), server.tail())

    assert not fatal
    assert max(stood.values()) <= STOOD_MAX_S, stood


def _media(url: str) -> str:
    return next(line for line in get(url)[1].decode().splitlines() if not line.startswith("#"))


def _place(player: PagePlayer | ProcessPlayer) -> float:
    samples = player.samples()
    return samples[-1].place if samples else 0.0
