"""A backup of all that a server must not lose, and a server made from one.

A backup is a directory, for its owner alone: the book, the secrets under their usual names, the
shows, and ``backup.json`` with the hash of each file, which is written last. It is made beside its
place and moved there when it has been read again, so what is there is whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mediaserver.processes import secret_files
from mediaserver.processes.bootstrap import StartRefusedError
from mediaserver.processes.data_dir import DataDir
from mediaserver.settings.records import Settings
from metering.book.copy import check_book, copy_book

BOOK: Final = "book.sqlite3"
SHOWS: Final = "shows"
MANIFEST: Final = "backup.json"
FORMAT: Final = "vilokanam-backup-1"
MANIFEST_BYTES_MAX: Final = 64 << 20
"""10,000 streams have a line each."""
_NOT_KEPT: Final = frozenset({"server.lock", "run"})
"""Of a data directory: what a server that is not there may leave in an empty one."""


@dataclass(frozen=True, slots=True)
class BackupReport:
    """What a backup holds.

    Attributes:
        files: Names below its directory, each checked against its hash.
        size_bytes: Of all of them.
        schema_version: Of the book.
        made_ms: When it was made.
    """

    files: tuple[str, ...]
    size_bytes: int
    schema_version: str
    made_ms: int


def secrets_of(settings: Settings, data_dir: Path) -> dict[str, Path]:
    """Return where each secret of a server is, by its name in a backup."""
    where = secret_files.paths(settings, data_dir)
    return {
        "operator.key": where.operator_key,
        "token.keys": where.token_keys,
        "admin.token": where.admin_token,
        "edge.key": where.edge_key,
    }


def make(settings: Settings, data_dir: Path, target: Path) -> BackupReport:
    """Write a backup to `target`, read it again, and return what it holds; the server may run.

    Raises:
        StartRefusedError: `target` is there already, or something cannot be read or written.
        BookError: The book, or its copy, is damaged.
    """
    partial = target.with_name(f".{target.name}.partial")
    try:
        is_taken = target.exists() and (not target.is_dir() or any(target.iterdir()))
    except OSError as error:
        raise _not_made(target, partial, error) from error
    if is_taken:
        raise StartRefusedError(f"{target} is not empty; give a directory that is not there yet")
    try:
        if partial.exists():
            shutil.rmtree(partial)
        partial.mkdir(mode=0o700, parents=True)
        _write_all(settings, data_dir, partial)
        report = check(partial, data_dir / BOOK)
        if target.exists():
            target.rmdir()
        partial.rename(target)
        _sync_directory(target.parent)
    except OSError as error:
        raise _not_made(target, partial, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return report


def _not_made(target: Path, partial: Path, error: OSError) -> StartRefusedError:
    """Return why there is no backup in `target`: its place, or a file that was to be kept."""
    named = Path(os.fsdecode(error.filename)) if error.filename else partial
    if named in (target, *target.parents) or named.is_relative_to(partial):
        return StartRefusedError(
            f"{target} cannot be written: {error.strerror}; give a directory for the backup where "
            "you may make one, on a disk with room for the book"
        )
    return StartRefusedError(f"no backup was made in {target}: {_text(error)}")


def check(source: Path, book: Path | None = None) -> BackupReport:
    """Return what a backup holds once every file of it has been read and compared.

    Args:
        book: Of which the backup's is a copy, made just now.

    Raises:
        StartRefusedError: It is no backup, or not the one that was written.
        BookError: Its book is damaged.
    """
    manifest = _manifest(source)
    size_bytes = 0
    for name, (digest, size) in manifest["files"].items():
        path = source / name
        try:
            is_same = path.stat().st_size == size and _digest(path) == digest
        except OSError as error:
            raise StartRefusedError(f"{source}: {_text(error)}; take another backup") from error
        if not is_same:
            raise StartRefusedError(
                f"{path} is not what was written: its hash differs; take another backup"
            )
        size_bytes += size
    return BackupReport(
        files=tuple(manifest["files"]),
        size_bytes=size_bytes,
        schema_version=check_book(source / BOOK, book),
        made_ms=manifest["made_ms"],
    )


def restore(settings: Settings, data_dir: Path, source: Path) -> BackupReport:
    """Make the data directory of a server from a backup; return what it holds.

    Raises:
        StartRefusedError: A server runs there, the directory is not empty, a secret that is kept
            elsewhere is another one, or the backup is not whole: nothing has been written then.
        BookError: The backup's book is damaged.
    """
    report = check(source)
    owner = data_dir.stat() if data_dir.exists() else None
    _require_empty(data_dir)
    secrets = secrets_of(settings, data_dir)
    for name in set(report.files) & set(secrets):
        place = secrets[name]
        if place.exists() and place.read_bytes() != (source / name).read_bytes():
            raise StartRefusedError(
                f"{place} is another {name} than the backup's; move it away to restore"
            )
    with DataDir(data_dir):
        try:
            for name in report.files:
                place = secrets.get(name, data_dir / name)
                if place.exists():
                    continue
                place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                _copy(source / name, place)
                if owner is not None and os.geteuid() == 0:
                    os.chown(place, owner.st_uid, owner.st_gid)
                    if place.parent != data_dir:
                        os.chown(place.parent, owner.st_uid, owner.st_gid)
            _sync_directory(data_dir)
        except OSError as error:
            raise StartRefusedError(f"{data_dir} cannot be written: {_text(error)}") from error
        check_book(data_dir / BOOK)
        if owner is not None and os.geteuid() == 0:
            for name in _NOT_KEPT:
                os.chown(data_dir / name, owner.st_uid, owner.st_gid)
    return report


def _require_empty(data_dir: Path) -> None:
    """Refuse a directory that holds a server's data; by the lock's holder when one runs."""
    if not data_dir.exists():
        return
    held = sorted(path.name for path in data_dir.iterdir() if path.name not in _NOT_KEPT)
    if not held:
        return
    with DataDir(data_dir):  # raises when a server runs there, and names it
        pass
    old = data_dir.with_name(f"{data_dir.name}.old")
    raise StartRefusedError(
        f"server.data_dir: {data_dir} is not empty ({', '.join(held[:4])}); move it away and "
        f"restore again: mv {data_dir} {old}. To keep what was counted since the backup, then move "
        f"{old}/redis and {old}/shows into {data_dir}, before the server starts"
    )


def _write_all(settings: Settings, data_dir: Path, target: Path) -> None:
    copy_book(data_dir / BOOK, target / BOOK)
    (target / BOOK).chmod(0o600)
    for name, path in secrets_of(settings, data_dir).items():
        # Those that were never made are made by the next server.
        if path.exists():
            _copy(path, target / name)
    # After the book: a show's newest seconds must not be used twice.
    for path in sorted((data_dir / SHOWS).glob("*.json")):
        (target / SHOWS).mkdir(mode=0o700, exist_ok=True)
        _copy(path, target / SHOWS / path.name)
    files = {
        str(path.relative_to(target)): (_digest(path), path.stat().st_size)
        for path in _files(target)
    }
    manifest = {"format": FORMAT, "made_ms": time.time_ns() // 1_000_000, "files": files}
    _write(target / MANIFEST, json.dumps(manifest, indent=1).encode())
    _sync_directory(target)


def _manifest(source: Path) -> dict[str, Any]:
    try:
        with (source / MANIFEST).open("rb") as file:
            manifest = json.loads(file.read(MANIFEST_BYTES_MAX))
        names = list(manifest["files"])
        is_known = manifest["format"] == FORMAT and BOOK in names
        is_inside = all(".." not in Path(name).parts and name[:1] != "/" for name in names)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = _text(error) if isinstance(error, OSError) else "its list cannot be read"
        raise StartRefusedError(
            f"{source} is no backup: {reason}; give a directory that `vilokanam backup` wrote"
        ) from error
    if not (is_known and is_inside):
        raise StartRefusedError(f"{source} is not a backup of this version ({FORMAT})")
    return dict(manifest)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as read, _opened(target) as written:
        shutil.copyfileobj(read, written, 1 << 20)
        written.flush()
        os.fsync(written.fileno())


def _write(target: Path, content: bytes) -> None:
    with _opened(target) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _opened(target: Path) -> Any:
    return os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _text(error: OSError) -> str:
    return f"{error.filename or ''}: {error.strerror}"
