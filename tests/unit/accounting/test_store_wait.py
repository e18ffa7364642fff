"""A wait without end says what for (O17)."""

from structlog.testing import capture_logs

from mediaserver.accounting.store_wait import StoreWait
from metering.errors import StoreRefusedError, StoreUnavailableError


def test_o17_what_is_waited_for_has_a_place_a_reason_and_a_beginning():
    """An operator reads it in `/readyz` and `systemctl status`; the time stays while it lasts."""
    texts = []
    now_ms = [1_700_000_000_000]
    wait = StoreWait("redis://db:6379", lambda: now_ms[0], lambda: texts.append(wait.text))
    assert "not yet recovered" in wait.text

    with capture_logs() as logs:
        wait.failed(StoreUnavailableError("Redis: invalid username-password pair"))
        now_ms[0] += 5_000
        wait.failed(StoreUnavailableError("Redis: invalid username-password pair"))

    [text] = texts
    assert text.startswith("redis://db:6379: Redis: invalid username-password pair; waiting since")
    assert text.endswith(" 2023-11-14T22:13:20+00:00: priced media is refused")
    assert [line["event"] for line in logs] == ["money.store.unavailable"]

    wait.failed(StoreRefusedError("appendonly is no: set it to yes"))
    assert texts[-1].startswith("redis://db:6379: appendonly is no: set it to yes; waiting since")

    wait.recovered()
    wait.over()
    assert wait.text == ""
    wait.tell("it went away")
    assert "2023-11-14T22:13:25" in wait.text
