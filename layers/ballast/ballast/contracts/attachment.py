"""A file of a run, an image or a document: named by the hash of its content, which lies in the payload bucket."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from ballast.contracts.wire import Wire

ImageFormat = Literal["png", "jpeg", "gif", "webp"]
DocumentFormat = Literal["pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"]
Kind = Literal["image", "document"]
#: Converse's limits of each kind: files in a request, and bytes of one. A model's card may have smaller ones.
MOST_FILES: dict[Kind, int] = {"image": 20, "document": 5}
MOST_FILE_BYTES: dict[Kind, int] = {"image": 3_932_160, "document": 4_718_592}
#: The most files of a run, and of a request.
MOST_ATTACHMENTS = sum(MOST_FILES.values())

Format = Literal[ImageFormat, DocumentFormat]
#: All formats, by Converse's names.
FORMATS: tuple[str, ...] = (
    "png",
    "jpeg",
    "gif",
    "webp",
    "pdf",
    "csv",
    "doc",
    "docx",
    "xls",
    "xlsx",
    "html",
    "txt",
    "md",
)
_DOCUMENTS = frozenset(FORMATS[4:])
#: Documents whose bytes bound what a model reads; ``ballast.attachments.files`` says why no others do.
BOUNDED_FORMATS = frozenset(("txt", "md", "csv", "html"))
#: A name for people to read: no path, no control character, nothing that changes the direction of text.
FileName = Annotated[str, StringConstraints(pattern=r"^\w[\w .,()\[\]+@&'-]{0,127}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


def kind_of(file_format: str) -> Kind:
    """Return Converse's kind of block for a format."""
    return "document" if file_format in _DOCUMENTS else "image"


class Attachment(Wire):
    """A file that came with a request.

    name    for people; the sender chose it, so no model gets it
    format  Converse's name of the format; the content is checked against it
    bytes   the size of the content
    sha256  hex, of the content
    """

    name: FileName
    format: Format
    bytes: Annotated[int, Field(ge=1, le=max(MOST_FILE_BYTES.values()))]
    sha256: Sha256

    @property
    def kind(self) -> Kind:
        """Converse's kind of block."""
        return kind_of(self.format)


class Kept(Attachment):
    """A file whose content was read and checked, as the log has it. Its content may still not be believed.

    Other fields of the log, such as ``kind``, are ignored.

    key            the object in the payload bucket
    width, height  an image's, in pixels
    most_text      upper bound of a document's tokens; None where nothing but the model's window bounds them. What an
                   older version recorded for a format that has no bound is not read
    """

    model_config = ConfigDict(extra="ignore")

    key: Annotated[str, StringConstraints(pattern=r"^attachments/[A-Za-z0-9._-]{1,64}/run-[a-z2-7]{24}/[0-9a-f]{64}$")]
    width: Annotated[int, Field(ge=1)] | None = None
    height: Annotated[int, Field(ge=1)] | None = None
    most_text: Annotated[int, Field(ge=0)] | None = None

    @property
    def bounded(self) -> bool:
        """Whether its content bounds the tokens that it may be."""
        return self.kind == "image" or (self.most_text is not None and self.format in BOUNDED_FORMATS)
