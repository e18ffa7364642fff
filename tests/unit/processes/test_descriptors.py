"""A-M5: 1,200 idle connections under the usual soft limit of 1,024 shut everybody out."""

import subprocess
import sys

import pytest

_RAISE = """
import resource, sys
soft, hard = int(sys.argv[1]), int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
from mediaserver import log
from mediaserver.processes import descriptors
log.configure("json", "info", "server")
print(descriptors.raise_limit(), resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "is_low"), [(256, 1024, True), (1024, 1024, True), (256, 8192, False)]
)
def test_a_m5_soft_limit_becomes_the_hard_one_and_a_low_one_is_logged(soft, hard, is_low):
    """Who starts the server need not know of ulimit; who set it low reads so in the log."""
    done = subprocess.run(
        [sys.executable, "-c", _RAISE, str(soft), str(hard)],
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
    )

    assert done.stdout == f"{hard} ({hard}, {hard})\n"
    assert ("server.descriptors.low" in done.stderr) is is_low
