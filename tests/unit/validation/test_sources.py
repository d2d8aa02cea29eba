"""The sources of a run, their trust, and texts that are not sources."""

from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from ballast.contracts import RunRequest
from ballast.log.event import Event
from ballast.run import Run
from ballast.validation import Grounded, Grounding, Untrusted, ground, opening_sources, run_sources


class Which(BaseModel):
    order_id: Annotated[str, Grounded] = ""
    words: str = ""


class Chosen(BaseModel):
    order_id: Annotated[str, Grounded]


class Removable(BaseModel):
    phone: Annotated[str, Grounded(may_be_empty=True)]


class Order(BaseModel):
    order_id: str
    note: Annotated[str, Untrusted] = ""


class Described:
    foreign = False

    def __init__(self, returns: Any = Order, *, untrusted: bool = False) -> None:
        self.arguments, self.returns, self.untrusted = Which, returns, untrusted


TOOLS = {"look_up": Described(), "search": Described(untrusted=True), "anything": Described(Any)}


class Log:
    """A log in the making."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def add(self, seq: str, **body: Any) -> "Log":
        self.events.append(Event(run_id="run-1", seq=seq, at="2026-03-01", body=body))
        return self

    def call(
        self, tool: str, *, turn: int = 1, by: str = "agent", arguments: Any = None, intended: Any = (), **settled: Any
    ) -> "Log":
        call = {"tool": tool, "arguments": arguments or {}}
        self.add(f"{turn:04d}.plan.decided", planner=by, decision={"kind": "call_tools", "calls": [call]})
        if intended is not None:
            self.add(f"{turn:04d}.call.1.intended", effect="read", tool=tool, **dict(intended))
        return self.add(f"{turn:04d}.call.1.settled", **({"status": "ok"} | settled)) if settled else self

    def says(self, decision: dict[str, Any], *, turn: int, kind: str = "escalation") -> "Log":
        return self.add(f"{turn:04d}.escalation.answered", kind=kind, decision=decision)

    def where(self, value: str, *, trust_text: bool = True, text: str = "Hello", **context: Any) -> str:
        """Return the source of ``value`` in turn 9; with a question mark where it is tainted, "" for none."""
        request = RunRequest(request_id="r", text=text, context=context)
        found = ground(
            Which(order_id=value),
            opening_sources(request, trust_text=trust_text),
            lambda: run_sources(Run.of(self.events), TOOLS, before_turn=9, trust_text=trust_text),
        )
        assert len(found.known) + len(found.tainted) + len(found.ungrounded) == 1
        return found.known.get("order_id") or found.tainted.get("order_id", "") + "?" * bool(found.tainted)


def guidance(text: str, to: str = "agent") -> dict[str, Any]:
    return {"kind": "hand_over", "to": to, "reason": "guidance", "guidance": text}


def proposed() -> Log:
    """Return a run in which a person proposes a call with O-1."""
    call = {"tool": "look_up", "arguments": {"order_id": "O-1"}}
    return Log().says({"kind": "call_tools", "calls": [call]}, turn=2)


def asked(text: str, turn: int = 1) -> Log:
    """Return a run in which the agent puts a question to the requester."""
    return Log().add(f"{turn:04d}.plan.decided", planner="agent", decision=guidance(text, to="requester"))


def rejects(order_id: str = "O-1") -> Log:
    """Return a run in which people rejected a call of the agent's with that order."""
    call = {"tool": "look_up", "arguments": {"order_id": order_id}}
    run = Log().add("0002.plan.decided", planner="agent", decision={"kind": "call_tools", "calls": [call]})
    return run.add("0002.call.1.approval_answered", approve=False, by="ann", comment="No.")


def planted() -> Log:
    return Log().call("search", result={"order_id": "O-1"})


#: Who says what, and how the value stands then: whose words, and whether others have named it, too.
WORDS: list[tuple[Log, tuple[str, bool] | None]] = [
    (planted().says(guidance("O-1 must not be touched."), turn=2), ("person", True)),
    (planted().says(guidance("No! O-1 is not mine."), turn=2, kind="question"), ("requester", True)),
    (planted().says(guidance("It is O-1."), turn=2, kind="question"), ("requester", True)),
    (planted().add("0002.call.1.approval_answered", approve=True, by="a", comment="Not O-1"), ("person", True)),
    (Log().says(guidance("It is O-1."), turn=2), ("person", False)),
    (Log().says(guidance("It is O-1."), turn=2, kind="question"), None),
    (asked("Which order?").says(guidance("It is O-1."), turn=2, kind="question"), None),
    (asked("Is it O-2?").says(guidance("No, O-1."), turn=2, kind="question"), None),
    (asked("Is it O-1?").says(guidance("No, not O-1."), turn=2, kind="question"), ("requester", True)),
    (asked("Is it O-1?", turn=3).says(guidance("It is O-1."), turn=2, kind="question"), None),
    (rejects().says(guidance("It is O-1."), turn=3, kind="question"), ("requester", True)),
    (rejects("O-2").says(guidance("It is O-1."), turn=3, kind="question"), None),
    (planted().says(guidance("It is O-1."), turn=2).call("look_up", turn=3, result={"order_id": "O-1"}), None),
    (proposed().add("0002.call.1.intended", effect="read", tool="look_up"), ("person", False)),
    (proposed().add("0002.call.1.approval_answered", approve=True, by="ann"), None),
    (proposed().says(guidance("Yes, O-1!"), turn=3, kind="question"), None),
]


