"""IAM enforcement in the local cloud: credentials for each function's role, checked at every request."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from localcloud.functions import Functions
from localcloud.iam import Access, Account, needed, needed_for_model
from localcloud.moto_seams.iam import denial, keys_of_role, missing_rights, requests_authorised
from localcloud.sessions import ACCOUNT, REGION, Keys, LocalSession
from localcloud.stepfunctions.engine import Engine

ADMIN = "local-admin"


@contextmanager
def enforced(admin: LocalSession, functions: Functions, engine: Engine) -> Iterator[Mapping[str, Keys]]:
    """Turn enforcement on; yield the keys of each function's role by logical id, and those of ``ADMIN``.

    The state machine's right to invoke functions is enforced as well.
    """
    keys = {ADMIN: _administrator(admin)}
    for name, function in functions.all.items():
        keys[name] = keys_of_role(ACCOUNT, REGION, function.role_arn, name)
    functions.may_invoke = _may_invoke
    with requests_authorised(engine.waits):
        yield keys


def _administrator(admin: LocalSession) -> Keys:
    iam = admin.client("iam")
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    iam.create_user(UserName=ADMIN)
    iam.put_user_policy(
        UserName=ADMIN,
        PolicyName="everything",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [everything]}),
    )
    made = iam.create_access_key(UserName=ADMIN)["AccessKey"]
    return Keys(made["AccessKeyId"], made["SecretAccessKey"])


def _may_invoke(role_arn: str, function_arn: str) -> bool:
    return not missing_rights(ACCOUNT, role_arn, [Access("lambda:InvokeFunction", function_arn)])


def guard_models(session: LocalSession, role_arn: str) -> None:
    """Check the role's right to a model before ``session`` calls it; moto has no Bedrock to check it."""

    def before_call(model: Any, params: Mapping[str, Any], **_: Any) -> Any:
        if not model.name.startswith(("Converse", "InvokeModel")):
            return None
        model_id = unquote(params["url_path"].split("/")[2])
        return _denied(role_arn, needed_for_model(model.name, model_id, REGION, ACCOUNT), params["url"], 403)

    session.events.register("before-call.bedrock-runtime", before_call)


def guard_tables(session: LocalSession, role_arn: str) -> None:
    """Check the role's rights to tables before ``session`` sends a request; to be called where moto does not get it."""
    where = Account(REGION, ACCOUNT, lambda _: None)

    def before_call(model: Any, params: Mapping[str, Any], **_: Any) -> Any:
        accesses = needed(f"dynamodb:{model.name}", "*", params["url_path"], json.loads(params["body"]), where)
        return _denied(role_arn, accesses, params["url"], 400)

    session.events.register_first("before-call.dynamodb", before_call)


def _denied(role_arn: str, accesses: Iterable[Access], url: str, status: int) -> Any:
    """Return what botocore takes for the response of a denied request; None where the role has the rights."""
    missing = missing_rights(ACCOUNT, role_arn, accesses)
    if not missing:
        return None
    error = {"Code": "AccessDeniedException", "Message": denial(role_arn, missing[0])}
    return AWSResponse(url, status, HTTPHeaders(), None), {
        "Error": error,
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
