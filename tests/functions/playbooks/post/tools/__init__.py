"""Tools of the post."""
