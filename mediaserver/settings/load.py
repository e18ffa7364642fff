"""How the settings are read: defaults, the file, the environment; every fault at once.

The tree is in records.py, each room's record beside its code. Defaults come first, then the file,
then the environment. `load` reports every fault at once, so that an operator corrects a file in one
go. What each key means: config/mediaserver.toml, which a test keeps true.
"""

from __future__ import annotations

import dataclasses
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import Field, is_dataclass
from pathlib import Path
from typing import Any, Final, cast, get_args, get_origin, get_type_hints

from mediaserver.errors import ConfigError
from mediaserver.http.record_fields import FAULTY, is_of, nearest, read_fields, type_text
from mediaserver.settings.records import Settings
from mediaserver.settings.rules import cross_faults, text_faults

CONFIG_VARIABLE: Final = "VILOKANAM_CONFIG"
DEFAULT_PATHS: Final = (Path("mediaserver.toml"), Path("/etc/vilokanam/mediaserver.toml"))
"""Where a file is looked for when none is named: in the working directory, then on the machine."""
ENVIRONMENT_PREFIX: Final = "VILOKANAM_"
"""``VILOKANAM_HLS__PART_TARGET_MS=200``: two underscores between table and key."""
FILE_BYTES_MAX: Final = 1 << 20
"""The reference file is 10 kB: a larger one is not a configuration."""
LIST_ITEMS_MAX: Final = 64
"""No list of ours (addresses, rungs) needs more."""


