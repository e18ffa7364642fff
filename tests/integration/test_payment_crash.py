"""A payment's notice and kill -9."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_a_notice_is_whole_or_absent_wherever_the_process_dies(tmp_path) -> None:
    """And the provider's next try of it books it, once."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulate.payment_crash", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )

    assert done.returncode == 0, done.stderr
    steps, whole = map(int, re.findall(r"\d+", done.stdout))
    assert steps > 20
    assert whole >= 1
