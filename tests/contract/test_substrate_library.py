"""What we pack by hand is what substrate-interface packs, byte for byte, for the committed runtime.

No node: the library is given a socket that answers from chain/artefacts/metadata.hex.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from uuid import UUID

import pytest
import substrateinterface
from scalecodec.base import ScaleBytes
from scalecodec.utils.ss58 import ss58_decode
from substrateinterface import Keypair, SubstrateInterface
from substrateinterface.storage import StorageKey

from metering import signing
from metering.chain.node import extrinsic, storage
from metering.chain.node.extrinsic import Terms, era_at
from metering.chain.node.metadata import ChainEvent, Metadata
from metering.chain.node.runtime_info import RuntimeFacts
from metering.chain.node.scale import Hash, Reader
from metering.chain.node.substrate import read_metadata
from metering.errors import RuntimeUnsupportedError
from metering.model.batch import Batch, seal
from metering.model.credits import Credit
from metering.units import AccountId, EntryKey
from tests.support.runtime_facts import FACTS

ARTEFACTS = Path(__file__).resolve().parents[2] / "chain" / "artefacts"
METADATA = bytes.fromhex((ARTEFACTS / "metadata.hex").read_text().strip().removeprefix("0x"))
GENESIS = Hash(b"\x45" * 32)
SEED = bytes(range(32))
OPERATOR = signing.from_seed(SEED)
PAIR = Keypair.create_from_seed(SEED.hex(), ss58_format=42)
BLOCK = 1000
BLOCK_HASH = Hash(b"\xb1" * 32)
VERSION = {"specName": "vilokanam", "specVersion": 100, "transactionVersion": 1}


class Answers:
    """A websocket whose other end is a node at block 1000."""

    def __init__(self) -> None:
        self._replies: list[str] = []

    def send(self, text: str) -> None:
        asked = json.loads(text)
        method, params = asked["method"], asked["params"]
        self._replies.append(
            json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": self.answer(method, params)})
        )

    def answer(self, method: str, params: list) -> object:
        head = "0x" + BLOCK_HASH.hex()
        parent = "0x" + "b0" * 32
        match method:
            case "state_getMetadata":
                return "0x" + METADATA.hex()
            case "state_getRuntimeVersion" | "chain_getRuntimeVersion":
                return VERSION
            case "chain_getBlockHash":
                return "0x" + GENESIS.hex() if params == [0] else head
            case "chain_getFinalizedHead" | "chain_getFinalisedHead" | "chain_getHead":
                return head
            case "chain_getHeader":
                return {"number": hex(BLOCK), "parentHash": parent}
            case "rpc_methods":
                return {"methods": []}
        raise AssertionError(f"{method} {params} is not answered")

    def recv(self) -> str:
        return self._replies.pop(0)

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def library() -> SubstrateInterface:
    found = SubstrateInterface(websocket=Answers(), auto_discover=False, ss58_format=42)
    found.init_runtime()
    return found


@pytest.fixture(scope="module")
def metadata() -> Metadata:
    return read_metadata(METADATA)


@pytest.fixture(scope="module")
def facts(metadata: Metadata) -> RuntimeFacts:
    return metadata.facts("vilokanam", 100, 1, GENESIS)


def make_batch(entries: int = 3) -> Batch:
    lines = [
        (EntryKey(UUID(int=7 + at), AccountId((at + 1).to_bytes(32, "big")), 1 + at, 2), 60 + at)
        for at in range(entries)
    ]
    return seal(lines, 5, 10_000)[0]


def composed(library: SubstrateInterface, batch: Batch):
    """The library's own call."""
    from metering.model.entries import decode

    entries = [
        {
            "stream": one.key.stream.int,
            "viewer": "0x" + one.key.account.hex(),
            "join": one.key.join,
            "version": one.key.version,
            "ticks": one.cumulative,
        }
        for one in decode(batch.entries)
    ]
    # scalecodec 1.2.12 takes BoundedVec for a struct of one field: wrapped once more.
    return library.compose_call(
        "TickStream",
        "settle",
        {"seq": batch.seq, "hash": "0x" + batch.hash.hex(), "entries": [entries]},
    )


def test_the_facts_of_the_committed_runtime(facts):
    """What tests without a node take for the runtime is the runtime."""
    assert facts.faults() == ()
    assert facts.extensions == FACTS.extensions
    assert facts.refusals == FACTS.refusals
    assert (facts.pallet, facts.block_hash_count) == (FACTS.pallet, FACTS.block_hash_count)
    assert FACTS.calls.items() <= facts.calls.items()
    assert FACTS.events.items() <= facts.events.items()
    assert FACTS.errors.items() <= facts.errors.items()
    assert facts.constant("TickBurst") == FACTS.constant("TickBurst")
    assert facts.constant("TickRatePpm") == FACTS.constant("TickRatePpm")
    assert 0 < facts.entries_max <= 2048
    assert facts.weight_max is not None


