"""Reports of finished work that name tools and use words of reasoning: they are answers, and lose no part."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from functions.agent.calls_in_text import call_in_text
from functions.agent.reasoning_in_text import answer_of_object, visible_text
from tests.functions.agent.test_words_and_leaks import wrote
from tests.functions.endpoint import Endpoint, says
from tests.functions.stack import Stack
from tests.functions.variants import ledger_with

PARAMETERS = {
    "refund": ["order_id", "amount"],
    "cancel": ["order_id"],
    "search": ["query"],
    "look_up_order": ["order_id"],
    "cancel_order": ["order_id", "reason"],
    "write_note": ["note_id", "text"],
}
#: Names in tags and brackets that mark no call.
TAGS = [
    "Run `aws lambda invoke --function-name <function-name> out.json` to see it.",
    "Run:\n```sh\naws lambda invoke --function-name <function-name> out.json\n```\nThen read it.",
    "aws logs tail /aws/lambda/<function-name> --follow",
    "Open https://<function-url-id>.on.aws/ or https://x.example/<tool-call>/settings.",
    "Use <your_function_name> as the name, and <tool_id> as the id.",
    "Ann's mail is <power-tools@example.org>; I noted it.",
    "Ann Tool <ann.tool@example.org>, <tool-use@example.org>, <mail.function-room@example.org>",
    "Write to:\n<tool-use@example.org>",
    "See <function.com>, <tools.example> and <https://tool-call.example.org>.",
    "Product: Tool Belt <tool-belt>",
    "<garden-tools> is the category; choose <power-tools> there.",
    "<power_tools>",
    "<tool-shed>\n<function-room>",
    "Category [power_tools] has 3 items, [garden_tools] none.",
    "[function_room] is booked from 2 pm.",
    "[tool_rental] is our page.",
    "[Tool request: hammer] is on its way.",
    "[Calling tool support for advice: 5 cents]",
    "The <tool_call> tag marks a call, and </tool_call> ends it.",
    "<tool_call> is the tag for it.",
    "The [tool_call] event is in the log.",
    "Enter your code: <tool-code>",
    "<function_code>7</function_code> is what the device sent.",
    "<tool_code>A-17</tool_code>",
    "The type is List<ToolCall>, or Array<FunctionCall>.",
    "```java\nList<ToolCall> calls = List.of();\n```",
    "The form is:\n```xml\n<tool_name>Hammer</tool_name>\n```\nFill it in.",
    'Our bot sends:\n```xml\n<tool_call>{"name": "x"}</tool_call>\n```\nThat is the bug.',
    'It wrote `<tool_call>{"name": "x"}</tool_call>` into the chat.',
    "It wrote `[TOOL_CALLS] x` and `<|python_tag|>` there.",
    "```tool-belt\nbrown\n```",
    "<tool>power_drill</tool><price>5</price>",
    '<tool name="hammer"><price>5</price></tool>',
    '<parameter name="page">2</parameter>',
    'The route is <action name="login">.',
]
#: The outcome of a call, or a request for one.
DONE = [
    "Order: O-1002\nAction: refund\nAmount: $84.50",
    "**Order:** O-1002\n**Action:** refund\n**Amount:** $84.50",
    "Done:\n\n- Action: cancel\n- Order: O-1",
    "Action: refund",
    "Action: cancel_order",
    "Action: refund (84.50 USD)",
    "Action: refund [1]\n\n[1] See your mail.",
    "Tool: write_note\nNote: n-1",
    "What was done:\n\nTool: cancel_order\nStatus: done",
    "Tool: search\nCost: 5",
    "Tool: refund\nAmount: $84.50",
    "Action: cancel_order\nInput: O-1",
    "I used cancel_order (order_id=O-1).",
    "Tool calls: look_up_order, cancel_order",
    "Tool use: cancel_order",
    '{"action":"refund","order":"O-1"}',
    '[{"action":"refund","order":"O-1"}]',
    '[{"action":"refund","content":"O-1"},{"action":"cancel","content":"O-2"}]',
    '{"action": "refund", "input": "O-1", "result": "done"}',
    '{"action": "cancel_order", "order": "O-1", "status": "done"}',
    '{"name": "cancel_order", "description": "cancels"}',
    '{"tool": "power_drill", "price": 5}',
    '{"function": "ball_room", "seats": 80}',
    '{"tool": "search", "hits": 3}',
    '{"name": "mug", "content": {"size": "350 ml"}}',
    '{"name": "Ann", "params": {"age": 3}}',
    '{"calls": [{"name": "Ann", "content": "asked for a refund"}]}',
    '{"refund":"done"}',
    '{"search":"3 hits"}',
    '{"cancel_order":"done"}',
    '{"cancel_order": {"status": "done"}}',
    '{"refund": {"status": "done", "on": "2 May"}}',
    'cancel_order: {"status": "done"}',
    'search: {"hits": 3}',
    "cancel_order:\n  status: done",
    "1. cancel_order\n   status: done\n2. look_up_order\n   status: done",
    "- **cancel_order**\n  status: done",
    "cancel_order:\n  order_id: O-1\n  status: done",
    "search:\n  hits: 3",
    "cancel_order status=done",
    "<cancel_order><status>done</status></cancel_order>",
    '<cancel_order status="done"/>',
    "<name>cancel_order</name>",
    "<action>cancel_order</action>",
    "(calling cancel_order failed)",
    "x = refund(5)",
]
#: Paths on a site, and text for somebody to type.
PAGES = [
    "- /write-note",
    "The pages are:\n- /write-note\n- /cancel-order",
    "/cancel-order",
    "Go to\n/cancel_order\nand enter your number.",
    "/cancel_order - cancels it",
    "@cancel_order please",
    "$ cancel_order O-1",
    "Dear {{cancel_order}},",
    "- cancel_order()\n- look_up_order()",
    "[cancel_order]",
    "<cancel-order> is where your number goes.",
]
LEAKED = [
    "Action: refund\nAction Input: O-1",
    'Action: refund\nAction Input: {"order_id": "O-1"}',
    "Action: refund[O-1]",
    'Action: refund {"order_id": "O-1"}',
    "Thought: It is late.\nAction: refund",
    "Tool: write_note\nNote ID: n-1",
    "Tool: write_note\nArguments: n-1",
    '{"action": "refund", "action_input": "O-1"}',
    '{"action": "refund", "params": {"order_id": "O-1"}}',
    '{"name": "refund", "arguments": {"order_id": "O-1"}}',
    '{"tool": "search", "query": "O-1"}',
    '{"name": "cancel_order", "order_id": "O-1"}',
    '{"type": "tool_use", "name": "refund", "input": "O-1"}',
    '{"tool_calls": [{"name": "refund", "input": "O-1"}]}',
    '{"cancel_order": {"order_id": "O-1"}}',
    '{"cancel_order": {"orderId": "O-1", "reason": "late"}}',
    'cancel_order: {"order_id": "O-1"}',
    'search: {"query": "O-1"}',
    "cancel_order:\n  order_id: O-1\n  reason: late",
    "search:\n  query: O-1",
    "<cancel_order><order_id>O-1</order_id></cancel_order>",
    '<cancel_order order_id="O-1"/>',
    "<cancel_order>O-1</cancel_order>",
    "<action>cancel_order</action><input>O-1</input>",
    "/cancel_order O-1",
    '<tool_call>{"name": "x"}',
    "I will look.\n<tool_call>\nx",
    "I will look. <tool_call>\nx",
    "I will look<tool_call>x</tool_call>",
    'A list<tool_call>{"name": "x"}',
    "<tool_code>print(x())</tool_code>",
    '[TOOL_CALLS] [{"name": "x"}]',
    "Sure.\n[TOOL_CALLS] x",
    '```xml\n<tool_call>{"name": "x"}</tool_call>\n```',
    'I will look.\n```xml\n<invoke name="cancel_order"><parameter name="order_id">O-1</parameter></invoke>\n```\nWait.',
    "I run `<tool_use>search</tool_use>` now.",
    '<action name="refund"><parameter name="order_id">O-1</parameter></action>',
]
#: Words of reasoning in a report.
REPORTS = [
    "Analysis: The log shows three errors.\n\nResponse: I restarted the service.",
    "Reasoning: the price was wrong.\nAnswer: we refund $5.",
    "**Reasoning:** It was late.\n\n**Final answer:** We pay.",
    "Reflection: sales fell.\nReply: I wrote to Ann.",
    "Thoughts: I like the blue one.\nAnswer: it is there.",
    "Thought: maybe order two?\nFinal: done.",
    "## Reasoning\nYour claim is in time.\n\n## Response\nWe refund $5.",
    "**Reasoning**\nYour claim is in time.\n\n**Answer**\nWe refund $5.",
    "# My reasoning\nIt is late.\n# Answer\nYes.",
    "Your config:\n<config>\n  <reasoning>high</reasoning>\n</config>",
    "<analysis>Sales fell.</analysis>\n<conclusion>Bad.</conclusion>",
    "<reasoning>It is late.</reasoning>\n<decision>We pay.</decision>",
    "<Reasoning>It is late.</Reasoning>Done.",
    "<p>Sent.</p>\n<planning>none</planning>",
    "<rationale>\nIt is late.\n</rationale>\n<result>paid</result>",
    "<self_reflection>I did well.</self_reflection>",
    "<reflection>It rains.</reflection>\nDone.",
    "<thinking_budget>1024</thinking_budget>\n<design-thinking>yes</design-thinking>",
    "<thought_leader>Ann</thought_leader> <customer-thoughts>nice</customer-thoughts>",
    "<internal_reason>damaged</internal_reason>",
    "<monologue>To be or not to be.</monologue>",
    "<reasoning-step>1</reasoning-step>\n<reason_step>2</reason_step>",
    "The record:\n<internal_notes>none</internal_notes>\n<private_plan>A</private_plan>",
    "The record:\n<hidden_state>open</hidden_state>\n<internal_analysis>none</internal_analysis>",
    "```reasoning\neffort: high\n```\nis what you set.",
    "<details><summary>Reasoning</summary>It is late.</details>We pay.",
    "[REASONING]\nIt is late.\n[DECISION]\nWe pay.",
    "[analysis]Sales fell.[/analysis]",
    "Order: O-1\nRemarks:\n<thoughts>",
    '{"reasoning": "It is late.", "response": "We pay."}',
]
THOUGHT = [
    ("Thought: Hm.\nFinal Answer: Done.", "Done."),
    ("Thinking: Hm.\n\nAnswer: Done.", "Done."),
    ("Internal reasoning: Hm.\nReply: Done.", "Done."),
    ("## Thought process\nHm.\n## Answer\nDone.", "Done."),
    ("<reasoning>Hm.</reasoning>\n<answer>Done.</answer>", "Done."),
    ("<analysis>Hm.</analysis><final_answer>Done.</final_answer>", "Done."),
    ("<internal_reasoning>Hm.</internal_reasoning>Done.", "Done."),
    ("<reasoning_content>Hm.</reasoning_content>Done.", "Done."),
    ("<|reasoning|>Hm.<|/reasoning|>Done.", "Done."),
    ("[REASONING]Hm.[/REASONING]Done.", "Done."),
]


@pytest.mark.parametrize("tools", [PARAMETERS, set(PARAMETERS)], ids=["parameters", "names"])
@pytest.mark.parametrize("text", [*TAGS, *DONE, *PAGES])
def test_a_report_with_a_tools_name_is_no_call(text: str, tools: Any) -> None:
    assert answer_of_object(visible_text(text).text) == text
    assert call_in_text(text, tools) is None


@pytest.mark.parametrize("text", LEAKED)
def test_a_call_beside_such_reports_is_seen(text: str) -> None:
    assert call_in_text(visible_text(text).text, PARAMETERS)


@pytest.mark.parametrize("text", REPORTS)
def test_a_report_with_words_of_reasoning_loses_no_part(text: str) -> None:
    assert answer_of_object(visible_text(text).text) == text


@pytest.mark.parametrize(("text", "said"), THOUGHT)
def test_hidden_thought_is_taken_out_beside_such_reports(text: str, said: str) -> None:
    assert visible_text(text).text == said


# Through the agent's function


@pytest.mark.parametrize("text", [*TAGS[:6], "Tool: write_note\nNote: n-1", "- /write-note", *REPORTS[:6]])
def test_what_was_done_is_answered_at_once(stack: Stack, model: Endpoint, text: str) -> None:
    run_id = wrote(stack)
    model.will(says(text))

    assert stack.plan(run_id, 2)["kind"] == "answer"

    assert stack.body(run_id, "0002.model.responded")["decision"]["text"] == text


@pytest.mark.parametrize(
    ("text", "kind"), [("write_note:\n  status: done", "answer"), ("write_note:\n  text: It is late.", "hand_over")]
)
def test_the_planner_knows_a_call_by_its_tools_parameters(stack: Stack, model: Endpoint, text: str, kind: str) -> None:
    run_id = stack.open()
    model.will(says(text))

    assert stack.plan(run_id)["kind"] == kind


FITTING = [
    '{"action": "write_note", "content": "We pay back."}',
    '{"action": "write_note", "input": "O-1"}',
    '{"write_note": {"text": "5.00"}}',
    '{"name": "write_note", "arguments": {"text": "x"}}',
    '{"tool_calls": [{"name": "write_note", "arguments": {}}]}',
    '{"text": "Action: write_note\\nAction Input: x"}',
]


@pytest.fixture
def formal(stack: Stack, tmp_path: Path) -> Stack:
    """The ledger, with an answer schema for ``tidy``: an object with any field but ``other``."""
    folder = Path(ledger_with(tmp_path))
    config = yaml.safe_load((folder / "agent.yaml").read_text(encoding="utf-8"))
    config["intents"]["tidy"]["answer_schema"] = {"type": "object", "properties": {"other": {"type": "integer"}}}
    (folder / "agent.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    stack.environs["planner"] |= {"PLAYBOOK_DIR": str(folder)}
    return stack


@pytest.mark.parametrize("text", FITTING)
def test_what_fits_the_form_that_was_asked_for_is_the_answer(formal: Stack, model: Endpoint, text: str) -> None:
    run_id = formal.open(intent="tidy")
    model.will(says(text))

    assert formal.plan(run_id)["kind"] == "answer"


@pytest.mark.parametrize(
    "text", ['{"name": "write_note", "arguments": {}, "other": "x"}', '<tool_call>{"name": "write_note"}</tool_call>']
)
def test_a_call_that_does_not_fit_the_form_is_told_of_as_a_call(formal: Stack, model: Endpoint, text: str) -> None:
    run_id = formal.open(intent="tidy")
    model.will(says(text))

    assert formal.plan(run_id)["reason"] == "answer_invalid"

    assert "written as text" in str(formal.body(run_id, "0001.model.responded")["refused_answer"])
