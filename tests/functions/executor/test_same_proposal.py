"""A call that is proposed twice is paid once, even if a validator changes its arguments each time."""

from itertools import count
from pathlib import Path
from typing import Any

import pytest

from ballast.contracts import ToolCall
from ballast.run import Run
from tests.functions.approvals import answered, asks
from tests.functions.stack import Stack

AGENT = """\
name: tester
model: anthropic.claude-3-5-sonnet-20240620-v1:0
instructions: Pay.
limits: {turns: 9, tool_calls: 30, tokens_per_turn: 500, cost_microusd: 90000, deadline_s: 100, fallback_reserve_s: 10}
approval_timeout_s: 600
"""
#: What the clock says stands in a file, so that a test may say when it moves. No rule at load sees through these.
TOOL = '''\
"""Pay."""
from pathlib import Path
from typing import Annotated, Any
from pydantic import AfterValidator, BaseModel, ConfigDict, field_validator, model_validator
from ballast.playbook import Approval, ToolContext, Write, tool

class Clock:
    def now(self) -> str:
        return Path(__file__).with_name("clock").read_text()
    @staticmethod
    def static() -> str:
        return CLOCK.now()
    def __call__(self, value: str) -> str:
        return value or self.now()

CLOCK = Clock()
BY_NAME = {"now": CLOCK.now}

class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    invoice: str
    key: str

class Pay(Closed):
    VALIDATOR

@tool(effect=Write(honours_key=True), approval=Approval(if_=lambda args, _: args.invoice == "ask"), taint="allow")
def pay(args: Pay, ctx: ToolContext) -> str:
    """Pay an invoice."""
    return args.key
'''
FIELD = """\
@field_validator("key")
    @classmethod
    def with_key(cls, value: str) -> str:
        return value or {now}
    @classmethod
    def _new(cls) -> str:
        return CLOCK.now()
"""
SPELLINGS = {
    "a method of an object": FIELD.format(now="CLOCK.now()"),
    "a static method": FIELD.format(now="Clock.static()"),
    "a method of its own": FIELD.format(now="cls._new()"),
    "a dict of functions": FIELD.format(now='BY_NAME["now"]()'),
    "a file": FIELD.format(now='Path(__file__).with_name("clock").read_text()'),
    "a callable object": "key: Annotated[str, AfterValidator(CLOCK)]",
    "a copy": """\
@model_validator(mode="after")
    def with_key(self) -> Any:
        return self if self.key else self.model_copy(update={"key": CLOCK.now()})
""",
}
PAYS = {"tool": "pay", "arguments": {"invoice": "i-1", "key": ""}}


@pytest.fixture
def clock(stack: Stack, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A playbook whose tool reads this file into its arguments."""
    folder = tmp_path / "payer"
    files = {"__init__.py": "", "agent.yaml": AGENT, "tools/__init__.py": ""}
    for name, content in (files | {"tools/pay.py": TOOL.replace("VALIDATOR", SPELLINGS[request.param])}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    for environ in stack.environs.values():
        if "PLAYBOOK_DIR" in environ:
            environ["PLAYBOOK_DIR"] = str(folder)
    (folder / "tools" / "clock").write_text("at nine")
    return folder / "tools" / "clock"


@pytest.mark.parametrize("clock", SPELLINGS, indirect=True)
def test_a_payment_that_is_proposed_twice_is_made_once(stack: Stack, clock: Path) -> None:
    run_id = stack.open()
    stack.propose(run_id, PAYS)
    assert stack.execute(run_id) == "ok"
    assert stack.body(run_id, "0001.call.1.intended")["arguments"]["key"] == "at nine"
    clock.write_text("at ten")
    stack.propose(run_id, PAYS, turn=2)

    assert stack.execute(run_id, 2) == "ok"

    assert stack.body(run_id, "0002.call.1.settled")["repeat_of"] == [1, 1]
    assert "0002.call.1.intended" not in stack.seqs(run_id)


@pytest.mark.parametrize("clock", ["a method of an object"], indirect=True)
@pytest.mark.parametrize("other", [{"invoice": "i-2", "key": ""}, {"invoice": "i-1", "key": "k"}])
def test_what_is_proposed_otherwise_is_another_payment(stack: Stack, clock: Path, other: dict[str, Any]) -> None:
    run_id = stack.open()
    stack.propose(run_id, PAYS)
    stack.execute(run_id)
    stack.propose(run_id, {"tool": "pay", "arguments": other}, turn=2)

    stack.execute(run_id, 2)

    assert "0002.call.1.intended" in stack.seqs(run_id)


@pytest.mark.parametrize("clock", ["a method of an object"], indirect=True)
def test_a_no_to_a_payment_holds_when_it_is_proposed_again(stack: Stack, clock: Path) -> None:
    asked = {"tool": "pay", "arguments": {"invoice": "ask", "key": ""}}
    run_id = stack.open()
    stack.propose(run_id, asked)
    asks(stack, run_id)
    answered(stack, run_id, approve=False)
    stack.execute(run_id)
    each_time = count()  # no two calls read alike

    again = Run.of(stack.events(run_id)).rejected_before(
        (2, 1), ToolCall.model_validate(asked), same=lambda _: str(next(each_time))
    )

    assert again is not None
