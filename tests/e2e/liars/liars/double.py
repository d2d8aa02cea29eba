"""A payment service on a loopback address. It pays once for each Idempotency-Key."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

PAID: dict[str, int] = {}
_SERVERS: list[ThreadingHTTPServer] = []
#: Where another process listens, which has asked this one to play.
_ELSEWHERE: list[tuple[str, int]] = []


class _Service(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        key = self.headers.get("Idempotency-Key") or f"none-{len(PAID)}"
        PAID[key] = 1
        self.do_GET()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def address() -> tuple[str, int]:
    """Return where the service listens; start it at the first call."""
    if _ELSEWHERE:
        return _ELSEWHERE[0]
    if not _SERVERS:
        _SERVERS.append(ThreadingHTTPServer(("127.0.0.1", 0), _Service))
        Thread(target=_SERVERS[0].serve_forever, daemon=True).start()
    return "127.0.0.1", int(_SERVERS[0].server_address[1])


def listen_elsewhere(at: tuple[str, int]) -> None:
    """Use the service of the process that has asked this one to play."""
    if not _SERVERS:
        _ELSEWHERE[:] = [at]


def stop() -> None:
    """Stop the service."""
    while _SERVERS:
        server = _SERVERS.pop()
        server.shutdown()
        server.server_close()
