"""Money that comes or goes back, and kill -9."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_what_comes_or_goes_back_is_whole_or_absent_wherever_the_process_dies(tmp_path) -> None:
    """And the next try of it books it, once."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulate.payment_crash", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )

    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        steps, whole = map(int, re.findall(r"\d+", line))
        assert steps > 20, line
        assert whole >= 1, line
    assert len(done.stdout.splitlines()) == 3
