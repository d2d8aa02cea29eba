"""The first test of the walls: the imports of each module. Each rule is a function of ``{module: source}``."""

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

import ballast.masking

ROOT = Path(__file__).parents[2]
#: Where each top-level package lives.
HOMES = {
    "ballast": ROOT / "layers" / "ballast",
    "playbook": ROOT / "layers" / "playbook",
    "functions": ROOT,
    "cli": ROOT,
    "localcloud": ROOT,
}
DEPLOYED = ("ballast", "playbook", "functions")
#: The test kit, by the name that authors import. packaging/Makefile leaves it out of the layer.
NOT_DEPLOYED = (ROOT / "layers" / "ballast" / "ballast" / "testing.py",)

#: The layer's parts, as its docstring draws them; an import goes to a lower rank.
RANKS = {
    "http": 10,
    "outbox": 9,
    "moves_table": 8,
    "breaker_reader": 8,
    "escalations": 8,
    "budget_items": 7,
    "log": 7,
    "playbook": 6,
    "on_behalf": 5.5,
    "validation": 5,
    "edge": 5,
    "attachments": 5,
    "table": 5,
    "runtime": 4,
    "models": 3,
    "run": 3,
    "secret_scan": 3,
    "money": 2,
    "log.events": 2,
    "masking": 2,
}
RANKS |= {"contracts": 1, "aws_errors": 1, "errors": 0, "metrics": 0, "regex": 0, "values": 0, "yaml_files": 0}
#: The pure part of the log: what every fold reads.
EVENTS = {"ballast.log.event", "ballast.log.events", "ballast.log.keys", "ballast.log.garbled"}

#: What others may import of the package.
MASKING = frozenset(ballast.masking.__all__)

#: Words by which code gives away that it speaks to a model, and calls that do.
MODEL_CLIENT = re.compile(r"bedrock|anthropic|openai|litellm|langchain", re.IGNORECASE)
#: Names the keys of such services: what looks like one is refused.
MODEL_NAMED = {"ballast.secret_scan.words"}
MODEL_CALLS = {"converse", "converse_stream", "invoke_model", "invoke_model_with_response_stream"}

#: DynamoDB's own form.
WIRE_TYPES = {"S", "N", "B", "BOOL", "NULL", "M", "L", "SS", "NS", "BS"}
WIRE_PARAMETERS = {"ConditionExpression", "UpdateExpression", "KeyConditionExpression", "ExpressionAttributeValues"}
WIRE_OPERATIONS = {"get_item", "put_item", "update_item", "delete_item", "batch_get_item", "batch_write_item"}
WIRE_OPERATIONS |= {"transact_get_items", "transact_write_items"}
#: A tool's own write goes through the tool's client: its errors stay AWS's.
WIRE_ELSEWHERE = {("ballast.playbook.context", "get_item"), ("ballast.playbook.context", "transact_write_items")}

