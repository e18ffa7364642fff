"""Which join a new session counts under: the viewer's open one on the chain, or why there is none.

In the journal every viewer's join is 1. On a chain a viewer joins by their own wallet; for one
whose key the server holds, it joins for them.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from mediaserver.api.context import Context, EscrowPort
from mediaserver.http.problem import ApiError
from mediaserver.playback_token import JOIN_FIRST
from metering.book.records import StreamRecord, ViewerStatus
from metering.errors import ChainUnavailableError, ExtrinsicRejectedError
from metering.model import price
from metering.units import AccountId, Planck, account_text

JOINED_S: Final = 25.0
"""A join is in a block after 6 to 12 s and seen a second or two later; a client waits 30 s."""


@dataclass(frozen=True, slots=True)
class OpenJoin:
    """What a session counts under.

    Attributes:
        number: Its join.
        is_capped: It is one of the chain: claims keep to its caps.
        till_ms: Unix time at which it ends; None for never.
    """

    number: int = JOIN_FIRST
    is_capped: bool = False
    till_ms: int | None = None


async def join_for(shared: Context, account: AccountId, stream: StreamRecord) -> OpenJoin:
    """Return the join that a new session counts under.

    Raises:
        ApiError: 402 when escrow or caps are too small, 403 when they have not joined: both name
            what is missing. 503 while a join that we made is not seen yet.
    """
    escrow = shared.escrow
    if escrow is None:
        return OpenJoin()
    in_force = price.in_force(stream.prices, shared.clock.now_ms() // 1000)
    planck = Planck(0) if in_force is None else in_force.planck_per_tick
    viewer = await escrow.viewer_status(account, stream.id)
    if not planck and not viewer.is_open:
        # Free media needs no join; priced media does.
        return OpenJoin(viewer.join.number if viewer.join else JOIN_FIRST, is_capped=True)
    if missing(viewer, planck) and await escrow.holds(account):
        viewer = await _joined(shared, escrow, account, stream, planck)
    lacks = missing(viewer, planck)
    if lacks:
        raise _problem(shared, account, stream, planck, viewer, lacks)
    join = viewer.join
    assert join is not None
    return OpenJoin(join.number, is_capped=True, till_ms=(join.till_s + viewer.skew_s) * 1000)


def missing(viewer: ViewerStatus, planck: Planck) -> tuple[str, ...]:
    """Return what a viewer lacks to watch at a price: ``escrow``, ``join``, ``price``.

    A spent escrow is no reason while they have joined: claims refuse it, and a top-up ends that
    without another token.
    """
    if viewer.join is None or not viewer.is_open:
        held = viewer.funds.net + viewer.provisional - viewer.funds.frozen
        return ("escrow", "join") if held <= 0 else ("join",)
    return ("price",) if viewer.join.max_price < planck else ()


async def _joined(
    shared: Context,
    escrow: EscrowPort,
    account: AccountId,
    stream: StreamRecord,
    planck: Planck,
) -> ViewerStatus:
    """Join for a viewer whose key we hold; return how they stand once a block has it."""
    limit = int(shared.settings.price.stream_limit_planck)
    joining = escrow.join(account, stream.id, planck, limit)
    try:
        async with asyncio.timeout(JOINED_S):
            while True:
                moves = escrow.moves
                viewer = await escrow.viewer_status(account, stream.id)
                if not missing(viewer, planck):
                    return viewer
                if joining.done():
                    joining.result()
                await escrow.wait_moved(moves, JOINED_S)
    except ExtrinsicRejectedError as error:
        raise ApiError(
            409,
            "Not joined",
            f"{error}; is the stream registered on the chain? see `vilokanam stream register`",
        ) from error
    except TimeoutError as error:
        raise ChainUnavailableError(
            f"{stream.slug} is being joined, and no block has it after {JOINED_S:.0f} s: try again"
        ) from error


def _problem(  # noqa: PLR0917 -- all that its words name
    shared: Context,
    account: AccountId,
    stream: StreamRecord,
    planck: Planck,
    viewer: ViewerStatus,
    lacks: tuple[str, ...],
) -> ApiError:
    operator = account_text(shared.operator.account)
    join = viewer.join
    if "price" in lacks and join is not None:
        status, title = 402, "Caps too low"
        detail = (
            f"{stream.slug} costs {planck} planck a second and join {join.number} allows "
            f"{join.max_price}: join again with a higher max_price"
        )
    elif "escrow" in lacks:
        status, title = 402, "Nothing in escrow"
        detail = (
            f"deposit into the escrow of the operator {operator}, then join stream "
            f"{stream.id.int} (join_with_caps) with a max_price of {planck} planck or more"
        )
    else:
        status, title = 403, "Not joined"
        reason = "has never joined" if join is None else f"has left, or join {join.number} is over:"
        detail = (
            f"the account {reason} {stream.slug} on the chain: join stream {stream.id.int} "
            f"(join_with_caps) with a max_price of {planck} planck or more"
        )
    return ApiError(
        status,
        title,
        detail,
        missing=list(lacks),
        operator=operator,
        account=account_text(account),
        chain_stream=str(stream.id.int),
        planck_per_s=str(planck),
    )
