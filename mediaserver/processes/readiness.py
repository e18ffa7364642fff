"""``/readyz`` of an HTTP process: whether it can serve what is paid for, and what keeps it."""

from __future__ import annotations

import contextlib

from aiohttp import web

from mediaserver.clock import Clock
from mediaserver.ipc.messages import Policy
from metering.admission.gate import LocalGate
from metering.errors import StoreUnavailableError
from metering.store.claim_client import RawClaims
from metering.store.clock_check import apart_fault


async def ready(
    policy: Policy | None, gate: LocalGate, claims: RawClaims, clock: Clock
) -> web.Response:
    """Return 200, or 503 and the faults in words.

    Args:
        policy: What control said last; None: it was not heard of.
    """
    faults = []
    if policy is None:
        faults.append("control has not been heard of")
    of_control = policy.faults if policy is not None else ()
    faults.extend(of_control)
    if not gate.is_ready and not of_control:
        faults.append("Redis is away or not yet recovered: priced media is refused")
    if claims.refusal:
        faults.append(f"Redis refuses claims, and so is priced media: {claims.refusal}")
    with contextlib.suppress(StoreUnavailableError):  # told above
        before_ms, redis_ms = clock.now_ms(), await claims.redis_ms()
        apart = apart_fault((before_ms + clock.now_ms()) // 2, redis_ms)
        faults += [apart] if apart else []
    if faults:
        return web.json_response({"ready": False, "faults": faults}, status=503)
    return web.json_response({"ready": True})
