"""Write the JSON Schemas of Ballast's messages and events from the contracts.

``python -m localcloud.schemas`` writes ``docs/events/*.schema.json``; ``--check`` only compares
them with the contracts, and exits 1 if they differ.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel

from ballast.contracts.notice import NOTICES, EscalationMessage
from ballast.contracts.run_requested import RUN_REQUESTED, RunRequested

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "events"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> dict[str, str]:
    """Return the text of each schema by its file name."""
    events: dict[str, type[BaseModel]] = {RUN_REQUESTED: RunRequested, **NOTICES}
    made = {f"{kind.lower().replace(' ', '-')}.schema.json": _schema(model, kind) for kind, model in events.items()}
    return made | {"escalation-message.schema.json": _schema(EscalationMessage, "Escalation message")}


def _schema(model: type[BaseModel], title: str) -> str:
    # What we receive is described as it is read; what we send, as it is written.
    taken = model is RunRequested
    schema = model.model_json_schema(mode="validation" if taken else "serialization")
    if not taken:
        schema["additionalProperties"] = True  # a later minor version may say more
    return json.dumps({"$schema": _DIALECT, **schema, "title": title}, indent=2) + "\n"


def main(argv: Sequence[str]) -> int:
    """Write the schemas, or with ``--check`` compare them; return the exit code."""
    stale = [name for name, text in schemas().items() if _on_disk(name) != text]
    unknown = sorted({file.name for file in FOLDER.glob("*.schema.json")} - schemas().keys())
    if "--check" in argv:
        for name in [*stale, *unknown]:
            print(f"{FOLDER / name} differs from the contracts: run `python -m localcloud.schemas`.", file=sys.stderr)
        return 1 if stale or unknown else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in stale:
        (FOLDER / name).write_text(schemas()[name], encoding="utf-8")
        print(f"wrote {FOLDER / name}")
    for name in unknown:
        (FOLDER / name).unlink()
        print(f"removed {FOLDER / name}")
    return 0


def _on_disk(name: str) -> str | None:
    file = FOLDER / name
    return file.read_text(encoding="utf-8") if file.exists() else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
