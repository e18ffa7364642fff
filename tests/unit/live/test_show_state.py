"""The file that lets a restart go on with a show."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from uuid import UUID

import pytest

from mediaserver.live.show_state import ShowFile, ShowState, resumable

STATE = ShowState(
    show=1_800_000_000,
    msn=7,
    planned_end_ms=1_800_000_020_000,
    discontinuity_sequence=1,
    origin_ms=1_800_000_000_123,
    audio_only=False,
    part_target_ms=500,
    target_duration_s=3,
)


async def test_state_is_read_back(tmp_path):
    """What was saved last is what a new worker finds."""
    file = ShowFile(tmp_path / "shows" / "s.json")
    await file.save(STATE)
    await file.save(ShowState(**{**asdict(STATE), "msn": 8}))

    assert (await file.load()).msn == 8
    assert [path.name for path in (tmp_path / "shows").iterdir()] == ["s.json"]


async def test_a_state_that_cannot_be_kept_leaves_no_older_one(tmp_path):
    """On a full disk a restart begins a new show: the old file's numbers are in use by now."""
    file = ShowFile(tmp_path / "s.json")
    await file.save(STATE)
    (tmp_path / "s.new").mkdir()  # as good as a full disk: nothing can be written

    with pytest.raises(OSError, match="directory"):
        await file.save(ShowState(**{**asdict(STATE), "msn": 8}))

    assert await file.load() is None


async def test_no_file_is_no_show(tmp_path):
    """A stream that never was live has nothing to go on with."""
    assert await ShowFile(tmp_path / "none.json").load() is None


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b"\xff",
        json.dumps({**asdict(STATE), "msn": "7"}).encode(),
        json.dumps({**asdict(STATE), "more": 1}).encode(),
    ],
)
async def test_damaged_file_is_no_show(tmp_path, text):
    """A file that cannot be trusted begins a new show rather than none."""
    path = tmp_path / "s.json"
    path.write_bytes(text)

    assert await ShowFile(path).load() is None


async def test_disk_that_refuses_is_said(tmp_path):
    """The caller decides what a lost state means."""
    (tmp_path / "shows").write_bytes(b"not a directory")

    with pytest.raises(OSError, match="shows"):
        await ShowFile(tmp_path / "shows" / "s.json").save(STATE)


async def test_r5_shows_that_may_go_on_are_known_after_a_restart(tmp_path):
    """Not those that ended, that waited too long, or that nobody can read."""
    kept = {
        1: STATE,
        2: replace(STATE, ended=True),
        3: replace(STATE, planned_end_ms=STATE.planned_end_ms - 60_000),
    }
    for number, state in kept.items():
        await ShowFile(tmp_path / f"{UUID(int=number)}.json").save(state)
    (tmp_path / f"{UUID(int=4)}.json").write_text("{")
    await ShowFile(tmp_path / "else.json").save(STATE)

    found = list(resumable(tmp_path, STATE.planned_end_ms + 15_000, wait_s=60))

    assert found == [(UUID(int=1), STATE.show, 45.0)]
