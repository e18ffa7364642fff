"""Settlement: entries encoded and signed per second, and how long a batch takes to be final.

Run: python bench/chain.py [--encoded 200000] [--rounds 5]
Encoding is compared with scalecodec, the codec of substrate-interface, on the same entries;
finality with a plain transfer on the same chain. Final in chopsticks means in the next block,
which it makes at once: the time is its execution. The fake node makes blocks by the clock: there
it is ours.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Final
from uuid import UUID

from _common import ROOT, spread, table, write
from scalecodec.base import RuntimeConfigurationObject
from scalecodec.type_registry import load_type_registry_preset

from metering import signing as keys
from metering.chain.node.client import Node
from metering.chain.node.extrinsic import Terms, era_at, settle_call, sign
from metering.chain.node.scale import Hash, compact
from metering.chain.node.substrate import read_metadata
from metering.chain.pallet_chain import PalletChain
from metering.escrow import calls
from metering.escrow.call_sender import CallSender
from metering.escrow.call_service import CallService
from metering.escrow.calls import Call
from metering.model.batch import Batch, seal
from metering.model.entries import encode
from metering.ports import BatchStatus, Entry, InFlight
from metering.testing.chopsticks import Chopsticks
from metering.testing.fake_node.node import FakeNode
from metering.testing.fake_node.world import World
from metering.units import AccountId, EntryKey

ALICE: Final = keys.from_seed(
    bytes.fromhex("e5be9a5092b81bca64be81d212e7f2f9eba183bb7a90954f7b76361f6edb5c0a")
)
OPERATOR, CREATOR, VIEWER = (keys.from_seed(bytes([n]) * 32) for n in (1, 2, 3))
STREAM: Final = UUID(int=7)
UNIT: Final = 10**12
METADATA: Final = bytes.fromhex(
    (ROOT / "chain" / "artefacts" / "metadata.hex").read_text().strip().removeprefix("0x")
)
FACTS: Final = read_metadata(METADATA).facts("vilokanam", 100, 1, Hash(bytes(32)))
BATCH_MAX: Final = FACTS.entries_max
POLL_S: Final = 0.02
BLOCK_MS: Final = 1000
FINALITY_BLOCKS: Final = 2


def entries(count: int) -> list[Entry]:
    """Return that many entries of as many viewers, as a batch has them."""
    return [
        Entry(EntryKey(STREAM, AccountId(n.to_bytes(32, "big")), 1, 1), n + 1) for n in range(count)
    ]


def best_of(rounds: int, work: Callable[[], object]) -> list[float]:
    """Return how long each of some rounds took, in seconds."""
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return took


def encoding(count: int, rounds: int) -> dict[str, Any]:
    """Return entries per second in whole batches, and those of scalecodec with one batch."""
    some = entries(count)
    batches = [some[at : at + BATCH_MAX] for at in range(0, count, BATCH_MAX)]

    def whole() -> None:
        for batch in batches:
            encode(batch)

    ours = best_of(rounds, whole)
    few = batches[0]
    config = RuntimeConfigurationObject()
    config.update_type_registry(load_type_registry_preset(name="legacy"))
    mapping = [
        ["stream", "u128"],
        ["viewer", "AccountId"],
        ["join", "u32"],
        ["version", "u32"],
        ["ticks", "u64"],
    ]
    config.update_type_registry({"types": {"Entry": {"type": "struct", "type_mapping": mapping}}})
    values = [
        {
            "stream": one.key.stream.int,
            "viewer": f"0x{one.key.account.hex()}",
            "join": one.key.join,
            "version": one.key.version,
            "ticks": one.cumulative,
        }
        for one in few
    ]

    def library() -> bytes:
        return bytes(config.create_scale_object("Vec<Entry>").encode(values).data)

    if library() != encode(few):
        raise SystemExit("scalecodec encodes the same entries to other bytes")
    theirs = best_of(rounds, library)
    return {
        "entries": count,
        "batch": BATCH_MAX,
        "per_s": spread(count / took for took in ours),
        "scalecodec_per_s": spread(len(few) / took for took in theirs),
        "ratio": round(count / min(ours) / (len(few) / min(theirs)), 1),
    }


def signing(rounds: int) -> dict[str, Any]:
    """Return what it takes to seal, hash, pack and sign one whole batch."""
    lines = [(one.key, one.cumulative) for one in entries(BATCH_MAX)]
    terms = Terms(
        0,
        era_at(0, 64),
        FACTS.genesis,
        FACTS.spec_version,
        FACTS.tx_version,
        FACTS.genesis,
    )

    def whole() -> None:
        (batch,) = seal(lines, 1, BATCH_MAX)
        call = settle_call(FACTS, batch.seq, batch.hash, batch.entries)
        sign(FACTS, call, terms, OPERATOR.account, OPERATOR.sign)

    took = best_of(20 * rounds, whole)
    return {
        "entries": BATCH_MAX,
        "ms_per_batch": spread((1000 * one for one in took), 2),
        "entries_per_s": spread(BATCH_MAX / one for one in took),
    }


def joined(count: int) -> list[Call]:
    """Return so many joins of one viewer."""
    return [calls.join_with_caps(STREAM, 2**100, UNIT, 30 * 86400) for _ in range(count)]


async def set_up(node: Node, funder: keys.KeyPair, joins: int, *, has_batches: bool) -> CallSender:
    """Make all that a batch of `joins` entries of one viewer needs."""
    sender = CallSender(CallService(node), wait_s=60, poll_s=POLL_S)
    for who in (OPERATOR, CREATOR, VIEWER):
        await sender.do(funder, calls.transfer(who.account, 1000 * UNIT))
    await sender.do(OPERATOR, calls.register_operator())
    splits = calls.splits_of(OPERATOR.account, 100_000, ())
    await sender.do(CREATOR, calls.create_stream(STREAM, OPERATOR.account, "B", 10**6, splits))
    await sender.do(VIEWER, calls.deposit(OPERATOR.account, 500 * UNIT))
    runtime = await node.runtime((await node.best()).hash)
    for start in range(0, joins, 128):
        some = joined(min(128, joins - start))
        if not has_batches:
            for one in some:
                await sender.do(VIEWER, one)
            continue
        packed = b"".join(
            bytes((runtime.facts.pallet, runtime.facts.call(one.name))) + one.data for one in some
        )
        await sender.do(VIEWER, Call("Utility", "batch_all", compact(len(some)) + packed))
    return sender


async def settled(chain: PalletChain, batch: Batch) -> float:
    """Return the seconds from a cut's lines, sealed here, until finalized state has them."""
    signed = await chain.sign(batch.seq, batch.hash, batch.entries)
    await chain.submit(signed)
    while True:
        look = await chain.look([InFlight(batch.seq, batch.hash, signed)])
        found = look.findings[0]
        if found.status is BatchStatus.FINAL:
            assert found.outcome is not None
            if found.outcome.refused:
                raise SystemExit(f"refused: {found.outcome.refused[:3]}")
            return time.perf_counter()
        if found.status is not BatchStatus.WAITING:
            raise SystemExit(f"batch {batch.seq}: {found}")
        await asyncio.sleep(POLL_S)


