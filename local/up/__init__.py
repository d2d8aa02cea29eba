"""``ballast up``: the whole stack on localhost, its HTTP API on a port.

``gateway`` (pure) turns a request into API Gateway's event and a function's response into a
reply; ``server`` has the sockets; ``endings`` watches the runs; ``serve`` puts them together.
"""

from local.up.serve import Served, serve

__all__ = ["Served", "serve"]
