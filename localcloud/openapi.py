"""``python -m localcloud.openapi``: write the HTTP API's OpenAPI document from the code.

It lies beside the function that serves it; ``docs/openapi.json`` is a link to it. A test holds it to the code.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

from ballast.http.describe import document
from localcloud.http_routes import without_http_api
from localcloud.template import load_template, to_cloudformation

ROOT = Path(__file__).resolve().parent.parent
WRITTEN = ROOT / "functions" / "front" / "openapi.json"

INFO = {
    "title": "Ballast",
    "version": "1",
    "summary": "Start and follow runs of an agent, and answer what they ask people.",
    "description": (
        "Everything that goes wrong here has a problem's form (RFC 9457). What API Gateway itself refuses has not: "
        'a request that is not authorised (401, 403) or throttled (429) is answered with `{"message": …}`.\n\n'
        "The tenant comes from the caller's identity. What belongs to another tenant does not exist (404)."
    ),
    "license": {"name": "MIT", "identifier": "MIT"},
}


def described(template: Path = ROOT / "template.yaml") -> str:
    """Return the document of all functions that the template's HTTP API leads to, as JSON text."""
    made, routes = without_http_api(to_cloudformation(load_template(template), template.parent, {}))
    apis: list[Any] = []
    for function in dict.fromkeys(route.function for route in routes):
        handler = made["Resources"][function]["Properties"]["Handler"]
        apis.append(importlib.import_module(handler.rpartition(".")[0]).app)
    return json.dumps(document(apis, INFO), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    WRITTEN.write_text(described(), encoding="utf-8")
    print(f"{WRITTEN.relative_to(ROOT)} is written.")
