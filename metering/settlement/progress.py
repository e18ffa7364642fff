"""What settlement has come to: numbers for metrics, kept by the settler as it goes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Progress:
    """What settlement has come to, for metrics; counts are since the start of the process.

    Attributes:
        finalized: Number of the finalized block, or journal record, last looked at.
        best: Number of the best block.
        in_flight: Batches signed and not final.
        in_block: Of those, in the best chain.
        signed: Attempts signed.
        resigned: Of those, after an earlier one had died.
        settled: Batches closed.
        refused: Entries refused in them.
        lag_ms: From the sealing of the oldest open batch until now, 0 when there is none.
        exposure_planck: Booked and not final: what the operator would lose with the chain.
    """

    finalized: int = 0
    best: int = 0
    in_flight: int = 0
    in_block: int = 0
    signed: int = 0
    resigned: int = 0
    settled: int = 0
    refused: int = 0
    lag_ms: int = 0
    exposure_planck: int = 0
