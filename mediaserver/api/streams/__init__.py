"""Streams as their creators run them: prices, guests, bars, audience."""
