"""Operations of boto3's clients by their methods, and the actions of IAM that they need.

Most operations need the action of their own name. The others are in a table, from "Actions, resources, and condition
keys" of each service in AWS's Service Authorization Reference; of any other one the action is not known here.
"""

import ast
import re
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache
from typing import Any

from boto3 import Session
from botocore import xform_name
from botocore.client import BaseClient
from botocore.exceptions import UnknownServiceError
from botocore.model import ServiceModel
from botocore.session import get_session

from cli.checks.iam import has_action, services_of_iam

#: Services of boto3 whose prefix in IAM is neither their name nor the one that they sign with.
_PREFIX = {
    "applicationcostprofiler": "application-cost-profiler",
    "cloudcontrol": "cloudformation",
    "iot-data": "iot",
    "iotsecuretunneling": "iot",
    "mturk": "mechanicalturk",
    "resourcegroupstaggingapi": "tag",
}
#: Methods of a client that need no right: whoever has a key may call them.
_FREE = {"sts": {"get_caller_identity", "get_session_token"}}
#: These sign a password here and call nobody; what connects with it needs a right of another service.
_SIGNS_HERE = re.compile(r"generate_\w*auth_token")
_PUT, _GET = ("s3:PutObject",), ("s3:GetObject", "s3:GetObjectVersion")
#: Methods whose operation needs another action than that of its name, or one of several; boto3's own beside them.
_OTHER: dict[str, dict[str, tuple[str, ...]]] = {
    "bedrock-runtime": {
        "converse": ("bedrock:InvokeModel",),
        "converse_stream": ("bedrock:InvokeModelWithResponseStream",),
    },
    "kms": {"re_encrypt": ("kms:ReEncryptFrom",)},
    "lambda": {
        "invoke": ("lambda:InvokeFunction",),
        "invoke_async": ("lambda:InvokeFunction", "lambda:InvokeAsync"),
        "invoke_with_response_stream": ("lambda:InvokeFunction",),
    },
    "s3": {
        **dict.fromkeys(("get_object", "head_object", "download_file", "download_fileobj"), _GET),
        **dict.fromkeys(("select_object_content",), _GET),
        **dict.fromkeys(("put_object", "copy_object", "copy", "upload_file", "upload_fileobj"), _PUT),
        **dict.fromkeys(("create_multipart_upload", "upload_part", "complete_multipart_upload"), _PUT),
        **dict.fromkeys(("delete_object", "delete_objects"), ("s3:DeleteObject", "s3:DeleteObjectVersion")),
        **dict.fromkeys(("list_objects", "list_objects_v2", "head_bucket"), ("s3:ListBucket",)),
        "get_object_acl": ("s3:GetObjectAcl", "s3:GetObjectVersionAcl"),
        "get_object_attributes": ("s3:GetObjectAttributes", "s3:GetObjectVersionAttributes"),
        "get_object_tagging": ("s3:GetObjectTagging", "s3:GetObjectVersionTagging"),
        "put_object_acl": ("s3:PutObjectAcl", "s3:PutObjectVersionAcl"),
        "put_object_tagging": ("s3:PutObjectTagging", "s3:PutObjectVersionTagging"),
        "delete_object_tagging": ("s3:DeleteObjectTagging", "s3:DeleteObjectVersionTagging"),
        "list_buckets": ("s3:ListAllMyBuckets",),
        "list_object_versions": ("s3:ListBucketVersions",),
        "list_parts": ("s3:ListMultipartUploadParts",),
        "list_multipart_uploads": ("s3:ListBucketMultipartUploads",),
    },
    "sesv2": {
        # By the content: simple, raw or of a template.
        "send_email": ("ses:SendEmail", "ses:SendRawEmail", "ses:SendTemplatedEmail"),
        "send_bulk_email": ("ses:SendBulkEmail", "ses:SendBulkTemplatedEmail", "ses:SendEmail"),
    },
    "sns": {"publish_batch": ("sns:Publish",)},
    "sqs": {
        "send_message_batch": ("sqs:SendMessage",),
        "delete_message_batch": ("sqs:DeleteMessage",),
        "change_message_visibility_batch": ("sqs:ChangeMessageVisibility",),
    },
}
#: Methods that send nothing themselves.
_SEND_NOTHING = frozenset({"can_paginate", "close"})

