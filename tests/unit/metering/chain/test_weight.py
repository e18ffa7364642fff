"""A node that says nothing usable of an extrinsic's weight."""

from types import SimpleNamespace
from typing import Any

import pytest

from metering.chain.node.client import Head
from metering.chain.node.scale import Hash
from metering.chain.weight import WeightCheck

BEST = Head(7, Hash(b"\1" * 32), Hash(b"\2" * 32))


@pytest.mark.parametrize("answer", [None, {}, 5, "0xzz", "0x"])
async def test_f18_a_weight_that_cannot_be_read_holds_no_batch_up(answer: Any) -> None:
    """The pool weighs it itself: an answer that lacks something is as good as none."""

    class Asked:
        async def request(self, _method: str, _params: list[Any]) -> Any:
            return answer

    runtime: Any = SimpleNamespace(facts=SimpleNamespace(weight_max=(10, 10), spec_version=1))
    node: Any = Asked()

    await WeightCheck(node).require(runtime, BEST, b"signed", 1, 5)
