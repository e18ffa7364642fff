"""The node's JSON-RPC over a `World`: a method's name and parameters to a result.

Besides the node's own methods there are ``dev_newBlock`` and ``dev_timeTravel`` (as chopsticks has
them) and what steers the fake: ``fake_faults``, ``fake_makeBlock``, ``fake_finalize``,
``fake_stall``, ``fake_reorg``, ``fake_upgrade``, ``fake_restart``, ``fake_state``. Sockets and
subscriptions are node.py's.

Source: polkadot-sdk, ``sc-rpc-api``; docs/developer/chains.md, "The fake node".
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Final

from metering.chain.node.scale import ACCOUNT, BYTES, HASH, U32, U128, Hash, compact
from metering.chain.node.storage import prefix
from metering.errors import InvalidValueError
from metering.model.address import parse_address
from metering.testing.fake_node import tables
from metering.testing.fake_node.faults import parse
from metering.testing.fake_node.pool import RpcError
from metering.testing.fake_node.runtime import (
    FEE_BASE,
    FEE_PER_BYTE,
    SPEC_KEY,
    decode_extrinsic,
    hexed,
)
from metering.testing.fake_node.state import State, encoded
from metering.testing.fake_node.world import STALL_INDEFINITELY, World

KEYS_MAX: Final = 1000
GENESIS_UNKNOWN: Final = f"0x{'45' * 32}"
"""What the genesis state has as the hash of block 0, which cannot hold its own: frame_system's
default 69 in every byte. Block 1 puts the true one in its place."""
_BLOCK_HASH: Final = prefix("System", "BlockHash")
_APIS: Final = (
    "Core",
    "Metadata",
    "BlockBuilder",
    "TaggedTransactionQueue",
    "AccountNonceApi",
    "TransactionPaymentApi",
    "TickStreamApi",
)


class Rpc:
    """Answers for a world.

    Args:
        metadata: V14 of the runtime, SCALE.
    """

    def __init__(self, world: World, metadata: bytes) -> None:
        self._world = world
        self._metadata = hexed(metadata)
        self._methods: dict[str, Callable[..., Any]] = {
            "author_pendingExtrinsics": self._pending,
            "author_submitExtrinsic": self._submit,
            "chain_getBlock": self._block,
            "chain_getBlockHash": self._block_hash,
            "chain_getFinalizedHead": lambda: hexed(world.forks.finalized_hash),
            "chain_getHeader": self._header,
            "chain_getRuntimeVersion": self._version,
            "dev_newBlock": self._new_block,
            "dev_timeTravel": world.travel,
            "fake_faults": self._faults,
            "fake_finalize": self._finalize,
            "fake_makeBlock": self._make_blocks,
            "fake_reorg": world.reorg,
            "fake_restart": world.restart,
            "fake_stall": self._stall,
            "fake_state": self._status,
            "fake_upgrade": lambda: hexed(world.make_block(is_upgrade=True).hash),
            "rpc_methods": lambda: {"methods": sorted(self._methods)},
            "state_call": self._call,
            "state_getKeysPaged": self._keys,
            "state_getMetadata": lambda _at=None: self._metadata,
            "state_getRuntimeVersion": self._version,
            "state_getStorage": self._storage,
            "state_queryStorageAt": self._query,
            "system_accountNextIndex": self._next_index,
            "system_chain": lambda: "Vilokanam Fake",
            "system_health": lambda: {"peers": 0, "isSyncing": False, "shouldHavePeers": False},
            "system_name": lambda: "vilokanam-fake-node",
            "system_properties": lambda: {
                "ss58Format": 42,
                "tokenDecimals": 12,
                "tokenSymbol": "UNIT",
            },
            "system_version": lambda: "1",
        }
        for alias, name in {
            "account_nextIndex": "system_accountNextIndex",
            "chain_getFinalisedHead": "chain_getFinalizedHead",
            "chain_getHead": "chain_getBlockHash",
            "state_getKeysPagedAt": "state_getKeysPaged",
            "state_getStorageAt": "state_getStorage",
        }.items():
            self._methods[alias] = self._methods[name]

    def answer(self, method: str, parameters: list[Any]) -> Any:
        """Return the result of one request.

        Raises:
            RpcError: With the node's code; -32601 for a method that it has not, -32602 for
                parameters that cannot be read.
        """
        handler = self._methods.get(method)
        if handler is None:
            raise RpcError(-32601, f"Method not found: {method}")
        while parameters and parameters[-1] is None:
            parameters = parameters[:-1]
        try:
            return handler(*parameters)
        except (TypeError, ValueError, KeyError, InvalidValueError) as error:
            raise RpcError(-32602, "Invalid params", str(error)) from error

    def _submit(self, data: str) -> str:
        return hexed(self._world.submit(_bytes(data)))

    def _pending(self) -> list[str]:
        return [hexed(extrinsic.raw) for extrinsic in self._world.pool.all()]

    def _block_hash(self, number: Any = None) -> Any:
        if isinstance(number, list):
            return [self._block_hash(item) for item in number]
        if number is None:
            return hexed(self._world.forks.head.hash)
        wanted = int(number, 16) if isinstance(number, str) else int(number)
        block_hash = self._world.forks.hash_at(wanted)
        return None if block_hash is None else hexed(block_hash)

    def _header(self, at: str | None = None) -> Any:
        block = self._world.forks.head if at is None else self._world.forks.block(_hash(at))
        return None if block is None else block.header()

    def _block(self, at: str | None = None) -> Any:
        block = self._world.forks.head if at is None else self._world.forks.block(_hash(at))
        if block is None:
            return None
        extrinsics = [hexed(extrinsic) for extrinsic in block.extrinsics]
        return {
            "block": {"header": block.header(), "extrinsics": extrinsics},
            "justifications": None,
        }

    def _version(self, at: str | None = None) -> dict[str, Any]:
        _, values = self._world.values_at(_at(at))
        return {
            "specName": tables.SPEC_NAME,
            "implName": "vilokanam-fake",
            "authoringVersion": 1,
            "specVersion": values[SPEC_KEY],
            "implVersion": 1,
            "apis": [
                [hexed(hashlib.blake2b(api.encode(), digest_size=8).digest()), 1] for api in _APIS
            ],
            "transactionVersion": tables.TX_VERSION,
            "systemVersion": 1,
            "stateVersion": 1,
        }

    def _storage(self, key: str, at: str | None = None) -> str | None:
        return self._stored(_bytes(key), _at(at))

    def _stored(self, key: bytes, at: Hash | None) -> str | None:
        block, values = self._world.values_at(at)
        if key.startswith(_BLOCK_HASH) and len(key) == len(_BLOCK_HASH) + 12:
            number = int.from_bytes(key[-4:], "little")
            if block.number == number == 0:
                return GENESIS_UNKNOWN
            block_hash = self._world.forks.lookup(block.hash)(number)
            return None if block_hash is None or number >= block.number else hexed(block_hash)
        value = values.get(key)
        if value is None or key == SPEC_KEY:
            return None
        return hexed(encoded(key, value))

    def _query(self, keys: list[str], at: str | None = None) -> list[dict[str, Any]]:
        block, _ = self._world.values_at(_at(at))
        changes = [[key, self._stored(_bytes(key), block.hash)] for key in keys]
        return [{"block": hexed(block.hash), "changes": changes}]

    def _keys(
        self, start: str, count: int, after: str | None = None, at: str | None = None
    ) -> list[str]:
        _, values = self._world.values_at(_at(at))
        head, last = _bytes(start), _bytes(after or "0x")
        matching = sorted(key for key in values if key.startswith(head) and key > last)
        return [hexed(key) for key in matching if key != SPEC_KEY][: min(count, KEYS_MAX)]

    def _next_index(self, address: str) -> int:
        who = parse_address(address)
        nonce = State(self._world.forks.head.values).account(who).nonce
        taken = {
            extrinsic.nonce for extrinsic in self._world.pool.all() if extrinsic.account == who
        }
        while nonce in taken:
            nonce += 1
        return nonce

    def _call(self, name: str, data: str, at: str | None = None) -> str:
        _, values = self._world.values_at(_at(at))
        given, state = _bytes(data), State(values)
        if name == "AccountNonceApi_account_nonce":
            return hexed(U32.encode(state.account(ACCOUNT.decode(given)).nonce))
        if name == "TransactionPaymentApi_query_info":
            return self._weight(given[:-4])
        if name == "TickStreamApi_get_tick_count":
            key = prefix("TickStream", "TickCount")
            key += hashlib.blake2b(given, digest_size=16).digest() + given
            return hexed(U32.encode(values.get(key) or 0))
        if name == "Metadata_metadata":
            return hexed(BYTES.encode(_bytes(self._metadata)))
        if name == "Core_version":
            return hexed(_core_version(values[SPEC_KEY]))
        raise RpcError(4003, f"Client error: Execution failed: no runtime function {name}")

    def _weight(self, raw: bytes) -> str:
        """Return weight, class and fee of an extrinsic."""
        entries = len(decode_extrinsic(raw).call.arguments.get("entries", ()))
        ref_time = 100_000_000 + 500_000_000 * entries
        if entries > 1 and self._world.faults.happens("heavy"):
            ref_time = 3_000_000_000_000
        fee = FEE_BASE + FEE_PER_BYTE * len(raw)
        return hexed(compact(ref_time) + compact(4000 * (1 + entries)) + b"\x00" + U128.encode(fee))

    def _new_block(self, options: dict[str, Any] | None = None) -> str:
        return self._make_blocks(int((options or {}).get("count", 1)))

    def _make_blocks(self, count: int = 1) -> str:
        for _ in range(count):
            self._world.make_block()
        return hexed(self._world.forks.head.hash)

    def _finalize(self, number: int | None = None) -> int:
        self._world.finalize(number)
        return self._world.forks.finalized

    def _stall(self, blocks: int = STALL_INDEFINITELY) -> None:
        self._world.stall(blocks)

    def _faults(self, rates: Any = "none") -> dict[str, float]:
        self._world.faults.set(parse(rates) if isinstance(rates, str) else dict(rates))
        return self._world.faults.rates

    def _status(self) -> dict[str, Any]:
        world = self._world
        return {
            "best": world.forks.head.number,
            "finalized": world.forks.finalized,
            "pool": [hexed(extrinsic.hash) for extrinsic in world.pool.all()],
            "specVersion": world.forks.head.values[SPEC_KEY],
            "faults": world.faults.counts,
        }


def _core_version(spec_version: int) -> bytes:
    """Return ``RuntimeVersion`` as SCALE."""
    apis = compact(len(_APIS)) + b"".join(
        hashlib.blake2b(api.encode(), digest_size=8).digest() + U32.encode(1) for api in _APIS
    )
    return (
        BYTES.encode(tables.SPEC_NAME.encode())
        + BYTES.encode(b"vilokanam-fake")
        + b"".join(U32.encode(version) for version in (1, spec_version, 1))
        + apis
        + U32.encode(tables.TX_VERSION)
        + b"\x01"
    )


def _bytes(text: str) -> bytes:
    if not isinstance(text, str) or not text.startswith("0x"):
        raise InvalidValueError(f"{text!r} is not bytes in hex with 0x before them")
    return bytes.fromhex(text[2:])


def _hash(text: str) -> Hash:
    return HASH.decode(_bytes(text))


def _at(text: str | None) -> Hash | None:
    return None if text is None else _hash(text)
