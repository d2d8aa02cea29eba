"""The identity provider on this machine: `ballast run`, `up`, `test` and the fixtures start it, and set IDP_URL."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

#: The resets that it made, by idempotency key; and the answers that are lost: that many, after the reset was made.
RESETS: dict[str, dict[str, str]] = {}
TROUBLE = {"lost": 0}


@contextmanager
def stand_ins() -> Iterator[dict[str, str]]:
    """Serve the identity provider; yield the variables that lead to it."""
    reset()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    serving = threading.Thread(target=server.serve_forever, args=(0.01,))
    serving.start()
    try:
        yield {"IDP_URL": f"http://127.0.0.1:{server.server_address[1]}"}
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


def reset() -> None:
    """Forget everything; called before each test."""
    RESETS.clear()
    TROUBLE["lost"] = 0


def seen_outside() -> dict[str, dict[str, str]]:
    """Return the resets that stand: what `ballast certify` compares."""
    return dict(RESETS)


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._knows_the_caller():
            return
        key, account_id = self.headers["Idempotency-Key"], body["account_id"]
        made = {"reset_id": f"P-{len(RESETS) + 1}", "key": key, "account_id": account_id}
        made["sent_to"] = "mia@private.example"
        made = RESETS.setdefault(key, made)
        if TROUBLE["lost"]:
            TROUBLE["lost"] -= 1
            return  # no answer: the connection ends
        self._answer(201, made)

    def do_GET(self) -> None:
        if self._knows_the_caller():
            (key,) = parse_qs(urlsplit(self.path).query)["key"]
            self._answer(200, {"items": [RESETS[key]] if key in RESETS else []})

    def _knows_the_caller(self) -> bool:
        known = self.headers["X-Api-Key"] == "local-secret"  # a generated secret has this text here
        if not known:
            self._answer(401, {"error": "wrong key"})
        return known

    def _answer(self, status: int, body: Any) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        """Print nothing."""
