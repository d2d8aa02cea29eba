"""A playbook whose tools differ in what they declare about their effects."""
