"""Control's side of the store for one account at a time: sessions, deposits, limits, joins.

What the scripts decide is written in them. `Store` is this, cuts and recovery.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Final

from metering.errors import InvalidValueError
from metering.model.join_caps import JoinCaps
from metering.model.passes import Pass
from metering.model.price import UNITS_MAX
from metering.store import keys
from metering.store.owned_store import OwnedStore
from metering.store.rebuild import ShardWriter, caps_fields
from metering.store.records import SessionGrant
from metering.store.store_connection import errors_as_unavailable
from metering.units import AccountId, SessionId, Units, Verdict, shard_of

_SLOT: Final = struct.Struct(">IIQII")
"""A session's field ``b`` (scripts/common.lua): two buckets, when they were that full, and more."""


_BOUGHT: Final = (Verdict.GRANTED, Verdict.PURSE, Verdict.LIMIT)
"""By what scripts/buy_pass.lua answers."""


class AccountStore(OwnedStore):
    """Sessions and balances in Redis."""

    def __init__(self, url: str, fsync: str, scripts: Sequence[str], writer: ShardWriter) -> None:
        super().__init__(url, fsync, scripts)
        self._writer = writer

    async def open_session(
        self, grant: SessionGrant, max_sessions: int, follows: SessionId | None = None
    ) -> SessionId | None:
        """Let a player claim. Repeating it is harmless; an ended id stays ended.

        Args:
            follows: An ended session of the same player: what it spent counts on, and so does what
                was spent by those that replaced it.

        Returns:
            The session that had to end for it: the one whose last claim was oldest.
        """
        number = grant.session.to_bytes(8, "big")
        ended: bytes = await self._run(
            "open_session",
            keys.sessions(grant.account, grant.stream),
            keys.prefix(shard_of(grant.account)),
            grant.account + grant.stream,
            number,
            grant.join,
            grant.limit_units,
            grant.expires_ms,
            max_sessions,
            self._writer.keep_ms,
            self._writer.pace_cap,
            int(grant.is_capped),
            b"" if follows is None else follows.to_bytes(8, "big"),
        )
        return SessionId(int.from_bytes(ended, "big")) if ended else None

    async def session_state(self, account: AccountId, session: SessionId) -> str:
        """Return ``live``, the reason why a session ended, or ``gone`` when there is none."""
        async with errors_as_unavailable():
            state: bytes | None = await self._redis.hget(keys.session(account, session), "s")  # type: ignore[assignment]  # redis-py types it as if it decoded
        return "gone" if state is None else state.decode()

    async def claimed_ms(self, account: AccountId, session: SessionId) -> int | None:
        """Return when a session last claimed, or was opened, Unix time; None: there is none."""
        async with errors_as_unavailable():
            slot: bytes | None = await self._redis.hget(keys.session(account, session), "b")  # type: ignore[assignment]  # redis-py types it as if it decoded
        return None if slot is None else int(_SLOT.unpack(slot)[2])

    async def show_left(self, account: AccountId, stream: bytes, show: int) -> Units | None:
        """Return what a show may still cost; None where nothing of it was counted.

        Args:
            stream: 16 bytes.
        """
        async with errors_as_unavailable():
            left: bytes | None = await self._redis.hget(keys.counts(account, stream), f"r{show}")  # type: ignore[assignment]  # redis-py types it as if it decoded
        return None if left is None else Units(int(left))

    async def end_session(self, account: AccountId, session: SessionId, reason: str) -> bool:
        """End a session; True when it was live. `reason` is one word, shown by the live meter."""
        return bool(
            await self._run(
                "end_session", keys.session(account, session), reason, self._writer.keep_ms
            )
        )

    async def leave_session(self, account: AccountId, session: SessionId) -> bool:
        """Let another player have the slot of one who left; True when the session is live.

        It goes on, and its next claim or token takes the slot back, unless another player has it.
        """
        return bool(await self._run("leave_session", keys.session(account, session)))

    async def limit_session(
        self, account: AccountId, session: SessionId, limit_units: Units
    ) -> bool:
        """Set what a session may spend in all, 0 for no limit; False when there is none such."""
        key = keys.session(account, session)
        return bool(await self._run("limit_session", key, int(limit_units)))

    async def set_deposits(self, account: AccountId, total_units: Units) -> Units:
        """Set the sum of all deposits of an account; return the balance. Idempotent.

        The last call counts, so a caller reads the sum and sets it in one go.
        """
        if not 0 <= total_units <= UNITS_MAX:
            raise InvalidValueError(f"deposits of {total_units} units are not in 0..{UNITS_MAX}")
        return Units(int(await self._run("deposits", keys.balance(account), total_units)))

    async def withdraw(self, account: AccountId, units: Units) -> tuple[bool, Units]:
        """Take an amount out of a balance and of its deposits, or nothing when it is not there.

        Returns:
            Whether it was taken, and the balance.
        """
        if not 0 < units <= UNITS_MAX:
            raise InvalidValueError(f"a withdrawal of {units} units is not in 1..{UNITS_MAX}")
        is_taken, left = await self._run("withdraw", keys.balance(account), units)
        return bool(is_taken), Units(int(left))

    async def buy_pass(
        self,
        item: Pass,
        units: Units,
        limits: tuple[Units, Units],
        passes: bytes,
    ) -> tuple[Verdict, Units]:
        """Take the price of a pass out of a balance and let it cover, or do nothing; idempotent.

        Args:
            limits: What one stream, and one day, may take; 0 for no limit.
            passes: All of the account with this one (`passes.packed`).

        Returns:
            Whether it is granted, and the balance.
        """
        if not 0 < units <= UNITS_MAX:
            raise InvalidValueError(f"a pass of {units} units is not in 1..{UNITS_MAX}")
        code, balance = await self._run(
            "buy_pass",
            keys.balance(item.account),
            item.account + item.stream.bytes,
            bytes.fromhex(item.id),
            units,
            *limits,
            passes,
        )
        return _BOUGHT[code], Units(int(balance))

    async def has_pass(self, item: Pass) -> bool:
        """Return whether the store took the price of a pass."""
        async with errors_as_unavailable():
            known: bytes | None = await self._redis.hget(keys.balance(item.account), "q")  # type: ignore[assignment]  # redis-py types it as if it decoded
        return known is not None and bytes.fromhex(item.id) in known

    async def set_passes(self, account: AccountId, passes: bytes) -> None:
        """Set the passes of an account, as `passes.packed` has them."""
        await self._put(keys.balance(account), {"q": passes})

    async def set_balance(
        self, account: AccountId, total: Units, provisional: Units, frozen: Units
    ) -> Units:
        """Set all that the chain gives to and takes from a balance at once; return the balance.

        Idempotent, like `set_deposits`: each is set as it is now, never as what was added.

        Args:
            total: Deposits less withdrawals, by final events.
            provisional: Credit for deposits that are not final.
            frozen: Asked back: not to be spent. The balance may be below 0 by it.
        """
        for amount in (total, provisional, frozen):
            if not 0 <= amount <= UNITS_MAX:
                raise InvalidValueError(f"a balance of {amount} units is not in 0..{UNITS_MAX}")
        key = keys.balance(account)
        return Units(int(await self._run("deposits", key, total, provisional, frozen)))

    async def set_joins(self, joins: Sequence[JoinCaps]) -> None:
        """Set what joins may have; what they have had stays. Idempotent."""
        for caps in joins:
            await self._put(keys.counts(caps.account, caps.stream), caps_fields(caps))

    async def set_limits(
        self, account: AccountId, stream_limit_units: Units, day_limit_units: Units
    ) -> None:
        """Set what one stream, and one UTC day, may take of a balance; 0 for no limit.

        What was spent before counts too.
        """
        for limit in (stream_limit_units, day_limit_units):
            if not 0 <= limit <= UNITS_MAX:
                raise InvalidValueError(f"a limit of {limit} units is not in 0..{UNITS_MAX}")
        limits = {"m": int(stream_limit_units), "y": int(day_limit_units)}
        await self._put(keys.balance(account), limits)

    async def _put(self, key: bytes, fields: Mapping[str, bytes | int]) -> None:
        await self._run("put", key, *(word for field in fields.items() for word in field))
