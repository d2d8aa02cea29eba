"""Logs of runs as a version of Ballast wrote them, and what that version read in them."""
