"""The till's tools."""
