"""What must be known of a runtime to sign for it and to read it: values, read from its metadata.

Indices are never written down in the code: a runtime upgrade may move them. `substrate.py` makes a
`RuntimeFacts` of a node's metadata; everything else only takes one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from metering.chain.node.scale import Hash
from metering.errors import RuntimeUnsupportedError

PALLET: Final = "TickStream"
CALLS: Final = ("settle",)
"""Calls that the settler cannot do without."""

_KNOWN: Final[dict[str, tuple[str, str]]] = {
    "CheckSpecVersion": ("", "u32"),
    "CheckTxVersion": ("", "u32"),
    "CheckGenesis": ("", "hash"),
    "CheckMortality": ("era", "hash"),
    "CheckEra": ("era", "hash"),
    "CheckNonce": ("compact", ""),
    "ChargeTransactionPayment": ("compact", ""),
    "CheckMetadataHash": ("mode", "option-hash"),
}
"""What each extension that we can fill in adds to extra and to additional."""


@dataclass(frozen=True, slots=True)
class Extension:
    """A signed extension of the runtime.

    Attributes:
        name: Its identifier in the metadata.
        extra: What it adds to the extrinsic: ``""`` nothing, ``"era"``, ``"compact"``, ``"mode"``;
            any other text describes a type that we do not know.
        additional: What it adds to the signed payload alone: ``""``, ``"u32"``, ``"hash"``,
            ``"option-hash"``, or a type that we do not know.
    """

    name: str
    extra: str
    additional: str

    @staticmethod
    def known() -> frozenset[str]:
        """Return the names of those that we can fill in."""
        return frozenset(_KNOWN)

    @property
    def is_empty(self) -> bool:
        """Return True when it adds nothing: then it need not be known."""
        return not self.extra and not self.additional

    @property
    def fault(self) -> str:
        """Return why it cannot be filled in, empty when it can."""
        if self.is_empty or _KNOWN.get(self.name) == (self.extra, self.additional):
            return ""
        return (
            f"the runtime's signed extension {self.name} adds {self.extra or 'nothing'} and "
            f"{self.additional or 'nothing'}, which this program cannot fill in: settlement "
            "stops, nothing is lost; update the program or the runtime"
        )


@dataclass(frozen=True, slots=True)
class RuntimeFacts:
    """One version of a runtime, as its metadata tells.

    Attributes:
        spec_name: Which runtime.
        spec_version: Raised by each upgrade.
        tx_version: Raised when signed bytes change their meaning.
        genesis: Hash of the chain's first block.
        pallet: Index of the pallet.
        calls: Index of each of its calls, by name.
        events: Index of each of its events, by name.
        errors: Name of each of its errors, by index.
        refusals: Reasons of a refused entry, by their index.
        extensions: Signed extensions in the runtime's order.
        constants: The pallet's constants that are integers, by name as in the metadata.
        pallets: Name of every pallet of the runtime, by index.
        block_hash_count: How many block hashes the chain keeps: no era may be longer.
        weight_max: Reference time and proof size that one normal extrinsic may take; None when the
            runtime does not bound it.
    """

    spec_name: str
    spec_version: int
    tx_version: int
    genesis: Hash
    pallet: int
    calls: Mapping[str, int]
    events: Mapping[str, int]
    errors: Mapping[int, str]
    refusals: tuple[str, ...]
    extensions: tuple[Extension, ...]
    constants: Mapping[str, int]
    pallets: Mapping[int, str]
    block_hash_count: int
    weight_max: tuple[int, int] | None = None

    def call(self, name: str) -> int:
        """Return the index of a call of the pallet.

        Raises:
            RuntimeUnsupportedError: If there is none of this name.
        """
        return self._found(self.calls.get(name), "call", name)

    def event(self, name: str) -> int:
        """Return the index of an event of the pallet.

        Raises:
            RuntimeUnsupportedError: If there is none of this name.
        """
        return self._found(self.events.get(name), "event", name)

    def constant(self, name: str) -> int:
        """Return a constant of the pallet.

        Raises:
            RuntimeUnsupportedError: If there is none of this name.
        """
        return self._found(self.constants.get(name), "constant", name)

    def refusal(self, index: int) -> str:
        """Return the reason of a refused entry, in words of the runtime."""
        if index < len(self.refusals):
            return self.refusals[index]
        return f"Refusal{index}"

    @property
    def entries_max(self) -> int:
        """Return how many entries one batch may hold.

        Raises:
            RuntimeUnsupportedError: If the pallet does not say.
        """
        return self.constant("MaxEntries")

    def faults(self) -> tuple[str, ...]:
        """Return all reasons why we cannot settle on this runtime; empty when we can."""
        missing = tuple(
            f"the runtime {self.spec_name} {self.spec_version} has no call {PALLET}.{name}"
            for name in CALLS
            if name not in self.calls
        )
        return missing + tuple(one.fault for one in self.extensions if one.fault)

    def _found(self, value: int | None, what: str, name: str) -> int:
        if value is None:
            raise RuntimeUnsupportedError(
                f"the runtime {self.spec_name} {self.spec_version} has no {what} {PALLET}.{name}; "
                "it needs the pallet tick-stream of this program's release"
            )
        return value
