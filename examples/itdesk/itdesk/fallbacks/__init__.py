"""Fallbacks: one script for each intent with a known solution."""
