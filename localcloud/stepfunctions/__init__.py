"""Step Functions, on this machine: the states, their threads and tokens, and the executions of a stack."""
