"""Read the routes of the template's HTTP API, which moto's CloudFormation does not support."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from localcloud.template import TemplateInvalid

_KIND = "AWS::ApiGatewayV2::"


@dataclass(frozen=True)
class HttpRoute:
    """Where a request goes.

    key       as API Gateway has it: ``GET /console``, ``ANY /escalations/{escalation_id}``, ``$default``
    function  the logical id of the function that answers
    public    whether it takes requests without an identity
    """

    key: str
    function: str
    public: bool


def without_http_api(template: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[HttpRoute, ...]]:
    """Return the template (CloudFormation's) without its HTTP API, and the routes of that.

    What refers to the API gets its logical id in lower case for the API's id. Raises ``TemplateInvalid``.
    """
    of_api = {name: found for name, found in template["Resources"].items() if found["Type"].startswith(_KIND)}
    integrations = {
        name: found["Properties"] for name, found in of_api.items() if found["Type"] == f"{_KIND}Integration"
    }
    routes = tuple(
        _route(name, found["Properties"], integrations)
        for name, found in of_api.items()
        if found["Type"] == f"{_KIND}Route"
    )
    rest = {
        **template,
        "Resources": {name: found for name, found in template["Resources"].items() if name not in of_api},
    }
    text = json.dumps(rest)
    for name in of_api:
        text = text.replace(json.dumps({"Ref": name}), json.dumps(name.lower())).replace(f"${{{name}}}", name.lower())
    made: dict[str, Any] = json.loads(text)
    return made, routes


def _route(name: str, route: Mapping[str, Any], integrations: Mapping[str, Mapping[str, Any]]) -> HttpRoute:
    match route.get("Target"):
        case {"Fn::Sub": str(target)}:
            integration = target.removeprefix("integrations/").strip("${}")
            match integrations.get(integration, {}).get("IntegrationUri"):
                case {"Fn::GetAtt": [str(function), "Arn"]}:
                    return HttpRoute(str(route["RouteKey"]), function, route.get("AuthorizationType") == "NONE")
    raise TemplateInvalid(
        f"{name}: its Target leads to no function. Write `!Sub integrations/${{…Integration}}`, "
        "and there `IntegrationUri: !GetAtt …Function.Arn`."
    )
