"""Calls and reasoning that models leak into text, each shape in many spellings."""

from time import process_time

import pytest

from functions.agent.calls_in_text import call_in_text
from functions.agent.reasoning_in_text import visible_text
from functions.agent.text import normalised

TOOLS = {
    "look_up_order": ["order_id"],
    "refund_order": ["order_id", "amount_usd"],
    "search": ["query"],
    "cancel": ["order_id"],
}
CALLS = [
    '<｜DSML｜function_calls>\n<｜DSML｜invoke name="get_weather">\n<｜DSML｜parameter name="c">B</｜DSML｜parameter>',
    '<｜DSML｜invoke name="look_up_order">',
    '<|START_ACTION|>[{"tool_call_id": "0", "tool_name": "look_up_order", "parameters": {}}]<|END_ACTION|>',
    '✿FUNCTION✿: look_up_order\n✿ARGS✿: {"order_id": "O-1"}\n✿RESULT✿',
    '✿FUNCTION✿: get_weather\n✿ARGS✿: {"city": "Berlin"}',
    'Action: ```json\n[{"tool_name": "get_weather", "parameters": {"c": "B"}}]\n```',
    'I will call {"name": "get_weather", "arguments": {"city": "Berlin"}} now.',
    "look_up_order:\n  order_id: O-1",
    '**Tool call**: `look_up_order`\n```json\n{"order_id":"O-1"}\n```',
    "look_up_order order_id=O-1",
    "/look_up_order O-1",
    "@look_up_order O-1",
    "look_up_order\norder_id: O-1",
    "[tool_call: look_up_order for order O-1]",
    "[Tool Call: refund_order]\nRefunding O-1",
    '[Calling tool refund_order with {"order_id": "O-1"}]',
    'assistant to=look_up_order json\n{"order_id":"O-1"}',
    '<|python_start|>get_weather(city="B")<|python_end|>',
    "<__function=look_up_order>\n<__parameter=order_id>O-1</__parameter>\n</__function>",
    '<|START_ACTION|>[{"tool_call_id": "0", "tool_name": "get_weather", "parameters": {"c": "B"}}]<|END_ACTION|>',
    '<tool>look_up_order</tool><args>{"order_id":"O-1"}</args>',
    "<action>look_up_order</action><input>O-1</input>",
    'functions.look_up_order:0 {"order_id":"O-1"}',
    'refund_order("O-1", 12.5)',
    "refund_order(O-1, 12.5)",
    'await refund_order( order_id="O-1")',
    'result = refund_order\n(order_id="O-1")',
    'tool_code\nprint(look_up_order(order_id="O-1"))',
    '<execute_tool name="get_weather"/>',
    '<toolcall>{"a":1}</toolcall>',
    '<function name="get_weather"><parameter name="c">B</parameter></function>',
    '{"function": "look_up_order", "order_id": "B"}',
    '{"tool": "look_up_order", "order_id": "O-1"}',
    '{"name":"look_up_order","order_id":"O-1"}',
    '{"recipient":"look_up_order","content":{"order_id":"O-1"}}',
    '&lt;tool_call&gt;{"name": "get_weather", "arguments": {}}&lt;/tool_call&gt;',
    "&lt;function=get_weather&gt;{}&lt;/function&gt;",
    'look\\_up\\_order(order\\_id="O-1")',
    'Look_Up_Order(order_id="O-1")',
    'look-up-order(order_id="O-1")',
    '<｜DSML｜invoke name="x">',
    '‹｜DSML｜invoke name="refund_order">',
    "<|tool_call_start|>[x()]<|tool_call_end|>",
    "<tool_calls>[]",
    "<tool_call:x>",
    '<xai:function_call name="x">',
    "<start_function_call>call:x{a:1}<end_function_call>",
    '<executeTool name="x"/>',
    "<use_mcp_tool><server_name>a</server_name>",
    '<call name="x"/>',
    '<|FunctionCallBegin|>[{"name":"x"}]<|FunctionCallEnd|>',
    '<|plugin|>{"name":"x"}<|action_end|>',
    "＜tool_call＞{}＜/tool_call＞",
    "<tool\u200b_call>{}",
    "\\<tool_call\\>{}",
    "&amp;lt;tool_call&amp;gt;",
    "\\u003ctool_call\\u003e{}",
    '[TOOL_CALL] {tool => "x"} [/TOOL_CALL]',
    "[function_call: x]",
    "[Invoking function x with 1]",
    "[Calling refund_order]",
    "*calls refund_order*",
    "Tool call: refund_order",
    "Function call: refund_order(O-1)",
    'tool_calls: [{"name": "x"}]',
    "```tool_call",
    "```function-call",
    '{"tool": "search", "query": "x"}',
    '{"tool":"refund_order"}',
    '{\\"name\\": \\"refund_order\\", \\"arguments\\": {}}',
    'Sure: {"name": "get_weather", "arguments": {"c": 1}} ok',
    "Sure: {'name': 'get_weather', 'arguments': {'c': 1}} ok",
    'Sure: {"arguments": {"c": 1}, "name": "get_weather"} ok',
    'Sure: {"type":"function","function":{"name":"x_y","arguments":"{}"}} ok',
    'Let me: ```json\n{"tool": "look_up_order", "args": {}}```',
    'search(query="x")',
    'I will search(query="x") now.',
    'search("x")',
    '- search("x")',
    '`search("x")`',
    "search()",
    'search: {"query": "x"}',
    'search {"query": "x"}',
    "<search><query>x</query></search>",
    '<search query="x"/>',
    "Thought: look.\nAction: search",
    "Action: search[parcel]",
    'Action: search("parcel")',
    "<tool>search</tool>",
    "<tool_name>search</tool_name>",
    "<function>get_weather</function>",
    "tool: search\nargs: x",
    "search:\n  query: x",
    'lookUpOrder(orderId="O-1")',
    'LOOK_UP_ORDER(order_id="O-1")',
    'Using refund_order with arguments: {"order_id": "O-1"}',
    'refund_order with {"order_id": "O-1"}',
    'to=refund_order code {"a":1}',
    'functions.refund_order({"a":1})',
    'functions.refund_order:0{"a":1}',
    'await tools.refund_order({"order_id":"O-1"})',
    "/refund_order O-1",
    "@refund_order O-1",
    '**refund_order**\n```json\n{"order_id":"O-1"}\n```',
    "<invoke>x",
    "<function name='x'>",
    'cancel(order_id="O-1")',
    '{"search": {"query": "x"}}',
    "✿FUNCTION✿: search",
    '<action name="search">',
    '<tools>{"name"',
    "<parameter=order_id>O-1</parameter>",
    "<function-call>x</function-call>",
    "<ToolCall>x</ToolCall>",
    '{"recipient_name": "functions.refund_order", "parameters": {}}',
]
WORDS = [
    "Your order O-1001 (placed on 2 May) is on its way.",
    "Action: search for your parcel at the post office.",
    'The call search("O-1") is what our page offers.',
    'search = finding things. Use search {"like this"}?',
    "I have done the refund_order step; input: none; action: refund_order was made with parameters: yours.",
    "<search>",
    "refund_order(order_id, amount_usd) is what our clerks use.",
    "We use look_up_order to find it, and refund_order to pay.",
    "Our tools: look_up_order (finds), refund_order (pays).",
    "1. Search: type it in.\n2. Cancel: press x.",
    "Cancel: yes\nSearch: no",
    "Search (by number) or cancel (free of charge).",
    "You can cancel (see below) or search.",
    "Tool: hammer. Function: to hit.",
    "The tool call was made. A function call costs 2 cents.",
    "Tool calls: 3, function calls: 4",
    "Call to action: call us!",
    '<a href="tel:123" title="call">Call us</a>',
    '<form action="/search"><input name="search"><button type="submit">Search</button></form>',
    "<call-to-action>Buy</call-to-action> <tool-tip>Hi</tool-tip>",
    '<button onclick="callFunction()">Go</button>',
    "Use `<tool_call>` to start a call, says the manual.",
    "Use print(x) and f(x=1) in Python.",
    "```python\ndef add(a, b):\n    return a + b\nprint(add(1, 2))\n```\nThis adds.",
    '{"name": "Ann", "city": "Berlin"}',
    'Send {"name": "Ann", "age": 3} to us.',
    '{"status": "done", "reason": "late"}',
    "std::function<void()> f; List<Tool> tools = x;",
    "x <| f |> g",
    "[Using tools](https://x.example/tools) [Tool calls](x)",
    "We were calling you about the refund order (12 USD).",
    'refund order("O-1")',
    "| tool | call |\n|---|---|\n| look_up_order | finds |",
    "The action: call us. Input: none.",
    "Dear Ann,\nsearch\nis done.",
    "Press /search to search, @cancel to cancel.",
    "look_up_order → done, refund_order → done",
    "Order: O-1\nAction: cancelled\nReason: late",
    "Name: Ann\nInput: none",
    "arguments: there were two. tool: none.",
    "&lt;b&gt;bold&lt;/b&gt; &amp; more",
    "C:\\\\tools\\\\call [x] \\[y\\]",
    'Use the "search" function: arguments are a word.',
    "search(ed) and cancel(led)",
    "<p>The <strong>function</strong> of this <em>tool</em></p>",
    "Refund (id: 12): done",
]
THOUGHT = [
    ("Hm.\n```\nx\n</think>\n\nHere:\n```\ny\n```", "Here:\n```\ny\n```"),
    ("Hm.\n```json\n{}\n</think>\n\nHere:\n```json\n{}\n```", "Here:\n```json\n{}\n```"),
    ("<thought_process>Hm.</thought_process>Done.", "Done."),
    ("<internal_reasoning>Hm.</internal_reasoning>Done.", "Done."),
    ("<inner_thoughts>Hm.</inner_thoughts>Done.", "Done."),
    ("<longcat_think>Hm.</longcat_think>Done.", "Done."),
    ("<unused94>thought\nHm.<unused95>Done.", "Done."),
    ("<|begin▁of▁thinking|>Hm.<|end▁of▁thinking|>Done.", "Done."),
    ("<|thinking|>Hm.<|/thinking|>Done.", "Done."),
    ("<thinking_process>Hm.</thinking_process>Done.", "Done."),
    ("<chain-of-thought>Hm.</chain-of-thought>Done.", "Done."),
    ("<inner_monologue>Hm.</inner_monologue>Done.", "Done."),
    ("<planning>Hm.</planning><answer>Done.</answer>", "Done."),
    ("<|think|>Hm.<|/think|>Done.", "Done."),
    ("<assistant_thinking>Hm.</assistant_thinking>Done.", "Done."),
    ("<deliberation>Hm.</deliberation>\n<answer>Done.</answer>", "Done."),
    ("We could show ```json here.\n</think>\n\nDone.", "Done."),
    ("**Thinking:** Hm. the customer lies.\n\n**Answer:** Done.", "Done."),
    ("Thought: Hm the customer lies.\nFinal Answer: Done.", "Done."),
    ("< think >Hm.</ think >Done.", "Done."),
    ("<think >Hm.</think >Done.", "Done."),
    ("<THINK>Hm.</think>Done.", "Done."),
    ("\\<think\\>Hm.\\</think\\>Done.", "\\Done."),
    ("<｜begin▁of▁think｜>Hm.<｜end▁of▁think｜>Done.", "Done."),
    ("<!--think-->Hm.<!--/think-->Done.", "Done."),
    ("<|channel|>commentary<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Done.", "Done."),
    ("Chain of thought: Hm.\nfinal: Done.", "Done."),
    ("<details><summary>Thinking</summary>Hm.</details>Done.", "Done."),
    ("＜think＞Hm.＜/think＞Done.", "Done."),
    ("&#60;think&#62;Hm.&#60;/think&#62;Done.", "Done."),
    ("<think>Hm ``` unbalanced </think> Done.", "Done."),
    ("<system_thinking>Hm</system_thinking>Done.", "Done."),
    ("<thinking>Hm</think>Done.", "Done."),
    ("<rationale>Hm.</rationale>\n\n<final_answer>Done.</final_answer>", "Done."),
    ("<ant_thinking>Hm.</ant_thinking>Done.", "Done."),
    ("<thinking>Hm.</thinking>Done.", "Done."),
    ("assistant\nanalysis\nHm.\nassistantfinal Done.", "Done."),
    ("<mythink>Hm.</mythink>Done.", "Done."),
    ("<deep_thought>Hm.</deep_thought>Done.", "Done."),
    ("<chain_of_thoughts>Hm.</chain_of_thoughts>Done.", "Done."),
    ("<CoT>Hm.</CoT>Done.", "Done."),
    ('<thinking-step n="1">Hm.</thinking-step>Done.', "Done."),
    ("<|reasoning|>Hm.<|/reasoning|>Done.", "Done."),
    ("<|start_of_reasoning|>Hm.<|end_of_reasoning|>Done.", "Done."),
    ("<|thought_start|>Hm.<|thought_end|>Done.", "Done."),
    ("<|reserved|><think>Hm.</think>Done.", "<|reserved|>Done."),
    ("<<think>>Hm.<</think>>Done.", "Done."),
    ("<think\u200b>Hm.</think>Done.", "Done."),
    ("&amp;lt;think&amp;gt;Hm.&amp;lt;/think&amp;gt;Done.", "Done."),
    ("&#x3c;think&#x3e;Hm.&#x3c;/think&#x3e;Done.", "Done."),
    ("\\u003cthink\\u003eHm.\\u003c/think\\u003eDone.", "Done."),
    ('{"text": "<think>Hm.</think>Done."}', '{"text": "Done."}'),
    ("[REASONING]Hm.[/REASONING]Done.", "Done."),
    ("[thinking]Hm.[/thinking]Done.", "Done."),
    ('<details type="reasoning" done="true"><summary>Thought for 3 seconds</summary>Hm.</details>Done.', "Done."),
    ("<details><summary>Thought process</summary>\nHm.\n</details>\nDone.", "Done."),
    ("```model_reasoning\nHm.\n```\nDone.", "Done."),
    ("```thought_process\nHm.\n```\nDone.", "Done."),
    ("Thoughts: Hm.\n\nFinal response: Done.", "Done."),
    ("**Thought**: Hm.\n\n**Final Answer**: Done.", "Done."),
    ('Hm ```json\n{}\n</think>\n\nHere:\n```json\n{"a": 1}\n```', 'Here:\n```json\n{"a": 1}\n```'),
    ("```\nHm\n</think>\nDone.", "Done."),
    ("Hm\n```python\nx = 1\n</thinking>\n\nDone.\n```\ncode\n```", "Done.\n```\ncode\n```"),
    ("<think>Hm ```json {\n</think>\n\nDone.", "Done."),
    ("<think>Hm `</think>` in code.</think>Done.", "Done."),
    ("<think>\n```\nHm\n</think>\nDone.", "Done."),
    ("<hidden_reasoning>Hm.</hidden_reasoning>Done.", "Done."),
    ("<inner_voice>Hm.</inner_voice>Done.", "Done."),
    ("</think>Done.", "Done."),
    ("<reasoning_content>Hm.</reasoning_content>Done.", "Done."),
    ("<seed:cot_budget_reflect>Hm.</seed:cot_budget_reflect>Done.", "Done."),
    ("◁think▷Hm.◁/think▷Done.", "Done."),
    ("<antThinking>Hm.</antThinking>Done.", "Done."),
    ("<model_reason>Hm.</model_reason>Done.", "Done."),
]
SHOWN = [
    "```html\n<think>a</think>\n```\nThat is it.",
    "To end it, write:\n```\n</think>\n```\nThat is it.",
    "To end it, write:\n```\n</think>\n```\nThat is it.\n```json\n{}\n```",
    "```xml\n<think>a</think>\n```\nand\n```json\n{}\n```",
    "Write `<think>` to begin, and `</think>` to end.",
    "<refund><reason_code>7</reason_code><refund_reason>late</refund_reason></refund>",
    "Reasons: late. [Reasoning] is ours.",
    "Mail <ann@thinker.example> or <https://think.example>.",
    '<p class="thinking">x</p>',
    "Dear Ann, refused due to [REASON]. Yours",
    "Thought: it may be late.",
    "Analysis: sales fell.\nThe end.",
    "5 &lt; 6 and &lt;b&gt; stays",
    "fullwidth ＜b＞ stays “quoted” …",
    "<details><summary>More</summary>Text</details>",
]


