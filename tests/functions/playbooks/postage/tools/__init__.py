"""Tools that cost money."""
