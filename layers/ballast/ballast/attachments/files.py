"""Check the content of a file against its declared format, and measure it. Pure; nothing is rendered or unpacked.

Images: the size in pixels stands in headers (``ballast.attachments.images``), so an image that unpacks to gigabytes
costs nothing here.

Documents have a bound of tokens only where it follows from their bytes, whoever reads them::

    txt, md           a token has at least one byte of the text, which the model gets as it is written
    csv               the same, or of its table with each cell as wide as its column's widest and short rows filled up;
                      none if it has too many cells to look at
    plain html        the same of its source or its words, with what a reader writes in their place: a mark before and
                      behind each tag's text, an escape before each mark, ``&amp;``; a character reference counts as
                      what it stands for if that is longer (``&nGt;``)
    other html        none: scripts, styles and entities make words it lacks; lists, quotes, preformatted text and
                      tables are indented or padded, each line by the depth or width of another; a heading's or a
                      rule's line is longer than its tag; of tags that are open across others, readers make more
    pdf, docx, xlsx,  none: each is unpacked, decrypted, laid out or calculated, and may say one text many times
    doc, xls          (shared strings, forms, pages, glyphs that are many letters). What one reader makes of it proves
                      nothing about the provider's

A document without a bound may fill the model's context window, and is reserved so.
"""

import re
import unicodedata
from collections.abc import Callable
from typing import Any

from ballast.attachments.images import Ambiguous, size_of
from ballast.contracts.attachment import BOUNDED_FORMATS, MOST_FILE_BYTES, kind_of

#: Converse refuses an image with more pixels on a side.
MOST_PIXELS = 8_000
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_HTML = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|!--|html|head|body|\?xml|[a-z][a-z0-9]*[\s>/])", re.I)
#: The part of an Office file that only its format has.
_OFFICE = {"docx": "word/", "xlsx": "xl/"}
#: What makes words of an HTML file that are not written in it, or reads its bytes as other words. Wherever it stands,
#: also in a comment or a text: a reader may see another structure.
_MAKES_WORDS = re.compile(
    r"<(?:[^\s<>]{0,40}\W)?(?:script|style|link|base|svg|math|template|object|embed|frame|applet)\b"
    r"|<(?:[^\s<>]{0,40}\W)?(?:[ou]l|li|menu|dir|d[ldt]|blockquote|pre|listing|xmp|plaintext|fieldset|details|figure)\b"
    r"|<(?:[^\s<>]{0,40}\W)?(?:table|t[rdh]|thead|tbody|tfoot|caption|col|colgroup)\b"
    r"|\bstyle\s*=|\bon[a-z]+\s*=|<!entity|<!\[|<\?|\bdata:[a-z]*[/;,]"
    r"|\b(?:charset|encoding)\b(?!\s*=\s*[\"']?\s*(?:utf-8|us-ascii)\b)",
    re.I,
)
#: The tags of plain html: a reader writes no more than four bytes around the text of one, and the end that is missing.
_PLAIN = frozenset(("a", "address", "article", "aside", "b", "body", "center", "cite", "del", "div", "em", "font"))
_PLAIN |= frozenset(("footer", "head", "header", "html", "i", "ins", "main", "nav", "s", "section", "small", "span"))
_PLAIN |= frozenset(("strike", "strong", "sub", "sup", "title", "u"))
_PLAIN_EMPTY = frozenset(("br", "img", "meta", "wbr"))
#: May lack their ends: they end at the next one, or with the text.
_ENDLESS = frozenset(("p", "html", "head", "body"))
_TAG = re.compile(r"<(/?)([a-z][^\s/<>]*)([^<>]*)>?", re.I)
_AROUND_TAG = 4
#: Marks that a reader of html may escape with one byte, or, of three of them, write as a reference (``&amp;``).
_MARK, _REFERRED, _REFERENCE_BYTES = re.compile(r"[!-/:-@\[-`{-~]"), "&<>", 4
#: Tags open at a time: each may indent a line.
_DEEPEST = 20
_REFERENCE = re.compile(r"&#?[0-9a-z]{1,40};?", re.I)
_DELIMITERS = (",", ";", "\t", "|")
#: Tags and character references, or cells, of one file that are looked at.
_MOST_MARKS = 50_000


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
    if file_format in BOUNDED_FORMATS:
        return _text(file_format, content)
    _PACKED[file_format](file_format, content)
    return {}


def _not(file_format: str) -> WrongContent:
    return WrongContent(f"is no {file_format} file; send the format that it has, or another file")


# Images


def _image(file_format: str, content: bytes) -> dict[str, Any]:
    try:
        size = size_of(file_format, content)
    except Ambiguous as unclear:
        raise WrongContent(
            f"{unclear}, so readers may not agree on its picture; save it as {file_format} again"
        ) from None
    if size is None:
        raise _not(file_format)
    width, height = size
    if max(size) > MOST_PIXELS:
        raise WrongContent(f"is {width} x {height} pixels; a side may have {MOST_PIXELS}. Send a smaller image")
    return {"width": width, "height": height}


