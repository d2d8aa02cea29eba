"""Lambda on the log's stream: report each event that was changed, or deleted by anybody but TTL.

The event source mapping passes nothing else, so this function does not run until somebody touches the log. A line of
its log group names the event, its changed attributes (names only, no content) and the command to type.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from ballast.edge import guarded
from ballast.metrics import metric_line
from ballast.runtime import Runtime, Settings, lambda_runtime, made_at_init
from ballast.table import plain
from ballast.values import dataclass

#: The principal of TTL's deletions.
_TTL = "dynamodb.amazonaws.com"


class TouchedSettings(Settings):
    """LogTouched's environment: none beyond what every function has (``Runtime``)."""


@dataclass(frozen=True)
class Touched:
    """An event that is not as it was written. ``changed``: names of its attributes that differ."""

    run_id: str
    seq: str
    how: str
    changed: tuple[str, ...]


def touched(records: Any) -> Iterator[Touched]:
    """Yield the events that ``records`` of the stream say were touched. Pure; an unreadable record counts as one."""
    for record in records if isinstance(records, list) else []:
        about = record if isinstance(record, Mapping) else {}
        how = str(about.get("eventName"))
        who = about.get("userIdentity") or {}
        if how == "INSERT" or (how == "REMOVE" and isinstance(who, Mapping) and who.get("principalId") == _TTL):
            continue
        change = about.get("dynamodb") or {}
        keys, old, new = (change.get(name) or {} for name in ("Keys", "OldImage", "NewImage"))
        differ = sorted(name for name in {*old, *new} if old.get(name) != new.get(name)) if how == "MODIFY" else []
        yield Touched(_text(keys, "run_id"), _text(keys, "seq"), how, tuple(differ))


def _text(keys: Mapping[str, Any], name: str) -> str:
    return str(plain(keys).get(name, "?"))


@made_at_init(TouchedSettings.of)
@guarded
def lambda_handler(event: Any, context: Any, *, runtime: Runtime | None = None) -> None:
    """Report each touched event of ``event``, the stream's, in one line."""
    process = runtime or lambda_runtime()
    for found in touched(event.get("Records")):
        fields = {
            "run_id": found.run_id,
            "seq": found.seq,
            "how": found.how,
            "changed": ", ".join(found.changed),
            "do": f"ballast --stack {process.stack} verify {found.run_id}",
        }
        process.emit(metric_line({"LogTouched": 1}, fields=fields))
