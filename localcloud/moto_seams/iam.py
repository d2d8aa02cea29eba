"""moto's IAM: every request is checked against the rights of its signer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs

from localcloud.iam import Access, Account, missing, needed
from localcloud.moto_seams.replaced import replaced
from localcloud.sessions import Keys

#: Services with a JSON protocol, for which a denial is JSON, too.
_JSON = frozenset({"dynamodb", "events", "kms", "lambda", "sqs", "states"})


@contextmanager
def requests_authorised(waits: Callable[[str], str | None]) -> Iterator[None]:
    """Check every request's signature, and its signer's rights to the resource.

    ``waits`` returns the state machine that waits for a task token.

    Relies on moto's public ``enable_iam_authentication`` (who signed?) and on
    ``IAMRequestBase.check_action_permitted``, which moto asks with the resource ``*`` for nearly every
    service, so that it would deny whatever a policy scopes, and which takes ``.`` and ``?`` of a pattern for a regular
    expression's and a condition that it does not know for one that fails; with ``_action``, ``_path``, ``_body`` and
    ``_access_key.collect_policies()``.
    """
    from moto.core.authorization import enable_iam_authentication
    from moto.iam.access_control import IAMRequestBase

    def check_action_permitted(self: Any, resource: str) -> None:
        if self._action == "sts:GetCallerIdentity":
            return
        account, region = self.account_id, self._region
        where = Account(
            region, account, _waiting_for(account, region, waits), _secret(account, region), _key(account, region)
        )
        accesses = needed(self._action, resource, self._path, _parameters(self._body), where)
        missing = next(_not_permitted(self._access_key.collect_policies(), accesses), None)
        if missing is not None:
            _deny(self, missing)

    with replaced(IAMRequestBase, "check_action_permitted", check_action_permitted), enable_iam_authentication():
        yield


def missing_rights(account: str, role_arn: str, accesses: Iterable[Access]) -> list[Access]:
    """Return those of ``accesses`` that the policies of a role do not grant.

    Relies on ``iam_backends`` and its role's ``policies`` (inline) and ``managed_policies``.
    """
    from moto.iam.models import iam_backends

    role = iam_backends[account]["aws"].get_role_by_arn(role_arn)
    return list(_not_permitted([*role.policies.values(), *role.managed_policies.values()], accesses))


def keys_of_role(account: str, region: str, role_arn: str, session_name: str) -> Keys:
    """Return what AssumeRole returns, without a request for each of a stack's functions.

    Relies on ``STSBackend.assume_role`` and on the keys of the ``AssumedRole`` that it returns.
    """
    from moto.sts.models import sts_backends

    nothing: Any = None
    given = sts_backends[account]["aws"].assume_role(region, session_name, role_arn, nothing, 3600, nothing)
    return Keys(given.access_key_id, given.secret_access_key, given.session_token)


def denial(who: str, missing: Access) -> str:
    """Return AWS's message for a denied request."""
    return (
        f"User: {who} is not authorized to perform: {missing.action} on resource: {missing.resource} "
        f"because no identity-based policy allows the {missing.action} action"
    )


def _not_permitted(documents: Iterable[Any], accesses: Iterable[Access]) -> Iterator[Access]:
    return missing([_document(document) for document in documents], accesses)


def _document(policy: Any) -> Mapping[str, Any]:
    """Return a policy document; moto keeps it as a mapping, as text, or in a record."""
    if isinstance(policy, Mapping) and "Statement" in policy:
        return policy
    if isinstance(policy, str):
        return _parsed(policy)
    if isinstance(policy, Mapping):
        return _document(policy["policy_document"])
    return _parsed(next(version.document for version in policy.versions if version.is_default))


@lru_cache(maxsize=512)
def _parsed(text: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(text)
    return found


def _parameters(body: Any) -> dict[str, Any]:
    """Return a request's parameters, from JSON or a form."""
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body or "")
    try:
        parameters = json.loads(text)
    except ValueError:
        return {name: values[0] for name, values in parse_qs(text).items()}
    return parameters if isinstance(parameters, dict) else {}


def _secret(account: str, region: str) -> Callable[[str], str | None]:
    def secret(name: str) -> str | None:
        from moto.secretsmanager.models import secretsmanager_backends

        found = secretsmanager_backends[account][region].secrets.get(name)
        return None if found is None else str(found.arn)

    return secret


def _key(account: str, region: str) -> Callable[[str], str | None]:
    def key(alias: str) -> str | None:
        from moto.kms.models import kms_backends

        found = kms_backends[account][region].get_key_id_from_alias(alias)
        return None if found is None else str(found)

    return key


def _waiting_for(account: str, region: str, waits: Callable[[str], str | None]) -> Any:
    def waiting_for(task_token: str) -> str | None:
        from moto.stepfunctions.parser.models import stepfunctions_parser_backends

        if (found := waits(task_token)) is not None:
            return found
        machines: list[Any] = stepfunctions_parser_backends[account][region].state_machines
        # No task waits with this token: Step Functions tells that to callers with any right to answer.
        return str(machines[0].arn) if machines else None

    return waiting_for


def _deny(request: Any, missing: Access) -> None:
    from moto.core.exceptions import JsonRESTError

    if missing.action.partition(":")[0] in _JSON:
        raise JsonRESTError("AccessDeniedException", denial(request._access_key.arn, missing))
    request._raise_access_denied()