# Documents


def _text(file_format: str, content: bytes) -> dict[str, Any]:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise WrongContent(f"is no {file_format} file in UTF-8; save it as UTF-8") from None
    if b"\0" in content or content.startswith(b"%PDF-") or (file_format == "html" and not _HTML.match(content)):
        raise _not(file_format)
    if file_format == "html":
        if text.count("&") + text.count("<") > _MOST_MARKS or _MAKES_WORDS.search(text):
            return {}
        added = _added_to_html(text)
        return {} if added is None else {"most_text": _size(_REFERENCE.sub(_longer, text)) + added}
    if file_format == "csv":
        table = _most_table(text)
        return {} if table is None else {"most_text": max(_size(text), table)}
    return {"most_text": _size(text)}


def _most_table(text: str) -> int | None:
    """Return the bytes of a csv file's widest table; None where it has too many cells to look at.

    A reader guesses the delimiter, and whether quotes mean anything, so each reading counts that has cells at all.
    """
    lines = text.splitlines()
    if len(lines) + sum(text.count(one) for one in _DELIMITERS) > _MOST_MARKS:
        return None
    sizes = [_table_size(lines, one, quoted) for one in _DELIMITERS if one in text for quoted in _quotings(text)]
    return None if None in sizes else max((one for one in sizes if one is not None), default=0)


def _quotings(text: str) -> tuple[bool, ...]:
    return (True, False) if '"' in text else (False,)


def _table_size(lines: list[str], delimiter: str, quoted: bool) -> int | None:
    """Return the bytes of the table in one reading of it, with frames and a line under the header.

    A row with fewer cells than another is filled up. None if it cannot be read so.
    """
    import csv  # only for such a file

    rows, widths = 1, list[int]()
    try:
        for row in csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE):
            rows += 1
            widths += [3] * (len(row) - len(widths))  # "---" or "nan"
            for at, cell in enumerate(row):
                widths[at] = max(widths[at], _size(cell))
    except csv.Error:
        return None
    return rows * (sum(widths) + 5 * len(widths) + 2)  # "| " and " ", and ".0" of a number in a column with gaps


def _added_to_html(text: str) -> int | None:
    """Return the bytes that a reader may add to plain html; None if it is not plain."""
    words = _TAG.sub(r"\3", text)  # attributes are written as text: addresses, titles
    added = len(_MARK.findall(words)) + _REFERENCE_BYTES * sum(map(words.count, _REFERRED))
    opened: list[str] = []
    for found in _TAG.finditer(text):
        ends, name = found[1], found[2].lower()
        if not ends:
            added += _AROUND_TAG
        if name in _ENDLESS:
            added += len(found[0].encode())
        elif name in _PLAIN_EMPTY:
            continue
        elif name not in _PLAIN or (ends and (not opened or opened.pop() != name)):
            return None
        elif not ends:
            opened.append(name)
        if len(opened) > _DEEPEST:
            return None
    return None if opened else added  # a tag that is left open is opened again by some readers, in each paragraph


def _longer(reference: re.Match[str]) -> str:
    """Return a character reference, or what it stands for if that is longer."""
    from html import unescape  # only for such a file: it brings a table of 2,000 names

    return max(reference[0], unescape(reference[0]), key=_size)


def _size(text: str) -> int:
    """Return the bytes of a text, in the longer of the forms in which a tokenizer may read it."""
    size = len(text.encode("utf-8"))
    if text.isascii() or unicodedata.is_normalized("NFKC", text):
        return size
    return max(size, len(unicodedata.normalize("NFKC", text).encode("utf-8")))


def _ole(file_format: str, content: bytes) -> None:
    """An Office file of before 2007."""
    if not content.startswith(_OLE):
        raise _not(file_format)


def _office(file_format: str, content: bytes) -> None:
    """A zip of XML."""
    import zipfile  # only for such a file
    from io import BytesIO

    if not content.startswith(b"PK\x03\x04"):
        raise _not(file_format)
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError):
        raise _not(file_format) from None
    names = [one.filename for one in members]
    if "[Content_Types].xml" not in names or not any(one.startswith(_OFFICE[file_format]) for one in names):
        raise _not(file_format)
    # No Office program packs in another way.
    if not all(one.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for one in members):
        raise _not(file_format)


def _pdf(file_format: str, content: bytes) -> None:
    if not content.startswith(b"%PDF-"):
        raise _not(file_format)


_PACKED: dict[str, Callable[[str, bytes], None]] = {
    "pdf": _pdf,
    "docx": _office,
    "xlsx": _office,
    "doc": _ole,
    "xls": _ole,
}
