"""The server's secrets: files, readable by their owner alone, made when missing.

``token.keys`` holds one key a line, ``<number> <64 hexadecimal digits>``; the first signs, all are
accepted. To rotate: put a new line with a higher number first and reload; drop the old line once
its last token has expired.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mediaserver.processes.bootstrap import StartRefusedError
from mediaserver.settings.records import Settings

SECRET_BYTES: Final = 32
"""256 bits: a token is never guessed."""
TOKEN_KEYS_MAX: Final = 16
SECRET_TEXT_MIN: Final = 16


@dataclass(frozen=True, slots=True)
class SecretPaths:
    """Where each secret is."""

    admin_token: Path
    token_keys: Path
    edge_key: Path
    operator_key: Path


def paths(settings: Settings, data_dir: Path) -> SecretPaths:
    """Return the files that the settings name, or those of the data directory."""

    def named(setting: str, default: str) -> Path:
        return Path(setting) if setting else data_dir / default

    return SecretPaths(
        admin_token=named(settings.auth.admin_token_file, "admin.token"),
        token_keys=named(settings.auth.token_keys_file, "token.keys"),
        edge_key=named(settings.auth.edge_key_file, "edge.key"),
        operator_key=named(settings.chain.operator_key_file, "operator.key"),
    )


def make_missing(settings: Settings, data_dir: Path) -> None:
    """Make the admin token, the token keys and the edge's key where they are missing, 0600.

    Raises:
        StartRefusedError: A file cannot be made, or an existing one cannot be used.
    """
    where = paths(settings, data_dir)
    for path, text in (
        (where.admin_token, secrets.token_urlsafe(SECRET_BYTES)),
        (where.token_keys, f"1 {secrets.token_hex(SECRET_BYTES)}"),
        (where.edge_key, secrets.token_urlsafe(SECRET_BYTES)),
    ):
        _make(path, text)
    admin_token(where.admin_token)
    token_keys(where.token_keys)
    admin_token(where.edge_key)


def contents(settings: Settings, data_dir: Path) -> tuple[bytes, ...]:
    """Return the secrets themselves, to be compared.

    Raises:
        StartRefusedError: A file cannot be used.
    """
    where = paths(settings, data_dir)
    admin_token(where.admin_token)
    token_keys(where.token_keys)
    admin_token(where.edge_key)
    return tuple(
        path.read_bytes() for path in (where.admin_token, where.token_keys, where.edge_key)
    )


def admin_token(path: Path) -> str:
    """Return the bearer token (or edge key) of a file.

    Raises:
        StartRefusedError: It cannot be read or is too short to be a secret.
    """
    text = _read(path)
    if len(text) < SECRET_TEXT_MIN or not text.isascii() or len(text.split()) != 1:
        raise StartRefusedError(
            f"{path}: is not a secret of {SECRET_TEXT_MIN} or more characters; "
            "remove it to have one made"
        )
    return text


def token_keys(path: Path) -> tuple[tuple[int, bytes], ...]:
    """Return the keys of viewers' tokens, the one that signs first.

    Raises:
        StartRefusedError: It cannot be read, or a line is not a key.
    """
    keys: list[tuple[int, bytes]] = []
    for line in _read(path).splitlines():
        number, _, secret = line.strip().partition(" ")
        try:
            key = (int(number), bytes.fromhex(secret))
        except ValueError:
            key = (-1, b"")
        if not 0 <= key[0] < 1 << 32 or len(key[1]) < SECRET_BYTES or key[0] in dict(keys):
            raise StartRefusedError(
                f"{path}: line {len(keys) + 1} is not a number of its own and "
                f"{2 * SECRET_BYTES} hexadecimal digits; correct it: without the file all links end"
            )
        keys.append(key)
    if not 0 < len(keys) <= TOKEN_KEYS_MAX:
        raise StartRefusedError(f"{path}: holds {len(keys)} keys; keep 1 to {TOKEN_KEYS_MAX}")
    return tuple(keys)


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StartRefusedError(
            f"{path}: cannot be read; give the server's user the right to, or remove it"
        ) from error


def _make(path: Path, text: str) -> None:
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    except OSError as error:
        raise StartRefusedError(f"{path}: cannot be made: {error.strerror}") from error
    with os.fdopen(file, "w") as out:
        out.write(text + "\n")
        out.flush()
        os.fsync(out.fileno())
