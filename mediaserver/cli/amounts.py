"""Amounts on the command line: asked for with their unit, in the asset of the server."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from mediaserver.cli.client import Api
from mediaserver.cli.errors import EXIT_USAGE, CliError
from metering.errors import InvalidValueError
from metering.model.amounts import parse_amount
from metering.units import Asset

AMOUNT_HELP = 'with its unit, such as "0.5 UNIT"'


def add_amount(parser: argparse.ArgumentParser, help_text: str = "") -> None:
    """Add the argument AMOUNT, and `--planck` to write instead of it."""
    amount = parser.add_argument(
        "amount", metavar="AMOUNT", help=f"{help_text}; {AMOUNT_HELP}" if help_text else AMOUNT_HELP
    )

    class InPlanck(argparse.Action):
        def __call__(
            self,
            _: argparse.ArgumentParser,
            namespace: argparse.Namespace,
            values: str | Sequence[Any] | None,
            __: str | None = None,
        ) -> None:
            namespace.planck = values
            amount.required = False

    parser.add_argument(
        "--planck", action=InPlanck, metavar="N", help="instead of AMOUNT: whole planck"
    )


def with_loose_unit(arguments: argparse.Namespace, rest: list[str]) -> list[str]:
    """Take the unit of an amount that was typed without quotes; return what is left over."""
    amount = getattr(arguments, "amount", None)
    if len(rest) == 1 and amount and amount[-1].isdigit() and rest[0].isalpha():
        arguments.amount = f"{amount} {rest[0]}"
        return []
    return rest


def asset_of(api: Api) -> Asset:
    """Return the asset of a server: no configuration of this machine decides what a unit is."""
    asset = api.get("operator")["asset"]
    return Asset(asset["symbol"], asset["decimals"], int(asset["quantum"]))


def planck_of(amount: str | None, planck: str | None, asset: Asset) -> str:
    """Return what was typed, as the API takes it.

    Raises:
        CliError: Both or none were given, or the amount names no unit: with each reading.
    """
    if (amount is None) == (planck is None):
        raise CliError("give one amount: with its unit, or whole planck by --planck", EXIT_USAGE)
    if planck is not None:
        if not (planck.isascii() and planck.isdecimal()):
            raise CliError(f"--planck {planck[:60]} is not a whole number of planck", EXIT_USAGE)
        return str(int(planck[:60]))
    try:
        return str(parse_amount(amount or "", asset))
    except InvalidValueError as error:
        raise CliError(str(error), EXIT_USAGE) from error
