"""The playbook of the recorded runs that no bundled scenario plays: a small stock-room."""
