"""The fake node's JSON-RPC: what a client of a real node expects to be answered."""

import hashlib
from uuid import UUID

import pytest

from metering.chain.node import scale, storage
from metering.testing.fake_node.pool import RpcError
from metering.testing.fake_node.rpc import Rpc
from tests.support.pallet_scenario import STREAM, PalletScenario, make_pallet_scenario


@pytest.fixture
def scenario() -> PalletScenario:
    return make_pallet_scenario()


@pytest.fixture
def rpc(scenario) -> Rpc:
    return Rpc(scenario.world, b"meta\x0e")


def test_a_block_is_found_by_number_and_hash(scenario, rpc):
    """The header's hash is what its parent's child names, and what its bytes hash to."""
    scenario.world.submit(scenario.settle(1, scenario.entry(0, 5)))
    scenario.world.make_block()
    found = rpc.answer("chain_getBlockHash", [4])

    block = rpc.answer("chain_getBlock", [found])["block"]
    header = rpc.answer("chain_getHeader", [found])

    assert block["header"] == header
    assert header["number"] == "0x4"
    assert header["parentHash"] == rpc.answer("chain_getBlockHash", [3])
    assert len(block["extrinsics"]) == 2
    encoded = bytes.fromhex(header["parentHash"][2:]) + scale.compact(4)
    encoded += bytes.fromhex(header["stateRoot"][2:] + header["extrinsicsRoot"][2:]) + b"\x00"
    assert found == "0x" + hashlib.blake2b(encoded, digest_size=32).hexdigest()
    assert rpc.answer("chain_getBlockHash", [99]) is None
    assert rpc.answer("chain_getHeader", ["0x" + "00" * 32]) is None


def test_storage_is_the_pallets_bytes_at_any_block(scenario, rpc):
    """What is read is what the runtime would hold, now and at an older block."""
    key = "0x" + storage.operator_key(scenario.operator.account).hex()
    before = rpc.answer("chain_getBlockHash", [])
    scenario.world.submit(scenario.settle(1, scenario.entry(0, 5)))
    scenario.world.make_block()

    now = storage.OPERATOR.decode(bytes.fromhex(rpc.answer("state_getStorage", [key])[2:]))
    old = storage.OPERATOR.decode(bytes.fromhex(rpc.answer("state_getStorage", [key, before])[2:]))
    both = rpc.answer("state_queryStorageAt", [[key], before])

    assert (old.last_seq, now.last_seq) == (0, 1)
    assert both[0]["changes"] == [[key, rpc.answer("state_getStorage", [key, before])]]
    assert rpc.answer("state_getStorage", ["0x00"]) is None


def test_keys_come_in_pages(scenario, rpc):
    """Each page begins after the last key of the one before."""
    prefix = "0x" + storage.prefix("TickStream", "Sessions").hex()
    first = rpc.answer("state_getKeysPaged", [prefix, 1, prefix])
    second = rpc.answer("state_getKeysPaged", [prefix, 5, first[0]])

    sessions = [
        storage.session_key(UUID(int=STREAM), viewer.account, 1) for viewer in scenario.viewers
    ]
    assert first + second == sorted(f"0x{key.hex()}" for key in sessions)


def test_the_hash_of_block_0_is_in_storage(rpc):
    """Where a client looks for the genesis hash that extrinsics are bound to."""
    key = "0x" + storage.block_hash_key(0).hex()

    assert rpc.answer("state_getStorage", [key]) == rpc.answer("chain_getBlockHash", [0])


def test_the_next_index_counts_what_waits(scenario, rpc):
    """As wallets ask it, by SS58 address."""
    alice = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
    scenario.world.submit(scenario.settle(1, scenario.entry(0, 5)))
    operator = "0x" + scenario.operator.account.hex()

    assert rpc.answer("system_accountNextIndex", [alice]) == 0
    assert rpc.answer("system_accountNextIndex", [operator]) == 2
    nonce = rpc.answer("state_call", ["AccountNonceApi_account_nonce", operator])
    assert nonce == "0x01000000"


def test_an_upgrade_shows_at_its_block_and_not_before(rpc):
    """So a client reads each block with the runtime that made it."""
    before = rpc.answer("chain_getBlockHash", [])
    rpc.answer("fake_upgrade", [])

    assert rpc.answer("state_getRuntimeVersion", [before])["specVersion"] == 100
    assert rpc.answer("state_getRuntimeVersion", [])["specVersion"] == 101


def test_old_states_are_let_go_of(scenario, rpc):
    """A node prunes: what is asked of too old a block is an error, not a wrong answer."""
    old = rpc.answer("chain_getBlockHash", [3])
    rpc.answer("fake_makeBlock", [300])

    with pytest.raises(RpcError, match="discarded"):
        rpc.answer("state_getStorage", ["0x00", old])
    assert rpc.answer("chain_getHeader", [old])["number"] == "0x3"


@pytest.mark.parametrize(
    ("method", "parameters", "code"),
    [
        ("chain_sing", [], -32601),
        ("state_getStorage", [], -32602),
        ("state_getStorage", ["hello"], -32602),
        ("state_getStorage", ["0x00", "0x" + "11" * 32], 4003),
        ("system_accountNextIndex", ["5Grw"], -32602),
        ("fake_faults", ["flood"], -32602),
        ("author_submitExtrinsic", ["0x00"], 1002),
    ],
)
def test_what_cannot_be_answered_has_the_nodes_code(rpc, method, parameters, code):
    """An error, never a crash."""
    with pytest.raises(RpcError) as caught:
        rpc.answer(method, parameters)

    assert caught.value.code == code
