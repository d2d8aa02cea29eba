"""``ballast up``: the whole stack on localhost, its HTTP API on a port.

``gateway`` (pure) turns a request into API Gateway's event and a function's response into a
reply; ``server`` has the sockets; ``serve`` puts them together. ``endings`` watches the runs, and
``aws`` answers AWS's SDKs.
"""

from localcloud.gateway.server import Served, serve

__all__ = ["Served", "serve"]
