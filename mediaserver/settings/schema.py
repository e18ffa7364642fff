"""The tree of settings as a JSON schema, so that an editor can complete and check a file.

``config/schema.json`` is this, written down: ``vilokanam config schema`` prints it, and a test
keeps the two equal. Rules between keys are beyond a schema: ``vilokanam config check`` knows them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, cast, get_args, get_origin, get_type_hints

from mediaserver.settings.load import LIST_ITEMS_MAX
from mediaserver.settings.records import Settings
from mediaserver.settings.shipped import descriptions, reference_text


def schema() -> dict[str, Any]:
    """Return the schema of a configuration file, draft 2020-12, described by the reference."""
    described = descriptions(reference_text())
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Vilokanam media server",
        **_table(Settings, "", described),
    }


def _table(kind: type, path: str, described: Mapping[str, str]) -> dict[str, Any]:
    kinds = get_type_hints(kind)
    properties = {}
    for spec in fields(cast(Any, kind)):
        here = f"{path}{spec.name}"
        properties[spec.name] = _key(kinds[spec.name], f"{here}.", described)
        if here in described:
            properties[spec.name]["description"] = described[here]
        elif "about" in spec.metadata:
            # Of a table that the reference lists none of.
            properties[spec.name]["description"] = spec.metadata["about"]
        if "low" in spec.metadata:
            properties[spec.name] |= {
                "minimum": spec.metadata["low"],
                "maximum": spec.metadata["high"],
            }
        if "choices" in spec.metadata:
            properties[spec.name]["enum"] = list(spec.metadata["choices"])
        if isinstance(spec.default, (bool, int, str)):
            properties[spec.name]["default"] = spec.default
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _key(kind: Any, path: str, described: Mapping[str, str]) -> dict[str, Any]:
    if is_dataclass(kind):
        return _table(cast(type, kind), path, described)
    if get_origin(kind) is tuple:
        item = _key(get_args(kind)[0], path, described)
        return {"type": "array", "maxItems": LIST_ITEMS_MAX, "items": item}
    return {"type": {bool: "boolean", int: "integer", str: "string"}[kind]}
