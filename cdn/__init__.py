"""The same address and cache tables, written in the language of each cache."""