#: Actions of DynamoDB, by the methods of its client, its tables and a tool's context.
OPERATIONS = {
    "get_item": ("GetItem",),
    "put_item": ("PutItem",),
    "update_item": ("UpdateItem",),
    "delete_item": ("DeleteItem",),
    "query": ("Query",),
    "scan": ("Scan",),
    "batch_get_item": ("BatchGetItem",),
    "batch_write_item": ("BatchWriteItem",),
    "describe_table": ("DescribeTable",),
    "write_once": ("GetItem", "UpdateItem"),
    "written_once": ("GetItem",),
}
#: PartiQL: an action for each kind of statement, by its first word; in doubt each of them.
PARTIQL = {name.upper(): f"PartiQL{name}" for name in ("Select", "Insert", "Update", "Delete")}
STATEMENTS = ("execute_statement", "batch_execute_statement", "execute_transaction")
#: Parts of a transaction, by the key that names them.
PARTS = {
    **{name: f"{name}Item" for name in ("Get", "Put", "Update", "Delete")},
    "ConditionCheck": "ConditionCheckItem",
}


def partiql(call: ast.Call) -> Iterator[str]:
    """Yield the actions of the statements of PartiQL that a call has."""
    texts = [one.value for one in ast.walk(call) if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    words = {text.split(maxsplit=1)[0].upper() for text in texts if text.strip()}
    known = [action for word, action in PARTIQL.items() if word in words]
    yield from known or PARTIQL.values()


@cache
def prefixes(service: str) -> tuple[str, ...]:
    """Return the prefixes that actions of a service of boto3 may have in IAM, the right one first.

    None of them is certain for a service that boto3 or IAM does not have.
    """
    model = _model(service)
    if model is None:
        return (service,) if service in services_of_iam() else ()
    names = (_PREFIX.get(service, ""), model.signing_name, service, model.endpoint_prefix)
    known = dict.fromkeys(name for name in names if name in services_of_iam())
    return (*known, *(name for name in names if name and name not in known)) if known else ()


@cache
def needed_actions(service: str, method: str) -> tuple[str, ...] | None:
    """Return the actions of which a call needs one; () if it needs none, None if that is not known here."""
    if method in _FREE.get(service, ()) or method in _SEND_NOTHING or _SIGNS_HERE.fullmatch(method):
        return ()
    if method in _OTHER.get(service, {}):
        return _OTHER[service][method]
    model, mine = _model(service), prefixes(service)
    name = _methods(service).get(method)
    if model is None or name is None or not mine:
        return None
    if model.operation_model(name).auth_type in ("none", "smithy.api#noAuth"):
        return ()
    return tuple(f"{prefix}:{name}" for prefix in mine) if has_action(f"{mine[0]}:{name}") else None


def needs_nothing(service: str, called: frozenset[str]) -> bool:
    """Return whether these calls of a client need no right; without any known one, whether it is made for such."""
    return all(needed_actions(service, one) == () for one in called) if called else service in _FREE


@cache
def services() -> frozenset[str]:
    """Return the services that boto3 has clients of, in the version that is installed here."""
    return frozenset(get_session().get_available_services())


def has_method(service: str, method: str) -> bool:
    """Return whether a client of a service has a method."""
    return method in _methods(service) or hasattr(BaseClient, method) or method in _of_boto3(service)


def near_methods(service: str, method: str) -> list[str]:
    """Return the method that is nearest to a name that a client does not have, if any is near."""
    return get_close_matches(method, _methods(service), n=1)


@cache
def _of_boto3(service: str) -> frozenset[str]:
    """Return what a client has when boto3 makes it, with what it adds itself; it takes a moment."""
    session: Any = Session("none", "none", region_name="us-east-1")
    return frozenset(dir(session.client(service, endpoint_url="http://localhost")))


@cache
def _methods(service: str) -> dict[str, str]:
    """Return the operations of a service by the methods of its client."""
    model = _model(service)
    return {xform_name(name): name for name in model.operation_names} if model is not None else {}


@cache
def _model(service: str) -> ServiceModel | None:
    try:
        return get_session().get_service_model(service)
    except UnknownServiceError:
        return None
