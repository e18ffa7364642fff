"""What an HTTP process writes into the watch page."""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from aiohttp.test_utils import make_mocked_request

from mediaserver.hls.addresses import Address, WatchPage
from mediaserver.playback_token import Grant, mint
from mediaserver.processes.bootstrap import Start
from mediaserver.processes.http import HttpProcess
from mediaserver.settings.records import Settings
from metering.units import AccountId, SessionId, StreamPolicy

STREAM = StreamPolicy(UUID(int=1), "cam", "Cam", ())
ACCOUNT = AccountId(b"\x07" * 32)
KEYS = ((1, b"k" * 32),)


async def test_v1_page_sends_a_viewer_to_a_top_up_in_their_name(tmp_path):
    """The links were literally `?account={account}`; without a viewer there is none."""
    settings = Settings()
    price = replace(settings.price, top_up_url="https://pay.example.org/?account={account}")
    start = Start(replace(settings, price=price), None, tmp_path, argparse.Namespace())
    process = HttpProcess(start, 0)
    rest: Any = SimpleNamespace(token_keys=KEYS, is_top_up_open=False)
    known: Any = SimpleNamespace(rest=rest)
    process._known = known
    process._watch_page._find = {"cam": STREAM}.get
    token = mint(Grant(ACCOUNT, STREAM.stream, SessionId(1), int(time.time()) + 60), KEYS)

    page, asked = process._watch_page, make_mocked_request("GET", "/cam/")
    known = page.boot(page._visit(asked, Address(WatchPage("cam"), token)))["top_up"]["url"]
    unknown = page.boot(page._visit(asked, Address(WatchPage("cam"))))["top_up"]["url"]
    assert known == f"https://pay.example.org/?account=0x{ACCOUNT.hex()}"
    assert unknown == ""
