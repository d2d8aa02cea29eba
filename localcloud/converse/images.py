"""The size of an image in pixels, as its header has it.

A reader of the double's own: with Ballast's, a mistake in it would be seen by neither. Header by header as in the
formats' specifications: PNG 11.2.2, GIF89a 18, JPEG (ITU T.81) B.2.2, WebP (RFC 9649) 2.5 to 2.7.
"""

from __future__ import annotations

from collections.abc import Iterator

#: Frame headers of JPEG; the others of 0xC0 to 0xCF are tables.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
#: Markers of JPEG without a length.
_BARE = frozenset({0x01, *range(0xD0, 0xDA)})
_SCAN = 0xDA


def image_size(content: bytes) -> tuple[int, int] | None:
    """Return the width and height of an image in any of Converse's formats; None if it is none."""
    if content[:8] == b"\x89PNG\r\n\x1a\n" and content[12:16] == b"IHDR":
        size = _big(content[16:20], 4), _big(content[20:24], 4)
    elif content[:6] in (b"GIF87a", b"GIF89a"):
        size = _little(content[6:8], 2), _little(content[8:10], 2)
    elif content[:3] == b"\xff\xd8\xff":
        size = next(_frames(content), (0, 0))
    elif content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        size = _webp(content[12:16], content[20:])
    else:
        return None
    return size if min(size) > 0 else None


def _big(field: bytes, length: int) -> int:
    return int.from_bytes(field, "big") if len(field) == length else 0


def _little(field: bytes, length: int) -> int:
    return int.from_bytes(field, "little") if len(field) == length else 0


def _frames(content: bytes) -> Iterator[tuple[int, int]]:
    """Yield the size in each frame header of a JPEG before its first scan."""
    at = 2
    while at + 1 < len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in _BARE:
            at += 2
        elif marker == _SCAN:
            return
        else:
            length = _big(content[at + 2 : at + 4], 2)
            if marker in _FRAMES:
                yield _big(content[at + 7 : at + 9], 2), _big(content[at + 5 : at + 7], 2)
            if length < 2:
                return
            at += 2 + length


def _webp(chunk: bytes, data: bytes) -> tuple[int, int]:
    if chunk == b"VP8X":  # the canvas, less one
        return _little(data[4:7], 3) + 1, _little(data[7:10], 3) + 1
    if chunk == b"VP8L" and data[:1] == b"\x2f":
        bits = _little(data[1:5], 4)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 " and data[3:6] == b"\x9d\x01\x2a":
        return _little(data[6:8], 2) & 0x3FFF, _little(data[8:10], 2) & 0x3FFF
    return 0, 0
