"""The template reads as a table of contents: banners in order, and above every resource why it exists."""

import re

from tests.template.rendered import TEMPLATE

LINES = TEMPLATE.read_text(encoding="utf-8").splitlines()

CHAPTERS = ["front door", "workflow", "planners", "executor", "people", "money", "log", "alarms"]
CHAPTERS += ["yours", "outputs"]


def test_the_chapters_come_in_order() -> None:
    banners = [match[1] for line in LINES if (match := re.fullmatch(r" *# ═+ (.+?) ═+", line))]

    assert banners == CHAPTERS


def test_every_resource_says_why_it_exists() -> None:
    start, end = LINES.index("Resources:"), LINES.index("Outputs:")
    unexplained = [
        line.strip(" :")
        for above, line in zip(LINES[start:end], LINES[start + 1 : end], strict=False)
        if re.fullmatch(r"  \w+:", line) and not above.startswith("  # ")
    ]

    assert unexplained == []