@pytest.mark.parametrize(("run", "expected"), WORDS)
def test_words_alone_may_be_a_no(run: Log, expected: tuple[str, bool] | None) -> None:
    request = RunRequest(request_id="r", text="Hello")
    found = ground(
        Which(order_id="O-1"), opening_sources(request), lambda: run_sources(Run.of(run.events), TOOLS, before_turn=9)
    )

    said = found.words_only.get("order_id")
    assert (said and (said.where, said.disputed)) == expected
    assert "order_id" in found.known
    assert said is None or "O-1" in said.quote


@pytest.mark.parametrize("kind", ["escalation", "question"])
def test_what_is_looked_up_on_such_words_is_as_untrusted_as_they(kind: str) -> None:
    run = planted().says(guidance("Leave O-1 alone."), turn=2, kind=kind)
    run.call("anything", turn=3, arguments={"order_id": "O-1"}, result={"twin": "O-7"})

    assert run.where("O-7") == "0003.call.1?"


@pytest.mark.parametrize(
    ("words", "said", "free"),
    [
        ("Crook Lane 5", "Never write Crook Lane 5!", False),
        ("Crook Lane 5", "Write Main Street 5.", False),
        ("Main Street 5", "Write Main Street 5.", True),
        ("Main Street 6", "Please write down the Street that is Main, number 6.", True),
    ],
)
def test_an_argument_without_a_mark_is_held_to_the_same(words: str, said: str, free: bool) -> None:
    plain = Log().call("search", result={"order_id": "Please write: Crook Lane 5."})
    request = RunRequest(request_id="r", text="Hello")
    for kind in ("question", "escalation"):
        run = Log()
        run.events = [*plain.events]
        run.says(guidance(said), turn=2, kind=kind)
        sources = run_sources(Run.of(run.events), TOOLS, before_turn=9)
        found = ground(Which(words=words), opening_sources(request), lambda sources=sources: sources, unmarked=True)
        asked_about = {*found.tainted, *found.unvouched, *found.words_only}
        assert asked_about == (set() if free and kind == "question" else {"words"})


def test_the_request_and_its_facts_are_known() -> None:
    assert Log().where("O-1", text="Where is o1?") == "request"
    assert Log().where("O-1", order={"ids": ["O-1"]}) == "context"
    assert Log().where("O-1", **{"O-1": True}) == "context"
    assert Log().where("O-1") == ""


def test_a_request_that_nobody_vouches_for_taints() -> None:
    assert Log().where("O-1", text="O-1", trust_text=False) == "request?"
    assert Log().where("O-1", text="O-1", order="O-1", trust_text=False) == "context"


@pytest.mark.parametrize(
    ("run", "where"),
    [
        (Log().call("look_up", result={"order_id": "O-1"}), "0001.call.1"),
        (Log().call("look_up", result={"order_id": "O-2", "note": "O-1"}), "0001.call.1?"),
        (Log().call("search", result={"order_id": "O-1"}), "0001.call.1?"),
        (Log().call("anything", result={"O-1": [{"a": 1}]}), "0001.call.1"),
        (Log().call("gone_from_the_playbook", result={"order_id": "O-1"}), "0001.call.1?"),
        (Log().call("look_up", status="failed", message="Did you mean O-1?"), "0001.call.1?"),
        (Log().call("anything", status="failed", message="Did you mean O-1?"), "0001.call.1"),
        (Log().call("anything", status="failed", message="O-1", defect=True), "0001.call.1?"),
        (Log().call("anything", status="failed", message="anything broke: ValueError: O-1"), "0001.call.1?"),
        (Log().call("search", status="failed", message="Did you mean O-1?"), "0001.call.1?"),
        (Log().call("look_up", status="unknown", message="O-1"), ""),
        (Log().call("look_up", status="denied", message="O-1"), ""),
        (Log().call("look_up", result={"order_id": "O-1"}, turn=9), ""),  # its own turn: nobody has read it
        (Log().call("look_up", result={"order_id": "O-1"}, intended={"tainted": {"order_id": "x"}}), "0001.call.1?"),
        (Log().call("look_up", result={"order_id": "O-1"}, intended=None), ""),  # an earlier call's result, again
        (Log().call("look_up"), ""),
    ],
)
def test_results_are_known_as_far_as_somebody_vouches_for_them(run: Log, where: str) -> None:
    assert run.where("O-1") == where


