"""Every await between book and chain is an operation at which the soak kills."""

import ast

import pytest

from tests.simulate.settlement_cells import FILES, ROOT, calls_in, cells, operations
from tests.support.crash_proxy import CrashError, CrashProxy, Steps

OWN = (
    "self._sealer.",
    "self._exposure.",
    "self._weight.",
    "read_settled(",
    "adopt_chain(",
    "self.turn(",
    "asyncio.sleep(",
)
"""Their files are read too, or they leave nothing half done."""


@pytest.mark.parametrize("name", FILES)
def test_an_await_that_leaves_the_process_is_an_operation(name) -> None:
    """What is none is a method of the same object, whose awaits are read too."""
    unknown = []
    for node in ast.walk(ast.parse((ROOT / name).read_text())):
        if not isinstance(node, ast.Await):
            continue
        text = ast.unparse(node.value)
        is_own = text.startswith("self._") and text.partition("(")[0].count(".") == 1
        if not list(calls_in(node, "")) and not is_own and not text.startswith(OWN):
            unknown.append(text)

    assert unknown == []


def test_the_operations_are_those_of_the_order_of_acts() -> None:
    """Sealed, signed, kept, sent, looked at, closed, forgotten; and what the chain is asked."""
    assert {
        "book.settlements.seal",
        "chain.sign",
        "node.value SYSTEM_ACCOUNT",
        "book.outbox.add_attempt",
        "chain.submit",
        "node.submit",
        "chain.look",
        "node.value OUTCOME",
        "book.settlements.finalize",
        "forget",
        "book.cuts.compact",
        "node.block_hash in sign",
        "node.block_hash in look_back",
    } <= set(operations())
    assert len(cells()) == 2 * len(set(operations())) >= 64


async def test_a_call_is_reported_before_and_after_it() -> None:
    """In that order; a call that raises has no after."""
    reports = []

    class Node:
        async def head(self) -> int:
            reports.append("work")
            return 7

        def fail(self) -> None:
            raise LookupError

    node = CrashProxy(Node(), "node", lambda call, when: reports.append(f"{when.value} {call}"))

    assert await node.head() == 7
    with pytest.raises(LookupError):
        node.fail()

    assert reports == ["before node.head", "work", "after node.head", "before node.fail"]


async def test_a_crash_before_a_call_is_before_it() -> None:
    """Nothing of it has happened."""
    made = []

    class Node:
        async def submit(self) -> None:
            made.append("submit")

    steps = Steps(crash_at=1)
    node = CrashProxy(Node(), "node", steps)
    await node.submit()

    with pytest.raises(CrashError):
        await node.submit()

    assert made == ["submit"]
    assert steps.made == ["node.submit", "node.submit"]
