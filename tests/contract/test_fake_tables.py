"""The indices, names and numbers that the fake chain knows are the committed runtime's."""

from __future__ import annotations

from metering.chain.node.scale import Hash
from metering.chain.node.substrate import read_metadata
from metering.testing.fake_node import tables
from metering.testing.fake_node.state import HOLDS
from tests.support.servers import chopsticks


def test_the_tables_of_the_fake_are_the_metadatas():
    """Every index, name and number that the fake knows is the runtime's."""
    chopsticks.require()
    metadata = read_metadata(chopsticks.metadata_bytes())

    facts = metadata.facts(
        tables.SPEC_NAME, tables.SPEC_VERSION, tables.TX_VERSION, Hash(bytes(32))
    )

    assert facts.calls == {name: call.index for name, call in tables.TICK_STREAM_CALLS.items()}
    assert facts.events == {
        name: index for index, (name, _) in enumerate(tables.EVENTS["TickStream"])
    }
    assert tuple(facts.errors[index] for index in range(len(facts.errors))) == tables.ERRORS
    assert facts.refusals == tables.REFUSALS
    assert tuple(extension.name for extension in facts.extensions) == tables.EXTENSIONS
    assert {name: index for index, name in facts.pallets.items()} == tables.PALLETS
    assert facts.block_hash_count == tables.BLOCK_HASH_COUNT
    known = {
        "MaxEntries": tables.MAX_ENTRIES,
        "MaxTitleLen": tables.MAX_TITLE_LEN,
        "MaxSplits": tables.MAX_SPLITS,
        "MaxPriceVersions": tables.MAX_PRICE_VERSIONS,
        "MaxSessionPrices": tables.MAX_SESSION_PRICES,
        "MaxViewersPerStream": tables.MAX_VIEWERS_PER_STREAM,
        "MaxTicksPerBatch": tables.MAX_TICKS_PER_BATCH,
        "OutcomesKept": tables.OUTCOMES_KEPT,
        "TickBurst": tables.TICK_BURST,
        "TickRatePpm": tables.TICK_RATE_PPM,
        "WithdrawNotice": tables.WITHDRAW_NOTICE_S,
        "CreditNotice": tables.CREDIT_NOTICE_S,
        "PriceNotice": tables.PRICE_NOTICE_S,
        "OperatorBond": tables.OPERATOR_BOND,
        "MaxJoinDuration": tables.MAX_JOIN_DURATION_S,
    }
    assert {name: facts.constants[name] for name in known} == known
    for pallet, events in tables.OTHER_EVENTS.items():
        indices = metadata._variants(metadata._pallets[pallet]["event"])
        assert {name: indices[name] for name in events} == events
    assert HOLDS.decode(HOLDS.encode(())) == ()
