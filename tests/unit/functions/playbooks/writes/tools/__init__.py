"""Tools that write."""
