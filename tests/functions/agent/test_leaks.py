"""Leaks in a model's text: reasoning is removed, a call written as text is not sent, an empty text is not an answer."""

from pathlib import Path
from typing import Any

import pytest

from ballast.contracts import CallTools, ToolCall
from functions.agent.calls_in_text import call_in_text
from functions.agent.decision import question_to_requester
from functions.agent.reasoning_in_text import visible_text
from tests.functions.agent.legal import complaints
from tests.functions.endpoint import Endpoint, calls, reads, reply, says
from tests.functions.stack import Stack
from tests.functions.variants import ledger_with

TOOLS = {"look_up_order": ["order_id"], "refund_order": ["order_id", "amount_usd"], "search": ["query"]}
PROSE = [
    # Templates of models
    '<function=look_up_order>{"order_id": "O-1"}</function>',
    '<tool_call>\n{"name": "x", "arguments": {}}\n</tool_call>',
    'I will check.\n<function_calls>\n<invoke name="look_up_order">\n<parameter name="order_id">O-1</parameter>',
    "<tool_use>look_up_order</tool_use>",
    '<minimax:tool_call>\n<invoke name="x">',
    "<tool_name>look_up_order</tool_name>",
    '[TOOL_CALLS][{"name": "x", "arguments": {}}]',
    '[TOOL_REQUEST]{"name": "x"}[END_TOOL_REQUEST]',
    '<|python_tag|>look_up_order.call(order_id="O-1")',
    "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>x",
    "<|tool_calls_section_begin|><|tool_call_begin|>functions.x:0",
    '<|channel|>commentary to=functions.look_up_order <|constrain|>json<|message|>{"order_id": "O-1"}<|call|>',
    'functools[{"name": "x", "arguments": {}}]',
    "```tool_code\nprint(x())\n```",
    'Thought: look.\nAction: look_up_order\nAction Input: {"order_id": "O-1"}',
    "**Action:** look_up_order\n**Action Input:** O-1",
    # Objects
    '{"name": "look_up_order", "arguments": {"order_id": "O-1"}}',
    '```json\n{"name": "get_weather", "parameters": {"city": "Berlin"}}\n```',
    '[{"name": "a", "arguments": {}}, {"name": "b", "arguments": {}}]',
    '{"name": "a", "parameters": {}}; {"name": "b", "parameters": {}}',
    '[{"type": "function", "id": "1", "function": {"name": "a", "arguments": "{}"}}]',
    '{"tool_calls": [{"function": {"name": "a", "arguments": "{}"}}]}',
    '{"toolUse": {"toolUseId": "1", "name": "a", "input": {}}}',
    '{"type": "tool_use", "id": "1", "name": "a", "input": {}}',
    '{"look_up_order": {"order_id": "O-1"}}',
    'Let me look. {"tool": "look_up_order", "tool_input": {"order_id": "O-1"}}',
    "{'name': 'look_up_order', 'arguments': {'order_id': 'O-1'}}",
    '{"action": "look_up_order", "action_input": "O-1"}',
    # Calls as code, and in other markup
    'look_up_order(order_id="O-1001")',
    '[look_up_order(order_id="O-1"), refund_order(order_id="O-1", amount_usd=5)]',
    '[get_weather(city="Berlin"), get_time()]',
    '`look_up_order(order_id="O-1")`',
    'Of course! look_up_order(order_id = "O-1")',
    'default_api.look_up_order(order_id="O-1")',
    'look_up_order({"order_id": "O-1"})',
    'look_up_order {"order_id": "O-1"}',
    'look_up_order: {"order_id": "O-1"}',
    "<look_up_order><order_id>O-1</order_id></look_up_order>",
    "tool: look_up_order\narguments:\n  order_id: O-1",
]
WORDS = [
    "Your order O-1001 (placed on 2 May) is on its way.",
    "Refunded 12.50 USD (see your mail).",
    "We search(ed) for it; a search (by number) found nothing.",
    "You may call us, or use a tool (e.g. a hammer).",
    "The function of this tool is to call you. Invoke your rights.",
    "Please call +1 555 (0199).",
    "Name: Ann; input: none. Action: none is needed.",
    "refund_order is what we use for that.",
    '{"status": "done", "text": "All is tidy."}',
    '{"name": "Ann", "address": {"city": "Berlin"}}',
    "[Track your parcel](https://example.com/a(b))",
    "<b>Done</b> & <i>sent</i>, 3 < 4 and 5 > 4",
    "f(x) = x + 1",
    "| a | b |\n|---|---|\n| 1 | 2 |",
]
THOUGHT = [
    ("<thinking>I should look.</thinking>\n\nIt is on its way.", "It is on its way."),
    ("<think>\nHm.\n<think>Hm!</think> Well.\n</think>\nDone.", "Done."),
    ("Hm, the beginning stood in the prompt.\n</think>\n\nDone.", "Done."),
    ("<Reasoning>Hm.</Reasoning>\n<answer>Done.</answer>", "Done."),
    ('<thinking type="deep">Hm.</thinking>Done.', "Done."),
    ("<scratchpad>Hm.</scratchpad><answer>Done.</answer>", "Done."),
    ("<seed:think>Hm.</seed:think>Done.", "Done."),
    ("&lt;think&gt;Hm.&lt;/think&gt;Done.", "Done."),
    ("[THINK]Hm.[/THINK]Done.", "Done."),
    ("◁think▷Hm.◁/think▷Done.", "Done."),
    ("<|START_THINKING|>Hm.<|END_THINKING|>Done.", "Done."),
    ("<|begin_of_thought|>Hm.<|end_of_thought|>Done.", "Done."),
    ("<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Done.<|return|>", "Done."),
    ("analysisWe should say so.assistantfinalDone.", "Done."),
    ("```thinking\nHm.\n```\nDone.", "Done."),
    ("One. <think>Hm.</think>Two.", "One. Two."),
    ("Done.<|im_end|>", "Done."),
    # Text that only mentions a call
    ("Write `<think>` to begin, and `</think>` to end.", "Write `<think>` to begin, and `</think>` to end."),
    ("```xml\n<think>a</think>\n```", "```xml\n<think>a</think>\n```"),
    ("I think that <b>it</b> is on its way.", "I think that <b>it</b> is on its way."),
    ("Analysis of the assistant, final: fine.", "Analysis of the assistant, final: fine."),
]
ONLY_THOUGHT = [
    "<think>Hm.</think>",
    "<thinking>Hm.",
    "Done. <think>Or is it",
    "<|channel|>analysis<|message|>Hm.",
    "[THINK]Hm.",
    "</think>",
]