BANISHED = {"utils", "util", "common", "helpers", "helper", "base", "manager", "misc", "shared"}
#: Up to here a module is fine where it is one idea. A longer one says here why it is still one.
MAX_LINES = 450
LONG = {
    "ballast.log.events": "one type for each event of the log",
    "ballast.contracts.timeline": "one document: each part of a run, as everybody shows it",
    "ballast.timeline": "one presenter: each kind of entry is told once",
    "ballast.run": "the one object of a run",
    "ballast.why.causes": "one function a cause, in the order in which a report tells them",
    "ballast.table": "the one adapter of DynamoDB",
    "ballast.log.evidence": "the digest of a run, computed and checked side by side",
    "ballast.playbook.load": "one sequence; half of it is what it may refuse, told one by one or together",
    "ballast.playbook.servers.mcp": "one client: each message of a session, and what its answer proves",
    "ballast.playbook.arguments.clock_flow": "one walk over a function's source",
    "cli.certify.rig": "one attempt: its tables, its requests and their faults, and what stands after it",
    "cli.certify.rules": "one trial of a call: every rule reads its honest attempt",
    "cli.certify.sequences": "the rules over several calls, which share their beginnings",
    "cli.help_texts": "the text of each --help, in the order of the commands",
    "localcloud.converse.card_rules": "one rule for each fact of a card, each with its source",
    "functions.agent.calls_in_text": "half of it is the patterns of calls that models write as text",
    "functions.executor.effect": "the sequence of an effect reads in one file",
    "functions.executor.approval": "one protocol: ask, check the answer, check it again",
    "functions.front.runs": "a run's document and its pages",
    "localcloud.testing": "the fixtures of ballast.testing and what they give: one module that authors import",
    "localcloud.replay.machine": "one replay: what its invocations meet",
    "localcloud.replay.candidate_oracle": "each thing that a candidate asks, where the record may not tell it",
    "localcloud.replay.oracle": "one record, asked from all sides",
    "functions.people.answer": "one protocol: take an answer, sign it, tell the run",
}
#: A module under so many lines that one module imports is merged into it, or says here why not.
MIN_LINES = 60
SHALLOW = {
    "cli.certify.aws_verbs": "which of AWS's operations only read: a list",
    "functions.front.files": "what the front door serves to everybody, beside its routes",
    "localcloud.converse.recorded": "one source of replies a module",
    "localcloud.moto_seams.kms": "one seam of moto a module, each with its test",
    "playbook.fallbacks.order_status": "one fallback a file, as authors write them",
}

Sources = dict[str, str]
Rule = Callable[[Sources], list[str]]


@cache
def sources_of(*packages: str) -> Sources:
    """Return the source of every module of these packages, by dotted name."""
    found = {}
    for package in packages:
        for file in sorted((HOMES[package] / package).rglob("*.py")):
            if file in NOT_DEPLOYED:
                continue
            parts = file.relative_to(HOMES[package]).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file.read_text(encoding="utf-8")
    return found


@cache
def nodes_of(source: str) -> tuple[ast.AST, ...]:
    """Return all nodes of a source, parsed once for all rules."""
    return tuple(ast.walk(ast.parse(source)))


