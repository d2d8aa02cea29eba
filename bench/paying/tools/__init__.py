"""A playbook that pays, for ``bench/moves.py``."""
