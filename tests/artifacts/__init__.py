"""The artifacts of ``sam build``, held to the source tree and played function by function in a clean Python.

::

    test_artifacts ─▶ played ─▶ lambdas ─▶ child     one process a built function; standard library only
                 │         └──▶ endpoint             moto over loopback HTTP, for the processes
                 └───▶ build ─▶ cache                what `sam build` made, kept by content
"""
