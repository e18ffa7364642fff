"""Brings the schema of a book up to this program's, by the revisions under `migrations`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection

from metering.errors import BookError

_FOLDER: Final = Path(__file__).with_name("migrations")


def migrate(
    connection: Connection,
    folder: Path = _FOLDER,
    version_table: str = "alembic_version",
) -> None:
    """Run the revisions that this database has not seen, in the caller's transaction.

    Args:
        folder: Revisions and their ``env.py``; others keep tables in the same database.
        version_table: Where the newest revision is written down.

    Raises:
        BookError: If it was written by a newer program.
    """
    config = Config()
    config.set_main_option("script_location", str(folder))
    config.attributes["connection"] = connection
    config.attributes["version_table"] = version_table
    scripts = ScriptDirectory.from_config(config)
    current = MigrationContext.configure(
        connection, opts={"version_table": version_table}
    ).get_current_revision()
    if current == scripts.get_current_head():
        return
    try:
        if current is not None:
            scripts.get_revision(current)
        command.upgrade(config, "head")
    except CommandError as error:
        raise BookError(
            f"the book has schema {current}, which this program does not know: it was written by a "
            "newer vilokanam; install that version again, or restore a backup made before it"
        ) from error
