"""Amounts of money as people read and write them: in the asset, with its unit, and in planck.

Anyone who types an amount names the unit: between planck and the asset lie as many digits as nobody
counts by eye, so a bare whole number is refused, with both things that it may mean.

Source: docs/metering.md, "Money".
"""

from __future__ import annotations

import re
from typing import Final

from metering.errors import InvalidValueError
from metering.units import Asset, Planck

PLANCK: Final = "planck"
DIGITS_MAX: Final = 40
"""A Substrate balance is a u128: 39 digits."""
_AMOUNT: Final = re.compile(r"([0-9]+)(?:\.([0-9]+))?(?:\s+(\S+)|([A-Za-z]\S*))?", re.ASCII)


def amount_text(planck: int, asset: Asset) -> str:
    """Return planck as an amount of the asset, exact: ``0.00025 UNIT``, ``-1.5 UNIT``."""
    sign = "-" if planck < 0 else ""
    whole, rest = divmod(abs(planck), 10**asset.decimals)
    places = f"{rest:0{asset.decimals}d}".rstrip("0") if rest else ""
    return f"{sign}{whole}{'.' * bool(places)}{places} {asset.symbol}"


def both_texts(planck: int, asset: Asset) -> str:
    """Return both readings: ``0.00025 UNIT (250000000 planck)``."""
    return f"{amount_text(planck, asset)} ({planck} {PLANCK})"


def parse_amount(text: str, asset: Asset) -> Planck:
    """Return the planck of ``0.00025 UNIT`` or ``250000000 planck``; of ``0`` without a unit too.

    Raises:
        InvalidValueError: It names no unit, another one, or more places than the asset has; the
            message says every reading, and what to write.
    """
    match = _AMOUNT.fullmatch(text.strip())
    if match is None or len(match[1] + (match[2] or "")) > DIGITS_MAX:
        raise InvalidValueError(
            f'{text[:60]} is not an amount; write digits, a point and the unit, as "0.5 '
            f'{asset.symbol}"'
        )
    whole, places, unit = match[1], match[2] or "", match[3] or match[4] or ""
    if not unit and not int(whole + places):
        return Planck(0)
    if not unit:
        raise InvalidValueError(_without_unit(match[0], whole, places, asset))
    # The asset comes first: nothing keeps an operator from calling theirs "planck".
    if unit != asset.symbol:
        if unit != PLANCK:
            raise InvalidValueError(
                f"{match[0]}: {unit} is not a unit here; write {asset.symbol} or {PLANCK}"
            )
        if places:
            raise InvalidValueError(f"{match[0]}: {PLANCK} is whole; leave out the point")
        return Planck(int(whole))
    if len(places.rstrip("0")) > asset.decimals:
        raise InvalidValueError(
            f"{match[0]} is finer than one planck: {asset.symbol} has {asset.decimals} decimal "
            "places"
        )
    return Planck(int(whole + places[: asset.decimals].ljust(asset.decimals, "0")))


def _without_unit(text: str, whole: str, places: str, asset: Asset) -> str:
    full = f"{text} {asset.symbol}"
    if places:
        return f'{text} names no unit; write "{full}" with its quotes'
    as_asset = int(whole) * 10**asset.decimals
    return (
        f'{text} names no unit: "{full}" is {as_asset} planck, and --planck {text} is '
        f"{amount_text(int(whole), asset)}; write the one you mean"
    )


def aligned(amounts: list[int], asset: Asset) -> list[str]:
    """Return the amounts of a column with their points below each other: a digit too many shows."""
    texts = [amount_text(planck, asset).split(" ")[0].partition(".") for planck in amounts]
    left = max((len(text[0]) for text in texts), default=0)
    right = max((len(text[1] + text[2]) for text in texts), default=0)
    return [f"{text[0]:>{left}}{(text[1] + text[2]):<{right}} {asset.symbol}" for text in texts]
