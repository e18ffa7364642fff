"""``vilokanam publish``: send a file or a test picture to a WHIP endpoint."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from pathlib import Path
from typing import Any, Final

from mediaserver.cli.client import EXIT_USAGE, CliError

TEST_PICTURE: Final = "testsrc"


def add(groups: Any) -> None:
    """Add the command."""
    parser: argparse.ArgumentParser = groups.add_parser(
        "publish", help="send a file or a test picture over WHIP until Ctrl-C"
    )
    parser.add_argument("source", metavar="FILE|testsrc")
    parser.add_argument("url", help="the stream's WHIP address: http://host/<stream>/whip")
    parser.add_argument("--key", help="the stream key; better in VILOKANAM_STREAM_KEY")
    parser.set_defaults(run=_publish)


def _publish(arguments: argparse.Namespace) -> int:
    key = arguments.key or os.environ.get("VILOKANAM_STREAM_KEY", "")
    if not key:
        raise CliError("no stream key: give --key or set VILOKANAM_STREAM_KEY", EXIT_USAGE)
    if arguments.source != TEST_PICTURE and not Path(arguments.source).is_file():
        raise CliError(
            f"{arguments.source} is not a file; give one, or {TEST_PICTURE} for a test picture",
            EXIT_USAGE,
        )
    asyncio.run(_send(arguments.source, arguments.url, key))
    return 0


async def _send(source: str, url: str, key: str) -> None:
    # The codecs take most of a second to load: only this command pays for them.
    from mediaserver.transcode import publisher  # noqa: PLC0415

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if source == TEST_PICTURE:
        await publisher.publish_test_picture(url, key, stop)
    else:
        await publisher.publish_file(Path(source), url, key, stop)
