"""Revisions of the tables of webhooks, for alembic: named by their numbers, run in order."""
