"""From pending ticks to a final settlement batch."""
