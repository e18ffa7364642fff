"""The core of both readers of records: a mapping in, values of a dataclass's fields out. Pure.

Bodies of requests (`request_records`) and the configuration (`mediaserver.settings.load`) differ in
what a field may hold and in how a fault reads; which names are known, which are missing and what
type a value has is decided here.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields
from typing import Any, Final, cast, get_args, get_origin, get_type_hints

FAULTY: Final = object()
"""What a converter returns for a value that it has added a fault for."""
_TYPE_TEXTS: Final = {
    int: "a whole number",
    str: "text",
    bool: "true or false",
    dict: "an object",
    list: "a list",
}

Convert = Callable[[Field[Any], Any, Any], Any]
"""From a field, its type and the raw value to the value, or `FAULTY`."""


def read_fields(
    kind: type,
    raw: Mapping[str, Any],
    convert: Convert,
    unknown: Callable[[str, tuple[str, ...]], str],
    faults: list[str],
) -> dict[str, Any]:
    """Return the values of a record's fields that `raw` has.

    Args:
        convert: Checks and converts one value; adds its own faults.
        unknown: Returns the fault of a name that is no field; gets all names that are.
        faults: Each fault is added, unknown names first.
    """
    kinds = get_type_hints(kind)
    faults.extend(unknown(name, tuple(kinds)) for name in raw if name not in kinds)
    values: dict[str, Any] = {}
    for spec in fields(cast(Any, kind)):
        if spec.name in raw:
            value = convert(spec, kinds[spec.name], raw[spec.name])
            if value is not FAULTY:
                values[spec.name] = value
        elif spec.default is MISSING and spec.default_factory is MISSING:
            faults.append(f"{spec.name}: is missing")
    return values


def is_of(kind: Any, raw: Any) -> bool:
    """Return whether a value is of a plain type; bool is a kind of int to Python alone.

    Of a list, ``list[str]``, each item is; what is in an object is its reader's to judge.
    """
    plain = get_origin(kind) or kind
    if not isinstance(plain, type) or type(raw) is not plain:
        return False
    items = cast(list[Any], raw) if plain is list else []
    return all(is_of(item, value) for item in get_args(kind)[:1] for value in items)


def type_text(kind: Any) -> str:
    """Return a type as a person calls it."""
    if get_origin(kind) is list:
        return f"a list, each {_TYPE_TEXTS.get(get_args(kind)[0], 'of another kind')}"
    return _TYPE_TEXTS.get(get_origin(kind) or kind, "a list")


def nearest(name: str, known: tuple[str, ...]) -> str | None:
    """Return the known name that was probably meant, None when none is near."""
    return next(iter(difflib.get_close_matches(name, known, 1)), None)
