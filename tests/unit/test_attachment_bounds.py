"""A file's bound of tokens is never below what a model may read of it, however the file is made."""

import base64
import io
import unicodedata
import zipfile
import zlib
from collections.abc import Callable
from html import unescape
from html.entities import html5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ballast.attachments.files import measured
from ballast.attachments.prompt import Bound, tokens_of, with_files
from ballast.contracts.attachment import BOUNDED_FORMATS, Kept, kind_of
from ballast.models.catalog import Catalog
from tests.support.files import GOOD, ole, png

CLAUDE = Catalog().card("anthropic.claude-haiku-4-5-20251001-v1:0")
WINDOW = CLAUDE.context_window


def kept(file_format: str, content: bytes, **older: int) -> Kept:
    """Return the file as the log has it; ``older``: fields as another version measured them."""
    sha = "ab" * 32
    fields = {"name": "x", "format": file_format, "bytes": len(content), "sha256": sha}
    key = f"attachments/acme/run-{'a' * 24}/{sha}"
    return Kept.model_validate(fields | {"key": key} | (older or measured(file_format, content)))


def archive(**parts: str) -> bytes:
    """Return an Office file with these parts."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("[Content_Types].xml", "<Types/>")
        for name, text in parts.items():
            zipped.writestr(name.replace("__", "/") + ".xml", text)
    return made.getvalue()


def pdf_of(*objects: bytes) -> bytes:
    """Return a PDF with these objects."""
    numbered = [b"%d 0 obj %s endobj\n" % (at, one) for at, one in enumerate(objects, 1)]
    return b"%PDF-1.7\n" + b"".join(numbered) + b"trailer << /Root 1 0 R >>\n%%EOF\n"


def stream(content: bytes, about: bytes = b"") -> bytes:
    """Return a PDF's stream."""
    return b"<< %s /Length %d >>\nstream\n%s\nendstream" % (about, len(content), content)


def _page(contents: bytes, name: bytes = b"/Type /Page") -> tuple[bytes, bytes, bytes]:
    catalog = b"<< /Type /Catalog /Pages 2 0 R >>"
    return catalog, b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>", b"<< %s /Contents %s >>" % (name, contents)


def _shown(text: str) -> bytes:
    return b"BT (" + text.encode() + b") Tj ET"


def shared_strings(text: str, times: int) -> bytes:
    """An xlsx whose cells all show one string."""
    cells = "<c t='s'><v>0</v></c>" * times
    return archive(xl__sharedStrings=f"<sst><si><t>{text}</t></si></sst>", xl__sheet1=f"<row>{cells}</row>")


def bound_controls(text: str, times: int) -> bytes:
    """A docx whose controls all show one part of its own data."""
    controls = "<w:sdt><w:dataBinding w:xpath='/a'/></w:sdt>" * times
    return archive(customXml__item1=f"<a>{text}</a>", word__document=controls)


def numbered_paragraphs(text: str, times: int) -> bytes:
    """A docx whose paragraphs all have one long label."""
    return archive(word__numbering=f"<w:lvlText w:val='{text}'/>", word__document="<w:p><w:numId/></w:p>" * times)


def old_cells(text: str, times: int) -> bytes:
    """An xls whose cells all name one string of its table."""
    return ole() + text.encode() + b"\xfd\0\x0a\0" * times


def filters(text: str, times: int) -> bytes:
    """A PDF whose page is packed in a chain of filters."""
    packed = zlib.compress(zlib.compress(_shown(text) * times))
    return pdf_of(*_page(b"4 0 R"), stream(packed, b"/Filter [/FlateDecode /FlateDecode]"))


def ascii_filter(text: str, times: int) -> bytes:
    """A PDF whose packed page is written in ASCII."""
    packed = base64.a85encode(zlib.compress(_shown(text) * times)) + b"~>"
    return pdf_of(*_page(b"4 0 R"), stream(packed, b"/Filter [/ASCII85Decode /FlateDecode]"))


def run_lengths(text: str, times: int) -> bytes:
    """A PDF whose page is packed by lengths of runs: 128 letters in two bytes."""
    return pdf_of(*_page(b"4 0 R"), stream(b"\x81" + text[:1].encode() * times, b"/Filter /RunLengthDecode"))


def form_many_times(text: str, times: int) -> bytes:
    """A PDF whose page shows one form again and again."""
    return pdf_of(*_page(b"4 0 R"), stream(b"/F Do " * times), stream(_shown(text), b"/Type /XObject /Subtype /Form"))


def page_many_times(text: str, times: int) -> bytes:
    """A PDF that lists one page many times, with its names in escapes."""
    catalog, _, page = _page(b"4 0 R", b"/#54ype /#50age")
    pages = b"<< /Type /Pages /Kids [%s] >>" % (b"3 0 R " * times)
    return pdf_of(catalog, pages, page, stream(_shown(text)))


def text_as_picture(text: str, times: int) -> bytes:
    """A PDF whose text's stream has a picture's words in its description."""
    about = b"/Filter /FlateDecode /Thumb << /Subtype /Image >>"
    return pdf_of(*_page(b"4 0 R"), stream(zlib.compress(_shown(text) * times), about))


