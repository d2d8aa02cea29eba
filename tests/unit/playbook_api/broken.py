"""Broken playbooks, each with its expected error."""

from tests.unit.playbook_api.written import FALLBACK, GOOD, TOOL, agent_with, tool_with, without

LOOK_UP, STATUS = "tools/look_up.py", "fallbacks/order_status.py"
MODEL = '    model_config = ConfigDict(extra="forbid", frozen=True)\n'
WRITTEN_AS = r"must be written `def look_up\(args: Model, ctx: ToolContext\)`"
PAYS = """
from ballast.playbook import Circuit, ToolContext, Write, tool
from pydantic import BaseModel, ConfigDict


class Args(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


@tool(effect=Write({pay}){pays})
def pay(args: Args, ctx: ToolContext) -> None:
    \"\"\"Pay.\"\"\"


@tool(effect=Write(){cancels})
def cancel(args: Args, ctx: ToolContext) -> None:
    \"\"\"Cancel.\"\"\"
"""

#: What is wrong, the files that make it so, the file that is to be named, what the message says.
BROKEN: list[tuple[str, dict[str, str | None], str, str]] = [
    (
        "no agent.yaml",
        without("agent.yaml"),
        "agent.yaml",
        r"cannot be read .*holds agent\.yaml, tools/ and fallbacks/",
    ),
    ("YAML that is none", {"agent.yaml": "name: [support\nmodel: x"}, "agent.yaml", r"is not YAML at line 2, column 6"),
    ("a tab", agent_with("limits: {turns: 5", "\tlimits: {turns: 5"), "agent.yaml", r"is not YAML at line 4, column 1"),
    ("an empty file", {"agent.yaml": ""}, "agent.yaml", r"\(whole\): Input should be an object"),
    ("a day that is none", agent_with("name: support", "name: 2026-02-30"), "agent.yaml", r"is not YAML: day"),
    (
        "YAML inside itself",
        agent_with("Help.", "&a [*a]"),
        "agent.yaml",
        r"does not have: Circular",
    ),
    (
        "a date as a key",
        agent_with("order_status:", "2026-11-01:"),
        "agent.yaml",
        r"does not have: keys",
    ),
    ("brackets without end", {"agent.yaml": "[" * 600}, "agent.yaml", r"is not YAML"),
    (
        "an unknown field",
        agent_with("model:", "modell:"),
        "agent.yaml",
        r"modell: Extra inputs .*; model: Field required",
    ),
    ("an unknown limit", agent_with("turns: 5", "turn: 5"), "agent.yaml", r"limits\.turn: Extra inputs"),
    ("a number in quotes", agent_with("turns: 5", "turns: '5'"), "agent.yaml", r"limits\.turns: .*valid integer"),
    ("no instructions", agent_with("Help.", "' '"), "agent.yaml", r"instructions: .*must not be blank"),
    (
        "an intent nobody can ask for",
        agent_with("order_status:", "order status:"),
        "agent.yaml",
        r"intents\.order status",
    ),
    (
        "an intent with looser limits",
        agent_with("turns: 3", "turns: 6"),
        "agent.yaml",
        r"intent order_status: limits\.turns is 6, above the ceiling of 5\. .*send 5 or less",
    ),
    (
        "no time for the agent",
        agent_with("deadline_s: 60", "deadline_s: 10"),
        "agent.yaml",
        r"limits\.fallback_reserve_s: must be less than limits\.deadline_s",
    ),
    (
        "an undo of which nobody could tell what a dead one did",
        without(STATUS) | {LOOK_UP: PAYS.format(pay='undo="cancel", on_rollback="undo"', pays="", cancels="")},
        "",
        r'pay says on_rollback="undo", but cancel has neither verify nor honours_key',
    ),
    (
        "a circuit with two opinions",
        without(STATUS)
        | {
            LOOK_UP: PAYS.format(
                pay="", pays=', circuit=Circuit("bank")', cancels=', circuit=Circuit("bank", failures=2)'
            )
        },
        "",
        r"the tools of circuit bank must give it the same failures and recovery_s",
    ),
    ("no __init__.py", without("__init__.py"), "", r"cannot be imported as a package\. Add an empty __init__\.py"),
    (
        "a broken __init__.py",
        {"__init__.py": "\nimport nothing_of_a_test"},
        "__init__.py",
        r"line 2: cannot be imported",
    ),
    (
        "no tools",
        without(LOOK_UP) | without(STATUS),
        "tools",
        r"holds no tool\. Write one function decorated with @tool",
    ),
    ("no tools/", {name: None for name in GOOD if "/" in name}, "tools", r"holds no tool"),
    (
        "an import that ends the process",
        tool_with("class Args", "raise SystemExit(3)\nclass Args"),
        LOOK_UP,
        r"SystemExit: 3",
    ),
    (
        "an import that panics",
        tool_with("class Args", "raise type('Panic', (BaseException,), {})('no')\nclass Args"),
        LOOK_UP,
        r"cannot be imported: Panic: no",
    ),
    ("a syntax error", tool_with("class Args", "class Args Args"), LOOK_UP, r"line 5: cannot be imported: SyntaxError"),
    (
        "a missing module",
        tool_with("from pydantic import", "import nothing_of_a_test\nfrom pydantic import"),
        LOOK_UP,
        r"line 2: cannot be imported: ModuleNotFoundError: No module named 'nothing_of_a_test'",
    ),
    ("an error at import", tool_with("class Args", "1 / 0\nclass Args"), LOOK_UP, r"line 5: .*ZeroDivisionError"),
    (
        "an error in a file that a tool imports",
        tool_with("class Args", "from ..records import x\nclass Args") | {"records.py": "\n\n1 / 0"},
        "records.py",
        r"line 3: .*ZeroDivisionError",
    ),
    (
        "no docstring",
        tool_with('    """Look up an order."""\n', ""),
        LOOK_UP,
        r"look_up .*no docstring\. .*say what the tool",
    ),
    ("an open model", tool_with('extra="forbid", ', ""), LOOK_UP, r"Args must be closed and frozen: model_config = "),
    ("a model that can change", tool_with(", frozen=True", ""), LOOK_UP, r"Args must be closed and frozen"),
    ("a plain model", tool_with(MODEL, ""), LOOK_UP, r"Args must be closed and frozen"),
    (
        "a model that is no JSON",
        tool_with("order_id: str", "order_id: __import__('typing').Callable[[], str]"),
        LOOK_UP,
        r"look_up .*: Args cannot become a JSON schema: .* Use types that JSON has",
    ),
    (
        "a function as a field",
        tool_with("order_id: str", "order_id: type(print)"),
        LOOK_UP,
        r"cannot be imported: PydanticSchemaGenerationError",
    ),
    ("no return annotation", tool_with(" -> dict[str, str]", ""), LOOK_UP, r"must annotate what it returns"),
    (
        "a return type that is no JSON",
        tool_with("-> dict[str, str]", "-> type(print)"),
        LOOK_UP,
        r"return type cannot be JSON",
    ),
    ("an unknown return type", tool_with("-> dict[str, str]", "-> 'Order'"), LOOK_UP, r"annotation cannot be resolved"),
    ("no context", tool_with(", ctx: ToolContext", ""), LOOK_UP, WRITTEN_AS),
    ("no arguments", tool_with("args: Args, ctx: ToolContext", ""), LOOK_UP, WRITTEN_AS),
    ("one argument too many", tool_with("ctx: ToolContext)", "ctx: ToolContext, more: int)"), LOOK_UP, WRITTEN_AS),
    ("a context by name only", tool_with("ctx: ToolContext)", "*, ctx: ToolContext)"), LOOK_UP, WRITTEN_AS),
    ("arguments that are no model", tool_with("args: Args", "args: dict"), LOOK_UP, WRITTEN_AS),
    ("arguments without a type", tool_with("args: Args", "args"), LOOK_UP, WRITTEN_AS),
    ("a coroutine", tool_with("def look_up", "async def look_up"), LOOK_UP, WRITTEN_AS),
    ("a generator", tool_with("return {", "yield {"), LOOK_UP, WRITTEN_AS),
    ("no effect", tool_with("effect=Read()", ""), LOOK_UP, r"missing 1 required keyword-only argument: 'effect'"),
    (
        "an effect that is none",
        tool_with("Read())", "'reed')"),
        LOOK_UP,
        r"effect must be Read\(\) or Write\(…\), not 'reed'",
    ),
    (
        "a taint that says nothing",
        tool_with("Read())", "Read(), taint='maybe')"),
        LOOK_UP,
        r'taint must be "approve", "refuse" or "allow", not \'maybe\'',
    ),
    (
        "an outward that is no yes or no",
        tool_with("Read())", "Read(outward='url'))"),
        LOOK_UP,
        r"outward must be True or False, not 'url'",
    ),
    (
        "a rule of no parameter",
        tool_with("Read())", "Read(), validate=lambda: None)"),
        LOOK_UP,
        r"validate is called with \(args, request\), and takes \(\)",
    ),
    (
        "a write that is a read",
        agent_with("{limits: {turns: 3}}", "{writes: [look_up]}"),
        "agent.yaml",
        r"intents.order_status.writes: names look_up, which is not a tool that writes\. Tools that write: none",
    ),
    (
        "a form of answers that is none",
        agent_with("{limits: {turns: 3}}", "{answer_schema: {oneOf: []}}"),
        "agent.yaml",
        r"answer_schema: .*is not a usable schema: \(whole\): oneOf is not supported",
    ),
    (
        "a name that models refuse",
        tool_with("def look_up", "def nachschlägen"),
        LOOK_UP,
        r"64 ASCII letters, .* Rename the function",
    ),
    ("a name that is too long", tool_with("def look_up", f"def {'x' * 65}"), LOOK_UP, r"Rename the function"),
    (
        "a tool that is decorated twice",
        tool_with("@tool(effect=Read())", "@tool(effect=Read())\n@tool(effect=Read())"),
        LOOK_UP,
        r"@tool: look_up is decorated twice\. Decorate one function",
    ),
    ("two tools of one name", {"tools/other.py": TOOL}, "", r"two tools are named look_up; rename one"),
    (
        "an undo that is no tool",
        tool_with("Read())", "Write(undo='put_back'))"),
        "",
        r"look_up names put_back as its undo",
    ),
    (
        "a fallback that is no generator",
        {STATUS: FALLBACK.replace("yield ", "")},
        STATUS,
        r"must be a generator: `yield`",
    ),
    (
        "a fallback without a request",
        {STATUS: FALLBACK.replace("(request):", "():")},
        STATUS,
        r"`def order_status\(request: ",
    ),
    (
        "a fallback for an unlisted intent",
        {STATUS: FALLBACK.replace('"order_status"', '"refund"')},
        "agent.yaml",
        r"intents: lacks refund, which a fallback serves\. Add it under `intents:`",
    ),
    (
        "two fallbacks for one intent",
        {"fallbacks/other.py": FALLBACK},
        "",
        r"two fallbacks serve the intent order_status; keep",
    ),
    (
        "two fallbacks, one of them for several intents",
        {"fallbacks/other.py": FALLBACK.replace('"order_status"', '["order_status", "order_status_too"]')},
        "",
        r"two fallbacks serve the intent order_status; keep",
    ),
    (
        "a fallback for no intent",
        {STATUS: FALLBACK.replace('"order_status"', "[]")},
        STATUS,
        r"intent is \[\]\. Write the name of an intent of agent\.yaml, or a list",
    ),
    (
        "a fallback for an intent that is no name",
        {STATUS: FALLBACK.replace('"order_status"', '{"order_status": 1}')},
        STATUS,
        r"intent is \{'order_status': 1\}\. Write the name",
    ),
    (
        "a fallback for one intent twice",
        {STATUS: FALLBACK.replace('"order_status"', '["order_status", "order_status"]')},
        STATUS,
        r"intent names one twice in \['order_status', 'order_status'\]",
    ),
    (
        "a fallback that is decorated twice",
        {STATUS: FALLBACK.replace("@fallback", '@fallback(intent="refund")\n@fallback')},
        STATUS,
        r'decorated twice\. Write one decorator: @fallback\(intent=\["order_status", "refund"\]\)',
    ),
    (
        "a fallback that is no function",
        {STATUS: FALLBACK + '\nfallback(intent="order_status")(object())\n'},
        STATUS,
        r"object \(.*\) must be a generator",
    ),
    (
        "a fallback that needs no tool of ours",
        {STATUS: "from ..tools.gone import x"},
        STATUS,
        r"line 1: .*ModuleNotFoundError",
    ),
]
