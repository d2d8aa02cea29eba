"""A playbook for bench/overhead.py: a read and a write that do nothing, with every check that a tool can have."""
