"""Revisions of the tables of people, for alembic: named by their numbers, run in order."""
