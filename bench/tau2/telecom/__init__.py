"""tau2's telecom desk as a playbook."""
