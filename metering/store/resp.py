"""RESP by hand: commands to bytes, claims to commands, replies to answers.

The claims connection speaks RESP2 itself, since one redis-py call costs three times the CPU. This
file, address.py and store_connection.py alone import a Redis library.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence
from importlib import resources
from typing import Any, Final

import hiredis

from metering.errors import InvalidValueError
from metering.model.price import TICKS_PER_CLAIM_MAX, UNITS_MAX, UNITS_PER_TICK_MAX
from metering.ports import Claim, ClaimAnswer
from metering.store import keys
from metering.units import FREE_LIST, Units, Verdict

REPLY_ERROR: Final = hiredis.ReplyError
"""What the reader returns (not raises) for an error reply."""
EPOCH_DIFFERS: Final = b"EPOCH"
"""What a script answers when the shard is not of the epoch in the command."""
_HEAD: Final = struct.Struct(">32s16sQIIII")
_COUNT: Final = struct.Struct(">H")
_RUN: Final = struct.Struct(">QIIQ")
_U32_MAX: Final = 2**32 - 1
_VERDICTS: Final = (
    Verdict.GRANTED,
    Verdict.PURSE,
    Verdict.LIMIT,
    Verdict.SESSION,
    Verdict.PACE,
    Verdict.TOO_OLD,
    Verdict.FUTURE,
)


class Script:
    """One Lua script: its text and the name that Redis knows it by.

    Attributes:
        name: File name without ``.lua``.
        text: What is loaded: common.lua, guard.lua when it is fenced, then the file.
        sha: 40 hexadecimal digits.
    """

    def __init__(self, name: str, *, is_fenced: bool = False) -> None:
        folder = resources.files("metering.store") / "scripts"
        self.name = name
        files = ("common", *(("guard",) if is_fenced else ()), name)
        self.text = b"".join((folder / f"{file}.lua").read_bytes() for file in files)
        self.sha = hashlib.sha1(self.text, usedforsecurity=False).hexdigest().encode()


def reader() -> Any:
    """Return a RESP reader: `feed` bytes, `gets` replies, False while none is complete."""
    return hiredis.Reader()


def command(*words: bytes) -> bytes:
    """Return one command as RESP."""
    parts = [b"*%d\r\n" % len(words)]
    parts += [b"$%d\r\n%b\r\n" % (len(word), word) for word in words]
    return b"".join(parts)


def pack_claim(claim: Claim) -> bytes:
    """Return a claim as the scripts unpack it, big-endian without padding.

    One head (account 32 B, stream 16 B, session u64, video ms u32, audio ms u32, show u32, preview
    ticks u32, cap units as decimal digits after their count u8 (0: none), runs u16), then per run
    (first tick u64, count u32, price version u32, units per tick u64).

    Raises:
        InvalidValueError: If the runs overlap, or a number is out of its range.
    """
    ticks = 0
    end = 0
    for priced in claim.runs:
        run = priced.run
        if run.count < 1 or run.first < end:
            raise InvalidValueError(f"runs {claim.runs} are not sorted and disjoint")
        is_listed = priced.version == FREE_LIST and priced.units_per_tick == 0
        if not is_listed and not 0 < priced.units_per_tick <= UNITS_PER_TICK_MAX:
            raise InvalidValueError(f"{priced.units_per_tick} units per tick cannot be counted")
        ticks += run.count
        end = run.first + run.count
    if ticks > TICKS_PER_CLAIM_MAX:
        raise InvalidValueError(f"a claim of {ticks} ticks is above {TICKS_PER_CLAIM_MAX}")
    numbers = (claim.video_ms, claim.audio_ms, claim.cover.show, claim.cover.preview_ticks)
    if not all(0 <= number <= _U32_MAX for number in numbers):
        raise InvalidValueError(f"durations, show or preview {numbers} are out of range")
    head = _HEAD.pack(claim.account, claim.stream, claim.session, *numbers)
    return b"".join(
        [
            head,
            b"\0" if claim.cover.cap_units is None else _digits(claim.cover.cap_units),
            _COUNT.pack(len(claim.runs)),
            *[_RUN.pack(p.run.first, p.run.count, p.version, p.units_per_tick) for p in claim.runs],
        ]
    )


def _digits(units: Units) -> bytes:
    """Return an amount as the scripts hand it on to Redis: a Lua number could not hold it."""
    if not 0 < units <= UNITS_MAX:
        raise InvalidValueError(f"a cap of {units} units is not in 1..{UNITS_MAX}")
    digits = b"%d" % units
    return bytes([len(digits)]) + digits


def claims_command(
    script: Script,
    shard: int,
    epoch: bytes,
    packed: Iterable[bytes],
    *,
    watched_s: int,
    cap: int,
) -> bytes:
    """Return one EVALSHA that carries claims, or evidence, of one shard.

    Args:
        script: ``claim`` or ``evidence``.
        shard: Of all the claims.
        epoch: What the shard's marker must be.
        packed: From `pack_claim`.
        watched_s: Seconds after which a tick is too old.
        cap: What a pace bucket holds, fifths of a millisecond.
    """
    return command(
        b"EVALSHA",
        script.sha,
        b"1",
        keys.epoch(shard),
        epoch,
        b"%d" % watched_s,
        b"%d" % cap,
        *packed,
    )


def answers(reply: Sequence[Any]) -> list[ClaimAnswer]:
    """Return the answers in the order of the claims: five values each."""
    values = iter(reply)
    return [
        ClaimAnswer(_VERDICTS[code], new_ticks, Units(cost), Units(int(balance)), covered)
        for code, new_ticks, cost, balance, covered in zip(*[values] * 5, strict=True)
    ]
