"""The HTTP API: authorization and targets of its routes, and the indexes of its lists."""

import json

import pytest

from ballast.log.run_index import INDEXES
from functions.breaker import api as budget
from functions.front import api as runs
from functions.people import api as people
from localcloud.http_routes import HttpRoute, without_http_api
from tests.template import rendered
from tests.template.rendered import Template, of_type

TEMPLATE = rendered.written()
ROUTES = of_type(TEMPLATE, "AWS::ApiGatewayV2::Route")
LED = without_http_api(TEMPLATE)[1]


def properties(name: str) -> Template:
    """Return a resource's properties."""
    found: Template = TEMPLATE["Resources"][name]["Properties"]
    return found


def led(method: str, path: str) -> HttpRoute:
    """Return the route that API Gateway would choose: the most specific one."""
    keys = {route.key: route for route in LED}
    return next(keys[key] for key in (f"{method} {path}", f"ANY {path}", "$default") if key in keys)


@pytest.mark.parametrize("name", sorted(ROUTES))
def test_a_route_asks_for_an_identity_unless_it_is_public(name: str) -> None:
    route = properties(name)
    public = route["RouteKey"].partition(" ")[2].replace("{", "<").replace("}", ">") in runs.PUBLIC

    if public:
        assert (route["RouteKey"].partition(" ")[0], route["AuthorizationType"]) == ("GET", "NONE")
    else:
        assert route["AuthorizationType"] == {"Fn::If": ["CallersBringTokens", "JWT", "AWS_IAM"]}
        no_value = {"Ref": "AWS::NoValue"}
        assert route["AuthorizerId"] == {"Fn::If": ["CallersBringTokens", {"Ref": "JwtAuthorizer"}, no_value]}


def test_what_is_public_is_a_route_of_its_own() -> None:
    public = {route.key for route in LED if route.public}

    assert public == {f"GET {path.replace('<', '{').replace('>', '}')}" for path in runs.PUBLIC}


@pytest.mark.parametrize(
    ("front", "function"),
    [(runs.app, "ApiFunction"), (people.app, "PeopleApiFunction"), (budget.app, "BudgetApiFunction")],
)
def test_every_path_leads_to_the_function_that_has_it(front: object, function: str) -> None:
    routes = [*vars(front)["_static_routes"], *vars(front)["_dynamic_routes"]]

    assert routes
    assert {led(route.method, route.openapi_path).function for route in routes} == {function}


@pytest.mark.parametrize("function", ["ApiFunction", "PeopleApiFunction", "BudgetApiFunction"])
def test_only_the_api_may_call_a_function_behind_it(function: str) -> None:
    permissions = [p["Properties"] for p in of_type(TEMPLATE, "AWS::Lambda::Permission").values()]
    (permission,) = [p for p in permissions if p["FunctionName"] == {"Ref": function}]

    assert permission["Principal"] == "apigateway.amazonaws.com"
    assert permission["SourceArn"]["Fn::Sub"].endswith(":${HttpApi}/*")


def test_requests_are_throttled_and_logged_without_secrets_and_nobody_elses_page_may_ask() -> None:
    stage = properties("HttpApiStage")
    line = json.loads(stage["AccessLogSettings"]["Format"])

    assert stage["DefaultRouteSettings"]["ThrottlingRateLimit"] == {"Ref": "ApiRequestsPerSecond"}
    assert {"status", "route", "caller"} <= line.keys()
    assert not any("uthorization" in value or "querystring" in value.lower() for value in line.values())
    assert "CorsConfiguration" not in properties("HttpApi")


def test_the_logs_indexes_are_those_that_the_code_asks() -> None:
    table = properties("RunLogTable")

    found = {index["IndexName"]: [key["AttributeName"] for key in index["KeySchema"]] for index in _indexes(table)}

    assert found == {name: [key, "at"] for name, key in INDEXES.items()}
    assert {index["Projection"]["ProjectionType"] for index in _indexes(table)} == {"KEYS_ONLY"}


def test_the_indexes_of_questions_have_no_task_token() -> None:
    by_due, *lists = sorted(_indexes(properties("EscalationsTable")), key=lambda one: str(one["IndexName"]))

    assert by_due["Projection"] == {"ProjectionType": "KEYS_ONLY"}
    for index in lists:
        shown = {*index["Projection"]["NonKeyAttributes"], *(key["AttributeName"] for key in index["KeySchema"])}
        assert index["Projection"]["ProjectionType"] == "INCLUDE"
        assert "task_token" not in shown
        assert {"run_id", "tenant", "summary", "status"} <= shown


def _indexes(table: Template) -> list[Template]:
    found: list[Template] = table["GlobalSecondaryIndexes"]
    return found
