"""The fake node's socket: a client of a real node finds what it expects, and what goes wrong."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from substrateinterface import Keypair, SubstrateInterface

from mediaserver.cli import chain, main
from metering.errors import ChainUnavailableError
from metering.testing.chopsticks import call
from metering.testing.fake_node.node import FakeNode
from metering.testing.fake_node.runtime import UNIT
from metering.testing.fake_node.world import World
from tests.support.servers import chopsticks


@pytest.fixture
async def node() -> AsyncIterator[FakeNode]:
    chopsticks.require()
    world = World(1, now_ms=1_700_000_000_000)
    async with FakeNode(world, chopsticks.metadata_bytes()) as node:
        yield node


async def ask(socket: aiohttp.ClientWebSocketResponse, method: str, *parameters: object) -> Any:
    await socket.send_json({"jsonrpc": "2.0", "id": 7, "method": method, "params": parameters})
    while True:
        message = await socket.receive_json(timeout=5)
        if message.get("id") == 7:
            return message


def transfer_with_the_library(url: str) -> tuple[int, list[str], int]:
    """Sign, send, read events and state with substrate-interface, as wallets and scripts do."""
    interface = SubstrateInterface(url=url, auto_reconnect=False)
    alice, bob = (Keypair.create_from_uri(name) for name in ("//Alice", "//Bob"))
    made = interface.compose_call(
        "Balances", "transfer_keep_alive", {"dest": bob.ss58_address, "value": 5 * UNIT}
    )
    extrinsic = interface.create_signed_extrinsic(made, alice, era={"period": 64})
    interface.rpc_request("author_submitExtrinsic", [str(extrinsic.data)])
    block = interface.rpc_request("dev_newBlock", [])["result"]
    events = [one.value["event_id"] for one in interface.get_events(block)]
    free = interface.query("System", "Account", [bob.ss58_address]).value["data"]["free"]
    info = interface.get_payment_info(made, alice)
    held = interface.get_block(block)["extrinsics"]
    interface.close()
    assert info["partialFee"] > 0
    return free, events, len(held)


async def test_substrate_interface_works_with_it(node):
    """The library signs, sends, reads blocks, events and storage, and asks what it costs."""
    free, events, held = await asyncio.to_thread(transfer_with_the_library, node.url)

    assert free == 1005 * UNIT
    assert "Transfer" in events
    assert events[-1] == "ExtrinsicSuccess"
    assert held == 2


async def test_heads_are_told_and_may_be_told_twice(node):
    """Who subscribed hears of each block, twice when the fault is on."""
    async with aiohttp.ClientSession() as session, session.ws_connect(node.url) as socket:
        await ask(socket, "chain_subscribeNewHeads")
        node.world.faults.set({"duplicate_heads": 1})
        node.world.make_block()
        heads: list[str] = []
        while not heads or heads[-1] != "0x1" or len(heads) < 3:
            message = await socket.receive_json(timeout=5)
            heads.append(message["params"]["result"]["number"])

        assert heads == ["0x0", "0x1", "0x1"]


@pytest.mark.parametrize("fault", ["disconnect", "disconnect_after"])
async def test_a_cut_connection_may_have_done_what_was_asked(node, fault):
    """The client sees an end and no answer; the node goes on."""
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(node.url) as socket:
            node.world.faults.set({fault: 1})
            await socket.send_json({"id": 1, "method": "chain_getHeader", "params": []})
            message = await socket.receive(timeout=5)
            assert message.type is not aiohttp.WSMsgType.TEXT
        node.world.faults.set({})
        async with session.ws_connect(node.url) as socket:
            assert (await ask(socket, "system_chain"))["result"] == "Vilokanam Fake"


async def test_a_restart_ends_every_other_connection(node):
    """Who asked for it is answered; all others have to come back."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(node.url) as first,
        session.ws_connect(node.url) as second,
    ):
        await ask(first, "system_chain")
        await ask(second, "fake_restart")

        assert (await first.receive(timeout=5)).type is not aiohttp.WSMsgType.TEXT
        assert "result" in await ask(second, "system_chain")


async def test_what_is_no_request_is_answered_with_an_error(node):
    """Garbage costs nobody the connection."""
    async with aiohttp.ClientSession() as session, session.ws_connect(node.url) as socket:
        for text in ("{", "[]", "7", '{"method": 5}', json.dumps({"method": "x"})):
            await socket.send_str(text)
            assert "error" in await socket.receive_json(timeout=5)


async def test_errors_come_over_http_too(node):
    """Scripts without a WebSocket get the same answers."""
    assert await asyncio.to_thread(call, node.port, "system_name") == "vilokanam-fake-node"
    with pytest.raises(ChainUnavailableError, match="-32601"):
        await asyncio.to_thread(call, node.port, "chain_sing")


async def test_blocks_come_by_themselves():
    """With a block time the chain goes on unasked."""
    world = World(1, now_ms=1_700_000_000_000)
    moved = asyncio.Event()
    async with FakeNode(world, b"", block_ms=1):
        world.notify = lambda head: moved.set() if head.block.number == 3 else None
        await asyncio.wait_for(moved.wait(), 5)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--faults", "flood"],
        ["--fund", "Alice"],
        ["--fund", "5Grw=5"],
        ["--metadata", "/nowhere/metadata.hex"],
    ],
)
def test_a_wrong_command_line_is_told(capsys, arguments):
    """Exit code 2 and one line that says what to write instead."""
    assert main.main(["chain", "fake", "--port", "0", *arguments]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_without_the_fakes_the_verb_says_what_to_install(capsys, monkeypatch):
    """A packager may leave `metering.testing` out: one line, exit code 1."""
    monkeypatch.setitem(sys.modules, chain.FAKE_NODE, None)

    assert main.main(["chain", "fake"]) == 1
    assert "vilokanam[testing]" in capsys.readouterr().err