async def finality(
    node: Node, sender: CallSender, sizes: Sequence[int], rounds: int
) -> dict[str, Any]:
    """Return how long batches of some sizes take, and a transfer beside them, in milliseconds."""
    chain = PalletChain(node, OPERATOR, era_blocks=64, in_flight_max=1)
    facts: dict[str, Any] = {}
    ticks = 0
    for size in sizes:
        took, plain = [], []
        for _ in range(rounds):
            ticks += 1
            lines = [(EntryKey(STREAM, VIEWER.account, n, 1), ticks) for n in range(1, size + 1)]
            seq = await chain.last_settled() + 1
            began = time.perf_counter()
            (batch,) = seal(lines, seq, size)
            took.append(1000 * (await settled(chain, batch) - began))
            began = time.perf_counter()
            await sender.do(CREATOR, calls.transfer(VIEWER.account, UNIT))
            plain.append(1000 * (time.perf_counter() - began))
        facts[str(size)] = {
            "ms": spread(took),
            "transfer_ms": spread(plain),
            "ratio": round(sorted(took)[len(took) // 2] / sorted(plain)[len(plain) // 2], 2),
        }
    return facts


async def in_chopsticks(rounds: int) -> dict[str, Any]:
    """Return the same on the committed runtime."""
    genesis = ROOT / "chain" / "artefacts" / "genesis.raw.json"
    with Chopsticks(ROOT / "chain" / "npm", genesis, mode="Instant") as local:
        async with Node(local.url, 60) as node:
            sender = await set_up(node, ALICE, BATCH_MAX, has_batches=True)
            return await finality(node, sender, (1, 64, BATCH_MAX), rounds)


async def on_fake(rounds: int) -> dict[str, Any]:
    """Return the same on the fake node, whose blocks come by the clock."""
    world = World(
        1,
        now_ms=int(time.time() * 1000),
        finality_blocks=FINALITY_BLOCKS,
        funds={ALICE.account: 10**9 * UNIT},
    )
    async with (
        FakeNode(world, METADATA, block_ms=BLOCK_MS) as fake,
        Node(fake.url, 10) as node,
    ):
        sender = await set_up(node, ALICE, 4, has_batches=False)
        found = await finality(node, sender, (1, 4), rounds)
    return {"block_ms": BLOCK_MS, "finality_blocks": FINALITY_BLOCKS, **found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoded", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    facts = {
        "encoding": encoding(options.encoded, options.rounds),
        "signing": signing(options.rounds),
        "chopsticks": asyncio.run(in_chopsticks(options.rounds)),
        "fake_node": asyncio.run(on_fake(options.rounds)),
    }
    encoded, signed = facts["encoding"], facts["signing"]
    print("Entries per second, encoded, beside scalecodec; and whole batches signed")
    table(
        ("", "median", "least", "most"),
        [
            ("encoded", *encoded["per_s"].values()),
            ("scalecodec", *encoded["scalecodec_per_s"].values()),
            (f"signed, {BATCH_MAX} a batch", *signed["entries_per_s"].values()),
        ],
    )
    print("From a cut's lines to finalized, ms, beside a plain transfer")
    table(
        ("", "entries", "median", "least", "most", "transfer", "ratio"),
        [
            (name, size, *one["ms"].values(), one["transfer_ms"]["median"], one["ratio"])
            for name in ("chopsticks", "fake_node")
            for size, one in facts[name].items()
            if isinstance(one, dict)
        ],
    )
    write("chain", facts)


if __name__ == "__main__":
    main()
