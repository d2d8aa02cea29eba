"""The template reads as a table of contents: banners in order, and why each resource exists."""

import re
from itertools import takewhile
from pathlib import Path

import pytest

from tests.template.rendered import BUSINESS, TEMPLATE, written

LINES = TEMPLATE.read_text(encoding="utf-8").splitlines()

CHAPTERS = ["front door", "workflow", "planners", "executor", "people", "money", "log", "alarms"]
CHAPTERS += ["yours", "outputs"]


def test_the_chapters_come_in_order() -> None:
    banners = [match[1] for line in LINES if (match := re.fullmatch(r" *# ═+ (.+?) ═+", line))]

    assert banners == CHAPTERS


def test_the_template_stays_short_enough_to_read() -> None:
    """Trim by structure (anchors, merged keys, an event under its function), not by leaving out a wall or an alarm."""
    assert len(LINES) <= 1_960


#: Made by the way: a policy, a route or a permission of something that says why it exists, and alarms, which describe
#: themselves to who is woken.
BY_THE_WAY = re.compile(
    r"AWS::(ApiGatewayV2::(Integration|Route)|CloudWatch::Alarm|Lambda::Permission|Logs::LogGroup|S3::BucketPolicy"
    r"|SNS::Subscription|SNS::TopicPolicy|SQS::QueuePolicy)"
)
#: Words that say nothing of their own.
FILLER = {
    *("a", "an", "and", "are", "for", "in", "is", "it", "its", "of", "on", "that", "the", "this", "to", "what", "with")
}


def resources(file: Path) -> dict[str, tuple[str, str]]:
    """Return type and comment of each resource that the file declares, by logical id."""
    lines = file.read_text(encoding="utf-8").splitlines()
    declared = written()["Resources"]  # without the nested stacks themselves
    found = {}
    for index, line in enumerate(lines[lines.index("Resources:") : lines.index("Outputs:")], lines.index("Resources:")):
        if name := re.fullmatch(r"  (\w+):(?: &\w+| \{.+\})?", line):
            above = list(takewhile(lambda one: one.startswith("  # "), reversed(lines[:index])))
            comment = " ".join(one.removeprefix("  # ") for one in reversed(above))
            found[name[1]] = (declared.get(name[1], {}).get("Type", ""), comment)
    return found


@pytest.mark.parametrize("file", [TEMPLATE, BUSINESS], ids=lambda file: file.name)
def test_every_resource_that_somebody_chose_says_why_it_exists(file: Path) -> None:
    unexplained = [
        name for name, (kind, comment) in resources(file).items() if not comment and not BY_THE_WAY.fullmatch(kind)
    ]

    assert len(resources(file)) >= 4
    assert unexplained == []


@pytest.mark.parametrize("file", [TEMPLATE, BUSINESS], ids=lambda file: file.name)
def test_no_comment_only_repeats_the_resources_name(file: Path) -> None:
    repeating = []
    for name, (_, comment) in resources(file).items():
        of_the_name = {word.lower() for word in re.findall("[A-Z][a-z]+", name)}
        said = {word.lower().rstrip("s") for word in re.findall(r"\w+", comment)} - FILLER
        if comment and len(said - of_the_name) < 2:
            repeating.append(f"{name}: {comment}")

    assert repeating == []


@pytest.mark.parametrize("file", [TEMPLATE, BUSINESS], ids=lambda file: file.name)
def test_no_resource_is_an_alias_of_another(file: Path) -> None:
    """``sam build`` writes a resource's id into it, and an alias is the same object: both would get one id."""
    aliases = re.findall(r"^  \w+: \*\w+$", file.read_text(encoding="utf-8"), re.MULTILINE)

    assert aliases == []


def test_a_nested_stacks_business_is_not_in_the_platforms_file() -> None:
    assert resources(TEMPLATE).keys() & resources(BUSINESS).keys() == set()
    assert resources(BUSINESS).keys() <= written()["Resources"].keys()