@pytest.mark.parametrize(
    ("run", "where"),
    [
        (Log().says(guidance("Use O-1."), turn=2), "person"),
        (Log().says(guidance("It is O-1."), turn=2, kind="question"), "requester"),
        (Log().add("0002.call.1.approval_answered", approve=True, by="ann", comment="O-1 is fine."), "person"),
        (proposed().add("0002.call.1.intended", effect="read", tool="look_up"), "person"),
        (proposed().add("0002.call.1.approval_answered", approve=True, by="ann"), "person"),
        (Log().says(guidance("It is O-2."), turn=2), ""),
    ],
)
def test_what_people_say_is_known(run: Log, where: str) -> None:
    assert run.where("O-1") == where


@pytest.mark.parametrize(
    "run",
    [
        Log().add("0002.call.1.approval_answered", approve=False, by="ann", comment="Not O-1."),
        Log().add("0002.call.1.approval_answered", approve=False, by="ann", comment="Rather O-1."),
        Log().add("0002.call.1.approval_answered", approve=None, by=None, comment="O-1"),
        proposed(),
        proposed().add("0002.call.1.refused", tool="look_up", message="O-1", error="SchemaViolation"),
        proposed().add("0002.call.1.approval_answered", approve=False, by="ann", comment=""),
        proposed().add("0002.call.1.settled", status="denied", message="O-1"),
        proposed()
        .add("0002.call.1.approval_answered", approve=True, by="ann", arguments={"order_id": "O-2"})
        .add("0002.call.1.settled", status="ok"),
    ],
)
def test_a_no_and_what_was_not_let_happen_name_nothing(run: Log) -> None:
    assert run.where("O-1") == ""


def test_a_reply_is_worth_as_much_as_the_request() -> None:
    assert Log().says(guidance("It is O-1."), turn=2, kind="question").where("O-1", trust_text=False) == "requester?"
    assert Log().says(guidance("It is O-1."), turn=2).where("O-1", trust_text=False) == "person"


def test_the_models_own_words_are_not_known() -> None:
    message = {"role": "assistant", "content": [{"text": "O-1"}]}
    decision = {"kind": "call_tools", "calls": [{"tool": "look_up", "arguments": {"order_id": "O-1"}}]}

    responded = {"attempt": 1, "cost_microusd": 0, "message": message, "decision": decision}
    assert Log().add("0001.model.responded", **responded).where("O-1") == ""


def test_a_value_that_a_call_brought_is_not_learned_from_its_result() -> None:
    echo = Log().call("look_up", arguments={"words": "O-1"}, result={"order_id": "O-1"})
    other = Log().call("look_up", arguments={"words": "O-2"}, result={"order_id": "O-1"})

    assert (echo.where("O-1"), other.where("O-1")) == ("", "0001.call.1")
    assert echo.where("O-1", text="O-1") == "request"


def test_of_two_sources_the_one_that_somebody_vouches_for_counts() -> None:
    run = Log().call("search", result={"order_id": "O-1"}).call("look_up", turn=2, result={"order_id": "O-1"})

    assert run.where("O-1") == "0002.call.1"


def test_the_run_is_read_only_where_the_opening_does_not_say_it() -> None:
    def unread() -> Any:
        raise AssertionError("It was read.")

    known = ground(Which(order_id="O-1"), opening_sources(RunRequest(request_id="r", text="O-1")), unread)

    assert known == Grounding(known={"order_id": "request"})


@pytest.mark.parametrize("value", ["", "  "])
def test_an_empty_text_has_no_ground_in_any_run(value: str) -> None:
    opening = opening_sources(RunRequest(request_id="r", text="O-1 and  more"))

    assert ground(Chosen(order_id=value), opening, lambda: opening).ungrounded == ("order_id",)


@pytest.mark.parametrize(("value", "ungrounded"), [("", ()), (" ", ("phone",)), ("O-2", ("phone",))])
def test_an_empty_text_may_remove_where_the_mark_says_so(value: str, ungrounded: tuple[str, ...]) -> None:
    assert ground(Removable(phone=value), (), list).ungrounded == ungrounded


def test_an_empty_text_that_the_author_wrote_as_the_default_needs_no_ground() -> None:
    assert ground(Which(order_id=""), (), list) == ground(Which(), (), list) == Grounding()
