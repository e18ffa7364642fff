"""Facts of a runtime as CHAIN's development runtime has them, for tests without a node."""

from dataclasses import replace
from typing import Any

from metering.chain.node.runtime_info import Extension, RuntimeFacts
from metering.chain.node.scale import Hash
from metering.testing.fake_node.tables import REFUSALS

EXTENSIONS = (
    Extension("CheckNonZeroSender", "", ""),
    Extension("CheckSpecVersion", "", "u32"),
    Extension("CheckTxVersion", "", "u32"),
    Extension("CheckGenesis", "", "hash"),
    Extension("CheckMortality", "era", "hash"),
    Extension("CheckNonce", "compact", ""),
    Extension("CheckWeight", "", ""),
    Extension("ChargeTransactionPayment", "compact", ""),
    Extension("CheckMetadataHash", "mode", "option-hash"),
    Extension("WeightReclaim", "", ""),
)
FACTS = RuntimeFacts(
    spec_name="vilokanam",
    spec_version=100,
    tx_version=1,
    genesis=Hash(b"\x45" * 32),
    pallet=7,
    calls={"record_tick": 0, "join_stream": 1, "settle": 2, "register_operator": 3},
    events={"TickRecorded": 0, "ViewerJoined": 1, "BatchSettled": 2, "EntryRefused": 3},
    errors={0: "AlreadySettled", 1: "SequenceGap", 2: "HashMismatch"},
    refusals=REFUSALS,
    extensions=EXTENSIONS,
    constants={"MaxEntries": 512, "TickBurst": 120, "TickRatePpm": 1_100_000},
    pallets={0: "System", 1: "Timestamp", 4: "Balances", 7: "TickStream", 8: "Utility"},
    block_hash_count=4096,
)


def upgraded(spec_version: int = 101, **changes: Any) -> RuntimeFacts:
    return replace(FACTS, spec_version=spec_version, **changes)
