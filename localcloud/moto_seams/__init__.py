"""The only place that uses moto's private parts.

moto is pinned to one version. Each seam is one context manager here whose docstring says what it
relies on, and has a test that fails where moto changed. A seam that does not find what it
replaces raises ``SeamBroken``.

::

    imports      leave out the services that nobody here uses
    dispatch     look up the methods of a service once
    jsonata      evaluate JSONata, with variables bound and not pasted
    interpreter  Lambda tasks, retries' sleep, ends and stops of executions, task tokens
    deployment   state machines of a stack reach the interpreter; code is not uploaded
    dynamodb     one write at a time, and queries that do not read the whole table
    kms          keys as the template describes them, and no pair for one that is none
    iam          every request against the role that signed it
"""
