"""A node in memory: the pallet, the pool, forks and finality modelled in Python, and its faults."""
