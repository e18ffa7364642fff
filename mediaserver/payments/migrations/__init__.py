"""Revisions of the tables of payments, for alembic: named by their numbers, run in order."""
