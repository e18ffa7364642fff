"""One file per process: the composition roots."""
