"""A-M8: how much memory one stream may take."""

from __future__ import annotations

from mediaserver.processes.memory_limit import GIVE_BACK_S, MemoryLimit, Verdict, advice, used_mb


def test_a_m8_session_is_ended_once_and_the_worker_only_when_that_does_not_help():
    """A worker that gives its memory back goes on with the next publisher."""
    limit = MemoryLimit(100)
    verdicts = [limit.judge(mb, now_s) for now_s, mb in enumerate((90, 101, 150, 99, 101))]
    stuck = [limit.judge(120, 4 + GIVE_BACK_S - 1), limit.judge(120, 4 + GIVE_BACK_S)]

    go_on, end = Verdict.GO_ON, Verdict.END_SESSION
    assert verdicts == [go_on, end, go_on, go_on, end]
    assert stuck == [go_on, Verdict.END_WORKER]


def test_a_m8_advice_names_the_bound_and_what_to_change():
    text = advice(1024)

    assert "1024 MB" in text
    assert "server.worker_memory_max_mb" in text
    assert "smaller picture" in text


def test_memory_of_this_process_is_read(tmp_path):
    """What is shared with files does not count; where /proc is not as usual there is no limit."""
    assert 5 < used_mb() < 10_000
    assert used_mb(tmp_path / "status") == 0
