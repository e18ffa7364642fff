"""Players that others wrote, with their defaults, from their own packages."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from urllib.parse import urljoin

import pytest

from tests.support.audience import open_stream, wait_live
from tests.support.servers import nginx
from tests.support.servers.vilokanam import Server, SmallPublisher, chromium, get, running, until
from tests.support.stock.pages import NAMES, PagePlayer, pages
from tests.support.stock.processes import COMMANDS, ProcessPlayer
from tests.support.stock.progress import stood_s

pytestmark = pytest.mark.timeout(240)

PLAY_S = 30
START_S = 4
"""video.js plays its first part, then waits until it has more: 1 to 2 s that are its own."""
AWAY_S = 8
BACK_S = 25
KILLED_S = 8
STEADY_S = 10
STOOD_MAX_S = 3.5
"""A busy machine may hold a browser up for a second or two, and a player that writes whole segments
shows nothing new for 3.0 s in quiet; the stalls meant here last 15 s."""


def test_r10_video_js_plays_on_at_the_server_and_behind_nginx(tmp_path):
    """Low latency is its default: it asks the last question of a segment twice, and is answered."""
    port = nginx.free_port()
    server = Server(tmp_path, config=f'[edge]\nlisten = "127.0.0.1:{port}"\nfill_wait_ms = 400\n')
    with server.config.open("a") as config:
        config.write(f'origin_url = "{server.url}"\n')
    folder = tmp_path / "edge"
    with running(server):
        key = open_stream(server, "cam", "0")
        server.run("edge", "config", "nginx", "--standalone", str(folder))
        publisher = SmallPublisher(server, "cam", key)
        try:
            wait_live(server, None, "cam")
            with nginx.running(folder / "nginx.conf", port), pages() as address, chromium() as tab:
                players = [
                    PagePlayer(tab, address, "video.js", f"{url}/cam/index.m3u8")
                    for url in (server.url, f"http://127.0.0.1:{port}")
                ]
                stood = _play(players, PLAY_S)
        finally:
            publisher.stop()

    assert max(stood) <= STOOD_MAX_S, stood


def test_r3_stock_players_play_on_when_a_publisher_is_lost_and_back(tmp_path):
    """The last picture until it is back, then the show, in each of them."""
    server = Server(tmp_path)
    with running(server), pages() as address, chromium() as tab:
        key = open_stream(server, "cam", "0")
        publisher = SmallPublisher(server, "cam", key)
        wait_live(server, None, "cam")
        url = f"{server.url}/cam/index.m3u8"
        _until_segments(url)
        tabs = [PagePlayer(tab, address, name, url) for name in NAMES]
        programs = [ProcessPlayer(name, url, tmp_path) for name in COMMANDS]
        players: list[PagePlayer | ProcessPlayer] = [*tabs, *programs]
        try:
            _until_all_play(players)
            publisher.stop(hard=True)
            tabs[0].wait(AWAY_S)
            publisher = SmallPublisher(server, "cam", key)
            tabs[0].wait(BACK_S + STEADY_S)
            end_s = time.time()
            stood = {p.name: stood_s(p.samples(), end_s - STEADY_S, end_s) for p in players}
        finally:
            publisher.stop(hard=True)
            for program in programs:
                program.close()
                print(program.name, program.log())

    assert max(stood.values()) <= STOOD_MAX_S, stood


def test_r5_hls_js_and_ffmpeg_play_on_when_an_http_process_is_killed(tmp_path):
    """The one that takes its place has no window yet: it holds their questions until it has."""
    server = Server(tmp_path, http_processes=2)
    with running(server), pages() as address, chromium() as tab:
        key = open_stream(server, "cam", "0")
        publisher = SmallPublisher(server, "cam", key)
        wait_live(server, None, "cam")
        url = f"{server.url}/cam/index.m3u8"
        _until_segments(url)
        player = PagePlayer(tab, address, "hls.js", url)
        program = ProcessPlayer("ffmpeg", url, tmp_path)
        try:
            _until_all_play([player, program])
            os.kill(server.children("processes.http --config")[0], signal.SIGKILL)
            player.wait(KILLED_S + STEADY_S)
            end_s = time.time()
            stood = {
                p.name: stood_s(p.samples(), end_s - STEADY_S, end_s) for p in (player, program)
            }
            fatal = [note for note in player.notes() if note[1] == "fatal"]
        finally:
            publisher.stop(hard=True)
            program.close()
            print(program.log())

    assert not fatal
    assert max(stood.values()) <= STOOD_MAX_S, stood


def _until_segments(url: str) -> None:
    """Wait for whole segments: FFmpeg knows nothing of parts."""
    media = next(line for line in get(url)[1].decode().splitlines() if not line.startswith("#"))
    until(lambda: get(urljoin(url, media))[1].count(b"#EXTINF") >= 3, "whole segments to play")


def _until_all_play(players: Sequence[PagePlayer | ProcessPlayer]) -> None:
    def waiting() -> list[str]:
        return [p.name for p in players if not any(s.place > 0 for s in p.samples())]

    try:
        until(lambda: not waiting(), "all play", 60)
    except AssertionError as error:
        raise AssertionError(f"{waiting()} do not play") from error


def _play(players: Sequence[PagePlayer], seconds: float) -> list[float]:
    """Let all play for so long once all have begun; return how long each stood in that time."""
    for player in players:
        player.wait_playing()
    from_s = time.time() + START_S
    players[0].wait(seconds + START_S)
    return [stood_s(player.samples(), from_s, from_s + seconds) for player in players]
