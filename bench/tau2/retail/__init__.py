"""tau2's retail desk as a playbook."""
