"""How a process of ours ends by a signal."""

import signal
import subprocess
import sys

import pytest

_RUN = """
import signal, sys
from mediaserver.processes import bootstrap
from mediaserver.settings.records import Settings

signal.signal(signal.SIGHUP, getattr(signal, sys.argv[1]))

async def main(stop):
    print("ready", flush=True)
    await stop.wait()
    print("drained", flush=True)

sys.exit(bootstrap.run("test", Settings(), main))
"""


def run(hangup, *signals):
    """Return the exit code and all that the process wrote."""
    with subprocess.Popen(
        [sys.executable, "-c", _RUN, hangup], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for number in signals:
            process.send_signal(number)
        rest = process.stdout.read()
        return process.wait(timeout=10), rest


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_o4_every_signal_that_ends_a_process_drains_it_first(number):
    """A closed ssh or `kill -HUP` never ends the server without its orderly stop."""
    assert run("SIG_DFL", number) == (0, "drained\n")


def test_o4_nohup_is_respected():
    """Who started the server under nohup wants a closing terminal to end nothing."""
    program = _RUN.replace("await stop.wait()", "await asyncio.wait_for(stop.wait(), 0.5)")
    program = "import asyncio\n" + program
    with subprocess.Popen(
        [sys.executable, "-c", program, "SIG_IGN"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        out, errors = process.communicate(timeout=10)

    assert "drained" not in out
    assert "TimeoutError" in errors
