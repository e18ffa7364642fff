"""A forked process says in `ps` what it is, however short its parent's command line was."""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import json, os, sys
from mediaserver.processes.process_title import set_title
set_title("http-0", json.loads(os.environ["WORDS"]))
with open("/proc/self/cmdline", "rb") as line, open("/proc/self/comm") as name:
    shown = line.read().decode(), name.read().strip()
inherited = os.popen("echo $MARK").read().strip()
print(json.dumps([*shown, os.environ["MARK"], inherited]))
"""


@pytest.mark.parametrize("words", [("a",), ("python", "-m", "http", *"0123456789" * 20)])
def test_a_title_reaches_into_the_environment_which_stays(words) -> None:
    """`ps` shows more than the process was started with; its variables are as they were."""
    environ = {"WORDS": json.dumps(words), "MARK": "here", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environ, capture_output=True, check=True
    )
    line, name, *variables = json.loads(done.stdout)

    assert line.rstrip("\0") == " ".join(words)
    assert name == "http-0"
    assert variables == ["here", "here"]
