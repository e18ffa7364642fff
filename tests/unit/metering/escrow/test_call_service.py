"""Calls to a chain that has only just begun, and what a bad proof says."""

from __future__ import annotations

import pytest

from metering.chain.node.client import Node
from metering.chain.node.substrate import RpcError
from metering.errors import ExtrinsicRejectedError
from metering.escrow.call_service import CallService
from metering.escrow.calls import register_operator
from metering.signing import from_seed
from metering.testing.fake_node import pool
from metering.testing.fake_node.rpc import Rpc
from metering.testing.fake_node.runtime import UNIT
from metering.testing.fake_node.world import World
from tests.support.servers import chopsticks

OPERATOR = from_seed(b"o" * 32)


class Line:
    """A connection to a world in memory; its errors are those of a socket to a node."""

    def __init__(self, world):
        self._rpc = Rpc(world, chopsticks.metadata_bytes())

    def connect(self):
        pass

    def request(self, method, params):
        try:
            return self._rpc.answer(method, params)
        except pool.RpcError as error:
            raise RpcError(error.code, f"{error} {error.data}") from error

    def abort(self):
        pass

    def close(self):
        pass


@pytest.fixture
def world():
    return World(5, now_ms=1_700_000_000_000, funds={OPERATOR.account: 10**6 * UNIT})


@pytest.fixture
async def node(world):
    async with Node("ws://fake", 5.0, lambda *_: Line(world)) as node:
        yield node


async def prepare(service, node):
    call = register_operator()
    best = await node.best()
    return await service.prepare(OPERATOR.account, call.pallet, call.name, call.data, best.hash)


async def test_r12_node_reached_before_block_1_has_its_true_genesis(world, node):
    """The runtime calls block 0's hash 0x4545... until block 1; it is never taken for it."""
    true = world.forks.hash_at(0)
    before = await node.genesis()
    world.make_block()

    assert (before, await node.genesis()) == (true, true)


@pytest.mark.parametrize("blocks", [0, 1])
async def test_r12_call_prepared_at_the_genesis_block_is_taken(world, node, blocks):
    """`chain fund` and registering on a node that was started with us: no bad signature."""
    service = CallService(node)
    draft = await prepare(service, node)
    for _ in range(blocks):
        world.make_block()
    await service.send(draft, OPERATOR.sign(draft.payload))

    assert len(world.pool) == 1


async def test_r12_bad_proof_names_what_may_be_wrong_and_reads_the_chain_anew(world, node):
    """Another chain, another runtime or another key; the next attempt asks for the genesis."""
    world.make_block()
    service = CallService(node)
    await node.best()  # connected: a new connection asks anew by itself
    node._genesis = b"\x45" * 32
    draft = await prepare(service, node)

    with pytest.raises(ExtrinsicRejectedError, match=r"another chain.*runtime.*key") as refusal:
        await service.send(draft, OPERATOR.sign(draft.payload))
    again = await prepare(service, node)
    await service.send(again, OPERATOR.sign(again.payload))
    assert "45454545" in str(refusal.value)
    assert len(world.pool) == 1