def imports(sources: Sources) -> Iterator[tuple[str, str]]:
    """Yield (module, what it imports), also what it imports inside a function; relative names made whole."""
    packages = {module.rpartition(".")[0] for module in sources}
    for module, source in sources.items():
        for node in nodes_of(source):
            if isinstance(node, ast.Import):
                yield from ((module, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                parts = module.split(".") + ([""] if module in packages else [])
                above = ".".join(parts[: -node.level]) if node.level else ""
                target = ".".join(part for part in (above, node.module or "") if part)
                yield from ((module, f"{target}.{alias.name}") for alias in node.names)


@cache
def code_words(source: str) -> tuple[str, ...]:
    """Return names and strings of the code; comments and docstrings may speak of anything."""
    return tuple(_code_words(source))


def _code_words(source: str) -> Iterator[str]:
    prose = {
        id(node.body[0].value)
        for node in nodes_of(source)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in nodes_of(source):
        match node:
            case ast.Constant(value=str(text)) if id(node) not in prose:
                yield text
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name) | ast.ImportFrom(module=str(name)):
                yield name


def within(name: str, package: str) -> bool:
    """Say whether the dotted ``name`` is ``package`` or inside it."""
    return name == package or name.startswith(package + ".")


def of_the_developer(module: str) -> bool:
    """Say whether a module runs on a developer's machine and not in a Lambda function."""
    return within(module, "cli") or within(module, "localcloud")


def only_the_planner_speaks_to_a_model(sources: Sources) -> list[str]:
    return [
        f"{module} mentions {word!r}: only functions.agent may speak to a model"
        for module, source in sources.items()
        if within(module, "ballast") or within(module, "playbook") or within(module, "functions")
        if not within(module, "functions.agent") and module not in MODEL_NAMED
        for word in code_words(source)
        if MODEL_CLIENT.search(word) or word in MODEL_CALLS
    ]


def functions_never_import_each_other(sources: Sources) -> list[str]:
    return [
        f"{module} imports {target}: shared code belongs into the layer"
        for module, target in imports(sources)
        if within(module, "functions") and within(target, "functions")
        if target.split(".")[1] != module.split(".")[1]
    ]


def arrows_between_packages_point_inwards(sources: Sources) -> list[str]:
    forbidden = {
        "ballast": ("functions", "playbook", "cli", "localcloud"),
        "playbook": ("functions", "cli", "localcloud", "ballast.log", "ballast.money", "ballast.runtime"),
        "functions": ("playbook", "cli", "localcloud"),
        "cli": ("functions", "playbook"),
        "localcloud": ("functions", "playbook", "cli"),
    }
    return [
        f"{module} imports {target}: {package} may not know {stranger}"
        for module, target in imports(sources)
        for package, strangers in forbidden.items()
        for stranger in strangers
        if within(module, package) and within(target, stranger)
    ]


def only_the_dispatcher_names_handlers(sources: Sources) -> list[str]:
    return [
        f"{module} names {word!r}: only localcloud.functions loads handlers, by what the template says"
        for module, source in sources.items()
        if of_the_developer(module) and module != "localcloud.functions"
        for word in code_words(source)
        if re.fullmatch(r"functions(\.\w+)+", word)
    ]


def part_of(module: str) -> str:
    """Return the part of the layer that a module, or an imported name, is in. A run has its folds and its story."""
    if any(within(module, one) for one in EVENTS):
        return "log.events"
    part = module.split(".")[1]
    return "run" if part in ("folds", "timeline", "why") else part


def arrows_in_the_layer_point_down(sources: Sources) -> list[str]:
    found = []
    for module, target in imports(sources):
        if not (within(module, "ballast") and within(target, "ballast")) or module == "ballast":
            continue
        part, other = part_of(module), part_of(target)
        if part != other and RANKS[other] >= RANKS[part]:
            found.append(f"{module} imports {target}: arrows point down only")
    return found


def masking_is_used_by_its_exports(sources: Sources) -> list[str]:
    return [
        f"{module} imports {target}: import from ballast.masking what it exports"
        for module, target in imports(sources)
        if not within(module, "ballast.masking") and re.match(r"ballast\.masking\.\w+(\.|$)", target)
        if target.removeprefix("ballast.masking.") not in MASKING
    ]


def only_the_runtime_reads_the_environment(sources: Sources) -> list[str]:
    return [
        f"{module} uses {word}: settings come from ballast.runtime"
        for module, source in sources.items()
        # ``ballast`` itself asks, before any import, whether Lambda initializes a function.
        if not of_the_developer(module) and module not in {"ballast", "ballast.runtime"}
        for word in code_words(source)
        if word in {"os.environ", "getenv", "boto3"} or (word == "environ" and "import os" in source)
    ]


def only_the_table_adapter_speaks_dynamodbs_form(sources: Sources) -> list[str]:
    return [
        f"{module} has {word!r}: plain values go in and out of ballast.table"
        for module, source in sources.items()
        if module != "ballast.table" and (within(module, "ballast") or within(module, "functions"))
        for word in wire_words(source)
        if (module, word) not in WIRE_ELSEWHERE
    ]


def wire_words(source: str) -> Iterator[str]:
    """Yield what of a source is DynamoDB's own form: types of values, parameters, operations of a client."""
    for node in nodes_of(source):
        match node:
            case ast.Constant(value=str(word)) if word in WIRE_TYPES or word in WIRE_PARAMETERS:
                yield word
            case ast.Attribute(attr=word) if word in WIRE_OPERATIONS:
                yield word
            case ast.keyword(arg=str(word)) if word in WIRE_PARAMETERS:
                yield word


def modules_are_one_idea(sources: Sources) -> list[str]:
    return [
        f"{module} has {lines} lines: split it by its ideas, or say in LONG why it is one"
        for module, source in sources.items()
        if (lines := len(source.splitlines())) > MAX_LINES and module not in LONG
    ]


def modules_are_deep(sources: Sources) -> list[str]:
    importers: dict[str, set[str]] = {module: set() for module in sources}
    exported = {
        f"{module}.{target.rpartition('.')[2]}": target
        for module, target in imports(sources)
        if within(target, module) and target != module
    }
    for module, target in imports(sources):
        if exported.get(f"{module}.{target.rpartition('.')[2]}") == target:
            continue  # whoever imports it from the package is its importer
        found = exported.get(target, target)
        for name in {found, found.rpartition(".")[0]} & importers.keys() - {module}:
            importers[name].add(module)
    return [
        f"{module} has {lines} lines and one importer, {min(importers[module])}: merge them, or say in SHALLOW why not"
        for module, source in sources.items()
        if (lines := len(source.splitlines())) < MIN_LINES and len(importers[module]) == 1 and module not in SHALLOW
        if not any(other.startswith(module + ".") for other in sources)
    ]


def names_say_what_is_inside(sources: Sources) -> list[str]:
    return [
        f"{module}: {part} says nothing of what is inside"
        for module in sources
        for part in module.split(".")
        if part.strip("_").lower() in BANISHED
    ]


RULES: list[Rule] = [
    only_the_planner_speaks_to_a_model,
    functions_never_import_each_other,
    arrows_between_packages_point_inwards,
    only_the_dispatcher_names_handlers,
    arrows_in_the_layer_point_down,
    masking_is_used_by_its_exports,
    only_the_runtime_reads_the_environment,
    only_the_table_adapter_speaks_dynamodbs_form,
    modules_are_one_idea,
    modules_are_deep,
    names_say_what_is_inside,
]

#: What each rule must report: (rule, module, source).
PLANTED: list[tuple[Rule, str, str]] = [
    (only_the_planner_speaks_to_a_model, "functions.executor.handler", "client('bedrock-runtime')"),
    (only_the_planner_speaks_to_a_model, "functions.fallback.fallback", "import openai"),
    (only_the_planner_speaks_to_a_model, "ballast.folds.usage", "from anthropic.types import Message"),
    (only_the_planner_speaks_to_a_model, "playbook.tools.ask", "client.converse(modelId='m')"),
    (functions_never_import_each_other, "functions.executor.handler", "from functions.agent.handler import build"),
    (functions_never_import_each_other, "functions.executor.handler", "from ..agent import plan"),
    (functions_never_import_each_other, "functions.lifecycle.admit", "def f():\n    import functions.front.start"),
    (arrows_between_packages_point_inwards, "ballast.log.run_log", "import localcloud.cloud"),
    (arrows_between_packages_point_inwards, "ballast.playbook.load", "import playbook"),
    (arrows_between_packages_point_inwards, "ballast.runtime", "from functions.agent import plan"),
    (arrows_between_packages_point_inwards, "playbook.tools.ask", "from ballast.log import RunLog"),
    (arrows_between_packages_point_inwards, "functions.executor.handler", "from playbook.tools import refund_order"),
    (arrows_between_packages_point_inwards, "functions.agent.handler", "from localcloud import cloud"),
    (arrows_between_packages_point_inwards, "localcloud.cloud", "from functions.agent.handler import lambda_handler"),
    (arrows_between_packages_point_inwards, "localcloud.cloud", "from cli import stack"),
    (only_the_dispatcher_names_handlers, "localcloud.cloud", "import_module('functions.agent.handler')"),
    (arrows_in_the_layer_point_down, "ballast.log.events", "from ballast.folds import usage"),
    (arrows_in_the_layer_point_down, "ballast.log.event", "from ballast.log.run_log import RunLog"),
    (arrows_in_the_layer_point_down, "ballast.folds.usage", "from ballast.log import run_log"),
    (arrows_in_the_layer_point_down, "ballast.money.prices", "from ballast.folds.usage import usage"),
    (arrows_in_the_layer_point_down, "ballast.money.prices", "from ballast.models.catalog import Catalog"),
    (arrows_in_the_layer_point_down, "ballast.errors", "from .contracts import Event"),
    (arrows_in_the_layer_point_down, "ballast.runtime", "from ballast import playbook"),
    (arrows_in_the_layer_point_down, "ballast.contracts.wire", "from ballast.masking import MASK"),
    (masking_is_used_by_its_exports, "ballast.edge", "from ballast.masking.secret import Finder"),
    (masking_is_used_by_its_exports, "localcloud.functions", "from ballast.masking import spellings"),
    (
        only_the_runtime_reads_the_environment,
        "functions.agent.handler",
        "import os\nTABLE = os.environ['RUN_LOG_TABLE']",
    ),
    (only_the_runtime_reads_the_environment, "playbook.tools.ask", "from os import getenv"),
    (only_the_runtime_reads_the_environment, "functions.executor.handler", "import boto3"),
    (
        only_the_table_adapter_speaks_dynamodbs_form,
        "functions.lifecycle.budgets_table",
        "key = {'account': {'S': 'lease'}}",
    ),
    (only_the_table_adapter_speaks_dynamodbs_form, "ballast.log.run_log", "turn = int(item['turn'].get('N', 0))"),
    (only_the_table_adapter_speaks_dynamodbs_form, "functions.people.open", "client.update_item(**request)"),
    (
        only_the_table_adapter_speaks_dynamodbs_form,
        "functions.breaker.spend_breaker",
        "put(ConditionExpression='a = :v')",
    ),
    (only_the_table_adapter_speaks_dynamodbs_form, "ballast.playbook.context", "client.put_item(Item=item)"),
    (modules_are_one_idea, "localcloud.cloud", "pass\n" * (MAX_LINES + 1)),
    (names_say_what_is_inside, "functions.agent.utils", ""),
    (names_say_what_is_inside, "localcloud.base.cloud", ""),
]


def test_a_shallow_module_with_one_importer_is_reported() -> None:
    sources = {"localcloud.cloud": "from localcloud.small import one", "localcloud.small": "one = 1"}

    assert [found.partition(" ")[0] for found in modules_are_deep(sources)] == ["localcloud.small"]
    assert modules_are_deep(sources | {"localcloud.other": "import localcloud.small"}) == []


def test_who_imports_from_a_package_imports_the_module_that_it_exports() -> None:
    sources = {
        "localcloud.gate": "from localcloud.gate.small import one",
        "localcloud.gate.small": "one = 1",
        "localcloud.other": "from localcloud.gate import one",
    }

    assert [found.partition(" ")[0] for found in modules_are_deep(sources)] == ["localcloud.gate.small"]
    assert modules_are_deep(sources | {"localcloud.third": "from localcloud.gate import one"}) == []


def test_every_exception_of_depth_is_needed() -> None:
    sources = sources_of(*HOMES)

    assert [name for name in LONG if len(sources[name].splitlines()) <= MAX_LINES] == []
    assert [name for name in SHALLOW if len(sources[name].splitlines()) >= MIN_LINES] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_project_keeps_the_rule(rule: Rule) -> None:
    assert rule(sources_of(*HOMES)) == []


@pytest.mark.parametrize(("rule", "module", "source"), PLANTED)
def test_a_planted_breach_is_reported(rule: Rule, module: str, source: str) -> None:
    found = rule({module: source})

    assert len(found) == 1
    assert found[0].startswith(module)


def test_every_rule_was_seen_to_fail() -> None:
    assert {rule for rule, _, _ in PLANTED} == set(RULES) - {
        modules_are_deep
    }  # it needs two modules, and has a test of its own


def test_docstrings_and_comments_may_speak_of_models() -> None:
    source = '"""Bedrock Converse\'s stop reasons."""\n# openai has others\nclass Reason:\n    """Of Bedrock."""\n'

    assert only_the_planner_speaks_to_a_model({"ballast.contracts.decision": source}) == []


def test_every_package_is_looked_at() -> None:
    modules = sources_of(*HOMES)

    assert {"ballast.runtime", "functions.agent.handler", "localcloud.cloud"} <= modules.keys()
    assert {part_of(module) for module in modules if module.startswith("ballast.")} == RANKS.keys()


def test_the_ranks_are_those_that_the_layer_documents() -> None:
    drawing = (ballast.__doc__ or "").partition("::")[2]

    assert re.findall(r"^ +([\w.]+)", drawing, flags=re.MULTILINE) == list(RANKS)
