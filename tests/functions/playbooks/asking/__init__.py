"""A playbook whose tools ask people, each in its own way."""
