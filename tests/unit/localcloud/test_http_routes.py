"""The HTTP API is removed from the template before moto sees it, and its routes are kept."""

from typing import Any

import pytest

from localcloud.template import HttpRoute, TemplateInvalid, without_http_api

API: dict[str, Any] = {
    "Api": {"Type": "AWS::ApiGatewayV2::Api"},
    "Integration": {
        "Type": "AWS::ApiGatewayV2::Integration",
        "Properties": {"IntegrationUri": {"Fn::GetAtt": ["Answers", "Arn"]}},
    },
    "Open": {
        "Type": "AWS::ApiGatewayV2::Route",
        "Properties": {
            "RouteKey": "GET /open",
            "Target": {"Fn::Sub": "integrations/${Integration}"},
            "AuthorizationType": "NONE",
        },
    },
    "Closed": {
        "Type": "AWS::ApiGatewayV2::Route",
        "Properties": {
            "RouteKey": "$default",
            "Target": {"Fn::Sub": "integrations/${Integration}"},
            "AuthorizationType": "AWS_IAM",
        },
    },
}
REST: dict[str, Any] = {
    "Answers": {"Type": "AWS::Lambda::Function"},
    "Alarm": {"Type": "AWS::CloudWatch::Alarm", "Properties": {"Dimensions": [{"Value": {"Ref": "Api"}}]}},
}


def test_routes_say_which_function_answers_and_whether_for_everybody() -> None:
    _, routes = without_http_api({"Resources": REST | API})

    assert routes == (HttpRoute("GET /open", "Answers", True), HttpRoute("$default", "Answers", False))


def test_what_refers_to_the_api_gets_an_id_for_it() -> None:
    outputs = {"Url": {"Value": {"Fn::Sub": "https://${Api}.example.com"}}}

    rest, _ = without_http_api({"Resources": REST | API, "Outputs": outputs})

    assert rest["Resources"].keys() == REST.keys()
    assert rest["Resources"]["Alarm"]["Properties"]["Dimensions"] == [{"Value": "api"}]
    assert rest["Outputs"] == {"Url": {"Value": {"Fn::Sub": "https://api.example.com"}}}


def test_a_template_without_an_api_is_left_as_it_is() -> None:
    assert without_http_api({"Resources": REST}) == ({"Resources": REST}, ())


@pytest.mark.parametrize("target", [None, "integrations/x", {"Fn::Sub": "integrations/${Elsewhere}"}])
def test_a_route_that_leads_nowhere_is_named(target: Any) -> None:
    lost = API["Open"] | {"Properties": API["Open"]["Properties"] | {"Target": target}}

    with pytest.raises(TemplateInvalid, match="Open: its Target"):
        without_http_api({"Resources": REST | API | {"Open": lost}})
