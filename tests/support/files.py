"""Small images and documents, made here, for tests of attachments."""

import io
import struct
import zipfile
import zlib


def png(width: int = 1, height: int = 1) -> bytes:
    """Return a PNG of that size. Its picture is only as large as one of a pixel."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    picture = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + picture


def gif(width: int = 1, height: int = 1) -> bytes:
    """Return the header of a GIF of that size."""
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0, 0, 0) + b";"


def jpeg(width: int = 1, height: int = 1) -> bytes:
    """Return the headers of a JPEG: a comment that looks like a size, and then the size."""
    comment = b"\xff\xfe" + struct.pack(">H", 11) + b"\xff\xc0\x00\x09\x08\x00\x01\x00\x01"
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\x01\x11\x00"
    return b"\xff\xd8" + comment + frame + b"\xff\xda\x00\x02\xff\xd9"


def webp(width: int = 1, height: int = 1, form: str = "VP8X") -> bytes:
    """Return the header of a WebP of that size, in one of its three forms."""
    if form == "VP8X":
        body = bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    elif form == "VP8L":
        body = b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14)
    else:
        body = bytes(3) + b"\x9d\x01\x2a" + struct.pack("<HH", width, height)
    chunk = form.encode().ljust(4) + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", len(chunk) + 4) + b"WEBP" + chunk


def pdf(text: bytes = b"Invoice 17", pages: int = 1, *, packed: bool = True) -> bytes:
    """Return a PDF with that text in a stream."""
    stream = zlib.compress(text) if packed else text
    parts = [b"%PDF-1.4\n", *(b"%d 0 obj << /Type /Page /Parent 9 0 R >> endobj\n" % at for at in range(pages))]
    parts += [b"8 0 obj << /Length %d >>\nstream\n" % len(stream), stream, b"\nendstream endobj\n%%EOF\n"]
    return b"".join(parts)


def office(text: bytes = b"<w:t>Invoice 17</w:t>", folder: str = "word/", pictures: int = 0) -> bytes:
    """Return a docx (or an xlsx, with the folder xl/) with that text and so many pictures."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr(f"{folder}document.xml", text)
        for at in range(pictures):
            archive.writestr(f"{folder}media/image{at}.png", png())
    return made.getvalue()


def ole() -> bytes:
    """Return the beginning of a doc or xls."""
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)


#: One good file of each of Converse's formats.
GOOD: dict[str, bytes] = {
    "png": png(),
    "jpeg": jpeg(),
    "gif": gif(),
    "webp": webp(),
    "pdf": pdf(),
    "csv": b"order,amount\nO-1001,5.00\n",
    "doc": ole(),
    "docx": office(),
    "xls": ole(),
    "xlsx": office(folder="xl/"),
    "html": b"<!doctype html><p>Invoice",
    "txt": b"Invoice 17",
    "md": "# Größe\n".encode(),
}
