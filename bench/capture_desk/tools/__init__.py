"""Tools of the till."""
