"""The console's files and the API's document, as they are served.

They are text of this folder; what protects the page that shows untrusted text is in ``SAFELY``.
"""

import json
from pathlib import Path as File

from ballast.contracts.meaning import REASONS, REFUSALS
from ballast.http.problem import not_found

_HERE = File(__file__).parent
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
#: The page shows untrusted text: only its own script runs, and it connects to this API only.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SAFELY = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # Validated at each visit, so that a new deployment is seen at once.
    "Cache-Control": "no-cache",
}


def console_file(name: str) -> tuple[str, str]:
    """Return the media type and the text of one of the console's files. Raises ``Problem`` (404).

    ``reasons.js`` is not a file: it has the words of ``ballast.contracts.meaning``, so that the console's are the same.
    """
    if name == "reasons.js":
        return _TYPES[".js"], f"export const REASONS = {json.dumps(REASONS | REFUSALS, indent=2)};\n"
    folder = _HERE / "console"
    names = {file.name for file in folder.glob("*") if file.suffix in _TYPES} if folder.is_dir() else set()
    if name not in names:
        raise not_found("file of that name")
    return _TYPES[File(name).suffix], (folder / name).read_text(encoding="utf-8")


def document() -> str:
    """Return the API's OpenAPI document; ``python -m localcloud.openapi`` writes it from the code."""
    return (_HERE / "openapi.json").read_text(encoding="utf-8")
