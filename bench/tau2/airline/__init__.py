"""tau2's airline desk as a playbook."""
