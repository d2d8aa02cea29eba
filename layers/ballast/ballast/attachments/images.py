"""Measure an image by all its headers and frames, without rendering it. Pure.

A reader decides by itself which header or frame counts, so the size is the largest that any of them names::

    png     IHDR, and each frame of an animation (fcTL). A second IHDR is refused
    gif     the screen, and where each frame ends on it
    jpeg    each frame header, those behind a scan, behind bytes between two segments, and in a second picture included
    webp    the canvas and each frame. A frame that is not as large as its canvas is refused

A header counts wherever it stands, also in a thumbnail or behind the end of a jpeg: some reader may look there. What
readers take in different ways is refused: a marker whose length some of them skip, or a picture behind the end of a png
or gif, or in the metadata of a webp. What is cut off shows nothing, so it is not looked for.
"""

import re
import struct
from collections.abc import Callable, Iterator

Size = tuple[int, int]


class Ambiguous(ValueError):
    """Readers would not agree on what the image is. The text says why."""


def size_of(file_format: str, content: bytes) -> Size | None:
    """Return the largest width and height that ``content`` names; None if it is no such file. Raises ``Ambiguous``."""
    try:
        sizes = list(_SIZES[file_format](content))
    except (struct.error, IndexError):
        return None
    if not sizes or any(0 in one for one in sizes):
        return None
    return max(width for width, _ in sizes), max(height for _, height in sizes)


def _png(content: bytes) -> Iterator[Size]:
    """PNG (third edition) 5.3 and 11."""
    if content[:8] != b"\x89PNG\r\n\x1a\n" or content[12:16] != b"IHDR":
        return
    at = 8
    while at + 8 <= len(content):
        length, name = struct.unpack(">I4s", content[at : at + 8])
        data = content[at + 8 : at + 8 + length]
        if not name.isalpha():
            raise Ambiguous("has something else than a chunk among its chunks")
        if name == b"IHDR":
            if at > 8:
                raise Ambiguous("has two headers (IHDR)")
            yield struct.unpack(">II", data[:8])
        elif name == b"fcTL" and len(data) >= 20:
            width, height, left, top = struct.unpack(">IIII", data[4:20])
            yield left + width, top + height
        elif name == b"IEND":
            if any(one in content[at + 8 :] for one in (b"IHDR", b"fcTL")):
                raise Ambiguous("has a second picture behind its end (IEND)")
            return
        at += 12 + length


def _gif(content: bytes) -> Iterator[Size]:
    """GIF89a 18 to 27."""
    if content[:6] not in (b"GIF87a", b"GIF89a"):
        return
    yield struct.unpack("<HH", content[6:10])
    at = 13 + _colors(content[10:11])
    while at < len(content):
        mark = content[at]
        if mark == 0x3B:  # the end
            if b"\x2c" in content[at:]:
                raise Ambiguous("has a second picture behind its end")
            return
        if mark == 0x21:
            # One known reader takes what follows such a block for a part of it.
            if content[at + 3 : at + 15] == b"NETSCAPE2.0\0":
                raise Ambiguous("has an extension without data")
            at = _behind_blocks(content, at + 2)
        elif mark == 0x2C:
            left, top, width, height = struct.unpack("<HHHH", content[at + 1 : at + 9])
            yield left + width, top + height
            at = _behind_blocks(content, at + 11 + _colors(content[at + 9 : at + 10]))
        elif mark == 0:  # some writers end a block twice
            at += 1
        else:
            raise Ambiguous("has something else than a block among its blocks")


def _colors(flags: bytes) -> int:
    """Return the bytes of the table of colors that the flags announce."""
    return 3 * 2 ** ((flags[0] & 7) + 1) if flags and flags[0] & 0x80 else 0


def _behind_blocks(content: bytes, at: int) -> int:
    while at < len(content) and content[at] != 0:
        at += 1 + content[at]
    return at + 1


#: Headers of a frame, and of a hierarchy of frames; the others of 0xC0 to 0xCF are tables.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xDE}
_START, _END, _SCAN, _LINES = 0xD8, 0xD9, 0xDA, 0xDC
#: Other markers with a length: tables, parameters, applications' data, a comment.
_SEGMENTS = frozenset({0xC4, 0xCC, _SCAN, 0xDB, _LINES, 0xDD, 0xDF, *range(0xE0, 0xF0), 0xFE})
#: The next marker in a scan, whose own bytes 0xFF are followed by 0x00.
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


