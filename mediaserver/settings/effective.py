"""The settings in force as a file: each value, where it comes from, and no secret. Pure."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from mediaserver.settings.records import Settings

HIDDEN: Final = "***"
_SECRET_URLS: Final = ("metering.redis_url", "chain.url")
"""They may carry a password, or the key of a node's provider in their path."""


def plain(settings: Any) -> Any:
    """Return settings as tables, lists and values; what may be secret in an address is hidden."""
    tree = _plain(settings)
    for path in _SECRET_URLS:
        table, _, key = path.partition(".")
        tree[table][key] = shown_url(tree[table][key])
    return tree


def shown_url(url: str) -> str:
    """Return an address without what may be secret in it: its user, password, path and query."""
    if not url or url.startswith("unix:"):
        return url
    try:
        parts = urlsplit(url)
        user = f"{HIDDEN}@" if parts.username or parts.password else ""
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:
        return HIDDEN
    path = parts.path
    if parts.query or (path.strip("/") and not path.strip("/").isdecimal()):
        path = f"/{HIDDEN}"
    return f"{parts.scheme}://{user}{parts.hostname or ''}{port}{path}"


def toml_lines(in_force: Settings, by_file: Settings) -> Iterator[str]:
    """Yield a configuration file that says what is in force.

    Args:
        in_force: Defaults, file and environment.
        by_file: Defaults and file alone: what differs from them comes from the environment.
    """
    defaults, shown, written = Settings(), plain(in_force), plain(by_file)
    for table, keys in shown.items():
        yield f"[{table}]"
        nested = []
        for key, value in keys.items():
            if value and isinstance(value, list) and isinstance(value[0], dict):
                nested.append((key, value))
                continue
            source = ""
            if value != written[table][key]:
                source = f"  # VILOKANAM_{table.upper()}__{key.upper()}"
            elif value != _plain(getattr(getattr(defaults, table), key)):
                source = "  # from the file"
            yield f"{key} = {_toml(value)}{source}"
        for key, records in nested:
            for record in records:
                yield ""
                yield f"[[{table}.{key}]]"
                yield from (f"{name} = {_toml(value)}" for name, value in record.items())
        yield ""


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {spec.name: _plain(getattr(value, spec.name)) for spec in dataclasses.fields(value)}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _toml(value: Any) -> str:
    # JSON's strings, numbers, booleans and lists of them are TOML's too, but for one character.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
