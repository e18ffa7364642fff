"""The log: one line of JSON for whatever happens, and nothing secret in it."""

import json
import subprocess
import sys

import pytest

_SERVE = """
import asyncio, sys
from aiohttp import web
from mediaserver import log

async def handler(_request):
    return web.Response()

async def main():
    log.configure("json", "info", "test")
    runner = web.ServerRunner(web.Server(handler, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    reader, writer = await asyncio.open_connection(*runner.addresses[0])
    writer.write(sys.stdin.buffer.read())
    print((await reader.readline()).decode())
    writer.close()
    await runner.cleanup()

asyncio.run(main())
"""
_SPEAK = """
import logging
from mediaserver import log

log.configure("json", "info", "test")
logging.getLogger("some.library").error("it broke: %s", "pump")
logging.getLogger("some.library").warning("it creaks")
"""

_REPEAT = """
import logging
from mediaserver import log

log.configure("json", "info", "test")
seconds = 0.0
handler = log._Libraries(lambda: seconds)
for number in range(250):
    seconds = number / 100
    for text, given in (("it broke: pump %d", (number,)), ("it creaks", ())):
        handler.emit(logging.LogRecord("some.library", logging.ERROR, "", 0, text, given, None))
"""

_UNWRITABLE = """
import os
import sys
from mediaserver import log

sys.stderr = {stderr}
log.configure("{format}", "info", "test")
for _ in range(100):
    log.get("test").warning("test.thing.happened", text="x" * 1000)
print("goes on", flush=True)
os._exit(0)  # the interpreter's own end writes what is left
"""


def run(program: str, given: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [sys.executable, "-c", program], input=given, capture_output=True, check=True, timeout=60
    )


@pytest.mark.parametrize(
    "raw",
    [
        b"GET /w/secret-token/cam/ HTTP/1.1\r\nAuthorization: Bearer secret\x01key\r\n\r\n",
        b"GET /w/secret-" + b"t" * 9000 + b" HTTP/1.1\r\n\r\n",
        b"secret junk\r\n\r\n",
    ],
)
def test_a_broken_request_leaves_no_trace_in_the_log(raw) -> None:
    """A stranger can neither fill the log with tracebacks nor make it quote a viewer's token."""
    done = run(_SERVE, raw)

    assert b" 400 " in done.stdout
    assert done.stderr == b""


def test_a_library_speaks_in_lines_like_ours() -> None:
    """An operator who reads the log as JSON can read every line of it."""
    done = run(_SPEAK)

    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(line["event"], line["level"], line["message"]) for line in lines] == [
        ("library.fault.met", "error", "it broke: pump"),
        ("library.warning.given", "warning", "it creaks"),
    ]


def test_a_l1_line_of_a_library_that_repeats_is_written_once_a_second() -> None:
    """A request that fails each time costs a line a second, with how many it counts."""
    done = run(_REPEAT)

    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(line["message"], line["times"]) for line in lines] == [
        ("it broke: pump 0", 1),
        ("it creaks", 1),
        ("it broke: pump 100", 100),
        ("it creaks", 100),
        ("it broke: pump 200", 100),
        ("it creaks", 100),
    ]


@pytest.mark.parametrize("kind", ["json", "console"])
@pytest.mark.parametrize("stderr", ["open('/dev/full', 'w')", "None"])
def test_a_line_that_cannot_be_written_ends_nothing(stderr, kind) -> None:
    """A full disk under the log, or nobody who reads it, stops no broadcast."""
    done = run(_UNWRITABLE.format(stderr=stderr, format=kind))

    assert done.stdout == b"goes on\n"
