"""A local cloud served on localhost: the HTTP API, and an endpoint for AWS SDKs.

``http_api`` (pure) turns a request into API Gateway's event and a function's response into a
reply; ``identity`` (pure) decides who sends it; ``server`` has the sockets; ``links`` lets a
browser load a run's files; ``aws`` answers AWS SDKs.
"""

from localcloud.gateway.server import Served, serve

__all__ = ["Served", "serve"]
