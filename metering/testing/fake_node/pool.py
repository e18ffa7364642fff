"""The fake node's transaction pool: what it takes, in which order, and what it answers.

Source: polkadot-sdk, ``sc-transaction-pool`` and the codes of ``rpc-api/src/author/error.rs``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from metering.chain.node.scale import Hash
from metering.testing.fake_node.runtime import Extrinsic, Validity, hexed
from metering.testing.fake_node.state import State
from metering.units import AccountId

POOL_MAX: Final = 8192
BAN_BLOCKS: Final = 12
"""How long bytes that were included or found invalid are not taken again; a node's half hour would
be 300 blocks, and a simulation wants to see the end of it."""


class RpcError(Exception):
    """An error of the node's JSON-RPC.

    Attributes:
        code: Such as 1010.
        message: The node's text.
        data: More of it, or None.
    """

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        super().__init__(f"{code}: {message}" + (f": {data}" if data else ""))
        self.code = code
        self.message = message
        self.data = data


def invalid(verdict: Validity) -> RpcError:
    """Return 1010 with the text of a verdict."""
    return RpcError(1010, "Invalid Transaction", verdict.value)


def unknown_validity() -> RpcError:
    """Return 1011."""
    return RpcError(1011, "Unknown Transaction Validity", "CannotLookup")


def banned() -> RpcError:
    """Return 1012."""
    return RpcError(1012, "Transaction is temporarily banned")


def already_imported(extrinsic: Extrinsic) -> RpcError:
    """Return 1013."""
    return RpcError(1013, "Transaction Already Imported", hexed(extrinsic.hash))


def low_priority(old: int, new: int) -> RpcError:
    """Return 1014."""
    return RpcError(
        1014,
        f"Priority is too low: ({old} vs {new})",
        "The transaction has too low priority to replace another transaction already in the pool.",
    )


def pool_full() -> RpcError:
    """Return 1016."""
    return RpcError(
        1016,
        "Immediately Dropped",
        "The transaction couldn't enter the pool because of the limit",
    )


def unactionable() -> RpcError:
    """Return 1018."""
    return RpcError(
        1018,
        "Unactionable",
        "The transaction is unactionable since it is not propagable and the local node does not "
        "author blocks",
    )


def future_refused() -> RpcError:
    """Return 1021."""
    return RpcError(1021, "The pool is not accepting future transactions")


class Pool:
    """Extrinsics that wait, one for each (account, nonce)."""

    def __init__(self) -> None:
        self._by_hash: dict[Hash, Extrinsic] = {}
        self._by_slot: dict[tuple[AccountId, int], Hash] = {}
        self._banned: dict[Hash, int] = {}

    def __len__(self) -> int:
        return len(self._by_hash)

    def all(self) -> list[Extrinsic]:
        """Return what waits, in order of arrival."""
        return list(self._by_hash.values())

    def check_new(self, extrinsic: Extrinsic, block: int) -> None:
        """Refuse bytes that are known, before they are looked into.

        Raises:
            RpcError: 1012 when banned, 1013 when they wait already.
        """
        if self._banned.get(extrinsic.hash, -1) >= block:
            raise banned()
        if extrinsic.hash in self._by_hash:
            raise already_imported(extrinsic)

    def add(self, extrinsic: Extrinsic, *, must_usurp: bool = False) -> Extrinsic | None:
        """Take an extrinsic; return the one that it replaces at its nonce.

        Raises:
            RpcError: 1014 when another holds the nonce with as high a tip, 1016 when full.
        """
        slot = (extrinsic.account, extrinsic.nonce)
        old = self._by_hash.get(self._by_slot.get(slot, Hash(b"")))
        if old is not None and old.tip >= extrinsic.tip and not must_usurp:
            raise low_priority(old.tip, extrinsic.tip)
        if old is None and len(self) >= POOL_MAX:
            raise pool_full()
        if old is not None:
            self.drop(old)
        self._by_hash[extrinsic.hash] = extrinsic
        self._by_slot[slot] = extrinsic.hash
        return old

    def drop(self, extrinsic: Extrinsic) -> None:
        """Remove an extrinsic."""
        if self._by_hash.pop(extrinsic.hash, None) is not None:
            self._by_slot.pop((extrinsic.account, extrinsic.nonce), None)

    def ban(self, hashes: Iterable[Hash], block: int) -> None:
        """Do not take these bytes again for a while after `block`."""
        for extrinsic_hash in hashes:
            self._banned[extrinsic_hash] = block + BAN_BLOCKS

    def unban(self, hashes: Iterable[Hash]) -> None:
        """Take these bytes again."""
        for extrinsic_hash in hashes:
            self._banned.pop(extrinsic_hash, None)

    def clear(self) -> None:
        """Forget all, as a node that starts again does."""
        self._by_hash.clear()
        self._by_slot.clear()
        self._banned.clear()

    def ready(self, state: State) -> list[Extrinsic]:
        """Return what can go into the next block, each account's nonces in a row."""
        taken: list[Extrinsic] = []
        next_nonce: dict[AccountId, int] = {}
        before = -1
        while len(taken) > before:
            before = len(taken)
            # In order of arrival; what came before the one that it waits for goes in after it.
            for extrinsic in self.all():
                nonce = next_nonce.get(extrinsic.account, state.account(extrinsic.account).nonce)
                if extrinsic.nonce == nonce:
                    taken.append(extrinsic)
                    next_nonce[extrinsic.account] = nonce + 1
        return taken

    def revalidate(self, judge: Callable[[Extrinsic], Validity], block: int) -> None:
        """Throw out and ban what can never be valid again."""
        for extrinsic in self.all():
            if judge(extrinsic) in (Validity.STALE, Validity.BAD_PROOF, Validity.ANCIENT):
                self.drop(extrinsic)
                self.ban([extrinsic.hash], block)
        self._banned = {
            extrinsic_hash: until
            for extrinsic_hash, until in self._banned.items()
            if until >= block
        }
