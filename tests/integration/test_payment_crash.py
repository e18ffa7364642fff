"""Money that comes or goes back, and kill -9."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


pytestmark = pytest.mark.timeout(300)
"""A program dies and goes on 60 times: half a minute, and minutes on a busy machine."""


def run(program: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", f"tests.simulate.{program}", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_comes_or_goes_back_is_whole_or_absent_wherever_the_process_dies(tmp_path) -> None:
    """And the next try of it books it, once."""
    lines = run("payment_crash", tmp_path).splitlines()

    for line in lines:
        steps, whole = map(int, re.findall(r"\d+", line))
        assert steps > 20, line
        assert whole >= 1, line
    assert len(lines) == 3


def test_bad_seconds_go_back_whole_or_not_yet_wherever_the_process_dies(tmp_path) -> None:
    """By a rule, with the batch that settles them, and in receipts; repeated, it is done once."""
    lines = run("bad_seconds_crash", tmp_path).splitlines()

    for line in lines:
        steps, whole = map(int, re.findall(r"\d+", line))
        assert steps > 10, line
        assert whole >= 1, line
    assert len(lines) == 3


def test_a_shared_stream_is_whole_at_each_of_its_steps(tmp_path) -> None:
    """A table with the prices that begin with it, a batch with each payee's part, a payout."""
    lines = run("split_crash", tmp_path).splitlines()

    for line in lines:
        steps, whole = map(int, re.findall(r"\d+", line))
        assert steps > 4, line
        assert whole >= 1, line
    assert [line.partition(":")[0] for line in lines] == ["table", "batch", "payout"]


def test_a_withdrawal_is_whole_or_absent_in_the_book_and_in_redis(tmp_path) -> None:
    """The money is spent, or on its way out, or neither; asked again it goes out once."""
    steps, whole = map(int, re.findall(r"\d+", run("withdrawal_crash", tmp_path)))

    assert steps > 20
    assert whole >= 2


def test_a_payout_is_whole_or_absent_at_each_of_its_steps(tmp_path) -> None:
    """Asked for, approved, paid: the bank's word and the earnings that leave are one."""
    lines = run("payout_crash", tmp_path).splitlines()

    for line in lines:
        steps, whole = map(int, re.findall(r"\d+", line))
        assert steps > 10, line
        assert whole >= 1, line
    assert [line.partition(":")[0] for line in lines] == ["requested", "approved", "paid"]


def test_a_pass_is_whole_or_absent_in_the_book_and_in_redis(tmp_path) -> None:
    """Paid, posted and covering, or none of it; asked again it is bought once."""
    steps, whole = map(int, re.findall(r"\d+", run("pass_crash", tmp_path)))

    assert steps > 15
    assert whole >= 2


def test_an_automatic_top_up_is_one_payment_wherever_the_process_dies(tmp_path) -> None:
    """Looked at, asked for, taken by the provider, told: done again it is the same one."""
    steps, payments = map(
        int, re.findall(r"\d+", run("auto_top_up_crash", tmp_path).splitlines()[-1])
    )

    assert steps > 40
    assert payments == steps + 1
