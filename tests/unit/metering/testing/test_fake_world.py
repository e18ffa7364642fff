"""The fake node without sockets: what its pool answers, how it forks, and that a seed repeats."""

import pytest

from metering.chain.node import storage
from metering.errors import InvalidValueError
from metering.testing.fake_node.faults import RATES, Faults, parse
from metering.testing.fake_node.pool import BAN_BLOCKS, RpcError
from metering.testing.fake_node.runtime import UNIT
from tests.support.fake_chain import PRICE, STREAM, Town, make_town
from tests.support.wallet import of_stream, settle_of, transfer


def refused(town: Town, raw: bytes) -> tuple[int, str]:
    """Return code and text of a submit that must fail."""
    with pytest.raises(RpcError) as caught:
        town.world.submit(raw)
    return caught.value.code, caught.value.data or caught.value.message


def last_seq(town: Town) -> int:
    return town.state.get(storage.operator_key(town.operator.account)).last_seq


def batch(town: Town, seq: int, ticks: int = 5, **changes) -> bytes:
    return town.signed(town.operator, settle_of(seq, [town.entry(0, ticks)]), **changes)


def test_the_same_bytes_twice_are_known_then_banned():
    """1013 while they wait, 1012 once they were in a block, and for a while only."""
    town = make_town()
    raw = batch(town, 1)
    town.world.submit(raw)

    assert refused(town, raw)[0] == 1013
    town.world.make_block()
    assert refused(town, raw)[0] == 1012
    for _ in range(BAN_BLOCKS + 1):
        town.world.make_block()
    assert refused(town, raw) == (1010, "Transaction is outdated")
    assert last_seq(town) == 1


def test_another_of_the_same_nonce_is_of_too_low_priority():
    """The first keeps its place."""
    town = make_town()
    first = batch(town, 1)
    town.world.submit(first)

    assert refused(town, batch(town, 1, 6, nonce=1))[0] == 1014
    town.world.make_block()
    assert town.state.get(storage.outcome_key(town.operator.account, 1)).ticks == 5


def test_a_second_of_the_same_nonce_may_usurp_the_first():
    """The fault that a busy pool may show."""
    town = make_town()
    town.world.submit(batch(town, 1))
    town.world.faults.set({"usurp": 1})

    town.world.submit(batch(town, 1, 6, nonce=1))

    assert len(town.world.pool) == 1
    town.world.make_block()
    assert town.state.get(storage.outcome_key(town.operator.account, 1)).ticks == 6


def test_a_nonce_ahead_waits_for_the_one_before():
    """Future transactions are kept, and go in with the one that they wait for."""
    town = make_town()
    first, second = batch(town, 1), batch(town, 2, 9)
    town.world.submit(second)
    town.world.make_block()
    before = last_seq(town), len(town.world.pool)

    town.world.submit(first)
    town.world.make_block()

    assert before == (0, 1)
    assert last_seq(town) == 2


def test_an_era_that_is_over_looks_like_a_bad_signature():
    """The birth block's hash that we signed is not the one that the chain now puts in."""
    town = make_town()
    raw = batch(town, 1, period=4)
    for _ in range(6):
        town.world.make_block()

    assert refused(town, raw) == (1010, "Transaction has a bad signature")


@pytest.mark.parametrize("period", [4, 8, 64])
def test_an_era_lives_to_the_block_before_its_death(period):
    """Birth + period - 1 may hold it, birth + period not."""
    for late in (0, 1):
        town = make_town()
        born = town.world.forks.finalized
        raw = batch(town, 1, period=period)
        while town.world.forks.head.number + 1 < born + period - 1 + late:
            town.world.make_block()
        if late:
            assert refused(town, raw)[0] == 1010
        else:
            town.world.submit(raw)
            town.world.make_block()
            assert last_seq(town) == 1


def test_bytes_signed_for_another_runtime_or_chain_are_badly_signed():
    """An upgrade between signing and sending shows as a bad signature too."""
    town = make_town()
    raw = batch(town, 1)
    town.world.make_block(is_upgrade=True)

    assert refused(town, raw) == (1010, "Transaction has a bad signature")
    town.world.submit(batch(town, 1, spec_version=101, nonce=1))
    other = make_town(seed=2)
    assert refused(other, batch(make_town(seed=3), 1)) == (1010, "Transaction has a bad signature")


