"""The part of the template that is the business's own: whatever is not the platform's.

Nothing of the example business is named here or in the other tables of this folder, so that a table, a secret or a
queue of one's own, added as docs/adding-a-tool.md says, needs no change of a test.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.template.rendered import ROOT, Template, of_type
from tests.template.rights import Right

#: The platform's resources that hold data; the others are the business's.
PLATFORM = frozenset(
    {
        *("BudgetsTable", "EscalationsTable", "IdempotencyTable", "ModelCircuitsTable", "MovesTable", "RunLogTable"),
        *("EscalationDeadLetterQueue", "EscalationQueue", "RunRequestDeadLetterQueue", "RunRequestQueue"),
        *("AlarmTopic", "AnswerKey", "LogCopyBucket", "PayloadBucket", "SensitiveKey", "TicketTopic"),
        *("UnreadStreamQueue", "UnsettledRunsQueue"),
    }
)
#: Types that hold data or reach somebody: what a tool works with.
_HOLDS = (
    *("AWS::DynamoDB::Table", "AWS::DynamoDB::GlobalTable", "AWS::KMS::Key", "AWS::Kinesis::Stream", "AWS::S3::Bucket"),
    *("AWS::SNS::Topic", "AWS::SQS::Queue", "AWS::SSM::Parameter", "AWS::SecretsManager::Secret"),
)
#: Parameters of the platform. A right to what another parameter names is the business's.
_PARAMETERS = frozenset({"ReplyQueuePrefix", "ModelId", "ModelEndpointUrl"})
#: What a tool has no business with, whosever the resource: it uses a store, and does not make, delete or share one.
_MANAGES = re.compile(
    r":(\*|\*?(create|delete(table|queue|topic|bucket|secret|stream)|put\w*policy|set\w*attributes|add\w*permission).*)$",
    re.IGNORECASE,
)


def resources(template: Template) -> frozenset[str]:
    """Return the logical ids of the business's own resources that hold data."""
    return frozenset(of_type(template, *_HOLDS)) - PLATFORM


def is_yours(template: Template, right: Right) -> bool:
    """Say whether the executor may have that right for the business's sake: to use what is the business's, named."""
    if right.resource == "*" or _MANAGES.search(right.action):
        return False
    named = re.match(r"\w+", right.resource)
    if named is not None and named[0] in resources(template) | (template.get("Parameters", {}).keys() - _PARAMETERS):
        return True
    # An ARN that is written out: of something outside of the stack, whose own resources have its name before theirs.
    outside = not re.search(r"\$\{(?!AWS::)|\$\{AWS::Stack", right.resource)
    return ":" in right.resource and outside and not re.search(r"[:/]\*[^:/]*$", right.resource)


def playbooks(template: Template) -> list[Path]:
    """Return the folders that the playbook's layer ships a playbook in."""
    layer = ROOT / template["Resources"]["PlaybookLayer"]["Properties"]["ContentUri"]
    return [file.parent for file in sorted(layer.rglob("agent.yaml"))]


def named_in(folder: Path) -> set[str]:
    """Return the texts in a playbook's code that could be the name of an environment variable."""
    return {text for text in _texts(folder) if re.fullmatch(r"[A-Z][A-Z0-9_]*", text)}


def needed_by(folder: Path) -> set[str]:
    """Return the variables that a playbook's code cannot do without: tables, and what it looks up by name."""
    tables = {text for text in named_in(folder) if text.endswith("_TABLE")}
    return tables | {name for tree in _trees(folder) for name in _looked_up(tree)}


def _looked_up(tree: ast.AST) -> Iterator[str]:
    """Yield each NAME of ``….environ["NAME"]``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and _is_environ(node.value):
            yield str(node.slice.value)


def _is_environ(node: ast.AST) -> bool:
    return getattr(node, "attr", getattr(node, "id", None)) == "environ"


def _texts(folder: Path) -> Iterator[str]:
    for tree in _trees(folder):
        for node in ast.walk(tree):
            value: Any = getattr(node, "value", None)
            if isinstance(node, ast.Constant) and isinstance(value, str):
                yield value


def _trees(folder: Path) -> Iterator[ast.AST]:
    for file in sorted(folder.rglob("*.py")):
        yield ast.parse(file.read_text(encoding="utf-8"))
