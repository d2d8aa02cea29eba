"""Start ministack with added AWS features; runs in ministack's own environment (``python bench/ministack_seams.py``).

Each seam is a feature that ministack 1.5 lacks or has in another form; none changes what is deployed.
"""

import importlib
import json
import re
import runpy
import sys
from typing import Any

import yaml

PACKAGE = "ministack.services"


def install() -> None:
    """Put every seam in place."""
    cloudformation = importlib.import_module(f"{PACKAGE}.cloudformation.provisioners")
    _alarms(cloudformation)
    _definitions(cloudformation)
    _scaling(cloudformation)
    _workers(importlib.import_module("ministack.core.lambda_runtime"))
    _tasks(importlib.import_module(f"{PACKAGE}.stepfunctions"))


def _alarms(cloudformation: Any) -> None:
    """Accept composite alarms and alarms on metric math without evaluating them."""
    handlers = cloudformation._RESOURCE_HANDLERS

    def create(
        logical_id: str, properties: dict[str, Any], stack: str, *_: Any, **__: Any
    ) -> tuple[str, dict[str, str]]:
        name = properties.get("AlarmName") or f"{stack}-{logical_id}"
        return name, {"Arn": f"arn:aws:cloudwatch:eu-west-1:000000000000:alarm:{name}"}

    def nothing(*_: Any, **__: Any) -> Any:
        return None

    handlers["AWS::CloudWatch::CompositeAlarm"] = {"create": create, "delete": nothing}
    metric = handlers["AWS::CloudWatch::Alarm"]
    before = metric["create"]

    def create_metric(logical_id: str, properties: dict[str, Any], stack: str, *more: Any, **named: Any) -> Any:
        made_by = create if properties.get("Metrics") else before
        return made_by(logical_id, properties, stack, *more, **named)

    metric["create"] = create_metric


def _definitions(cloudformation: Any) -> None:
    """Accept YAML definitions of state machines, with any substitutions."""
    before = cloudformation._sfn_definition

    def definition(properties: dict[str, Any]) -> str:
        return json.dumps(yaml.safe_load(before(properties)))

    cloudformation._sfn_definition = definition


def _scaling(cloudformation: Any) -> None:
    """Convert a number's text to a number, as CloudFormation does."""
    mapping = cloudformation._RESOURCE_HANDLERS["AWS::Lambda::EventSourceMapping"]
    before = mapping["create"]

    def create(logical_id: str, properties: dict[str, Any], *more: Any, **named: Any) -> Any:
        scaling = properties.get("ScalingConfig")
        if scaling:
            properties = {**properties, "ScalingConfig": {key: int(value) for key, value in scaling.items()}}
        return before(logical_id, properties, *more, **named)

    mapping["create"] = create


#: Code that runs in a function's process before its handler is imported.
_OPT = """
    import glob
    for _ld in filter(None, os.environ.get("_LAMBDA_LAYERS_DIRS", "").split(os.pathsep)):
        if os.environ.get("PLAYBOOK_DIR", "").startswith("/opt/") and glob.glob(_ld + "/python/*/agent.yaml"):
            os.environ["PLAYBOOK_DIR"] = os.environ["PLAYBOOK_DIR"].replace("/opt", _ld, 1)
"""


def _workers(runtime: Any) -> None:
    """Load layers from their folders instead of /opt, and report errors by their class, which workflows match."""
    script: str = runtime._PYTHON_WORKER_SCRIPT
    for old, new in (
        ("    _ms_install_invoke_depth()\n    try:", f"{_OPT}    _ms_install_invoke_depth()\n    try:"),
        ('"error": str(e), "trace"', '"error": type(e).__name__ + ": " + str(e), "trace"'),
    ):
        if script.count(old) != 1:
            raise RuntimeError(f"ministack's worker has no {old!r}. Use the version in requirements/ministack.txt.")
        script = script.replace(old, new)
    runtime._PYTHON_WORKER_SCRIPT = script


def _tasks(states: Any) -> None:
    """Accept expressions as timeouts, and fail a task-token state whose function fails."""
    execute, with_callback, invoked = states._execute_task, states._invoke_with_callback, states._call_lambda

    def call(*given: Any) -> Any:
        try:
            return invoked(*given)
        except states._ExecutionError as problem:
            said = json.loads(problem.cause).get("errorMessage", "") if problem.cause.startswith("{") else ""
            name = re.match(r"(\w+): ", said)
            print(f"a step failed: {said}", file=sys.stderr, flush=True)
            raise states._ExecutionError(name[1] if name else problem.error, problem.cause) from None

    states._call_lambda = call

    def execute_task(state: dict[str, Any], given: Any, execution: Any, ctx: Any) -> Any:
        limit = state.get("TimeoutSeconds")
        if isinstance(limit, str):
            seconds = states._apply_jsonata_template(limit, given, ctx)
            state = {**state, "TimeoutSeconds": int(seconds)}
        return execute(state, given, execution, ctx)

    def invoke(resource: str, given: Any, token: str, state: dict[str, Any]) -> Any:
        def remembering(*args: Any) -> Any:
            try:
                return call(*args)
            except states._ExecutionError as problem:
                failed.append(problem)
                states._task_tokens[token]["event"].set()
                raise

        failed: list[Exception] = []
        states._call_lambda = remembering
        try:
            found = with_callback(resource, given, token, state)
        finally:
            states._call_lambda = call
        if failed:
            raise failed[0]
        return found

    states._execute_task, states._invoke_with_callback = execute_task, invoke


if __name__ == "__main__":
    install()
    sys.argv = ["ministack"]
    runpy.run_module("ministack", run_name="__main__")