def long_glyphs(text: str, times: int) -> bytes:
    """A PDF whose font says that one glyph is a whole text."""
    glyph = text.encode("utf-16-be").hex().encode()
    return pdf_of(*_page(b"4 0 R"), stream(b"(" + b"a" * times + b") Tj"), stream(b"<61> <" + glyph + b"> endbfchar"))


def encrypted(text: str, times: int) -> bytes:
    """A PDF whose streams are encrypted, so nothing of them unpacks."""
    hidden = bytes(255 - one for one in zlib.compress(_shown(text) * times))
    return pdf_of(*_page(b"4 0 R"), stream(hidden, b"/Filter /FlateDecode"), b"<< /Filter /Standard >>")


def in_an_object_stream(text: str, times: int) -> bytes:
    """A PDF whose pages are in a packed object stream."""
    pages = zlib.compress(b"<< /Type /Page /Contents 4 0 R >> " * times)
    return pdf_of(stream(pages, b"/Type /ObjStm /Filter /FlateDecode"), stream(_shown(text)))


#: Files that say one text many times, by format.
REPEATING: list[tuple[str, Callable[[str, int], bytes]]] = [
    ("xlsx", shared_strings),
    ("docx", bound_controls),
    ("docx", numbered_paragraphs),
    ("xls", old_cells),
    ("doc", old_cells),
    *(("pdf", made) for made in (filters, ascii_filter, run_lengths, form_many_times, page_many_times)),
    *(("pdf", made) for made in (text_as_picture, long_glyphs, encrypted, in_an_object_stream)),
]


@pytest.mark.parametrize(("file_format", "made"), REPEATING)
@given(text=st.text("abc xyz", min_size=1, max_size=4_000), times=st.integers(1, 3_000))
def test_what_can_say_a_text_many_times_is_reserved_as_a_full_window(
    file_format: str, made: Callable[[str, int], bytes], text: str, times: int
) -> None:
    one = kept(file_format, made(text, times))

    assert tokens_of(one, CLAUDE) >= min(WINDOW, len(text) * times)
    assert with_files(100, [one], CLAUDE).most >= min(WINDOW, 100 + len(text) * times)


@pytest.mark.parametrize("file_format", ["pdf", "docx", "xlsx", "doc", "xls"])
def test_a_bound_that_an_older_version_recorded_is_not_believed(file_format: str) -> None:
    assert tokens_of(kept(file_format, GOOD[file_format], most_text=10, pages=1), CLAUDE) == WINDOW


# Texts


@pytest.mark.parametrize("file_format", ["txt", "md"])
@given(text=st.text(min_size=1, max_size=200).filter(lambda one: "\0" not in one and not one.startswith("%PDF-")))
def test_a_text_has_a_token_a_byte_in_every_form_of_it(file_format: str, text: str) -> None:
    bound = tokens_of(kept(file_format, text.encode()), CLAUDE)

    for form in (text, unicodedata.normalize("NFKC", text)):
        assert bound >= len(form.encode())
    assert bound <= len(text.encode()) * 11 + 64  # the longest form of a letter is eleven times as long


