"""What ``--model`` may be."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ballast.errors import InvalidInput

if TYPE_CHECKING:
    from local.converse.source import Source

_URL = re.compile(r"^(?P<url>https?://[^#\s]+)#(?P<name>\S+)$")
_HELP = (
    "Give a script (PATH.yaml), a recorded run (PATH.json), an OpenAI-compatible server "
    "(http://localhost:11434/v1#MODEL_NAME) or Bedrock itself (bedrock:MODEL_ID)."
)


@dataclass(frozen=True)
class Bedrock:
    """Bedrock itself: no double; the user's credentials and money."""

    model_id: str


def model_source(spec: str) -> Source | Bedrock:
    """Return the model that ``spec`` names, or raise ``InvalidInput`` that says what it may be."""
    if spec.startswith("bedrock:"):
        model_id = spec.removeprefix("bedrock:").strip()
        if not model_id:
            raise InvalidInput(f"--model {spec}: lacks the model's id after the colon. {_HELP}")
        return Bedrock(model_id)
    if spec.startswith(("http://", "https://")):
        from local.converse.openai import OpenAIModel

        found = _URL.match(spec)
        if found is None:
            raise InvalidInput(f"--model {spec}: lacks the model's name after a #, e.g. {spec.split('#')[0]}#llama3.2.")
        return OpenAIModel(found["url"], found["name"])
    path = Path(spec).expanduser()
    if not path.is_file():
        raise InvalidInput(f"--model {spec}: no such file. {_HELP}")
    return _from_file(path)


def _from_file(path: Path) -> Source:
    from local.converse.recorded import RecordedModel
    from local.converse.script import ScriptModel

    if path.suffix == ".json":
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, OSError) as problem:
            raise InvalidInput(f"{path}: is not JSON: {problem}") from None
        log = data.get("events") if isinstance(data, dict) else data
        if isinstance(log, list):
            return RecordedModel.of(log)
    return ScriptModel.read(path)
