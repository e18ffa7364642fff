"""The fake node without sockets: what its pool answers, how it forks, and that a seed repeats."""

import pytest

from metering.chain.node import storage
from metering.errors import InvalidValueError
from metering.testing.fake_node.faults import RATES, Faults, parse
from metering.testing.fake_node.pool import BAN_BLOCKS, RpcError
from metering.testing.fake_node.runtime import UNIT
from tests.support.pallet_scenario import PRICE, STREAM, PalletScenario, make_pallet_scenario
from tests.support.wallet import of_stream, settle_of, transfer


def refused(scenario: PalletScenario, raw: bytes) -> tuple[int, str]:
    """Return code and text of a submit that must fail."""
    with pytest.raises(RpcError) as caught:
        scenario.world.submit(raw)
    return caught.value.code, caught.value.data or caught.value.message


def last_seq(scenario: PalletScenario) -> int:
    return scenario.state.get(storage.operator_key(scenario.operator.account)).last_seq


def batch(scenario: PalletScenario, seq: int, ticks: int = 5, **changes) -> bytes:
    return scenario.signed(scenario.operator, settle_of(seq, [scenario.entry(0, ticks)]), **changes)


def test_the_same_bytes_twice_are_known_then_banned():
    """1013 while they wait, 1012 once they were in a block, and for a while only."""
    scenario = make_pallet_scenario()
    raw = batch(scenario, 1)
    scenario.world.submit(raw)

    assert refused(scenario, raw)[0] == 1013
    scenario.world.make_block()
    assert refused(scenario, raw)[0] == 1012
    for _ in range(BAN_BLOCKS + 1):
        scenario.world.make_block()
    assert refused(scenario, raw) == (1010, "Transaction is outdated")
    assert last_seq(scenario) == 1


def test_another_of_the_same_nonce_is_of_too_low_priority():
    """The first keeps its place."""
    scenario = make_pallet_scenario()
    first = batch(scenario, 1)
    scenario.world.submit(first)

    assert refused(scenario, batch(scenario, 1, 6, nonce=1))[0] == 1014
    scenario.world.make_block()
    assert scenario.state.get(storage.outcome_key(scenario.operator.account, 1)).ticks == 5


def test_a_second_of_the_same_nonce_may_usurp_the_first():
    """The fault that a busy pool may show."""
    scenario = make_pallet_scenario()
    scenario.world.submit(batch(scenario, 1))
    scenario.world.faults.set({"usurp": 1})

    scenario.world.submit(batch(scenario, 1, 6, nonce=1))

    assert len(scenario.world.pool) == 1
    scenario.world.make_block()
    assert scenario.state.get(storage.outcome_key(scenario.operator.account, 1)).ticks == 6


def test_a_nonce_ahead_waits_for_the_one_before():
    """Future transactions are kept, and go in with the one that they wait for."""
    scenario = make_pallet_scenario()
    first, second = batch(scenario, 1), batch(scenario, 2, 9)
    scenario.world.submit(second)
    scenario.world.make_block()
    before = last_seq(scenario), len(scenario.world.pool)

    scenario.world.submit(first)
    scenario.world.make_block()

    assert before == (0, 1)
    assert last_seq(scenario) == 2


def test_an_era_that_is_over_looks_like_a_bad_signature():
    """The birth block's hash that we signed is not the one that the chain now puts in."""
    scenario = make_pallet_scenario()
    raw = batch(scenario, 1, period=4)
    for _ in range(6):
        scenario.world.make_block()

    assert refused(scenario, raw) == (1010, "Transaction has a bad signature")


@pytest.mark.parametrize("period", [4, 8, 64])
def test_an_era_lives_to_the_block_before_its_death(period):
    """Birth + period - 1 may hold it, birth + period not."""
    for late in (0, 1):
        scenario = make_pallet_scenario()
        born = scenario.world.forks.finalized
        raw = batch(scenario, 1, period=period)
        while scenario.world.forks.head.number + 1 < born + period - 1 + late:
            scenario.world.make_block()
        if late:
            assert refused(scenario, raw)[0] == 1010
        else:
            scenario.world.submit(raw)
            scenario.world.make_block()
            assert last_seq(scenario) == 1


def test_bytes_signed_for_another_runtime_or_chain_are_badly_signed():
    """An upgrade between signing and sending shows as a bad signature too."""
    scenario = make_pallet_scenario()
    raw = batch(scenario, 1)
    scenario.world.make_block(is_upgrade=True)

    assert refused(scenario, raw) == (1010, "Transaction has a bad signature")
    scenario.world.submit(batch(scenario, 1, spec_version=101, nonce=1))
    other = make_pallet_scenario(seed=2)
    assert refused(other, batch(make_pallet_scenario(seed=3), 1)) == (
        1010,
        "Transaction has a bad signature",
    )


def test_an_account_that_cannot_pay_is_refused():
    """An account without the fee cannot send."""
    scenario = make_pallet_scenario()
    stranger = scenario.signed(
        type(scenario.operator)(scenario.operator.account, scenario.operator.secret),
        transfer(bytes(32), UNIT),
    )
    poor = scenario.signed(scenario.creator, transfer(scenario.operator.account, 999 * UNIT))
    scenario.world.submit(poor)
    scenario.world.submit(stranger)
    scenario.world.make_block()

    again = scenario.signed(scenario.creator, transfer(scenario.operator.account, 1))
    free = scenario.state.account(scenario.creator.account).free
    assert free < UNIT
    scenario.world.submit(again)
    scenario.world.make_block()
    assert scenario.state.account(scenario.creator.account).free < free


