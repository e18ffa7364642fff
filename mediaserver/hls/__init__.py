"""Samples to bytes, windows and answers."""
