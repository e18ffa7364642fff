"""What control waits for before it may lend the store: for the log, `/readyz` and the page."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from mediaserver import log
from metering.errors import MeteringError, StoreRefusedError
from metering.log_throttle import LogThrottle

_STARTING: Final = "Redis is not yet recovered: priced media is refused"
_log = log.get("money")


class StoreWait:
    """One wait after another, each told with its reason and its beginning.

    Attributes:
        text: What is waited for, in words; empty while the store is lent.
    """

    def __init__(self, place: str, now_ms: Callable[[], int], changed: Callable[[], None]) -> None:
        """Begin with a wait.

        Args:
            place: Where Redis is, without its password.
            changed: Called when `text` is another.
        """
        self.text = _STARTING
        self._place = place
        self._now_ms = now_ms
        self._changed = changed
        self._since_ms: int | None = None
        self._throttle = LogThrottle()

    def failed(self, error: MeteringError) -> None:
        """Log a failure that lasts at once, when it changes and each minute; tell it."""
        reason = str(error)
        count = self._throttle.failed(reason)
        if count and isinstance(error, StoreRefusedError):
            _log.error("money.store.refused", reason=reason, times=count)
        elif count == 1:
            _log.warning("money.store.unavailable", reason=reason)
        elif count:
            _log.error("money.store.missing", reason=reason, times=count)
        self.tell(reason)

    def tell(self, reason: str) -> None:
        """Say what is waited for."""
        if self._since_ms is None:
            self._since_ms = self._now_ms()
        since = datetime.fromtimestamp(self._since_ms / 1000, UTC).isoformat(timespec="seconds")
        text = f"{self._place}: {reason}; waiting since {since}: priced media is refused"
        if text != self.text:
            self.text = text
            self._changed()

    def recovered(self) -> None:
        """Note that the store is there: a later failure is a new one."""
        self._throttle.succeeded()
        self._since_ms = None

    def over(self) -> None:
        """Note that the store is lent from now on."""
        self.text = ""
