"""Errors of the metering package, sorted by whose fault they are and what to do next.

MeteringError
├── NegativeSecondsError      bug: crash
├── LedgerImbalanceError      bug: stop settling
├── BookError                 operator: the book cannot be opened or is of another version
├── UnknownNameError          caller: no such stream, viewer, batch: 404
├── IdempotencyConflictError  caller: the key was used with another body: 409
├── InvalidValueError         caller: a value out of its range, named with its remedy: 422
├── ReceiptInvalidError       caller: a receipt does not prove what it says
│   └── NoReceiptsError       caller: the file is none of receipts
├── NotEnoughError            caller: a balance holds less than is to leave it
├── StoreUnavailableError     world: Redis is away or not yet recovered; retry the same claim: 503
├── StoreRefusedError         operator: Redis is set up to lose money; names the setting
└── ChainError
    ├── ChainUnavailableError    retry
    ├── ExtrinsicRejectedError   a person must look
    ├── OutcomeUnknownError      ask the chain first
    ├── BlockPrunedError         operator: the node forgot a block that the book has not taken
    ├── OtherChainError          operator: the node follows another chain than the book
    ├── BatchTooLargeError       seal its entries in smaller batches
    ├── OperatorNotReadyError    operator: register, activate or fund the key; settlement waits
    ├── RuntimeUnsupportedError  operator: no settling on this runtime until one of both is updated
    └── SubmitterLostError       another settler holds the operator's key: stop, it goes on
"""

from __future__ import annotations


class MeteringError(Exception):
    """Base of all errors that this package raises on purpose."""


class NegativeSecondsError(MeteringError):
    """A count of seconds is below zero: only a bug can do that."""


class LedgerImbalanceError(MeteringError):
    """Postings do not sum to nothing, or the books differ: stop settling."""


class BookError(MeteringError):
    """The book cannot be opened, or its schema is not the one this program knows."""


class UnknownNameError(MeteringError):
    """No such stream, viewer, session or batch."""


class IdempotencyConflictError(MeteringError):
    """The idempotency key was used before with other content."""


class InvalidValueError(MeteringError):
    """A value out of its range; the message names it and the remedy."""


class ReceiptInvalidError(MeteringError):
    """A receipt does not verify; the message says at which number and why."""


class NoReceiptsError(ReceiptInvalidError):
    """A file is none of receipts.

    Attributes:
        reason: What shows it, in words.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"receipt 0: {reason}")


class NotEnoughError(MeteringError):
    """More is to leave a balance than it holds.

    Attributes:
        balance: What it holds, in planck.
    """

    def __init__(self, balance: int, wanted: int) -> None:
        super().__init__(f"the balance is {balance} planck, and {wanted} were to leave it")
        self.balance = balance


class StoreUnavailableError(MeteringError):
    """Redis does not answer, or has not been recovered since it last changed hands."""


class StoreRefusedError(MeteringError):
    """Redis would lose money, or is another server's; names each setting and its right value.

    Attributes:
        faults: What is wrong, each with its remedy.
    """

    def __init__(self, *faults: str) -> None:
        self.faults = faults
        super().__init__("; ".join(faults))


class ChainError(MeteringError):
    """Base of what settlement can run into."""


class ChainUnavailableError(ChainError):
    """The back end does not answer now: the same bytes may be sent again."""


class ExtrinsicRejectedError(ChainError):
    """The back end refuses these bytes for good; the message carries its reason."""


class OutcomeUnknownError(ChainError):
    """It cannot be told whether the bytes took effect: ask the finalized state first."""


class BlockPrunedError(ChainError):
    """The node has forgotten what the book needs of a block: ask one that keeps its history."""


class OtherChainError(ChainError):
    """The node's finalized blocks are not those that the book has taken: nothing is written."""


class BatchTooLargeError(ChainError):
    """No block takes this batch; `entries_max` is what one would take."""

    def __init__(self, message: str, entries_max: int) -> None:
        super().__init__(message)
        self.entries_max = entries_max


class OperatorNotReadyError(ChainError):
    """The chain takes no batch of this operator now; says what to do. Settlement waits."""


class RuntimeUnsupportedError(ChainError):
    """The runtime has what this program cannot sign for or read; names it. Nothing is lost."""


class SubmitterLostError(ChainError):
    """Another settler took over this operator's key: its token is newer, ours writes nothing."""
