"""Scripts of the reception."""