def find(given: Path | None, environ: Mapping[str, str]) -> Path | None:
    """Return the configuration file to read, None for the defaults.

    Args:
        given: What the command line names; else `CONFIG_VARIABLE` names it, else it is the first
            of `DEFAULT_PATHS` that is there.
    """
    if given is not None:
        return given
    if named := environ.get(CONFIG_VARIABLE):
        return Path(named)
    return next((path for path in DEFAULT_PATHS if _is_there(path)), None)


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        # A directory that may not be entered holds nothing for us.
        return False


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Return the settings: defaults, then the file at `path`, then `environ`.

    Args:
        path: A TOML file, or None for the defaults.
        environ: Only names that begin with ``VILOKANAM_`` and hold two underscores in a row are
            read; lists are JSON. ``..._FILE`` of a text key reads its value from that file.

    Raises:
        ConfigError: With every fault at once, each ``key.path: value is what is wrong; remedy``.
    """
    settings, faults = examine(path, environ)
    if faults:
        raise ConfigError(faults)
    return settings


def examine(path: Path | None, environ: Mapping[str, str]) -> tuple[Settings, tuple[str, ...]]:
    """Return the settings as `load` does, with defaults for what is faulty, and every fault.

    Raises:
        ConfigError: The file cannot be read.
    """
    faults: list[str] = []
    tree = _read_file(path) if path is not None else {}
    _overlay(tree, environ, faults)
    settings = cast(Settings, _record(Settings, tree, "", faults))
    texts = [*text_faults(settings)]
    settings = _with_defaults(settings, texts)
    faults += texts

    # A rule between keys is judged where none of its keys has a fault of its own: it names all.
    faulty = {_key_of(fault) for fault in faults}
    faults += [
        fault
        for fault in cross_faults(settings)
        if not any(re.search(rf"\b{re.escape(key)}\b", fault) for key in faulty)
    ]
    return settings, tuple(faults)


def _key_of(fault: str) -> str:
    """Return ``table.key`` of the setting that a fault is about, or was meant to be."""
    meant = re.search(r"did you mean (\w+\.\w+)", fault)
    if meant:
        return meant[1]
    name = fault.partition(":")[0]
    if name.startswith(ENVIRONMENT_PREFIX):
        table, _, key = name.removeprefix(ENVIRONMENT_PREFIX).lower().partition("__")
        is_key = key in get_type_hints(get_type_hints(Settings).get(table, Settings))
        return f"{table}.{key if is_key else key.removesuffix('_file')}"
    return ".".join(name.partition("[")[0].split(".")[:2])


def _with_defaults(settings: Settings, faults: list[str]) -> Settings:
    """Return settings in which each key that a fault is about has its default."""
    for path in {_key_of(fault) for fault in faults}:
        table, _, key = path.partition(".")
        default = getattr(getattr(Settings(), table), key)
        record = dataclasses.replace(getattr(settings, table), **{key: default})
        settings = dataclasses.replace(settings, **{table: record})
    return settings


def _read_file(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(
            (f"{path}: cannot be read: {error.strerror}; give the path of a TOML file",)
        ) from error
    if len(raw) > FILE_BYTES_MAX:
        raise ConfigError((f"{path}: is over {FILE_BYTES_MAX} bytes; give a configuration file",))
    try:
        return tomllib.loads(raw.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError((f"{path}: is not TOML: {error}; correct the syntax there",)) from error


def _overlay(tree: dict[str, Any], environ: Mapping[str, str], faults: list[str]) -> None:
    tables = get_type_hints(Settings)
    for name in sorted(environ):
        if not name.startswith(ENVIRONMENT_PREFIX):
            continue
        if "__" not in name:
            faults.extend(_with_one_underscore(name, tables))
            continue
        table, _, key = name.removeprefix(ENVIRONMENT_PREFIX).lower().partition("__")
        if table not in tables:
            faults.append(_unknown(name, table, "", tuple(tables)))
            continue
        kinds = get_type_hints(tables[table])
        text = environ[name]
        if key not in kinds and key.endswith("_file") and kinds.get(key[:-5]) is str:
            key = key[:-5]
            try:
                text = Path(text).read_text().strip()
            except (OSError, UnicodeDecodeError):
                faults.append(f"{name}: {text} cannot be read; give the path of a text file")
                continue
        if key not in kinds:
            faults.append(_unknown(name, key, f"{table}.", tuple(kinds)))
            continue
        value = _from_text(kinds[key], text)
        if value is FAULTY:
            faults.append(f"{name}: {text} is not {type_text(kinds[key])}; {_remedy(kinds[key])}")
            continue
        values = tree.setdefault(table, {})
        if isinstance(values, dict):
            values[key] = value


def _with_one_underscore(name: str, tables: dict[str, Any]) -> Iterator[str]:
    """Yield that a variable names a setting and is not read: it would be missed in silence."""
    rest = name.removeprefix(ENVIRONMENT_PREFIX).lower()
    for table, kind in tables.items():
        key, keys = rest.removeprefix(f"{table}_"), get_type_hints(kind)
        if key != rest and (key in keys or key.removesuffix("_file") in keys):
            right = f"{ENVIRONMENT_PREFIX}{table}__{key}".upper()
            yield f"{name}: is not read; write two underscores after the table: {right}"


def _from_text(kind: Any, text: str) -> Any:
    if kind is str:
        return text
    if kind is bool:
        return {"true": True, "false": False}.get(text.lower(), FAULTY)
    try:
        if kind is int:
            return int(text)
        value = json.loads(text)
    except ValueError:
        return FAULTY
    return value if isinstance(value, list) else FAULTY


def _record(kind: type, tree: Any, path: str, faults: list[str]) -> Any:
    """Build one record of the tree; each fault is added and the default is put in its place."""
    if not isinstance(tree, dict):
        faults.append(
            f"{path or 'file'}: {_shown(tree)} is not a table; write [{path}] above its keys"
        )
        return kind()
    prefix = f"{path}." if path else ""

    def convert(spec: Field[Any], field_kind: Any, raw: Any) -> Any:
        here = prefix + spec.name
        value = _value(field_kind, raw, here, faults)
        fault = "" if value is FAULTY else _range_fault(value, spec.metadata)
        if fault:
            faults.append(f"{here}: {_shown(value)} {fault}")
            return FAULTY
        return value

    def unknown(key: str, known: tuple[str, ...]) -> str:
        return _unknown(prefix + key, key, prefix, known)

    return kind(**read_fields(kind, tree, convert, unknown, faults))


def _value(kind: Any, raw: Any, path: str, faults: list[str]) -> Any:
    if is_dataclass(kind):
        return _record(cast(type, kind), raw, path, faults)
    if get_origin(kind) is tuple and isinstance(raw, list):
        if len(raw) > LIST_ITEMS_MAX:
            faults.append(f"{path}: {len(raw)} items are over {LIST_ITEMS_MAX}; list fewer")
            return FAULTY
        item = get_args(kind)[0]
        values = [_value(item, value, f"{path}[{i}]", faults) for i, value in enumerate(raw)]
        return FAULTY if FAULTY in values else tuple(values)
    if is_of(kind, raw):
        return raw
    faults.append(f"{path}: {_shown(raw)} is not {type_text(kind)}; {_remedy(kind)}")
    return FAULTY


def _range_fault(value: Any, metadata: Mapping[str, Any]) -> str:
    low, high = metadata.get("low"), metadata.get("high")
    if low is not None and value < low:
        return f"is below {low}; use {low} to {high}"
    if high is not None and value > high:
        return f"is above {high}; use {low} to {high}"
    choices = metadata.get("choices")
    if choices is not None and value not in choices:
        return f"is not known; use {' or '.join(choices)}"
    return ""


def _unknown(where: str, key: str, prefix: str, known: tuple[str, ...]) -> str:
    tables = get_type_hints(Settings)
    near = nearest(key, known)
    if near:
        return f"{where}: {key} is not a setting; did you mean {prefix}{near}?"
    everywhere = [
        f"{table}.{name}" for table, kind in tables.items() for name in get_type_hints(kind)
    ]
    elsewhere = [path for path in everywhere if path.partition(".")[2] == key]
    if elsewhere:
        return f"{where}: {key} is not a setting here; did you mean {elsewhere[0]}?"
    what = "keys" if prefix else "tables"
    return f"{where}: {key} is not a setting; {what} are {', '.join(known)}"


def _remedy(kind: Any) -> str:
    remedies = {
        int: "write digits without quotes",
        str: "write it in quotes",
        bool: "write true or false without quotes",
    }
    return remedies.get(kind, 'write it as ["first", "second"]')


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 80 else text[:77] + "..."
