"""Viewers: joining, their tokens and players, limits, what they watched."""
