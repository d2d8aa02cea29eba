"""The size of an image in pixels, as large as anything in it says.

A reader of the double's own: with Ballast's, a mistake in it would be seen by neither. It bills the largest header or
frame that some reader could show, also where Ballast's refuses the file. From the formats' specifications: PNG 5.3 and
11, GIF89a 18 to 27, JPEG (ITU T.81) B.2.2, WebP (RFC 9649) 2.5 to 2.7.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

Size = tuple[int, int]
#: A JPEG's start of frame (or DHP) wherever such bytes stand: its length, a precision of two bits or more, height and
#: width. Too large a size is the double's careful side; in a scan such bytes cannot stand by chance.
_FRAME = re.compile(rb"\xff[\xc0-\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf\xde](?=\0[\x08-\x14][\x02-\x10](....))", re.S)
#: The picture of a WebP, wherever it stands.
_LOSSY = re.compile(rb"VP8 .{4}.{3}\x9d\x01\x2a(?=(....))", re.S)
_LOSSLESS = re.compile(rb"VP8L.{4}\x2f(?=(....))", re.S)


def image_size(content: bytes) -> Size | None:
    """Return the largest width and height in an image of any of Converse's formats; None if it is none."""
    if content[:8] == b"\x89PNG\r\n\x1a\n" and content[12:16] == b"IHDR":
        sizes = list(_png(content))
    elif content[:6] in (b"GIF87a", b"GIF89a") and len(content) >= 10:
        sizes = [(_little(content[6:8]), _little(content[8:10])), *_gif(content)]
    elif content[:3] == b"\xff\xd8\xff":
        sizes = list(_jpeg(content))
    elif content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        sizes = list(_webp(content))
    else:
        return None
    width, height = (max((one[side] for one in sizes), default=0) for side in (0, 1))
    return (width, height) if width and height else None


def _big(field: bytes) -> int:
    return int.from_bytes(field, "big")


def _little(field: bytes) -> int:
    return int.from_bytes(field, "little")


def _png(content: bytes) -> Iterator[Size]:
    rest = content[8:]
    while len(rest) >= 20:
        name, data = rest[4:8], rest[8:]
        if name == b"IHDR" and len(data) >= 8:
            yield _big(data[:4]), _big(data[4:8])
        elif name == b"fcTL" and len(data) >= 20:
            yield _big(data[4:8]) + _big(data[12:16]), _big(data[8:12]) + _big(data[16:20])
        rest = rest[12 + _big(rest[:4]) :]


def _gif(content: bytes) -> Iterator[Size]:
    rest = content[13 + _table(content[10:11]) :]
    while rest:
        mark, skip = rest[:1], 1
        if mark == b"\x2c" and len(rest) >= 10:
            left, top, width, height = (_little(rest[at : at + 2]) for at in (1, 3, 5, 7))
            yield left + width, top + height
            skip = 11 + _table(rest[9:10])
        elif mark == b"\x21":
            skip = 2
        rest = rest[skip:]
        if skip > 1:
            rest = rest[_data(rest) :]


def _table(flags: bytes) -> int:
    return 6 << (flags[0] & 7) if flags and flags[0] & 0x80 else 0


def _data(rest: bytes) -> int:
    """Return the bytes of a row of sub-blocks, and of its end."""
    at = 0
    while rest[at : at + 1] not in (b"", b"\0"):
        at += 1 + rest[at]
    return at + 1


def _jpeg(content: bytes) -> Iterator[Size]:
    for found in _FRAME.finditer(content):
        yield _big(found[1][2:]), _big(found[1][:2])


def _webp(content: bytes) -> Iterator[Size]:
    for at in (one.end() for one in re.finditer(b"VP8X", content)):
        field = content[at + 8 : at + 14]
        if len(field) == 6:
            yield _little(field[:3]) + 1, _little(field[3:]) + 1
    for at in (one.end() + 4 for one in re.finditer(b"ANMF", content)):
        left, top, width, height = (_little(content[at + step : at + step + 3]) for step in (0, 3, 6, 9))
        yield 2 * left + width + 1, 2 * top + height + 1
    for found in _LOSSY.finditer(content):
        yield _little(found[1][:2]) & 0x3FFF, _little(found[1][2:]) & 0x3FFF
    for found in _LOSSLESS.finditer(content):
        bits = _little(found[1])
        yield (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
