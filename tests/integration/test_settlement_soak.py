"""A bounded slice of `make soak`: settlers that kill themselves, a chain that goes wrong."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.servers import chopsticks

ROOT = Path(__file__).parents[2]
SOAK = "tests.simulate.settlement_soak"


@pytest.mark.timeout(300)
def test_kills_and_faults_lose_nothing_and_bill_nothing_twice():
    """Some rounds of the soak; all of it, with every step killed at, is `make soak`."""
    chopsticks.require()

    done = subprocess.run(
        [sys.executable, "-m", SOAK, "--rounds", "25", "--seed", "4", "--may-be-empty"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=280,
    )

    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "kills" in done.stdout
