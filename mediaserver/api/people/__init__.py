"""Signing in, one's own profile, people and their keys."""
