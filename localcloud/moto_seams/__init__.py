"""All uses of moto's private parts.

moto is pinned to one version. Each seam is one context manager whose docstring says what it
relies on, and has a test that fails if moto changes. A seam that does not find what it
replaces raises ``SeamBroken``.

::

    imports      skip the services that Ballast does not use
    requests     look up the methods of a service once; answer requests of other processes
    jsonata      evaluate JSONata with bound variables
    interpreter  Lambda tasks, retries' sleep, ends and stops of executions, task tokens
    deployment   state machines of a stack reach the interpreter; code is not uploaded
    dynamodb     atomic requests, and queries that do not read the whole table
    kms          keys of the kind that the template describes; no key pair for a secret key
    iam          every request checked against the role that signed it
"""
