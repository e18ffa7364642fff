"""Ticks to money. Knows nothing of media; ARCHITECTURE.md says who may import it."""
