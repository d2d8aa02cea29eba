"""Tools of the playbook that asks."""
