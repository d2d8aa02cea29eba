"""Findings about the playbook's certificate: stale, or required by samconfig.toml and missing."""

from collections.abc import Iterator
from pathlib import Path

from ballast.playbook import Playbook
from ballast.playbook.certificate import FILE, why_tried_otherwise, why_uncertified
from ballast.playbook.samconfig import requires
from cli.checks import Finding
from localcloud.project import project_of

_PARAMETER = "RequireCertificate"
_REMEDY = "Run `ballast certify`."


def certificate(playbook: Playbook) -> Iterator[Finding]:
    """Yield an error if the deployed stack would refuse every run, a warning if a certificate is stale."""
    file = Path(playbook.folder) / FILE
    required = _requires(project_of(Path(playbook.folder)))
    if not required and not file.exists():
        return
    project = project_of(Path(playbook.folder))
    why = why_uncertified(playbook) or why_tried_otherwise(playbook, project)
    if why is None:
        return
    if required:
        said = f"samconfig.toml sets {_PARAMETER}=true, so every run would be refused. {why}"
        yield Finding("error", str(file), "", said, _REMEDY)
    else:
        # A commit of the platform makes every certificate stale: of those that nobody requires, that is no warning.
        own = why_uncertified(playbook, on_this_platform=False) or why_tried_otherwise(playbook, project)
        yield Finding("warning" if own else "hint", str(file), "", own or why, _REMEDY)


def _requires(project: Path) -> bool:
    """Return whether any settings of `sam` require a certificate."""
    try:
        return requires(project, _PARAMETER, "true")
    except (OSError, ValueError):
        return False  # ``model_findings`` tells what is wrong with the file
