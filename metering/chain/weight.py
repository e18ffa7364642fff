"""Whether a block takes a batch, asked of the runtime before it is signed for good."""

from __future__ import annotations

from typing import Final

from metering.chain.node.client import Head, Node, Runtime
from metering.chain.node.scale import U32, Reader
from metering.chain.node.substrate import RpcError
from metering.errors import BatchTooLargeError, InvalidValueError

_SAFETY: Final = (9, 10)
"""A batch made smaller for its weight aims at nine tenths of what a block takes."""


class WeightCheck:
    """Asks a node what extrinsics weigh, and remembers what size is known to fit."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._weighed: dict[int, int] = {}

    async def require(
        self, runtime: Runtime, best: Head, signed: bytes, seq: int, count: int
    ) -> None:
        """Refuse a batch that is heavier than a block takes: a pool would, by a text alone.

        Raises:
            BatchTooLargeError: With how many entries would fit.
        """
        bound = runtime.facts.weight_max
        spec = runtime.facts.spec_version
        if bound is None or count <= self._weighed.get(spec, 0):
            return
        data = signed + U32.encode(len(signed))
        try:
            answer = await self._node.request(
                "state_call",
                ["TransactionPaymentApi_query_info", f"0x{data.hex()}", f"0x{best.hash.hex()}"],
            )
            reader = Reader(bytes.fromhex(answer[2:]))
            weight = (reader.compact(), reader.compact())
        except (RpcError, InvalidValueError, LookupError, TypeError, ValueError):
            return  # a runtime that cannot be asked is not asked
        share = max(got * 1000 // most for got, most in zip(weight, bound, strict=True) if most)
        if share > 1000:
            fits = count * 1000 * _SAFETY[0] // (share * _SAFETY[1])
            raise BatchTooLargeError(
                f"batch {seq} of {count} entries weighs {share / 10:.1f} % of what a block takes",
                max(1, fits),
            )
        self._weighed[spec] = count
