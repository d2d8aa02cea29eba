"""Write the JSON Schemas of Ballast's messages and events, and of a playbook's files, from the models.

``python -m localcloud.schemas`` writes ``docs/events/*.schema.json`` and ``docs/*.schema.json``; ``--check`` only
compares them with the models, and exits 1 if they differ.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel

from ballast.contracts.notice import NOTICES, EscalationMessage
from ballast.contracts.run_requested import RUN_REQUESTED, RunRequested
from localcloud import editor_schemas

#: For editors, and for those who send and receive messages.
EDITORS = Path(__file__).resolve().parent.parent / "docs"
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


def files() -> dict[Path, str]:
    """Return the text of each schema by its file."""
    editors = {EDITORS / name: schema for name, schema in editor_schemas.schemas().items()}
    made = {file: json.dumps({"$schema": _DIALECT, **one}, indent=2) + "\n" for file, one in editors.items()}
    return made | {FOLDER / name: text for name, text in schemas().items()}


def main(argv: Sequence[str]) -> int:
    """Write the schemas, or with ``--check`` compare them; return the exit code."""
    made = files()
    stale = [file for file, text in made.items() if not file.exists() or file.read_text(encoding="utf-8") != text]
    there = {file for folder in {EDITORS, FOLDER} for file in folder.glob("*.schema.json")}
    unknown = sorted(there - made.keys())
    if "--check" in argv:
        for file in [*stale, *unknown]:
            print(f"{file} differs from the models: run `python -m localcloud.schemas`.", file=sys.stderr)
        return 1 if stale or unknown else 0
    for file in stale:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(made[file], encoding="utf-8")
        print(f"wrote {file}")
    for file in unknown:
        file.unlink()
        print(f"removed {file}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
