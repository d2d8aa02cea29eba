"""The page for the person on call names every alarm that can wake them, and no other."""

import re

from tests.template import rendered
from tests.template.rendered import ROOT, of_type


def test_every_alarm_has_its_line_in_the_operating_page() -> None:
    alarms = set(of_type(rendered.written(), "AWS::CloudWatch::Alarm"))

    lines = re.findall(
        r"^\| `(\w+Alarm)` \|", (ROOT / "docs" / "operating.md").read_text(encoding="utf-8"), re.MULTILINE
    )

    assert sorted(lines) == sorted(alarms)
