"""Payments: what people pay in through a provider, and what the provider says of it."""