@pytest.mark.parametrize("entries", [1, 3, 70, 500])
def test_a_call_is_the_librarys(library, facts, entries):
    """Below and above the lengths at which a compact count grows."""
    batch = make_batch(entries)

    ours = extrinsic.settle_call(facts, batch.seq, batch.hash, batch.entries)

    assert ours == bytes(composed(library, batch).data.data)


@pytest.mark.parametrize("nonce", [0, 5, 63, 64, 20_000, 2**31])
@pytest.mark.parametrize("entries", [1, 40])
def test_an_extrinsic_is_the_librarys_byte_for_byte(library, facts, nonce, entries):
    """Signature aside, which differs each time: the payload that it is of, and all around it."""
    batch = make_batch(entries)
    call = composed(library, batch)
    terms = Terms(nonce, era_at(BLOCK, 64), BLOCK_HASH, 100, 1, GENESIS)
    ours = extrinsic.settle_call(facts, batch.seq, batch.hash, batch.entries)

    era = {"period": 64, "current": BLOCK}
    payload = library.generate_signature_payload(call=call, era=dict(era), nonce=nonce)
    signature = bytes(range(64))
    theirs = library.create_signed_extrinsic(
        call=call, keypair=PAIR, era=dict(era), nonce=nonce, signature=b"\x01" + signature
    )

    assert extrinsic.signing_payload(facts, ours, terms) == bytes(payload.data)
    made = extrinsic.signed_extrinsic(facts, ours, terms, OPERATOR.account, signature)
    assert made == bytes(theirs.data.data)
    assert extrinsic.extrinsic_hash(made) == theirs.extrinsic_hash


def test_our_signature_is_one_that_the_library_takes(facts):
    """The same sr25519 with the same context, and back."""
    batch = make_batch()
    call = extrinsic.settle_call(facts, batch.seq, batch.hash, batch.entries)
    terms = Terms(1, era_at(BLOCK, 64), BLOCK_HASH, 100, 1, GENESIS)
    payload = extrinsic.signing_payload(facts, call, terms)

    assert PAIR.public_key == OPERATOR.account
    assert PAIR.verify(payload, OPERATOR.sign(payload))
    assert signing.is_signed(OPERATOR.account, payload, PAIR.sign(payload))


ACCOUNT = AccountId(b"\x07" * 32)
STREAM = UUID(int=2**100 + 7)
HEX = "0x" + ACCOUNT.hex()


@pytest.mark.parametrize(
    ("item", "params", "ours"),
    [
        ("Operators", [HEX], storage.operator_key(ACCOUNT)),
        ("StreamInfo", [STREAM.int], storage.stream_key(STREAM)),
        ("Sessions", [STREAM.int, HEX, 3], storage.session_key(STREAM, ACCOUNT, 3)),
        ("LastJoin", [STREAM.int, HEX], storage.last_join_key(STREAM, ACCOUNT)),
        ("Escrows", [HEX, HEX], storage.escrow_key(ACCOUNT, ACCOUNT)),
        ("Credits", [HEX], storage.credit_key(ACCOUNT)),
        ("Limits", [HEX], storage.limit_key(ACCOUNT)),
        ("Outcomes", [HEX, 9], storage.outcome_key(ACCOUNT, 9)),
        ("TickCount", [STREAM.int], storage.tick_count_key(STREAM)),
        ("BatchedTicks", [STREAM.int], storage.batched_ticks_key(STREAM)),
    ],
)
def test_a_storage_key_is_the_librarys(library, item, params, ours):
    """Where we read is where the pallet writes."""
    theirs = StorageKey.create_from_storage_function(
        "TickStream", item, params, runtime_config=library.runtime_config, metadata=library.metadata
    )

    assert ours == theirs.data


VALUES = {
    "Operators": storage.Operator(10**14, True, 7, Hash(b"h" * 32), 99),
    "StreamInfo": storage.StreamInfo(
        ACCOUNT,
        ACCOUNT,
        b"Title",
        (storage.ChainPrice(1, 10**8, 5),),
        (storage.Split(ACCOUNT, 100_000),),
        1,
        77,
        5,
        9,
        10**20,
        3,
    ),
    "Sessions": storage.ChainSession(10**15, 10**9, 1, 2, None, 60, 6 * 10**9, ((1, 50), (2, 10))),
    "LastJoin": 3,
    "Escrows": storage.Escrow(10**15, storage.Withdrawal(5, 6)),
    "Credits": Credit(1, 2, 3, 4),
    "Limits": storage.Limit(1, 2, 3),
    "Outcomes": storage.Outcome(Hash(b"h" * 32), 5, 6, 7, 8, ((1, 8), (2, 11))),
    "TickCount": 2**32 - 1,
    "BatchedTicks": ((ACCOUNT, 5),),
}


def test_every_value_of_the_pallet_is_compared():
    """A map that is added must be added here."""
    assert VALUES.keys() == storage.VALUES.keys()


