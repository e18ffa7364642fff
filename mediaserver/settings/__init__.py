"""The whole configuration: every fault of a file at once."""
