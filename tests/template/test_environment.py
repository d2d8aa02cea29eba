"""The environment that the template gives a function is the one that the function's settings read.

An environment variable is a capability: one that nobody reads is a table's name given away.
"""

import ast
import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ballast.budget_items import BudgetsTableSettings
from ballast.http.identity import CallerSettings
from ballast.log.run_log import LogSettings
from ballast.log.seal import SealSettings
from ballast.log.signature import SignatureSettings
from ballast.moves_table import MovesSettings
from ballast.outbox import ReplySettings
from ballast.runtime import Runtime, Settings
from tests.template import rendered
from tests.template.rendered import ROOT, of_type
from tests.template.yours import named_in, needed_by, playbooks

TEMPLATE = rendered.written()
FUNCTIONS = of_type(TEMPLATE, "AWS::Serverless::Function")

#: Variables given by the design and read by what is not built yet. An entry that is read has to go.
NOT_READ_YET = {}

#: What is built in the layer, and the settings that building it reads.
READ_BY_THE_LAYER: dict[str, type[Settings]] = {
    "RunLog": LogSettings,
    "Breakers": BudgetsTableSettings,
    "Replies": ReplySettings,
    "Seal": SealSettings,
    "Signatures": SignatureSettings,
    "HttpApi": CallerSettings,
    "BudgetsTableSettings": BudgetsTableSettings,
    "MovesTable": MovesSettings,
    "CeilingsSet": BudgetsTableSettings,
}


def test_the_folder_of_every_function_is_looked_at() -> None:
    assert all(settings_of(function) or not given(function) for function in FUNCTIONS)


@pytest.mark.parametrize("function", sorted(FUNCTIONS))
def test_a_function_is_given_no_variable_that_it_does_not_read(function: str) -> None:
    read = {field.upper() for settings in settings_of(function) for field in settings.model_fields}
    if function == "ExecutorFunction":
        read |= set().union(*map(named_in, playbooks(TEMPLATE)))

    assert given(function) - read == NOT_READ_YET.get(function, set())


@pytest.mark.parametrize("function", sorted(FUNCTIONS))
def test_a_function_is_given_every_variable_that_it_needs(function: str) -> None:
    needed = {
        name.upper()
        for settings in settings_of(function)
        for name, field in settings.model_fields.items()
        if field.is_required()
    }
    if function == "ExecutorFunction":
        needed |= set().union(*map(needed_by, playbooks(TEMPLATE)))

    assert needed - given(function) == set()


@pytest.mark.parametrize("function", sorted(FUNCTIONS))
def test_a_function_that_writes_the_log_or_an_escalation_knows_when_it_may_be_forgotten(function: str) -> None:
    writes = LogSettings in settings_of(function) and function != "ApiFunction"

    assert ("RETENTION_DAYS" in given(function)) == writes


@pytest.mark.parametrize("function", sorted(FUNCTIONS))
def test_settings_read_what_the_template_gives(function: str) -> None:
    numbers = {"MODEL_TIMEOUT_S": "100", "RETENTION_DAYS": "400"}
    numbers |= dict.fromkeys(("TENANT_RUNS", "ACCOUNT_RUNS", "ADMISSION_WAIT_S"), "100")
    numbers |= {"REQUIRE_CERTIFICATE": "true"}
    runtime = Runtime({name: numbers.get(name, "text") for name in given(function)})

    for settings in settings_of(function):
        read = settings.of(runtime).model_dump()

        assert {read[name.lower()] for name in given(function) if name.lower() in read} <= {"text", 100, 400, True}


@pytest.mark.parametrize("function", sorted(FUNCTIONS))
def test_a_handlers_module_defines_one_settings_class_which_is_its_environment(function: str) -> None:
    found = {one.__name__: {name.upper() for name in one.model_fields} for one in defined_in(handlers_module(function))}
    expected = given(function)
    if function == "ExecutorFunction":
        expected -= set().union(*map(named_in, playbooks(TEMPLATE)))

    assert len(found) == 1, (
        f"{handlers_module(function)} defines {sorted(found)}; one settings class says its environment"
    )
    assert next(iter(found.values())) == expected


def given(function: str) -> set[str]:
    """Return the names of the variables that the template gives to ``function``, and to its tools by business.yaml."""
    variables = FUNCTIONS[function]["Properties"].get("Environment", {}).get("Variables", {})
    for_tools = json.loads(variables.get("TOOLS_ENVIRONMENT", {"Fn::Sub": "{}"})["Fn::Sub"])
    return set(variables) | set(for_tools)


def settings_of(function: str) -> set[type[Settings]]:
    """Return the settings classes of the handler's module and of what it imports from its folder."""
    found: set[type[Settings]] = set()
    for reached in modules_reached(handlers_module(function)):
        found |= defined_in(reached)
        found |= {
            READ_BY_THE_LAYER[name] for name in vars(importlib.import_module(reached)) if name in READ_BY_THE_LAYER
        }
    return found


def handlers_module(function: str) -> str:
    """Return the name of the module that the template names as the function's handler."""
    handler: str = FUNCTIONS[function]["Properties"]["Handler"]
    return handler.removesuffix(".lambda_handler")


def defined_in(module: str) -> set[type[Settings]]:
    """Return the settings classes that the module itself defines."""
    return {
        value
        for value in vars(importlib.import_module(module)).values()
        if isinstance(value, type) and issubclass(value, Settings) and value.__module__ == module
    }


def modules_reached(module: str) -> Iterator[str]:
    """Yield ``module`` and the modules of its folder that it imports, also inside functions."""
    folder = module.rpartition(".")[0]
    waiting, seen = [module], {module}
    while waiting:
        current = waiting.pop()
        yield current
        tree = ast.parse((ROOT / Path(*current.split("."))).with_suffix(".py").read_text(encoding="utf-8"))
        imported = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        fresh = {name for name in imported if name.startswith(folder + ".")} - seen
        waiting += fresh
        seen |= fresh


#: Modules of functions: a class may take over the text of another function's class, but not of the layer's parts.
FOLDERS = {reached for function in FUNCTIONS for reached in modules_reached(handlers_module(function))}


@pytest.mark.parametrize("function", sorted(FUNCTIONS))
def test_a_functions_settings_class_documents_each_variable(function: str) -> None:
    undocumented = {
        (one.__name__, name)
        for one in defined_in(handlers_module(function))
        for name in one.model_fields
        if not any(re.search(rf"\b{name}\b", base.__doc__ or "") for base in one.__mro__ if base.__module__ in FOLDERS)
    }

    assert undocumented == set()
