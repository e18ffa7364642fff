"""Settlement back ends behind one port: the journal now, a chain beside it."""
