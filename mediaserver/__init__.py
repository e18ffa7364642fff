"""Vilokanam: the live media server. Rooms and their order: ARCHITECTURE.md."""
