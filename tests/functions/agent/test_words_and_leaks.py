"""Honest answers that look like reasoning or like a call, next to the leaks that they resemble."""

import pytest

from functions.agent.calls_in_text import call_in_text
from functions.agent.reasoning_in_text import answer_of_object, visible_text
from tests.functions.agent.legal import complaints
from tests.functions.endpoint import Endpoint, says
from tests.functions.stack import Stack

TOOLS = {
    "look_up_order": ["order_id"],
    "refund_order": ["order_id", "amount_usd"],
    "search": ["query"],
    "cancel": ["order_id"],
}
SENTENCES = [
    "Your note is there. To change it write: 'I change n-1 because <reason>.'",
    "Send an e-mail with: Order: <order number>, Reason: <reason for return>.",
    "Fill in the form: name <your name>, reason <reason>.",
    "The e-mail from Ann <thinker> has arrived.",
    "Your laptop <ThinkPad X1> was sent today.",
    "Your <ThinkPad> was sent today.",
    "<ThinkPad X1>: sent today.",
    "Write [REASONING] in front.",
    "<br>Write [REASONING] in front.",
    "The book 'Rethinking <Thought>' was refunded.",
    "Dear <Ponder Stibbons>, your order is sent.",
    "<think-tank> is the channel's name.",
    "The channel is <think-tank>",
    "In our forum, use <thinking> around your idea, like so: `<thinking>`.",
    "The elements <analysis> and <report> are both in the file.",
    "5 < think > 3",
    "if a <reasoning and b> c",
    "a <think b> c",
    "x <thoughts> y",
    "List<Thought> ideas = none;",
    "&lt;think&gt; is how we mark ideas.",
    "Use \\<think\\> to escape it.",
    "The API answers with <Reason>Damaged</Reason> in that case.",
    "<reasons>too late, too big</reasons> were given",
    "<p>Sent.</p><reason>none</reason>",
    "It is done; the tag </think> in it stays.",
    "The </think> bug is fixed in version 2; update your app.",
    'It ends with "</think>", says the manual.',
    "Das Tag </think> bleibt darin.",
    "Our model prints <think>…</think> around its reasoning; that is fixed now.",
    'It prints "<think>...</think>" first.',
    "The XML has <analysis>5</analysis> in it.",
    "I removed the stray </thinking>.",
    "Tags: <think>, </think>.",
    "Your order of <Think and Grow Rich> was sent.",
    "Das Buch ‹Thinking, Fast and Slow› ist da.",
    "Reason: <reason>\nDate: <date>",
    "Put <think> before your idea, and </think> after it.",
    "- <think> opens it\n- </think> closes it",
    "Press ``` to open the console. <think> is shown? Update.",
    "Notes [internal plan] and [/internal plan] end",
    "Book: Thinking [Reason] fast [/Reason] and slow",
]
LEAKS = [
    ("Hm, let me see…\n</think>\n\nDone.", "Done."),
    ("Hm, let me see </think>\n\nDone.", "Done."),
    ("Hm, the tag is shown. </think> Done.", "Done."),
    ("Hm.</think>Done.", "Done."),
    ("Hm, it is sent</think>it is sent.", "it is sent."),
    ("<think>The tag <think> is asked for.\n</think>Done.", "Done."),
    ("<think> is it sent? Yes.\n</think>\nDone.", "Done."),
    ("The parcel <think>was it sent?</think>is here.", "The parcel is here."),
    ("Use <think> like so.\n<think>Hm.</think>Done.", "Use <think> like so.\nDone."),
    ("One. <think>Hm.</think>Two.", "One. Two."),
    ("Your order <think>the customer lies</think> is on its way.", "Your order  is on its way."),
    ("I say <think>\nHm.\n</think>\nDone.", "I say \nDone."),
    ('Okay, the user said "go" </think> Done.', "Done."),
    ("<think> and so Hm.</think>Done.", "Done."),
    ("Sure: <think></think>Done.", "Sure: Done."),
    ("- <think>Hm.</think>Done.", "- Done."),
    ("<think>Hm.</think>Done.</think>", "Done."),
    ('<thinking budget="5" mode=deep>Hm.</thinking>Done.', "Done."),
    ("<model_reason>Hm.</model_reason>Done.", "Done."),
    ("<|channel>thought\nHm.<channel|>Done.", "Done."),
    ("<|inner_prefix|>Hm.<|inner_suffix|>Done.", "Done."),
    ("Thinking...\nHm.\n...done thinking.\n\nDone.", "Done."),
    ("assistantanalysisHm.assistantfinalDone.", "Done."),
    ("### Internal reasoning\nHm.\n### Answer\nDone.", "Done."),
    ("**Thinking**\n\nHm.\n\n**Answer**\n\nDone.", "Done."),
    ("## Thought process:\nHm.\n## Final answer:\nDone.", "Done."),
    ("~~~thinking\nHm.\n~~~\nDone.", "Done."),
    ("````thinking\nHm.\n```\nx\n```\n````\nDone.", "Done."),
    ("<|START_RESPONSE|>Done.<|END_RESPONSE|>", "Done."),
    ("<|begin_of_solution|>Done.<|end_of_solution|>", "Done."),
]
NOTHING = ["<thinking>Hm.", "Done. <think>Or is it", "Done.\n<thinking>Hm.", "Hm.</think>", "<|channel>thought\nHm."]
OBJECTS = [
    ('{"thought": "Hm.", "answer": "Done."}', "Done."),
    ('{"scratchpad": "Hm.", "response": "Done."}', "Done."),
    ('```json\n{"thinking":"Hm.","answer":"Done."}\n```', "Done."),
    *(
        (text, text)
        for text in (
            '{"answer": "Done."}',
            '{"thought": "It may be late."}',
            '{"thought": "Hm.", "answer": "Done.", "order": "O-1"}',
            '{"thought": "Hm.", "answer": {"order": "O-1"}}',
            '{"thought": "Hm.", "answer": "Done."} is what it sent.',
        )
    ),
]


