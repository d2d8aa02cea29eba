"""A tool that quotes its sensitive arguments in Python's spelling leaves no part of them in any sink."""

import json
import traceback
from pathlib import Path

import pytest

from ballast.log.events import PlanDecided
from ballast.log.run_log import RunLog
from ballast.log.seal import Seal
from ballast.playbook import load_playbook
from tests.functions.playbooks.quoting.tools.quote import WAYS, forms
from tests.functions.stack import Stack

QUOTING = Path(__file__).parents[1] / "playbooks" / "quoting"
PIECES = (
    *("1990", "May", ", 17", "12, 31", "10, 31", "642940", "135060", "13:31", "48660"),
    *("Maria", "Muster", "mia.lee", "MIA.LEE", "shop", "Shop", "7.5", "INSOLVENT", "'ins'", "'12'", '"12"'),
)


@pytest.mark.sampled
@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("name", ["look", "write"])
def test_nothing_of_a_quoted_argument_is_left(stack: Stack, name: str, how: str) -> None:
    for environ in stack.environs.values():
        if "PLAYBOOK_DIR" in environ:
            environ["PLAYBOOK_DIR"] = str(QUOTING)
    runtime = stack.cold("executor")
    log = RunLog.of(runtime, Seal.of(runtime, load_playbook(str(QUOTING))))
    run_id = stack.open(text="Keep it.")
    call = {"tool": name, "arguments": forms() | {"how": how}}
    decision = {"kind": "call_tools", "calls": [call]}
    log.record(run_id, PlanDecided(turn=1, planner="agent", decision=decision))
    stack.stdout.seek(0)
    stack.stdout.truncate()
    raised = ""
    try:
        stack.execute(run_id)
    except Exception as problem:
        said = "".join(traceback.format_exception(problem))
        raised = "\n".join(line for line in said.splitlines() if not line.startswith("    "))

    ended = [one.body for one in stack.events(run_id) if not one.seq.endswith("plan")]
    quoted = {"log": json.dumps(ended, ensure_ascii=False), "error": raised, "output": stack.stdout.getvalue()}
    assert "*****" in str(quoted) or "\u27e6" in str(quoted)
    for where, text in quoted.items():
        assert not [piece for piece in PIECES if piece in text], (where, text)
