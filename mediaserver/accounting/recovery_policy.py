"""What recovery must know of the settings."""

from __future__ import annotations

from mediaserver.settings.records import Settings
from metering.model.spending_limits import operator_limits
from metering.recovery.shard_state import RecoveryPolicy


def recovery_policy(settings: Settings, *, has_joins: bool) -> RecoveryPolicy:
    """Return it.

    Args:
        has_joins: Batches are settled on a chain.
    """
    return RecoveryPolicy(
        watched_hours=settings.metering.watched_hours,
        cut_period_s=settings.metering.cut_period_s,
        window_ms=settings.hls.window_ms,
        limits=operator_limits(settings.price),
        has_joins=has_joins,
    )
