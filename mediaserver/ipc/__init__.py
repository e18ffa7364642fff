"""The wire between our own processes."""
