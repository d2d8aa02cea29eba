"""``ctx.environ`` of tools: the executor's variables, and those that business.yaml names."""

import json

import pytest

from ballast.errors import SettingInvalid
from ballast.playbook.context import tools_environ


def test_names_of_business_yaml_stand_beside_variables_that_the_template_gives() -> None:
    given = {"ORDERS_TABLE": "orders", "TOOLS_ENVIRONMENT": '{"ACCOUNTS_TABLE": "accounts", "IDP_URL": ""}'}

    assert tools_environ(given) == {**given, "ACCOUNTS_TABLE": "accounts", "IDP_URL": ""}


@pytest.mark.parametrize("environ", [{}, {"TOOLS_ENVIRONMENT": ""}, {"ORDERS_TABLE": "orders"}])
def test_a_template_that_names_each_variable_needs_no_object(environ: dict[str, str]) -> None:
    assert tools_environ(environ) == environ


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is not JSON"),
        ("ORDERS_TABLE=orders", "is not JSON"),
        ("[]", "must be one JSON object"),
        ('[["A_TABLE", "a"]]', "must be one JSON object"),
        ('"text"', "must be one JSON object"),
        ("null", "must be one JSON object"),
        ('{"A_TABLE": 5}', "'A_TABLE' must be letters"),
        ('{"A_TABLE": null}', "'A_TABLE' must be letters"),
        ('{"A": {"B": "c"}}', "'A' must be letters"),
        ('{"": "a"}', "'' must be letters"),
        ('{"A B": "a"}', "'A B' must be letters"),
        ('{"A=B": "a"}', "'A=B' must be letters"),
        ('{"A": "1", "A": "2"}', "A is in it twice"),
        ('{"PLAYBOOK_DIR": "/tmp"}', "PLAYBOOK_DIR is a variable of the executor already"),
        ('{"TOOLS_ENVIRONMENT": "x"}', "TOOLS_ENVIRONMENT is a variable of the executor already"),
    ],
)
def test_anything_else_is_refused_with_the_name_and_the_remedy(text: str, says: str) -> None:
    with pytest.raises(SettingInvalid, match=r"business\.yaml's output Environment") as refused:
        tools_environ({"PLAYBOOK_DIR": "/opt/python", "TOOLS_ENVIRONMENT": text})

    assert says in str(refused.value)


def test_a_tool_cannot_change_a_setting_of_the_platform() -> None:
    environ = {"PLAYBOOK_DIR": "/opt/python", "TOOLS_ENVIRONMENT": json.dumps({"A": "b"})}

    assert tools_environ(environ)["PLAYBOOK_DIR"] == "/opt/python"
    assert "A" not in environ
