"""Tools: one file each, read by every planner."""