@pytest.mark.parametrize("item", VALUES)
def test_a_value_is_what_the_metadata_says(library, metadata, item):
    """The library, our own reader of the registry, and the fixed codec read the same bytes."""
    raw = storage.VALUES[item].encode(VALUES[item])
    function = library.get_metadata_storage_function("TickStream", item)
    theirs = library.runtime_config.create_scale_object(
        function.get_value_type_string(), ScaleBytes(raw)
    )
    theirs.decode()
    number = int(function.get_value_type_string().rpartition("::")[2])

    reader = Reader(raw)
    found = metadata.types.reader(number)(reader)
    reader.end()
    assert theirs.data.get_remaining_length() == 0
    assert flat(theirs.value) == flat(VALUES[item])
    assert flat(found) == flat(VALUES[item])


def flat(value) -> list:
    """Numbers and bytes of a value, in order; enums as their index."""
    if isinstance(value, dict):
        value = list(value.values())
    if hasattr(value, "__dataclass_fields__"):
        value = [getattr(value, name) for name in value.__dataclass_fields__]
    if isinstance(value, list | tuple):
        return [one for item in value for one in flat(item)]
    if isinstance(value, str) and value.startswith("0x"):
        return [bytes.fromhex(value[2:])]
    if value == "Title":
        return [b"Title"]
    if isinstance(value, str) and len(value) == 48:
        return [bytes.fromhex(ss58_decode(value))]
    if value in FACTS.refusals:
        return [FACTS.refusals.index(value)]
    if value in ("Open", "Closed"):
        return [("Open", "Closed").index(value)]
    return [value]


def test_events_are_read_as_the_library_reads_them(library, metadata, facts):
    """Phase, names, fields; of our pallet and of others, errors with their words."""
    record = bytes.fromhex("00 02000000")
    settled = (
        bytes((7, facts.event("BatchSettled")))
        + ACCOUNT
        + (5).to_bytes(8, "little")
        + b"h" * 32
        + (3).to_bytes(4, "little")
        + (1).to_bytes(4, "little")
        + (60).to_bytes(8, "little")
        + (10**20).to_bytes(16, "little")
    )
    refused = (
        bytes((7, facts.event("EntryRefused")))
        + ACCOUNT
        + (5).to_bytes(8, "little")
        + (2).to_bytes(4, "little")
        + bytes((8,))
    )
    failed = bytes.fromhex("0001 0307 01000000 00 00") + bytes((0, 0))
    raw = bytes((12,)) + b"".join(record + one + b"\x00" for one in (settled, refused, failed))
    theirs = library.runtime_config.create_scale_object(
        library.get_metadata_storage_function("System", "Events").get_value_type_string(),
        ScaleBytes(raw),
        metadata=library.metadata,
    )
    theirs.decode()

    found = metadata.events(raw)

    assert [(one.pallet, one.name, one.extrinsic) for one in found] == [
        (one.value["module_id"], one.value["event_id"], one.value["extrinsic_idx"])
        for one in theirs.elements
    ]
    assert found[0] == ChainEvent(
        2,
        "TickStream",
        "BatchSettled",
        {
            "operator": ACCOUNT,
            "seq": 5,
            "hash": b"h" * 32,
            "entries": 3,
            "refused": 1,
            "ticks": 60,
            "amount": 10**20,
        },
    )
    assert found[1].fields["reason"] == "TooFast"
    assert metadata.error(found[2].fields["dispatch_error"]) == "TickStream.SequenceGap"


def test_a_runtime_that_stores_otherwise_is_refused(metadata, monkeypatch):
    """Its numbers would be read as others: settlement stops before that, and names the map."""
    from metering.chain.node import metadata as module

    changed = {**module._SHAPES, "Outcomes": "(u128)"}
    monkeypatch.setattr(module, "_SHAPES", changed)

    with pytest.raises(RuntimeUnsupportedError, match=r"TickStream\.Outcomes"):
        metadata.facts("vilokanam", 100, 1, GENESIS)


@pytest.mark.parametrize("harm", ["version", "cut", "garbage"])
def test_metadata_that_cannot_be_read_is_refused_by_name(harm):
    """Not by whatever the library runs into."""
    raw = {
        "version": METADATA[:4] + b"\x0f" + METADATA[5:],
        "cut": METADATA[:1000],
        "garbage": METADATA[:5] + b"\xff" * 100,
    }[harm]

    with pytest.raises(RuntimeUnsupportedError):
        read_metadata(raw)


def test_the_library_leaves_our_logging_alone(library):
    """It writes payloads through the root logger, which would install a handler there."""
    root = logging.getLogger()
    before = list(root.handlers)
    root.handlers.clear()
    try:
        library.rpc_request("rpc_methods", [])
        assert root.handlers == []
    finally:
        root.handlers[:] = before
    # What we replace is what the library uses: one call, and no other use of the module.
    source = Path(substrateinterface.base.__file__).read_text()
    assert source.count("logging.debug(payload)") == 1
    assert source.count("logging.") == 2