@pytest.mark.parametrize("text", CALLS)
def test_a_call_is_seen_in_any_spelling(text: str) -> None:
    assert call_in_text(visible_text(text).text, TOOLS)


@pytest.mark.parametrize("text", WORDS)
def test_words_and_code_about_something_else_are_sent_as_they_are(text: str) -> None:
    assert visible_text(text).text == text
    assert call_in_text(text, TOOLS) is None


@pytest.mark.parametrize(("text", "said"), THOUGHT)
def test_reasoning_is_taken_out_in_any_spelling(text: str, said: str) -> None:
    assert visible_text(text).text == said


@pytest.mark.parametrize("text", SHOWN)
def test_what_only_looks_like_reasoning_stays(text: str) -> None:
    assert visible_text(text).text == text


@pytest.mark.parametrize(
    "text",
    ['{"html": "<search>a</search>"}', '{"action": "refund_order", "order_id": "O-1"}', '{"tool": "a_b", "n": 1}'],
)
def test_a_formal_answer_may_have_names_and_elements_as_its_data(text: str) -> None:
    assert call_in_text(text, TOOLS, structured=True) is None


def test_a_final_answer_after_an_observation_of_the_models_own_is_not_taken_for_one() -> None:
    text = "Thought: look.\nAction: look_up_order\nAction Input: {}\nObservation: it is there.\nFinal Answer: Done."

    assert call_in_text(visible_text(text).text, TOOLS)


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("a &lt;b&gt; c", "a <b> c"),
        ("&amp;lt;b", "<b"),
        ("\\<b\\>", "<b>"),
        ("\\u003cb", "<b"),
        ("＜b｜", "<b|"),
        ("b\u200bc\u00ad", "bc"),
        ("жb", "жb"),
        ("&unknown; &b", "&unknown; &b"),
    ],
)
def test_an_evened_text_knows_where_it_comes_from(text: str, seen: str) -> None:
    made = normalised(text)

    assert made.text == seen
    assert text[made.origin(seen.index("b")) :].startswith("b")
    assert made.origin(len(seen)) == len(text)


@pytest.mark.sampled(1)
@pytest.mark.parametrize(
    "unit", ["<think>", "</think>", "`</think>` ", "```\n</think>\n", "&lt;think&gt;", "<a name ", "[["]
)
def test_a_long_text_is_read_in_no_time(unit: str) -> None:
    started = process_time()

    visible_text(unit * (500_000 // len(unit)))
    call_in_text(unit * (60_000 // len(unit)), TOOLS)

    assert process_time() - started < 10  # seconds; a square of the length takes minutes
