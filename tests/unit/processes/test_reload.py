"""What SIGHUP changes in a running server."""

import json
import subprocess
import sys
from dataclasses import replace

from mediaserver.processes.reload import changed_keys
from mediaserver.settings.records import Settings


def test_o4_a_reload_names_the_keys_that_differ():
    """What is taken over, and what only a start reads, is told by key."""
    old = Settings()
    new = replace(
        old,
        log=replace(old.log, level="debug"),
        server=replace(old.server, port=9000),
    )

    assert changed_keys(old, old) == ()
    assert changed_keys(old, new) == ("server.port", "log.level")


def test_o4_the_log_level_changes_while_a_process_runs():
    """Loggers that have spoken before follow too."""
    program = (
        "from mediaserver import log\n"
        "log.configure('json', 'info', 'test')\n"
        "logger = log.get('room')\n"
        "logger.debug('a.b.one'); logger.info('a.b.two')\n"
        "log.set_level('debug'); logger.debug('a.b.three')\n"
        "log.set_level('error'); logger.warning('a.b.four'); logger.error('a.b.five')\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    lines = [json.loads(line)["event"] for line in done.stderr.splitlines()]
    assert lines == ["a.b.two", "a.b.three", "a.b.five"]
