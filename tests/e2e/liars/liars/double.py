"""A payment service on a loopback address. It pays once for each Idempotency-Key, and tells whether it has.

At ``/strict`` it answers 409 to a key that it has seen. At ``/book`` it has a list of payments, which it answers as
JSON: one is booked once for each key, and voided by its key.
"""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

PAID: dict[str, int] = {}
BOOK: list[dict[str, str]] = []
_SERVERS: list[ThreadingHTTPServer] = []
#: Where another process listens, which has asked this one to play.
_ELSEWHERE: list[tuple[str, int]] = []


class _Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # so that a client may keep its connection

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        key = self.headers.get("Idempotency-Key") or f"none-{len(PAID)}"
        if self.path.startswith("/book"):
            return self._book(key, self.path.removeprefix("/book").strip("/"))
        again, PAID[key] = key in PAID, 1
        self._answer(409 if again and self.path == "/strict" else 200)

    def _book(self, key: str, void: str) -> None:
        record = _booked(void or key)
        if void and record is None:
            return self._answer(404)
        if record is None:
            BOOK.append(record := {"key": key, "state": "paid"})
        if void:
            record["state"] = "void"
        self._answer(200, record)

    def do_GET(self) -> None:
        if self.path.partition("?")[0] == "/book":
            return self._answer(200, {"items": BOOK, "next": None})
        if self.path.startswith("/book/"):
            record = _booked(self.path.removeprefix("/book/"))
            return self._answer(404 if record is None else 200, record)
        key = self.path.removeprefix("/paid/")
        self._answer(404 if key != self.path and key not in PAID else 200)

    def _answer(self, status: int, said: object = None) -> None:
        text = b"" if said is None else json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:
        pass


def _booked(key: str) -> dict[str, str] | None:
    return next((one for one in BOOK if one["key"] == key), None)


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
