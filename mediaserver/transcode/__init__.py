"""Access units and frames to samples on one timeline. The only room that imports av."""
