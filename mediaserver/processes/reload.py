"""What a reload may change while the server runs, and what refuses one."""

from __future__ import annotations

import dataclasses
import os
from typing import Final

from mediaserver.errors import ConfigError
from mediaserver.settings.records import Settings

RELOADABLE: Final = frozenset({"log.level", "price.top_up_url"})
"""Beside them the keys' files: admin token, token keys, edge key."""


def changed_keys(before: Settings, after: Settings) -> tuple[str, ...]:
    """Return ``table.key`` of every setting that differs."""
    return tuple(
        f"{table.name}.{key.name}"
        for table in dataclasses.fields(Settings)
        for key in dataclasses.fields(getattr(before, table.name))
        if getattr(getattr(before, table.name), key.name)
        != getattr(getattr(after, table.name), key.name)
    )


def has_terminal() -> bool:
    """True while this process has a controlling terminal: what sends SIGHUP when it closes."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def check_files(settings: Settings) -> None:
    """Hold that a start would find the files that the settings name.

    Raises:
        ConfigError: It would not, and the server would be gone.
    """
    # The rooms that read them are no part of a server that runs: 12 MB.
    from mediaserver.processes.configured_files import unusable_files  # noqa: PLC0415

    if faults := tuple(unusable_files(settings)):
        raise ConfigError(faults)
