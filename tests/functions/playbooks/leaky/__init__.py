"""A playbook whose tools, rules and undos break and quote a sensitive value."""
