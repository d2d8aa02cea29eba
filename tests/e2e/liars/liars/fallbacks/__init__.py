"""Fallbacks."""
