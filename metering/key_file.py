"""The operator's key file: one line, ``0x`` and the seed in hexadecimal, readable by us alone."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from metering import signing
from metering.errors import InvalidValueError


def read(path: Path) -> signing.KeyPair:
    """Return the key pair of a file.

    Raises:
        InvalidValueError: If the file is missing or is not a seed; the message names the remedy.
    """
    try:
        text = path.read_text("ascii").strip()
        return signing.from_seed(bytes.fromhex(text.removeprefix("0x")))
    except (OSError, ValueError, InvalidValueError) as error:
        raise InvalidValueError(
            f"{path} is no operator key: it must be one line, 0x and 64 hexadecimal digits; "
            "put it back from the backup, as the receipts and statements (with a chain the escrow, "
            "too) hang on it; chain.operator_key_file names the file. Only a server that never "
            "signed anything may have a new one made, by removing it"
        ) from error


def read_or_make(path: Path) -> signing.KeyPair:
    """Return the key pair of a file; a missing file is made with a new seed, readable by us alone.

    Two processes that make it at once agree: the first complete file stays.

    Raises:
        InvalidValueError: If the file is there but is not a seed, or cannot be made; also when its
            folder is not there.
    """
    if not path.exists():
        made = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        if not path.parent.is_dir():
            # One that is made at a mistyped place would sign receipts as somebody new.
            raise InvalidValueError(
                f"{path} cannot be made: there is no {path.parent}; correct "
                "chain.operator_key_file, or make the folder if this is a new operator's key"
            )
        try:
            descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write("0x" + secrets.token_hex(signing.SEED_BYTES) + "\n")
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(made, path)  # never replaces a file that came in between
            _sync_directory(path.parent)
        except OSError as error:
            raise InvalidValueError(
                f"{path} cannot be made: {error.strerror}; give the server's user the right to "
                "write there"
            ) from error
        finally:
            made.unlink(missing_ok=True)
    return read(path)


def _sync_directory(path: Path) -> None:
    """Make the directory's new name outlive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
