"""The body of a WHIP request: bounded in size and time, of the right type, text."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from mediaserver import listening
from mediaserver.clock import Clock
from mediaserver.errors import OfferRejectedError

BODY_WAIT_S: Final = 10.0
"""OBS gives the whole exchange 8 s."""


async def read_body(request: web.Request, kind: str, limit: int, clock: Clock) -> str:
    """Return the body as text.

    Args:
        kind: Media type that it must have.
        limit: Bytes, at most.

    Raises:
        OfferRejectedError: 415, 413, 408 or 400, with what is wrong.
    """
    if request.content_type.lower() != kind:
        raise OfferRejectedError(
            415, f"the body is {request.content_type[:64]}; {kind} is expected"
        )
    if request.content_length is not None and request.content_length > limit:
        raise OfferRejectedError(413, f"the body has more than {limit} bytes")
    body = bytearray()
    try:
        async with listening.timeout(clock, BODY_WAIT_S):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > limit:
                    raise OfferRejectedError(413, f"the body has more than {limit} bytes")
    except TimeoutError as error:
        raise OfferRejectedError(408, f"the body took over {BODY_WAIT_S:.0f} s") from error
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise OfferRejectedError(400, "the body is not UTF-8 text") from error
