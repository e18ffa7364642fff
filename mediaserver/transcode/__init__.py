"""Access units to samples of every rendition: decodes and encodes."""
