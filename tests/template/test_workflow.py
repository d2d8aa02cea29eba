"""The state machine in the template fits the definition in its file."""

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from ballast.contracts.limits import CALL
from tests.template.rendered import WORKFLOW, Template, of_type, workflow


def machine(template: Template) -> dict[str, Any]:
    """Return the properties of the only state machine."""
    (found,) = of_type(template, "AWS::StepFunctions::StateMachine").values()
    properties: dict[str, Any] = found["Properties"]
    return properties


def tasks(states: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every Task state with its name, those inside a Map as well."""
    for name, state in states.items():
        if state["Type"] == "Task":
            yield name, state
        if state["Type"] == "Map":
            yield from tasks(state["ItemProcessor"]["States"])


def test_each_placeholder_is_substituted_and_each_substitution_is_used(deployed: Template) -> None:
    placeholders = set(re.findall(r"\$\{(\w+)\}", WORKFLOW.read_text(encoding="utf-8")))

    assert placeholders == machine(deployed)["DefinitionSubstitutions"].keys()


def test_a_substitution_is_the_function_that_it_is_named_for(deployed: Template) -> None:
    substitutions = dict(machine(deployed)["DefinitionSubstitutions"])

    assert substitutions.pop("Partition") == {"Ref": "AWS::Partition"}
    assert substitutions == {name: {"Fn::GetAtt": [name.removesuffix("Arn"), "Arn"]} for name in substitutions}


def test_the_workflow_runs_long_is_traced_and_logs_no_content(deployed: Template) -> None:
    properties = machine(deployed)

    assert properties["StateMachineType"] == "STANDARD"
    assert properties["TracingConfiguration"] == {"Enabled": True}
    logging = properties["LoggingConfiguration"]
    assert (logging["Level"], logging["IncludeExecutionData"]) == ("ALL", False)
    log_group = logging["Destinations"][0]["CloudWatchLogsLogGroup"]["LogGroupArn"]["Fn::GetAtt"][0]
    assert deployed["Resources"][log_group]["Properties"]["RetentionInDays"]


def test_the_definition_has_no_yaml_alias() -> None:
    """CloudFormation reads the file with a parser that takes ``*name`` for a string."""
    tokens = yaml.scan(WORKFLOW.read_text(encoding="utf-8"))

    assert not [token for token in tokens if isinstance(token, yaml.AnchorToken | yaml.AliasToken)]


def test_a_function_is_never_cut_by_its_state_before_it_could_end(deployed: Template) -> None:
    seen = set()
    for name, state in tasks(workflow()["States"]):
        if not isinstance(state["TimeoutSeconds"], int) or "waitForTaskToken" in state["Resource"]:
            continue  # the run's time, or a person's, bounds it
        function = state["Arguments"]["FunctionName"].removeprefix("${").removesuffix("Arn}")
        seen.add(name)

        assert state["TimeoutSeconds"] >= deployed["Resources"][function]["Properties"]["Timeout"], name
    assert seen == {"Admit", "Execute", "ExecuteEach", "ExtendLease", "GiveUp", "GiveUpEach", "Settle"}


def test_a_run_that_ended_from_outside_is_settled(deployed: Template) -> None:
    rule = of_type(deployed, "AWS::Events::Rule")["SettleFunctionRunEnded"]
    pattern, (target,) = rule["Properties"]["EventPattern"], rule["Properties"]["Targets"]
    permission = of_type(deployed, "AWS::Lambda::Permission")["SettleFunctionRunEndedPermission"]

    assert pattern["detail"] == {
        "status": ["ABORTED", "TIMED_OUT", "FAILED"],
        "stateMachineArn": [{"Ref": "AgentStateMachine"}],
    }
    assert target["Arn"] == {"Fn::GetAtt": ["SettleFunction", "Arn"]}
    assert target["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": ["UnsettledRunsQueue", "Arn"]}}
    assert permission["Properties"]["SourceArn"] == {"Fn::GetAtt": ["SettleFunctionRunEnded", "Arn"]}
    assert permission["Properties"]["FunctionName"] == {"Ref": "SettleFunction"}


def test_no_call_takes_more_of_the_history_than_is_kept_for_it() -> None:
    states = workflow()["States"]
    calls = states["ExecuteCalls"]
    each = calls["ItemProcessor"]["States"]
    execute, give_up, ask = (each[name] for name in ("ExecuteEach", "GiveUpEach", "AskApprovalForEach"))

    began = calls["ItemSelector"]["events"]
    once, retried = _events(execute["Output"])
    asked, _ = _events(ask["Output"]["events"])

    tried = sum(_events(state["Output"])[1] * _retries(state) for state in (execute, give_up))
    assert (retried, _events(give_up["Output"])) == (3, (once, retried))
    assert began + 2 * once + tried <= CALL
    assert began + once + 3 * (asked + once) <= CALL
    # What the workflow takes for a call where nothing says how far it came, and looks for before it begins one.
    taken = re.findall(r"(\d+) \* \$count\(\$decision\.calls\)", json.dumps(states))
    assert taken == [str(CALL)] * 2


def test_the_only_call_of_a_turn_is_treated_as_each_of_several() -> None:
    """The definition has no anchors, so it says the same twice."""
    states = workflow()["States"]
    each = states["ExecuteCalls"]["ItemProcessor"]["States"]
    for alone, one in (("Execute", "ExecuteEach"), ("GiveUp", "GiveUpEach"), ("AskApproval", "AskApprovalForEach")):
        only = states[alone]
        assert only["Retry"] == each[one]["Retry"]
        assert only["TimeoutSeconds"] == each[one]["TimeoutSeconds"]
        assert only["Resource"] == each[one]["Resource"]
        catches = [rule["ErrorEquals"] for rule in each[one]["Catch"]]
        # What each of several leaves to the Map's Catch, the only one catches itself.
        assert [rule["ErrorEquals"] for rule in only["Catch"]] == catches + [["States.ALL"]] * (
            ["States.ALL"] not in catches
        )
        events = _events(json.dumps(each[one]))
        counted = [rule["Assign"]["history"] for rule in (only, *only["Catch"])]
        assert {_counted(text) for text in counted} == {events}


def _counted(history: str) -> tuple[int, int]:
    [(once, retried)] = re.findall(r"\$history \+ (\d+) \+ (\d+) \* \$max", history)
    return int(once), int(retried)


def _retries(state: dict[str, Any]) -> int:
    return sum(rule["MaxAttempts"] for rule in state["Retry"])


def _events(output: str) -> tuple[int, int]:
    """Return how many events a state adds up: of its first attempt, and of each retry."""
    [(once, retried)] = set(re.findall(r"\.events \+ (\d+) \+ (\d+) \* \$max", output))
    return int(once), int(retried)
