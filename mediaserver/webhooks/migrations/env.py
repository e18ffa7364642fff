"""Alembic's entry: runs revisions on the connection that it is handed."""

from __future__ import annotations

from alembic import context

from mediaserver.webhooks.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    version_table=context.config.attributes["version_table"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite alters a table by copying it
)
context.run_migrations()