@pytest.mark.parametrize("text", PROSE)
def test_a_call_written_as_prose_is_seen(text: str) -> None:
    assert call_in_text(visible_text(text).text, TOOLS)


@pytest.mark.parametrize("text", WORDS)
def test_words_are_no_call(text: str) -> None:
    assert visible_text(text).text == text
    assert call_in_text(text, TOOLS) is None


@pytest.mark.parametrize(("text", "said"), THOUGHT)
def test_reasoning_is_taken_out_and_the_rest_stays(text: str, said: str) -> None:
    assert visible_text(text).text == said


@pytest.mark.parametrize("text", ONLY_THOUGHT)
def test_reasoning_alone_or_without_an_end_says_nothing(text: str) -> None:
    assert visible_text(text).text == ""


def test_where_an_object_was_asked_for_only_a_known_name_makes_a_call_of_it() -> None:
    data = '{"name": "Ann", "parameters": {"city": "Berlin"}}'

    assert call_in_text(data, TOOLS, structured=True) is None
    assert call_in_text(data, TOOLS)
    assert call_in_text(data.replace("Ann", "search"), TOOLS, structured=True)


@pytest.mark.parametrize("before", range(40, 76, 3))
@pytest.mark.parametrize("shape", ["Action: {}\nAction Input: x", '{{"name": "{}", "arguments": {{}}}}', "{}(a=1)"])
def test_what_is_said_of_a_call_in_prose_ends_in_no_part_of_a_value(shape: str, before: int) -> None:
    value = "ZQJWZQJWZQJWZQJW"

    said = call_in_text(shape.format("x" * (before - 20) + value + "x"), TOOLS)

    assert said
    assert "Z" not in said.replace(value, "")


