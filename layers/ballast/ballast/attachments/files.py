"""Check the content of a file against its declared format, and measure it. Pure; nothing is rendered or decoded.

Images: the size in pixels stands in the header, so an image that unpacks to gigabytes costs nothing here.
Documents: a text has at most a token a byte. A packed one (pdf, docx, xlsx) is unpacked in parts, which are counted and
dropped, up to a limit; beyond it only the model's window bounds the text.
"""

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from ballast.contracts.attachment import MOST_FILE_BYTES, kind_of

#: Converse refuses an image with more pixels on a side.
MOST_PIXELS = 8_000
#: Bytes that are unpacked of one document at most.
MOST_UNPACKED = 4 * 1024 * 1024
#: Bytes of a part that is unpacked, and of what is fed to the unpacking at once.
_CHUNK, _FED = 64 * 1024, 4 * 1024
_TEXTS = frozenset(("csv", "html", "txt", "md"))
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_HTML = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|!--|html|head|body|\?xml|[a-z][a-z0-9]*[\s>/])", re.I)
#: The part of an Office file that only its format has.
_OFFICE = {"docx": "word/", "xlsx": "xl/"}
_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".emf", ".wmf", ".webp", ".svg")


class WrongContent(ValueError):
    """The content is not what its format says, or is too large. The text says what to do."""


def measured(file_format: str, content: bytes) -> dict[str, Any]:
    """Return the fields of ``Kept`` that come from the content. Raises ``WrongContent``."""
    kind = kind_of(file_format)
    if not content:
        raise WrongContent("is empty")
    if len(content) > MOST_FILE_BYTES[kind]:
        raise WrongContent(f"has {len(content)} bytes; an attached {kind} may have {MOST_FILE_BYTES[kind]}")
    if kind == "image":
        return _image(file_format, content)
    if file_format in _TEXTS:
        return {"most_text": _text(file_format, content)}
    return _PACKED[file_format](file_format, content)


def _not(file_format: str) -> WrongContent:
    return WrongContent(f"is no {file_format} file; send the format that it has, or another file")


# Images


def _image(file_format: str, content: bytes) -> dict[str, Any]:
    try:
        size = _SIZES[file_format](content)
    except (struct.error, IndexError):
        size = None
    if size is None or 0 in size:
        raise _not(file_format)
    width, height = size
    if max(size) > MOST_PIXELS:
        raise WrongContent(f"is {width} x {height} pixels; a side may have {MOST_PIXELS}. Send a smaller image")
    return {"width": width, "height": height}


def _png(content: bytes) -> tuple[int, int] | None:
    if content[:8] != b"\x89PNG\r\n\x1a\n" or content[12:16] != b"IHDR":
        return None
    width, height = struct.unpack(">II", content[16:24])
    return width, height


def _gif(content: bytes) -> tuple[int, int] | None:
    if content[:6] not in (b"GIF87a", b"GIF89a"):
        return None
    width, height = struct.unpack("<HH", content[6:10])
    return width, height


def _jpeg(content: bytes) -> tuple[int, int] | None:
    """Return the largest frame's size: an image may have more than one header."""
    if content[:3] != b"\xff\xd8\xff":
        return None
    at, largest = 2, None
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker == 0xDA:  # the picture itself
            break
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # without a length
            at += 2
            continue
        (length,) = struct.unpack(">H", content[at + 2 : at + 4])
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", content[at + 5 : at + 9])
            largest = (width, height) if largest is None else (max(width, largest[0]), max(height, largest[1]))
        at += 2 + length
    return largest