def _padded(rows: list[list[str]]) -> str:
    """Return the rows as a table in Markdown, as common converters write one."""
    columns = max(map(len, rows))
    filled = [row + ["NaN"] * (columns - len(row)) for row in rows]
    widths = [max(3, *map(len, column)) for column in zip(*filled, strict=True)]
    filled.insert(1, ["-" * width for width in widths])
    lines = (" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in filled)
    return "\n".join(f"| {line} |" for line in lines)


_CELL = st.text("abc9", min_size=1, max_size=40)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@given(rows=st.lists(st.lists(_CELL, min_size=1, max_size=9), min_size=1, max_size=40))
def test_a_csv_file_is_bounded_as_a_table_that_is_padded_and_filled_up(delimiter: str, rows: list[list[str]]) -> None:
    # One cell is a row without a delimiter, and a file of such rows is a text.
    source = "\n".join(delimiter.join(row) for row in [["head", "x"], *rows])

    bound = measured("csv", source.encode())["most_text"]

    assert bound >= max(len(source), len(_padded([["head", "x"], *rows])))


def test_a_csv_file_whose_cells_in_quotes_hold_delimiters_and_lines_has_a_bound() -> None:
    wide = ",".join(["x"] * 900)
    source = 'name,remark\n"Doe, Jane","two\nlines"\n' + "a,b\n" * 50

    assert measured("csv", source.encode())["most_text"] < 20 * len(source)
    assert measured("csv", f"{wide}\n{'a' + chr(10)}".encode() * 50)["most_text"] >= 100 * 900 * 4


def test_a_csv_file_of_very_many_cells_has_no_bound() -> None:
    assert measured("csv", b"a,b\n" * 30_000) == {}


_WORDS = st.one_of(
    st.sampled_from([f"&{name}" for name in html5]),
    st.integers(1, 0x10FFFF).map(lambda one: f"&#{one};"),
    st.integers(1, 0x10FFFF).map(lambda one: f"&#x{one:x}"),
    st.sampled_from(["<p>", "</p>", "<b>x</b>", "<div></div>", " ", "&", "&amp;nGt;", "ﷺ", "Größe", "order"]),
)


@given(parts=st.lists(_WORDS, max_size=40))
def test_a_plain_html_file_is_bounded_by_its_source_and_by_its_words(parts: list[str]) -> None:
    source = "<!doctype html><p>" + "".join(parts)
    found = measured("html", source.encode())

    for read in (source, unescape(source)):
        for form in (read, unicodedata.normalize("NFKC", read)):
            assert found["most_text"] >= len(form.encode("utf-8", "surrogatepass"))


def test_each_name_of_a_character_is_counted_as_what_is_longer() -> None:
    short = "<p>" + "&nGt;" * 1_000

    assert measured("html", short.encode())["most_text"] >= 3 + 6_000


@pytest.mark.parametrize(
    "makes",
    [
        "<script>for(;;)document.write('x')</script>",
        "<style>p::before{content:'long'}</style>",
        "<p style='list-style:\"long\"'>",
        "<td colspan=1000>x",
        "<td ROWSPAN = '9'>x",
        "<base href='https://example.com/long'>",
        "<ol start=100000><li>x",
        "<blockquote>" * 2 + "x<br>" * 100,
        "<ul>" * 100 + "<li>x" * 100,
        "<menu><LI>x",
        "<dl><dd>x",
        "<table><tr><td>wide</td></tr></table>",
        "<tr><th>x",
        "<pre>x\ny",
        "<svg><use href='#a'/></svg>",
        "<!DOCTYPE x [<!ENTITY a 'long'>]>&a;",
        "<?xml version='1.0' encoding='utf-16'?>",
        "<meta charset=windows-1252>",
        "<meta http-equiv=content-type content='text/html; charset=gb18030'>",
        "<link rel=stylesheet href='data:text/css,p{}'>",
        "<img src='data:image/png;base64,AAAA'>",
        "<body onload=write()>",
        "<!-- <script> -->",
        "<x:script>",
        "<p>" * 60_000,
        "<hr>" * 500,
        "<h6>a",
        "<h1>long</h1>",
        "<code>`</code>",
        "<q>x</q>",
        "<b>x",  # some readers open it again in each paragraph that follows
        "<b><i>x</b></i>",
        "<div>" * 30 + "</div>" * 30,
        "<unknown>",
    ],
)
def test_html_that_makes_words_has_no_bound(makes: str) -> None:
    assert measured("html", ("<html><p>" + makes).encode()) == {}
    assert tokens_of(kept("html", b"<html><p>" + makes.encode()), CLAUDE) == WINDOW


def test_everyday_html_has_a_bound() -> None:
    mail = b"<html><head><meta charset='utf-8'><title>Order</title></head><body><p>Dear&nbsp;all,<br>"
    mail += b"<p><b>one</b><br><i>two</i> <a href='https://example.com'>see</a></body>"

    assert measured("html", mail)["most_text"] <= 3 * len(mail)


@pytest.mark.parametrize(
    ("source", "read"),
    [  # as html2text and markdownify write them
        ("<p>" + "_*" * 300, "\\_\\*" * 300),
        ("<p>" + "<s>a</s>" * 300, "~~a~~" * 300),
        ("<p>" + "<b>a</b>" * 300, "**a**" * 300),
        ("<p>" + "&" * 300, "&amp;" * 300),
        ("<p>" + "a<p>" * 300, "\n\na\n\n" * 300),
    ],
)
def test_what_a_reader_of_html_adds_is_bounded(source: str, read: str) -> None:
    assert measured("html", source.encode())["most_text"] >= len(read)


@pytest.mark.parametrize("hostile", ["<" * 4_000_000, "&nGt;" * 900_000, "<p>" + "on" * 2_000_000, "&#" * 2_000_000])
def test_a_hostile_html_file_is_read_in_one_go(hostile: str) -> None:
    content = ("<p>" + hostile).encode()

    assert measured("html", content).get("most_text", len(content)) <= 3 * len(content)


# A prompt


def test_one_file_without_a_bound_makes_the_prompt_as_large_as_the_window_and_no_larger() -> None:
    unbounded, text = kept("pdf", GOOD["pdf"]), kept("txt", b"x" * 1_000)

    assert with_files(500, [text], CLAUDE) == Bound(1_564, 1_564)
    assert with_files(500, [unbounded, text, unbounded], CLAUDE) == Bound(WINDOW, 1_564)
    assert with_files(WINDOW + 9, [unbounded], CLAUDE) == Bound(WINDOW + 9, WINDOW + 9)


def test_the_formats_with_a_bound_are_few() -> None:
    unbounded = {one for one in GOOD if not kept(one, GOOD[one]).bounded}

    assert {"txt", "md", "csv", "html"} == BOUNDED_FORMATS
    assert unbounded == {one for one in GOOD if kind_of(one) == "document"} - BOUNDED_FORMATS
    assert kept("png", png()).bounded
