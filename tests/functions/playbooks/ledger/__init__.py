"""A tiny playbook: notes that are read, written and erased, tools that break, scripts that go wrong."""
