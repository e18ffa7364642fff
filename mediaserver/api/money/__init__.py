"""Money in, back and out, and the books behind it."""