#: A frame header wherever such bytes stand: its length, precision, height and width. They cannot stand in a scan.
_ANY_FRAME = re.compile(rb"\xff[\xc0-\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf\xde](?=\0[\x08-\xff][\x02-\x10](.{4}))", re.S)


def _jpeg(content: bytes) -> Iterator[Size]:
    """JPEG (ITU T.81) B."""
    if content[:3] != b"\xff\xd8\xff":
        return
    for one in _ANY_FRAME.finditer(content):
        height, width = struct.unpack(">HH", one[1])
        if height and width:
            yield width, height
    at, scanned = 2, False
    while 0 <= at < len(content) - 1:
        marker = content[at + 1]
        if content[at] != 0xFF or marker in (0, 0xFF):  # bytes between two segments, or a fill byte
            at = content.find(b"\xff", at + 1)
        elif marker == 0x01 or 0xD0 <= marker < _START:  # without a length
            at += 2
        elif marker == _END:
            if not scanned:
                raise Ambiguous("ends before its picture")
            # A second picture may follow.
            if content[at + 2 : at + 5] != b"\xff\xd8\xff":
                return
            at, scanned = at + 4, False
        elif marker in _FRAMES or marker in _SEGMENTS:
            if at + 4 > len(content):
                return
            (length,) = struct.unpack(">H", content[at + 2 : at + 4])
            if length < 2:
                raise Ambiguous("has a segment that is shorter than its own length")
            if marker in _FRAMES:
                height, width = struct.unpack(">HH", content[at + 5 : at + 9])
                yield width, height
            elif marker == _LINES and length >= 4:
                (height,) = struct.unpack(">H", content[at + 4 : at + 6])
                yield 1, height
            at += 2 + length
            if marker == _SCAN:
                found, scanned = _AFTER_SCAN.search(content, at), True
                at = found.start() if found else -1
        else:
            raise Ambiguous(f"has a marker that readers skip in different ways (0x{marker:02X})")


_PICTURES = (b"VP8 ", b"VP8L")


def _webp(content: bytes) -> Iterator[Size]:
    """WebP (RFC 9649) 2.3 to 2.7."""
    if content[:4] != b"RIFF" or content[8:12] != b"WEBP":
        return
    canvas: Size | None = None
    for at, name, data in _chunks(content, 12):
        if name == b"VP8X":
            if at > 12:
                raise Ambiguous("has its canvas (VP8X) in another place than first")
            canvas = 1 + _three(data, 4), 1 + _three(data, 7)
            yield canvas
        elif name == b"ANMF":
            frame = 1 + _three(data, 6), 1 + _three(data, 9)
            yield 2 * _three(data, 0) + frame[0], 2 * _three(data, 3) + frame[1]
            yield from _pictures(_chunks(data, 16), frame)
        elif name in _PICTURES:
            yield from _pictures([(at, name, data)], canvas)
        elif name != b"ALPH" and any(one in content[at : at + 8 + len(data)] for one in (b"VP8X", b"ANMF", *_PICTURES)):
            raise Ambiguous("has a picture in its metadata")


def _pictures(chunks: "Iterator[_Chunk] | list[_Chunk]", frame: Size | None) -> Iterator[Size]:
    """Yield the size of each picture; all must be as large as the ``frame`` that they fill."""
    for _, name, data in chunks:
        if name == b"VP8L" and data[0] == 0x2F:
            (bits,) = struct.unpack("<I", data[1:5])
            size = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        elif name == b"VP8 " and data[3:6] == b"\x9d\x01\x2a":
            width, height = struct.unpack("<HH", data[6:10])
            size = width & 0x3FFF, height & 0x3FFF
        elif name in _PICTURES:
            raise Ambiguous("has a picture without a header")
        else:
            continue
        if frame not in (None, size):
            raise Ambiguous(f"has a picture of {size[0]} x {size[1]} pixels on a canvas of another size")
        yield size


_Chunk = tuple[int, bytes, bytes]


def _chunks(content: bytes, at: int) -> Iterator[_Chunk]:
    while at + 8 <= len(content):
        name, length = struct.unpack("<4sI", content[at : at + 8])
        yield at, name, content[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _three(data: bytes, at: int) -> int:
    field = data[at : at + 3]
    if len(field) < 3:
        raise IndexError
    return int.from_bytes(field, "little")


_SIZES: dict[str, Callable[[bytes], Iterator[Size]]] = {"png": _png, "gif": _gif, "jpeg": _jpeg, "webp": _webp}
