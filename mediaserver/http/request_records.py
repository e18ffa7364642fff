"""Bodies of requests: one JSON object, strictly as a frozen record describes it."""

from __future__ import annotations

import json
import re
from dataclasses import Field
from types import NoneType
from typing import Any, Final, TypeVar, get_args

from aiohttp import web

from mediaserver import text
from mediaserver.http.problem import ApiError
from mediaserver.http.record_fields import FAULTY, is_of, nearest, read_fields, type_text
from metering.units import Planck

BODY_BYTES_MAX: Final = 64 << 10
TEXT_CHARACTERS_MAX: Final = 500
PLANCK_MAX: Final = (1 << 128) - 1
INTEGER_MAX: Final = (1 << 53) - 1
"""What every JSON reader keeps exactly."""
_PLANCK: Final = re.compile(r"0|[1-9][0-9]{0,38}")

T = TypeVar("T")


async def read(request: web.Request, kind: type[T]) -> T:
    """Return the body of a request as a record.

    Fields of type `Planck` are decimal strings. A field that may be None may be left out. A text
    has at most `TEXT_CHARACTERS_MAX` characters, or ``characters_max`` of its field's metadata; a
    whole number is at most `INTEGER_MAX`, or ``most`` of the metadata.

    Raises:
        ApiError: 400 when it is not JSON, 422 naming every field at fault.
    """
    raw = await request.read()
    return parse(kind, raw)


def parse(kind: type[T], raw: bytes) -> T:
    """Return a record from the bytes of a JSON object; see `read`."""
    try:
        body = json.loads(raw, object_pairs_hook=_once, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "Not JSON", f"the body is not a JSON object: {error}") from error
    if not isinstance(body, dict):
        raise ApiError(400, "Not JSON", 'the body is not a JSON object; send {"name": value}')
    faults: list[str] = []

    def convert(spec: Field[Any], field_kind: Any, raw_value: Any) -> Any:
        longest = spec.metadata.get("characters_max", TEXT_CHARACTERS_MAX)
        most = spec.metadata.get("most", INTEGER_MAX)
        value, fault = _value(field_kind, raw_value, longest, most)
        if fault:
            faults.append(f"{spec.name}: {fault}")
            return FAULTY
        return value

    values = read_fields(kind, body, convert, _unknown, faults)
    if faults:
        raise ApiError(422, "Invalid body", "; ".join(faults), faults=faults)
    return kind(**values)


def _value(kind: Any, raw: Any, characters_max: int, most: int) -> tuple[Any, str]:
    if NoneType in get_args(kind):
        if raw is None:
            return None, ""
        kind = next(option for option in get_args(kind) if option is not NoneType)
    if kind is Planck:
        if isinstance(raw, str) and _PLANCK.fullmatch(raw) and int(raw) <= PLANCK_MAX:
            return Planck(int(raw)), ""
        return None, 'is not planck: a whole decimal number in quotes, such as "1000"'
    if not is_of(kind, raw):
        return None, f"is not {type_text(kind)}"
    if kind is str and len(raw) > characters_max:
        return None, f"is longer than {characters_max} characters"
    if kind is str and (fault := text.fault(raw)):
        return None, f"{fault}; leave it out"
    if kind is int and not 0 <= raw <= most:
        return None, f"{raw} is not in 0 to {most}"
    return raw, ""


def _unknown(name: str, known: tuple[str, ...]) -> str:
    shown = name[:80]
    near = nearest(shown, known)
    remedy = f"did you mean {near}?" if near else f"fields are {', '.join(known) or 'none'}"
    return f"{shown}: is not a field; {remedy}"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    body = dict(pairs)
    if len(body) != len(pairs):
        raise ValueError("a name is there twice")
    return body


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")
