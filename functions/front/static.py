"""What the API serves as it lies here: the console, and the API's own description."""

from __future__ import annotations

from pathlib import Path

from ballast.http.problem import not_found

_HERE = Path(__file__).parent
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
#: The page shows untrusted text: nothing runs but its own script, and nothing leaves but to this API.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SAFELY = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # Checked at each visit: a new deployment is seen at once.
    "Cache-Control": "no-cache",
}


def console_file(name: str) -> tuple[str, str]:
    """Return the media type and the text of one of the console's files. Raises ``Problem`` (404)."""
    folder = _HERE / "console"
    names = {file.name for file in folder.glob("*") if file.suffix in _TYPES} if folder.is_dir() else set()
    if name not in names:
        raise not_found("file of that name")
    return _TYPES[Path(name).suffix], (folder / name).read_text(encoding="utf-8")


def document() -> str:
    """Return the API's OpenAPI document; ``python -m localcloud.openapi`` writes it from the code."""
    return (_HERE / "openapi.json").read_text(encoding="utf-8")
