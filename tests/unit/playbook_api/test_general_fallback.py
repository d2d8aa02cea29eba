"""One fallback for several intents, as docs/adding-a-tool.md has it."""

import re
import shutil
from pathlib import Path

import yaml

from ballast.playbook import load_playbook
from localcloud.testing import FallbackDriver

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "adding-a-tool.md"


def test_one_script_serves_each_of_the_intents_that_it_lists(tmp_path: Path) -> None:
    folder = tmp_path / "desk_with_one_script"
    shutil.copytree(ROOT / "scaffold" / "newdesk", folder)
    [snippet] = re.findall(r"```python\n# fallbacks/by_hand.py\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    (folder / "fallbacks" / "by_hand.py").write_text(snippet)
    agent = yaml.safe_load((folder / "agent.yaml").read_text())
    agent["intents"]["other"] = {"writes": []}
    (folder / "agent.yaml").write_text(yaml.safe_dump(agent))

    playbook = load_playbook(folder)

    assert playbook.fallbacks["account_status"] is playbook.fallbacks["other"]
    assert playbook.fallbacks["other"] is not playbook.fallbacks["suspend"]
    for intent in ("account_status", "other"):
        run = FallbackDriver(playbook)(intent, context={"account_id": "A-1001"})
        run.returns({"account_id": "A-1001", "owner": "Mia", "state": "active"})
        assert run.answer is not None
        assert run.answer.text == f"Account A-1001 is active. A person will write to you about: {intent}."
    assert FallbackDriver(playbook)("other").gave_up == "The request's context has no account_id."
