"""A deployed stack, found by its name with the user's own AWS credentials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ballast.errors import InvalidInput

if TYPE_CHECKING:
    import boto3


def stack_outputs(session: boto3.Session, stack: str) -> Mapping[str, str]:
    """Return the outputs of the stack. Raises ``InvalidInput`` with the remedy where it cannot be read."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        found = session.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    except ClientError as problem:
        raise InvalidInput(
            f"--stack {stack}: {problem.response['Error']['Message']} (region {session.region_name}). "
            "Is the name right, and the region (AWS_REGION)? May you read the stack?"
        ) from None
    except BotoCoreError as problem:  # no credentials, no region, no network
        raise InvalidInput(f"--stack {stack}: {problem} Sign in first (`aws sso login`, or set AWS_PROFILE).") from None
    return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}


def output(outputs: Mapping[str, str], name: str) -> str:
    """Return one output. Raises ``InvalidInput`` where the stack is none of Ballast's, or an older one."""
    if name not in outputs:
        raise InvalidInput(f"The stack has no output {name}: it is no stack of Ballast's, or an older one. Deploy it.")
    return outputs[name]
