"""Tools that return what a transcript has, by the position of the call."""
