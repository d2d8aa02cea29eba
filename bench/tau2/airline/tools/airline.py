"""The tools of tau2's ``airline``, under their own names."""

from bench.tau2.toolkit import domain_tools

# A playbook's tools are what its modules hold.
globals().update(domain_tools("airline"))
