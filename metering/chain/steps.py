"""Every await between the book and the chain has a name, and a hook before and after it.

The soak kills the process at each of them; it lists them from `Step`, and tests/meta/test_steps.py
holds the code to it: an `await` of the settler or of a back end that is not under `at` turns red.
Without a hook a step costs one comparison.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from enum import Enum
from typing import TypeVar

T = TypeVar("T")


class Step(Enum):
    """Where settlement may be cut off; each has a *before* and an *after*."""

    READ_OPEN = "read open batches from the book"
    READ_ATTEMPTS = "read signed bytes from the book"
    READ_LIMITS = "ask the chain for its limits"
    READ_CLOCK = "read when the last batch was sealed"
    SEAL = "seal entries into batches"
    SPLIT = "seal a batch again in smaller ones"
    COMPARE = "read what the chain itself keeps of entries"
    ADOPT = "take over what the chain has settled beyond the book"
    LOOK = "look at finalized state"
    SIGN = "have a batch signed"
    KEEP = "keep signed bytes"
    SUBMIT = "hand signed bytes over"
    NOTE = "note a batch's state"
    FINALIZE = "write the outcome with its postings"
    RECEIPTS = "make receipts"
    FORGET = "let Redis forget"
    COMPACT = "merge what is final into history"
    EXPOSURE = "add up what is booked and not final"
    LEASE = "take or renew the lease"
    CHAIN_FINALIZED = "read the finalized head"
    CHAIN_BEST = "read the best head"
    CHAIN_GENESIS = "read the genesis hash"
    CHAIN_RUNTIME = "read the runtime"
    CHAIN_OPERATOR = "read the operator's last sequence"
    CHAIN_NONCE = "read the account's nonce"
    CHAIN_OUTCOME = "read the outcome of a batch"
    CHAIN_SESSIONS = "read the sessions of entries"
    CHAIN_SCAN = "read a block in search of an extrinsic"
    CHAIN_EVENTS = "read why an extrinsic failed"
    CHAIN_BIRTH = "read the hash of an era's birth"
    CHAIN_WEIGHT = "ask what an extrinsic weighs"
    CHAIN_SUBMIT = "send an extrinsic to the pool"


_hook: Callable[[Step, str], None] | None = None


def set_hook(hook: Callable[[Step, str], None] | None) -> None:
    """Call `hook` with each step and ``"before"`` or ``"after"``; for tests only."""
    global _hook  # noqa: PLW0603 -- one process, one hook
    _hook = hook


async def at(step: Step, work: Awaitable[T]) -> T:
    """Return what `work` gives, with the hook called before and after it."""
    if _hook is None:
        return await work
    try:
        _hook(step, "before")
    except BaseException:
        if isinstance(work, Coroutine):
            work.close()
        raise
    result = await work
    _hook(step, "after")
    return result