def _webp(content: bytes) -> tuple[int, int] | None:
    if content[:4] != b"RIFF" or content[8:12] != b"WEBP":
        return None
    chunk = content[12:16]
    if chunk == b"VP8X" and len(content) >= 30:
        return 1 + int.from_bytes(content[24:27], "little"), 1 + int.from_bytes(content[27:30], "little")
    if chunk == b"VP8L" and content[20] == 0x2F:
        (bits,) = struct.unpack("<I", content[21:25])
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if chunk == b"VP8 " and content[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack("<HH", content[26:30])
        return width & 0x3FFF, height & 0x3FFF
    return None


_SIZES: dict[str, Callable[[bytes], tuple[int, int] | None]] = {
    "png": _png,
    "gif": _gif,
    "jpeg": _jpeg,
    "webp": _webp,
}


# Documents


def _text(file_format: str, content: bytes) -> int:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        raise WrongContent(f"is no {file_format} file in UTF-8; save it as UTF-8") from None
    if b"\0" in content or content.startswith(b"%PDF-") or (file_format == "html" and not _HTML.match(content)):
        raise _not(file_format)
    return len(content)


def _ole(file_format: str, content: bytes) -> dict[str, Any]:
    """An Office file of before 2007. Its texts are not compressed: at most a token a byte."""
    if not content.startswith(_OLE):
        raise _not(file_format)
    return {"most_text": len(content)}


def _office(file_format: str, content: bytes) -> dict[str, Any]:
    """A zip of XML; its pictures count as pages."""
    import zipfile  # only for such a file
    from io import BytesIO

    if not content.startswith(b"PK\x03\x04"):
        raise _not(file_format)
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            names = archive.namelist()
            if "[Content_Types].xml" not in names or not any(one.startswith(_OFFICE[file_format]) for one in names):
                raise _not(file_format)
            members = archive.infolist()
            # Other methods are unpacked without a bound, and no Office program writes them.
            if not all(one.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for one in members):
                raise _not(file_format)
            texts = [one for one in members if not one.filename.lower().endswith(_PICTURES)]
            return _sized(_unzipped(archive, texts), pages=len(names) - len(texts))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError, zlib.error):
        raise _not(file_format) from None


def _unzipped(archive: Any, members: list[Any]) -> Iterator[int]:
    for member in members:
        with archive.open(member) as file:
            while chunk := file.read(_CHUNK):
                yield len(chunk)


_STREAM = re.compile(rb"(?<!end)stream\r?\n")
_NO_TEXT = re.compile(rb"/Subtype\s*/Image|/FontFile|/Length1\b|/Alternate\b|/Type\s*/XRef")
_PAGE = re.compile(rb"/Type\s*/Page(?![a-zA-Z])")
#: Streams of one file that are looked at, and bytes of the description before each.
_MOST_STREAMS, _ABOUT_BYTES = 20_000, 2_048
#: Bytes that the unpacking of one file may read, as a multiple of its size: streams may overlap, and unpack to nothing.
_MOST_READ = 4


def _pdf(file_format: str, content: bytes) -> dict[str, Any]:
    """Count what its streams unpack to, pictures and fonts left out, and its pages."""
    if not content.startswith(b"%PDF-"):
        raise _not(file_format)
    starts = [found.span() for found in islice(_STREAM.finditer(content), _MOST_STREAMS + 1)]
    pages = len(_PAGE.findall(content))
    if len(starts) > _MOST_STREAMS:
        return {"pages": pages}
    ends = [begins for begins, _ in starts[1:]] + [len(content)]

    left = _MOST_READ * len(content)

    def sizes() -> Iterator[int]:
        nonlocal pages, left
        yield starts[0][0] if starts else len(content)
        for (named, start), end in zip(starts, ends, strict=False):
            about = content[max(0, named - _ABOUT_BYTES) : named]
            if not _NO_TEXT.search(about[about.rfind(b" obj") + 1 :]):
                for read, piece in _inflated(content, start, end):
                    left -= read
                    pages += len(_PAGE.findall(piece))
                    yield len(piece) if left >= 0 else MOST_UNPACKED + 1
            closed = content.rfind(b"endstream", start, end)
            yield end - closed if closed >= 0 else 0

    sized = _sized(sizes(), pages=0)
    return sized | {"pages": pages}


def _inflated(content: bytes, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Yield a stream in parts, each with the bytes that were read for it.

    A stream that is not compressed is what it is, up to the next one.
    """
    unpacking, at = zlib.decompressobj(), start
    try:
        while at < len(content) and not unpacking.eof:
            fed = content[at : at + _FED]
            at += len(fed)
            piece = unpacking.decompress(fed, _CHUNK)
            yield len(fed) - len(unpacking.unused_data), piece
            while unpacking.unconsumed_tail and not unpacking.eof:  # after its end, the tail is what follows the stream
                yield 0, unpacking.decompress(unpacking.unconsumed_tail, _CHUNK)
    except zlib.error:
        yield 0, content[start:end]


def _sized(sizes: Iterator[int], pages: int) -> dict[str, Any]:
    """Return the fields of a packed document; without a bound if it unpacks to more than is looked at."""
    total = 0
    for size in sizes:
        total += size
        if total > MOST_UNPACKED:
            return {"pages": pages}
    return {"most_text": total, "pages": pages}


_PACKED: dict[str, Callable[[str, bytes], dict[str, Any]]] = {
    "pdf": _pdf,
    "docx": _office,
    "xlsx": _office,
    "doc": _ole,
    "xls": _ole,
}
