"""JUnit's XML, as CI systems read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from ballast.errors import InvalidInput
from cli.output_files import JUNIT, check_kind, check_place
from cli.trace.text import clean


@dataclass(frozen=True)
class JunitCase:
    """One test. ``failure``: what was not as expected; ``error``: why it could not be played; ``see``: what to type.

    Each is sentences, and each sentence becomes one line: models, tools and people wrote parts of them.
    """

    name: str
    took_s: float
    failure: tuple[str, ...] = ()
    error: tuple[str, ...] = ()
    see: tuple[str, ...] = ()


def suite(name: str, classname: str, cases: Sequence[JunitCase]) -> ElementTree.Element:
    """Return the cases as a test suite."""
    top = ElementTree.Element(
        "testsuite",
        name=_xml(name),
        tests=str(len(cases)),
        failures=str(sum(bool(one.failure) and not one.error for one in cases)),
        errors=str(sum(bool(one.error) for one in cases)),
        time=f"{sum(one.took_s for one in cases):.3f}",
    )
    for one in cases:
        case = ElementTree.SubElement(
            top, "testcase", classname=_xml(classname), name=_xml(one.name), time=f"{one.took_s:.3f}"
        )
        sentences = [_xml(said) for said in one.error or one.failure]
        if sentences:
            kind = "error" if one.error else "failure"
            found = ElementTree.SubElement(case, kind, message=sentences[0])
            found.text = "\n".join([*sentences, *map(_xml, one.see)])
    return top


def suites(made: Sequence[ElementTree.Element]) -> ElementTree.Element:
    """Return several suites as one document."""
    top = ElementTree.Element("testsuites")
    top.extend(made)
    return top


def document(top: ElementTree.Element) -> str:
    """Return the document as a file's text."""
    ElementTree.indent(top)
    return ElementTree.tostring(top, encoding="unicode", xml_declaration=True) + "\n"


def begin(option: str, file: Path, name: str) -> None:
    """Write a report that is red until the result replaces it: whatever becomes of the command, nothing old stays.

    Raises ``InvalidInput`` if the file cannot be written, would become part of a project, or is no report.
    """
    check_place(option, file)
    check_kind(option, file, JUNIT)
    why = "The command has not come to its end. Its exit code and its standard error say why."
    write(option, file, document(suite(name, name, [JunitCase("whole", 0.0, error=(why,))])))


def write(option: str, file: Path, text: str) -> None:
    """Write what ``option`` names. Raises ``InvalidInput``."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as problem:
        raise InvalidInput(f"{option} {file}: cannot be written ({problem.strerror}).") from None


def _xml(text: str) -> str:
    """Return ``text`` as one line, without characters that XML does not have."""
    return "".join(one for one in clean(text, lines=False) if one >= " " and one not in "\ufffe\uffff")