def test_bytes_that_are_no_extrinsic_are_not_verified():
    """1002, as the runtime cannot read them."""
    assert refused(make_pallet_scenario(), b"\x04\x84")[0] == 1002


@pytest.mark.parametrize("depth", [1, 2, 7, 20])
def test_a_reorg_takes_blocks_back_and_their_extrinsics_to_the_pool(depth):
    """State goes back, the same bytes come in again, and the sums are what they were."""
    scenario = make_pallet_scenario(finality_blocks=30)
    scenario.world.finalize()
    scenario.world.submit(batch(scenario, 1))
    for _ in range(depth):
        scenario.world.make_block()
    number, old = scenario.world.forks.head.number, scenario.world.forks.head.hash
    held = scenario.state.get(
        storage.escrow_key(scenario.operator.account, scenario.viewers[0].account)
    ).held

    assert scenario.world.reorg(depth) == depth
    scenario.world.make_block()

    head = scenario.world.forks.head
    escrow = scenario.state.get(
        storage.escrow_key(scenario.operator.account, scenario.viewers[0].account)
    )
    assert head.number == number + 2
    assert scenario.world.forks.hash_at(number) != old
    assert last_seq(scenario) == 1
    assert escrow.held == held


def test_a_reorg_that_loses_what_was_in_leaves_it_to_be_sent_again():
    """The same bytes are taken once more."""
    scenario = make_pallet_scenario(finality_blocks=30)
    scenario.world.finalize()
    raw = batch(scenario, 1)
    scenario.world.submit(raw)
    scenario.world.make_block()
    scenario.world.faults.set({"lose": 1})
    scenario.world.reorg(1)

    assert (last_seq(scenario), len(scenario.world.pool)) == (0, 0)
    scenario.world.submit(raw)
    scenario.world.make_block()
    assert last_seq(scenario) == 1


def test_finalized_blocks_stay():
    """No reorg reaches behind finality, however deep."""
    scenario = make_pallet_scenario()
    for _ in range(5):
        scenario.world.make_block()
    final, blocks = scenario.world.forks.finalized_hash, scenario.world.forks.finalized

    scenario.world.reorg(20)

    assert scenario.world.forks.hash_at(blocks) == final


def test_a_stall_of_finality_ends():
    """Blocks go on; what is final does not, until told."""
    scenario = make_pallet_scenario()
    final = scenario.world.forks.finalized
    scenario.world.stall()
    for _ in range(1000):
        scenario.world.make_block()
    stalled = scenario.world.forks.finalized
    scenario.world.stall(0)
    scenario.world.make_block()

    assert stalled == final
    assert scenario.world.forks.finalized == scenario.world.forks.head.number - 2


def test_a_restart_empties_the_pool():
    """What waited is gone, and the same bytes are taken again."""
    scenario = make_pallet_scenario()
    raw = batch(scenario, 1)
    scenario.world.submit(raw)

    scenario.world.restart()

    assert len(scenario.world.pool) == 0
    assert scenario.world.is_closing
    scenario.world.submit(raw)


def life(seed: int) -> tuple[list[bytes], dict[str, int], list[int]]:
    """Run a scenario under every fault and return what became of it."""
    scenario = make_pallet_scenario(seed=seed)
    scenario.world.faults.set(dict.fromkeys(RATES, 0.15))
    codes = []
    for step in range(90):
        made = settle_of(last_seq(scenario) + 1, [scenario.entry(0, step + 1)])
        nonce = scenario.state.account(scenario.operator.account).nonce
        try:
            scenario.world.submit(scenario.signed(scenario.operator, made, nonce=nonce))
        except RpcError as error:
            codes.append(error.code)
        scenario.world.make_block()
    forks = scenario.world.forks
    hashes = [forks.hash_at(number) or b"" for number in range(forks.head.number + 1)]
    return hashes, scenario.world.faults.counts, codes


def test_a_seed_repeats_every_fault():
    """The same requests in the same order meet the same faults; another seed meets others."""
    first, second, third = life(5), life(5), life(6)

    assert first[1:] == second[1:]
    assert len(first[0]) == len(second[0])
    assert set(first[1]) > {"drop", "reorg", "stall", "restart", "upgrade", "empty", "lag"}
    assert first[1:] != third[1:]


def test_faults_are_named_on_the_command_line():
    """What is misspelt is told, with what there is."""
    assert parse("all") == RATES
    assert parse("none") == parse("") == {}
    assert parse("reorg, drop=0.5") == {"reorg": RATES["reorg"], "drop": 0.5}
    for wrong in ("reorgs", "drop=2", "drop=x"):
        with pytest.raises(InvalidValueError):
            parse(wrong)
    with pytest.raises(InvalidValueError, match="no fault"):
        Faults(1, {"flood": 1})


def test_the_stream_that_nobody_made_is_not_there():
    """A call that fails is told by the name of its error."""
    scenario = make_pallet_scenario()
    scenario.world.submit(
        scenario.signed(scenario.viewers[0], of_stream("leave_stream", stream_id=STREAM + 1))
    )
    block = scenario.world.make_block()

    assert b"\x00\x01" + b"\x03\x07" in block.values[storage.events_key()]
    assert PRICE > 0
