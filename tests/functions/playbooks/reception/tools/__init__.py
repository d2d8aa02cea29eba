"""Tools of the reception."""