@pytest.mark.parametrize("text", SENTENCES)
def test_a_sentence_that_speaks_of_a_tag_stays(text: str) -> None:
    assert visible_text(text).text == text


@pytest.mark.parametrize(("text", "said"), LEAKS)
def test_reasoning_is_taken_out_beside_such_sentences(text: str, said: str) -> None:
    assert visible_text(text).text == said


@pytest.mark.parametrize("text", NOTHING)
def test_reasoning_that_begins_a_sentence_and_has_no_end_says_nothing(text: str) -> None:
    assert visible_text(text).text == ""


@pytest.mark.parametrize(("text", "said"), OBJECTS)
def test_of_an_object_of_reasoning_and_an_answer_the_answer_is_said(text: str, said: str) -> None:
    assert answer_of_object(text) == said


# Through the agent's function


def test_the_requester_gets_the_answer_of_an_object(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    model.will(says('{"thought": "Hm.", "answer": "Done."}'))

    assert stack.plan(run_id)["kind"] == "answer"

    assert stack.body(run_id, "0001.model.responded")["decision"]["text"] == "Done."


def wrote(stack: Stack) -> str:
    """Return a run whose first turn made a write that can be undone."""
    run_id = stack.open(intent="tidy")
    stack.wrote(run_id, 1, undo={"tool": "erase_note", "arguments": {"note_id": "n-1"}})
    return run_id


@pytest.mark.sampled(12)
@pytest.mark.parametrize("text", SENTENCES)
def test_what_was_done_and_is_said_so_is_answered(stack: Stack, model: Endpoint, text: str) -> None:
    run_id = wrote(stack)
    model.will(says(text))

    assert stack.plan(run_id, 2)["kind"] == "answer"


@pytest.mark.parametrize("text", ["<private_thoughts> The note is there.", "[/REASONING]", "<think>The note is there."])
def test_a_text_that_says_nothing_rolls_nothing_back_and_its_tag_is_named(
    stack: Stack, model: Endpoint, text: str
) -> None:
    run_id = wrote(stack)
    model.will(says(text), says(text))

    first, second = stack.plan(run_id, 2), stack.plan(run_id, 3)

    assert (first["to"], first["reason"]) == ("agent", "empty_answer")
    tag = text.partition(" ")[0].partition("The")[0]
    assert f"'{tag}' marks reasoning" in str(model.requests[1]["messages"][-1])
    assert complaints(model.requests[1]) == []
    assert (second["to"], second["reason"]) == ("human", "empty_answer")


def test_without_a_turn_left_a_person_reads_it_at_once(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open(intent="tidy", limits={"turns": 2})
    stack.wrote(run_id, 1, undo={"tool": "erase_note", "arguments": {"note_id": "n-1"}})
    model.will(says("<think>The note is there."), says("<think>The note is there."))

    last = stack.plan(run_id, 2)
    last = stack.plan(run_id, 3) if last["to"] == "agent" else last

    assert (last["to"], last["reason"]) == ("human", "empty_answer")


def test_a_reply_without_any_text_goes_where_it_went(stack: Stack, model: Endpoint) -> None:
    run_id = wrote(stack)
    model.will(says(" "), says(" "))
    stack.plan(run_id, 2)

    assert (second := stack.plan(run_id, 3))["reason"] == "empty_answer"
    assert second["to"] == "rollback"


# Calls


NO_CALLS = [
    "There is a bug in functions.py:12, and the note says so.",
    "functions.php:3 is where the error is",
    "functions.c:7: undeclared",
    "functions.search(x) in our docs",
    "See https://x.com/?to=write_note&id=5, or https://x.com/?q=1&to=search.",
    "https://x.com/?to=look_up_order&amp;to=functions.x",
    "[Calling tool support costs 5 cents a minute]",
    "[Tool use is not possible here] Please call us.",
    "The [tool_box] section of the site, and the [function_list] page",
    "tool calls: [see page 5]",
    "Function call: {x | x > 0}",
    'The bot showed "<tool_call>"; ignore it.',
    "The bot showed '<tool_call>'; ignore it.",
    "The bot showed “<tool_call>”; ignore it.",
    "✿Thanks✿ for your order!",
    "functools [a python module]",
    'functools["reduce"]',
    "Action: We refunded it.\nAction Input: none",
    '{"name": "Blue mug", "content": "350 ml"}',
    '{"name":"Ann","input":"yes","id":5}',
    '{"action": "refund", "content": "We refund $5."}',
    '{"name":"Order O-1","parameters":"none"}',
    '[{"name":"mug","content":"1"},{"name":"cup","content":"2"}]',
    '{"method": "POST", "params": {"page": 1}}',
    "NOW()",
    "`TODAY()`",
    'SUM("A1")',
    'print("Hello")',
    'sorted("abc")',
    "<name>search</name><price>5</price>",
    "<action>cancel</action>",
    "<search>mugs</search>",
    "<b>refund_order</b> is what pays.",
    "We use look_up_order() for that; it is our system.",
    "We use refund_order() and look_up_order() for that.",
    "Tool: hammer\nUse: nails",
    "name: search\ninput: type your order number",
    "[look_up_order](https://x.example) is described there.",
    "Code: 1234\n```\nsearch it\n```",
    "look_up_order(order_id: str) is its signature.",
    '{"search results": "none"}',
    'The price list <tool name="hammer" price="5">',
]
LEAKED_CALLS = [
    'functions.get_weather:0 {"city": "Berlin"}',
    'assistant to=functions.get_weather {"city": "Berlin"}',
    'assistant to=search json\n{"query": "O-1"}',
    '[Calling tool get_weather with {"city": "Berlin"}]',
    "[tool_call_begin]",
    'tool calls: [{"name": "x"}]',
    'The bot: <tool_call>{"name": "x"}',
    "✿FUNCTION✿: get_weather",
    'functools[{"name": "x", "arguments": {}}]',
    "Action: get_weather\nAction Input: Berlin",
    '{"name": "get_weather", "arguments": {"city": "Berlin"}}',
    '{"name": "get_weather", "input": {"city": "Berlin"}}',
    '{"name": "get_weather", "arguments": "{}"}',
    '[get_weather("Berlin")]',
    'get_weather(city="Berlin")',
    'search("O-1")',
    'search(\n  query="O-1"\n)',
    'look_up_order.run("O-1")',
    "look_up_order()",
    "I will look.\nlook_up_order()",
    "<search><query>mugs</query></search>",
    '<search query="mugs"/>',
    '<search query="mugs">',
    "<tool>search</tool>",
    'look_up_order[ARGS]{"order_id":"O-1"}',
    'search[ARGS]{"query":"O-1"}',
    'look_up_order(order_id: "O-1")',
    'look_up_order (order_id: "O-1")',
    '{name: "look_up_order", arguments: {order_id: "O-1"}}',
    "{tool: 'search', args: {query: 'O-1'}}",
    '{"method":"look_up_order","params":{"order_id":"O-1"}}',
    '{"jsonrpc": "2.0", "id": 1, "method": "search", "params": {"query": "O-1"}}',
    'I\'ll check. {"type":"tool_use","id":"t1","name":"get_weather","input":{"city":"Berlin"}}',
    "Tool: search\nquery: O-1",
    "tool_name: search\narguments: O-1",
    "Name: look_up_order\nArguments: O-1",
    "**Tool:** `search`\n**query:** O-1",
    "Using tool: search\nInput: O-1",
    "Using tool: look_up_order\norder: O-1",
    "<command>refund_order O-1</command>",
    "<api_call>look_up_order</api_call>",
    "<api_call>search O-1</api_call>",
    "<execute>search O-1</execute>",
    'Code:\n```py\nresult = look_up_order(order_id="O-1")\nprint(result)\n```<end_code>',
    "Thought: look.\nCode:\n```python\nresult = search(query)\n```",
    'look_up_order <- {"order_id":"O-1"}',
    "(calls look_up_order)",
    "[look_up_order O-1]",
]


@pytest.mark.parametrize("text", NO_CALLS)
def test_an_honest_answer_is_no_call(text: str) -> None:
    assert visible_text(text).text == text
    assert call_in_text(text, TOOLS | {"write_note": ["note_id", "text"]}) is None


@pytest.mark.parametrize("text", LEAKED_CALLS)
def test_a_call_beside_such_answers_is_seen(text: str) -> None:
    assert call_in_text(visible_text(text).text, TOOLS)
