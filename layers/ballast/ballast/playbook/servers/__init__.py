"""Tools from elsewhere: declared in ``servers/NAME.yaml``, pinned, and called by the executor.

::

    declaration ──▶ tools ──▶ Tool (arguments: schema, form) ──▶ transport of its server: openapi, mcp, invoke
    servers/*.yaml                                                      │
                                                                 http, credentials

Only the executor calls a tool's function, so only there is a transport imported.
"""
