"""Ballast on a laptop: the deployed template, in moto, with the real handlers in this process."""
