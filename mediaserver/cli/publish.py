"""``vilokanam publish``: send a file or a test picture to a WHIP endpoint."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any, Final

from mediaserver.cli.errors import EXIT_USAGE, CliError
from mediaserver.errors import AccessDeniedError, PublishError

TEST_PICTURE: Final = "testsrc"


def add(groups: Any) -> None:
    """Add the command."""
    parser: argparse.ArgumentParser = groups.add_parser(
        "publish", help="send a file or a test picture over WHIP until Ctrl-C"
    )
    parser.add_argument("source", metavar="FILE|testsrc")
    parser.add_argument("url", help="the stream's WHIP address: http://host/<stream>/whip")
    parser.add_argument("--key", help="the stream key; better in VILOKANAM_STREAM_KEY")
    parser.add_argument(
        "--insecure",
        action="store_true",
        help="take any certificate: a server in between can read the stream key",
    )
    parser.add_argument("--quiet", action="store_true", help="print faults alone")
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
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    # The codecs take most of a second to load: only this command pays for them.
    from mediaserver.whip_client import client  # noqa: PLC0415

    def tell(line: str, is_fault: bool) -> None:
        if is_fault or not arguments.quiet:
            print(line, file=sys.stderr if is_fault else sys.stdout, flush=True)

    try:
        if arguments.source == TEST_PICTURE:
            client.publish_test_picture(
                arguments.url, key, stop, is_insecure=arguments.insecure, tell=tell
            )
        else:
            client.publish_file(
                Path(arguments.source),
                arguments.url,
                key,
                stop,
                is_insecure=arguments.insecure,
                tell=tell,
            )
    except AccessDeniedError as error:
        raise CliError(f"the stream key was refused: {error.reason}") from error
    except PublishError as error:
        raise CliError(str(error)) from error
    except OSError as error:
        raise CliError(f"{arguments.source} cannot be published: {error}") from error
    return 0
