"""Findings of cfn-lint about business.yaml: names that nothing has, unknown types, settings and actions."""

import json
import re
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cli.checks import Finding, Level
from localcloud.kept import kept

#: The region that has every type of resource.
_REGION = "us-east-1"
#: Characters of a message that are shown.
_LONGEST = 300
#: Warnings that say that something fails, or is lost.
_GRAVE = {"W3011": "DeletionPolicy and UpdateReplacePolicy", "W3037": "an action that no service has"}
#: The platform gives these to every template of a business, whether it reads them or not.
_GIVEN = ("Parameter Stage not used", "Parameter ExecutorRole not used")


def lint(file: Path) -> Iterator[Finding]:
    """Yield what cfn-lint says of a template that can be read: an error would fail the deployment."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return  # others tell it
    of = json.dumps([version("cfn-lint"), _REGION, text])
    for rule, line, path, said in json.loads(kept("cfn-lint", of, lambda: _linted(text))):
        if said.startswith(_GIVEN):
            continue
        level: Level = "error" if rule.startswith("E") else "warning" if rule in _GRAVE else "hint"
        remedy = (
            f"Correct it: CloudFormation refuses it ({rule} of cfn-lint)."
            if level == "error"
            else f"Correct it, if you did not mean it ({rule} of cfn-lint)."
        )
        yield Finding(level, f"{file}, line {line}", path, f"{_short(said)}.", remedy)


def _linted(text: str) -> str:
    from cfnlint.decode.decode import decode_str  # it takes a second
    from cfnlint.runner import run_template_by_data

    template, found = decode_str(text)
    if template is not None and not found:
        runner = _runner()
        found = list(run_template_by_data(template, runner.config, runner.rules))
    told = [
        (one.rule.id, one.linenumber, ".".join(map(str, getattr(one, "path", None) or ())), one.message)
        for one in found
    ]
    return json.dumps([*dict.fromkeys(told)])


@cache
def _runner() -> Any:
    """Return cfn-lint with its rules, which take longer to load than to check a template."""
    from cfnlint.config import ConfigMixIn
    from cfnlint.runner import Runner

    return Runner(ConfigMixIn(regions=[_REGION]))


def _short(said: str) -> str:
    """Return a message of one line; in place of a long list of what may stand there, what is nearest to it."""
    text = " ".join(said.split()).rstrip(".")
    choice = re.fullmatch(r"'(?P<said>[^']*)' is not one of \[(?P<known>.*)\](?P<rest>.*)", text)
    if choice is not None:
        known = re.findall(r"'([^']*)'", choice["known"])
        near = get_close_matches(choice["said"], known, n=1)
        if near or len(text) > _LONGEST:
            of = f"; nearest is '{near[0]}'" if near else f" of {len(known)} that there are"
            return f"'{choice['said']}' is unknown{of}{choice['rest']}"
    if text.startswith("{") and text.endswith("is not valid under any of the given schemas"):
        return "It is not valid under any of the schemas that it may have"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"
