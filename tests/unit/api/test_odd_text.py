"""Text that is no text: header bytes that are not UTF-8 arrive as lone surrogates."""

import json
from dataclasses import replace
from uuid import UUID

from mediaserver.api.streams import policy_room
from mediaserver.http.problem import problem
from mediaserver.ipc.framing import HEADER_BYTES_MAX
from mediaserver.ipc.messages import MessageReader, Policy
from metering.units import Asset, Planck, PriceVersion, StreamPolicy
from tests.support.wire import wire


def test_a_problem_can_quote_whatever_came() -> None:
    """A refusal of broken bytes is a refusal, not a fault of the server."""
    body = problem(415, "Wrong content type", "the body is a/\udcff")

    assert "a/" in json.loads(body)["detail"]


def test_every_stream_that_may_be_made_fits_the_policy() -> None:
    """However long the titles: the message that keeps HTTP processes alive is never too large."""
    title, price = "\U0001f600" * 500, PriceVersion(1, 2**40, Planck(10**30))
    stream = StreamPolicy(UUID(int=2**128 - 1), "s" * 63, title, (price,), is_enabled=True)
    made: list[StreamPolicy] = []
    size = 0
    while len(made) < policy_room.STREAMS_MAX:
        size += policy_room.stream_bytes(title, 1)
        if size > policy_room.POLICY_BYTES_MAX:
            break
        made.append(replace(stream, stream=UUID(int=len(made))))
    keys = tuple((each.slug, bytes(32)) for each in made)
    policy = Policy(
        tuple(made), ((1, bytes(32)),), Asset(), "e" * 16, "r" * 40, "u" * 500, False, 1, keys
    )

    (received,) = MessageReader().feed(wire(policy))

    assert received == policy
    assert len(made) > 1000
    assert HEADER_BYTES_MAX > policy_room.POLICY_BYTES_MAX
