"""Tools that pay."""
