"""When an account's players stop by themselves what costs something: unseen, or untouched.

A page holds itself to it: what nobody fetches nobody pays for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, insert, select, update

from mediaserver.people.schema import player_settings
from metering.units import AccountId

NEVER: Final = 0
HIDDEN_STOP_MIN_S: Final = 5
ASK_AFTER_MIN_S: Final = 60
STOP_MAX_S: Final = 86_400
ANSWER_S: Final = 60
"""How long the question waits: one comes back from another room."""


@dataclass(frozen=True, slots=True)
class PlayerSettings:
    """What an account's pages hold themselves to, seconds; `NEVER` is never.

    Attributes:
        hidden_stop_s: Hidden without sound for longer, a page stops. A minute by default: enough to
            look something up.
        ask_after_s: Untouched for longer, a page asks, and stops without an answer. Four hours by
            default: longer than a film.
    """

    hidden_stop_s: int = 60
    ask_after_s: int = 14_400


def faults(wanted: PlayerSettings) -> list[str]:
    """Return what is wrong with settings, by field."""
    bounds = {
        "hidden_stop_s": (wanted.hidden_stop_s, HIDDEN_STOP_MIN_S),
        "ask_after_s": (wanted.ask_after_s, ASK_AFTER_MIN_S),
    }
    return [
        f"{name}: {value} is not in {least} to {STOP_MAX_S} seconds, nor {NEVER} for never"
        for name, (value, least) in bounds.items()
        if value != NEVER and not least <= value <= STOP_MAX_S
    ]


def of(connection: Connection, account: AccountId) -> PlayerSettings:
    """Return an account's settings, the defaults where it set none."""
    query = select(player_settings).where(player_settings.c.account == bytes(account))
    row = connection.execute(query).one_or_none()
    return PlayerSettings() if row is None else PlayerSettings(row.hidden_stop_s, row.ask_after_s)


def put(connection: Connection, account: AccountId, wanted: PlayerSettings, now_ms: int) -> None:
    """Set an account's settings; the caller has asked for `faults`."""
    values = {
        "hidden_stop_s": wanted.hidden_stop_s,
        "ask_after_s": wanted.ask_after_s,
        "changed_ms": now_ms,
    }
    known = update(player_settings).where(player_settings.c.account == bytes(account))
    if not connection.execute(known.values(**values)).rowcount:
        connection.execute(insert(player_settings).values(account=bytes(account), **values))