# Through the agent's function


def of_the_last(stack: Stack, run_id: str, turn: int) -> Any:
    return stack.body(run_id, f"{turn:04d}.model.responded")["decision"]


@pytest.mark.parametrize(
    "text", ['read_note(note_id="n-1")', '<tool_call>{"name": "read_note"}</tool_call>', "ask_requester()"]
)
def test_a_call_in_prose_goes_back_once_and_its_real_call_is_made(stack: Stack, model: Endpoint, text: str) -> None:
    run_id = stack.open()
    model.will(says(text), reads("n-1"))

    first, second = stack.plan(run_id), stack.plan(run_id, 2)

    assert (first["kind"], first["to"], first["reason"]) == ("hand_over", "agent", "answer_invalid")
    assert "make the call itself" in model.requests[1]["messages"][-1]["content"][0]["text"]
    assert second["calls"] == [1]
    assert "read_note" in str(model.requests[1]["messages"][1]) or text == "ask_requester()"
    assert complaints(model.requests[1]) == []


def test_a_call_in_prose_a_second_time_is_for_others_and_never_the_answer(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open(intent="recovers")
    model.will(says("read_note(note_id='n-1')"), says("read_note(note_id='n-1')"))
    stack.plan(run_id)

    second = stack.plan(run_id, 2)

    assert (second["kind"], second["to"], second["reason"]) == ("hand_over", "fallback", "answer_invalid")


def test_the_model_sees_its_reasoning_again_and_the_requester_never(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    model.will(says("<thinking>Shall I?</thinking>Done."))

    assert stack.plan(run_id)["kind"] == "answer"

    assert of_the_last(stack, run_id, 1)["text"] == "Done."
    assert "Shall I?" in str(stack.body(run_id, "0001.model.responded")["message"])


@pytest.mark.sampled
@pytest.mark.parametrize("again", [reads("n-1"), says("Done.")])
@pytest.mark.parametrize(
    "content",
    [
        [],
        [{"text": " \n"}],
        [{"text": "<think>Hm.</think>"}],
        [{"text": "<think>Hm."}],
        [{"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "s"}}}],
    ],
)
def test_a_reply_that_says_nothing_is_asked_for_once_more(
    stack: Stack, model: Endpoint, content: list[Any], again: Any
) -> None:
    run_id = stack.open()
    model.will(reply(*content, usage={"inputTokens": 900, "outputTokens": 0}), again)

    first, second = stack.plan(run_id), stack.plan(run_id, 2)

    assert (first["kind"], first["to"], first["reason"]) == ("hand_over", "agent", "empty_answer")
    assert second["kind"] in ("answer", "call_tools")
    asked = model.requests[1]
    assert "said nothing" in asked["messages"][-1]["content"][0]["text"]
    assert complaints(asked) == []
    assert any("text" in block for block in asked["messages"][1]["content"])  # reasoning alone is refused


REASONING = {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "s"}}}
STOPS = ["tool_use", "max_tokens", "stop_sequence", None, "a_reason_of_next_year", "malformed_model_output"]


@pytest.mark.sampled
@pytest.mark.parametrize("stop", [*STOPS, "malformed_tool_use"])
@pytest.mark.parametrize("content", [[], [{"text": " "}], [REASONING], [{"text": "<think>Hm."}]])
def test_so_it_is_whatever_the_stop_reason(stack: Stack, model: Endpoint, content: list[Any], stop: Any) -> None:
    run_id = stack.open(intent="recovers")
    model.will(reply(*content, stop=stop), reply(*content, stop=stop))

    first, second = stack.plan(run_id), stack.plan(run_id, 2)

    assert (first["kind"], first["to"], first["reason"]) == ("hand_over", "agent", "empty_answer")
    told = model.requests[1]["messages"][-1]["content"][0]["text"]
    assert ("said nothing" in told, "cut at its limit" in told) == (True, stop == "max_tokens")
    assert complaints(model.requests[1]) == []
    named = {"tool_use": "empty_answer", "stop_sequence": "empty_answer", None: "malformed_model_output"}
    named["a_reason_of_next_year"] = "malformed_model_output"
    assert (second["to"], second["reason"]) == ("fallback", named.get(stop, stop))
    assert stack.body(run_id, "0001.model.responded")["stop_reason"] == str(stop)


@pytest.mark.parametrize("blank", ["\u200b", "\u3164 \u2800", "\x1b\x00", "\u00ad\ufe0f\u2060"])
def test_a_text_that_shows_nothing_is_no_answer(stack: Stack, model: Endpoint, blank: str) -> None:
    run_id = stack.open()
    model.will(says(blank), says(f"{blank}Done."))

    first = stack.plan(run_id)

    assert (first["to"], first["reason"]) == ("agent", "empty_answer")
    assert stack.plan(run_id, 2)["kind"] == "answer"


@pytest.mark.parametrize("stop", ["content_filtered", "guardrail_intervened", "model_context_window_exceeded"])
def test_what_says_why_it_is_empty_is_not_asked_again(stack: Stack, model: Endpoint, stop: str) -> None:
    run_id = stack.open()
    model.will(reply(stop=stop))

    decision = stack.plan(run_id)

    assert (decision["to"], decision["reason"]) == ("human", stop)


@pytest.mark.parametrize("stop", ["max_tokens", None])
def test_words_that_were_cut_are_for_others_at_once(stack: Stack, model: Endpoint, stop: Any) -> None:
    run_id = stack.open()
    model.will(says("I will", stop=stop))

    assert stack.plan(run_id)["to"] == "human"


def test_nothing_twice_is_for_others(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open(intent="recovers")
    model.will(reply(), reply())

    first, second = stack.plan(run_id), stack.plan(run_id, 2)

    assert (first["to"], first["reason"]) == ("agent", "empty_answer")
    assert (second["to"], second["reason"]) == ("fallback", "empty_answer")


def test_after_calls_it_may_say_nothing_once_more(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open(intent="recovers")
    model.will(reply(), reads("n-1"), reply(), says("Done."))
    assert [stack.plan(run_id, turn)["to"] for turn in (1, 2)] == ["agent", None]
    stack.execute(run_id, 2)

    third, fourth = stack.plan(run_id, 3), stack.plan(run_id, 4)

    assert (third["to"], third["reason"]) == ("agent", "empty_answer")
    assert fourth["kind"] == "answer"


@pytest.mark.parametrize(("made", "reason"), [(reply(), "empty_answer"), (says("read_note()"), "answer_invalid")])
def test_without_a_turn_left_it_is_not_asked_again_and_the_reason_stays(
    stack: Stack, model: Endpoint, made: Any, reason: str
) -> None:
    run_id = stack.open(limits={"turns": 1})
    model.will(made)

    assert (decision := stack.plan(run_id))["reason"] == reason
    assert decision["to"] == "human"


def test_asking_once_more_is_charged_like_any_turn(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open(limits={"cost_microusd": 40_000})
    model.will(reply(usage=False), says("Done."))
    stack.plan(run_id)

    assert stack.plan(run_id, 2)["reason"] == "cost_limit"
    assert len(model.requests) == 1


@pytest.mark.parametrize(
    ("question", "guidance"),
    [
        ("<think>Who is it?</think>Which order?", "Which order?"),
        ('{"thought": "Hm.", "response": "Which order?"}', "Which order?"),
        ("Which order, and <reason>?", "Which order, and <reason>?"),
        ("Which order?", "Which order?"),
        ("<think>Hm.", None),
    ],
)
def test_the_requester_is_asked_without_the_reasoning(question: str, guidance: str | None) -> None:
    call = ToolCall(tool="ask_requester", arguments={"question": question})

    decision = question_to_requester(CallTools(calls=(call,)), TOOLS)

    assert (decision.guidance if decision else None) == guidance


@pytest.mark.parametrize(
    "question",
    [
        '<function=refund_order>{"order_id": "O-1"}</function>',
        'write_note(note_id="n-1")',
        'Which one? <tool_call>{"name": "x", "arguments": {}}</tool_call>',
        '<think>Hm.</think>ask_requester(question="Which?")',
        "<think>Hm.</think>",
        "x" * 2_001,
    ],
)
def test_a_question_that_is_no_question_is_refused_and_the_model_told_why(
    stack: Stack, model: Endpoint, tmp_path: Path, question: str
) -> None:
    for name in ("planner", "executor"):
        stack.environs[name] |= {"PLAYBOOK_DIR": ledger_with(tmp_path / name, ask_requester=True)}
    run_id = stack.open()
    model.will(calls({"name": "ask_requester", "input": {"question": question}}), says("Done."))

    assert stack.plan(run_id)["kind"] == "call_tools"
    assert stack.execute(run_id) == "refused"
    assert stack.plan(run_id, 2)["kind"] == "answer"

    assert "of plain words" in str(model.requests[1]["messages"][-1])


@pytest.mark.parametrize(
    "question", ["Which order do you mean?", "<think>Hm.</think>Shall I search for it (by number)?"]
)
def test_a_question_in_words_is_asked(stack: Stack, model: Endpoint, tmp_path: Path, question: str) -> None:
    stack.environs["planner"] |= {"PLAYBOOK_DIR": ledger_with(tmp_path, ask_requester=True)}
    run_id = stack.open()
    model.will(calls({"name": "ask_requester", "input": {"question": question}}))

    assert stack.plan(run_id)["to"] == "requester"


# Citations


def cites(*texts: str) -> dict[str, Any]:
    return {"citationsContent": {"content": [{"text": text} for text in texts], "citations": []}}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([cites("It is 42 km.")], "It is 42 km."),
        ([{"text": "It is "}, cites("42 km"), {"text": " in all."}], "It is 42 km in all."),
        ([{"text": "It is"}, {"text": " "}, cites("42", " km"), cites(" in all.")], "It is 42 km in all."),
        ([{"text": "One."}, {"text": "Two."}], "One.\n\nTwo."),
        ([{"text": "One."}, {"reasoningContent": {"redactedContent": "eA=="}}, cites(" Two.")], "One. Two."),
    ],
)
def test_what_a_model_cites_is_part_of_its_sentence(
    stack: Stack, model: Endpoint, content: list[Any], said: str
) -> None:
    run_id = stack.open()
    model.will(reply(*content))

    assert stack.plan(run_id)["kind"] == "answer"

    assert of_the_last(stack, run_id, 1)["text"] == said


# Sizes


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("x" * 65_526, "answer"),
        ("x" * 65_530, "hand_over"),
        ("ж" * 32_763, "answer"),
        ("ж" * 33_000, "hand_over"),
    ],
)
def test_an_answer_has_64_kib_in_any_script(stack: Stack, model: Endpoint, text: str, kind: str) -> None:
    run_id = stack.open()
    model.will(says(text))

    assert stack.plan(run_id)["kind"] == kind


def test_an_answer_that_is_too_long_may_be_written_again(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    model.will(says("x" * 70_000), says("Short."))

    first, second = stack.plan(run_id), stack.plan(run_id, 2)

    assert (first["to"], first["reason"]) == ("agent", "answer_invalid")
    assert "at most 65536 are allowed" in model.requests[1]["messages"][-1]["content"][0]["text"]
    assert second["kind"] == "answer"


@pytest.mark.sampled
@pytest.mark.parametrize("stop", ["end_turn", "tool_use", "max_tokens"])
@pytest.mark.parametrize(
    "content",
    [
        [{"text": "a"}] * 1_001,
        [{"text": "x" * 5_000_000}],
        [{"toolUse": {"name": "a", "toolUseId": "a", "input": {}}}] * 30_000,
    ],
)
def test_a_reply_that_is_larger_than_any_can_be_is_not_recorded(
    stack: Stack, model: Endpoint, content: list[Any], stop: str
) -> None:
    run_id = stack.open()
    model.will(reply(*content, stop=stop))

    assert stack.plan(run_id)["reason"] == ("max_tokens" if stop == "max_tokens" else "malformed_model_output")

    assert len(str(stack.body(run_id, "0001.model.responded"))) < 5_000
