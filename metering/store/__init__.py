"""Redis: keys, scripts, connections, and the embedded server."""