def test_whoever_cannot_pay_is_told_so():
    """An account without the fee cannot send."""
    town = make_town()
    stranger = town.signed(
        type(town.operator)(town.operator.account, town.operator.secret), transfer(bytes(32), UNIT)
    )
    poor = town.signed(town.creator, transfer(town.operator.account, 999 * UNIT))
    town.world.submit(poor)
    town.world.submit(stranger)
    town.world.make_block()

    again = town.signed(town.creator, transfer(town.operator.account, 1))
    free = town.state.account(town.creator.account).free
    assert free < UNIT
    town.world.submit(again)
    town.world.make_block()
    assert town.state.account(town.creator.account).free < free


def test_bytes_that_are_no_extrinsic_are_not_verified():
    """1002, as the runtime cannot read them."""
    assert refused(make_town(), b"\x04\x84")[0] == 1002


@pytest.mark.parametrize("depth", [1, 2, 7, 20])
def test_a_reorg_takes_blocks_back_and_their_extrinsics_to_the_pool(depth):
    """State goes back, the same bytes come in again, and the sums are what they were."""
    town = make_town(finality_blocks=30)
    town.world.finalize()
    town.world.submit(batch(town, 1))
    for _ in range(depth):
        town.world.make_block()
    number, old = town.world.forks.head.number, town.world.forks.head.hash
    held = town.state.get(storage.escrow_key(town.operator.account, town.viewers[0].account)).held

    assert town.world.reorg(depth) == depth
    town.world.make_block()

    head = town.world.forks.head
    escrow = town.state.get(storage.escrow_key(town.operator.account, town.viewers[0].account))
    assert head.number == number + 2
    assert town.world.forks.hash_at(number) != old
    assert last_seq(town) == 1
    assert escrow.held == held


def test_a_reorg_that_loses_what_was_in_leaves_it_to_be_sent_again():
    """The same bytes are taken once more."""
    town = make_town(finality_blocks=30)
    town.world.finalize()
    raw = batch(town, 1)
    town.world.submit(raw)
    town.world.make_block()
    town.world.faults.set({"lose": 1})
    town.world.reorg(1)

    assert (last_seq(town), len(town.world.pool)) == (0, 0)
    town.world.submit(raw)
    town.world.make_block()
    assert last_seq(town) == 1


def test_finalized_blocks_stay():
    """No reorg reaches behind finality, however deep."""
    town = make_town()
    for _ in range(5):
        town.world.make_block()
    final, blocks = town.world.forks.finalized_hash, town.world.forks.finalized

    town.world.reorg(20)

    assert town.world.forks.hash_at(blocks) == final


def test_a_stall_of_finality_ends():
    """Blocks go on; what is final does not, until told."""
    town = make_town()
    final = town.world.forks.finalized
    town.world.stall()
    for _ in range(1000):
        town.world.make_block()
    stalled = town.world.forks.finalized
    town.world.stall(0)
    town.world.make_block()

    assert stalled == final
    assert town.world.forks.finalized == town.world.forks.head.number - 2


def test_a_restart_empties_the_pool():
    """What waited is gone, and the same bytes are taken again."""
    town = make_town()
    raw = batch(town, 1)
    town.world.submit(raw)

    town.world.restart()

    assert len(town.world.pool) == 0
    assert town.world.is_closing
    town.world.submit(raw)


def life(seed: int) -> tuple[list[bytes], dict[str, int], list[int]]:
    """Run a town under every fault and return what became of it."""
    town = make_town(seed=seed)
    town.world.faults.set(dict.fromkeys(RATES, 0.15))
    codes = []
    for step in range(90):
        made = settle_of(last_seq(town) + 1, [town.entry(0, step + 1)])
        nonce = town.state.account(town.operator.account).nonce
        try:
            town.world.submit(town.signed(town.operator, made, nonce=nonce))
        except RpcError as error:
            codes.append(error.code)
        town.world.make_block()
    forks = town.world.forks
    hashes = [forks.hash_at(number) or b"" for number in range(forks.head.number + 1)]
    return hashes, town.world.faults.counts, codes


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
    town = make_town()
    town.world.submit(town.signed(town.viewers[0], of_stream("leave_stream", stream_id=STREAM + 1)))
    block = town.world.make_block()

    assert b"\x00\x01" + b"\x03\x07" in block.values[storage.events_key()]
    assert PRICE > 0
