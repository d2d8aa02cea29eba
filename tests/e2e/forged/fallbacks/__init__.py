"""The till's scripts."""
