"""A WHIP publisher: what `publish` and the demo use."""
