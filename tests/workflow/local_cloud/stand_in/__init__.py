"""A small stack for the tests of the local cloud."""
