"""What goes wrong at the fake node, drawn from a seed: each fault has a name and a rate.

The same seed gives the same faults for the same requests in the same order.
"""

from __future__ import annotations

import random
from typing import Final

from metering.errors import InvalidValueError

SUBMIT: Final = {
    "unknown_validity": 0.02,
    "banned": 0.02,
    "low_priority": 0.02,
    "pool_full": 0.02,
    "unactionable": 0.01,
    "future_refused": 0.01,
    "bad_proof": 0.01,
    "stale": 0.01,
    "upgrade": 0.01,
    "usurp": 0.2,
}
"""Asked once for each submitted extrinsic; `usurp` once for each second one of an account's nonce.

`bad_proof` and `stale` answer 1010 to bytes that are good, as a node on another fork may.
"""

BLOCK: Final = {
    "drop": 0.05,
    "empty": 0.15,
    "reorg": 0.05,
    "lose": 0.3,
    "stall": 0.02,
    "lag": 0.1,
    "restart": 0.01,
    "duplicate_heads": 0.2,
}
"""Asked for each block; `drop` for each extrinsic in the pool, `lose` for each retracted."""

REPLY: Final = {"disconnect": 0.01, "disconnect_after": 0.01, "slow": 0.03, "heavy": 0.02}
"""Asked for each request: cut off in mid-reply, done but not answered, answered late; `heavy` for
each question what a batch of more than one entry weighs: more than a block takes."""

RATES: Final = {**SUBMIT, **BLOCK, **REPLY}

REORG_DEPTH_MAX: Final = 20
STALL_BLOCKS_MAX: Final = 60


class Faults:
    """Draws faults.

    Args:
        rates: Chance of each fault, 0 to 1; what is missing never happens.
    """

    def __init__(self, seed: int, rates: dict[str, float] | None = None) -> None:
        self.chance = random.Random(seed)  # noqa: S311 -- chance that can be repeated is the point
        self.rates: dict[str, float] = {}
        self.counts: dict[str, int] = {}
        self.set(rates or {})

    def set(self, rates: dict[str, float]) -> None:
        """Change the rates to these and no others.

        Raises:
            InvalidValueError: If a fault is unknown or its rate is none.
        """
        for name, rate in rates.items():
            if name not in RATES:
                raise InvalidValueError(f"no fault {name}: there are {', '.join(sorted(RATES))}")
            if not 0 <= rate <= 1:
                raise InvalidValueError(f"the rate of {name} is {rate}: take 0 to 1")
        self.rates = dict(rates)

    def happens(self, name: str) -> bool:
        """Draw one fault."""
        rate = self.rates.get(name, 0.0)
        if not rate or self.chance.random() >= rate:
            return False
        self.counts[name] = self.counts.get(name, 0) + 1
        return True


def parse(text: str) -> dict[str, float]:
    """Return rates from ``none``, ``all``, or a list such as ``reorg,drop=0.5``.

    Raises:
        InvalidValueError: If a fault is unknown or its rate is none.
    """
    if text in ("", "none"):
        return {}
    if text == "all":
        return dict(RATES)
    rates: dict[str, float] = {}
    for word in text.split(","):
        name, _, rate = word.strip().partition("=")
        if name not in RATES:
            raise InvalidValueError(f"no fault {name!r}: there are {', '.join(sorted(RATES))}")
        try:
            rates[name] = float(rate) if rate else RATES[name]
        except ValueError as error:
            raise InvalidValueError(f"the rate of {name} is {rate!r}: take 0 to 1") from error
        if not 0 <= rates[name] <= 1:
            raise InvalidValueError(f"the rate of {name} is {rate}: take 0 to 1")
    return rates
