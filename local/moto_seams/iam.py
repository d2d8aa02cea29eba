"""moto's IAM: who signed a request, and may they do that to this resource?"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from local.access import Access, Account, needed
from local.moto_seams.replaced import replaced

#: Services that speak JSON: a denial has to, as well.
_JSON = frozenset({"dynamodb", "events", "kms", "lambda", "sqs", "states"})


@contextmanager
def requests_authorised(waits: Callable[[str], str | None]) -> Iterator[None]:
    """Check every request's signature, and the rights of its signer to what it touches.

    ``waits`` tells in which state machine a task token is waited for.

    Relies on moto's public ``enable_iam_authentication`` (who signed?) and on
    ``IAMRequestBase.check_action_permitted``, which moto asks with the resource ``*`` for nearly every
    service, so that it would deny whatever a policy scopes; with ``_action``, ``_path``, ``_body`` and
    ``_access_key.collect_policies()``.
    """
    from moto.core.authorization import enable_iam_authentication
    from moto.iam.access_control import IAMRequestBase

    def check_action_permitted(self: Any, resource: str) -> None:
        if self._action == "sts:GetCallerIdentity":
            return
        where = Account(self._region, self.account_id, _waiting_for(self.account_id, self._region, waits))
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


def denial(who: str, missing: Access) -> str:
    """Return AWS's words for a denied request."""
    return (
        f"User: {who} is not authorized to perform: {missing.action} on resource: {missing.resource} "
        f"because no identity-based policy allows the {missing.action} action"
    )


def _not_permitted(documents: Iterable[Any], accesses: Iterable[Access]) -> Iterator[Access]:
    from moto.iam.access_control import IAMPolicy, PermissionResult

    policies = [IAMPolicy(_text(document)) for document in documents]
    for access in accesses:
        results = [policy.is_action_permitted(access.action, access.resource) for policy in policies]
        if PermissionResult.DENIED in results or PermissionResult.PERMITTED not in results:
            yield access


def _text(document: Any) -> Any:
    """A role of a stack keeps its inline policies as mappings, where ``IAMPolicy`` wants their text."""
    return json.dumps(document) if isinstance(document, dict) and "Statement" in document else document


def _parameters(body: Any) -> dict[str, Any]:
    try:
        parameters = json.loads(body)
    except (TypeError, ValueError):
        return {}
    return parameters if isinstance(parameters, dict) else {}


def _waiting_for(account: str, region: str, waits: Callable[[str], str | None]) -> Any:
    def waiting_for(task_token: str) -> str | None:
        from moto.stepfunctions.parser.models import stepfunctions_parser_backends

        if (found := waits(task_token)) is not None:
            return found
        machines: list[Any] = stepfunctions_parser_backends[account][region].state_machines
        # Nobody waits with it: whoever may answer some state machine learns so from Step Functions.
        return str(machines[0].arn) if machines else None

    return waiting_for


def _deny(request: Any, missing: Access) -> None:
    from moto.core.exceptions import JsonRESTError

    if missing.action.partition(":")[0] in _JSON:
        raise JsonRESTError("AccessDeniedException", denial(request._access_key.arn, missing))
    request._raise_access_denied()
