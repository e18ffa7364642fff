"""Alembic revisions of the book, run when it is opened."""
