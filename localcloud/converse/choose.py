"""The values of ``--model``, and a check that the chosen model answers."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ballast.errors import InvalidInput

if TYPE_CHECKING:
    from localcloud.converse.source import Source

Pause = Callable[[float], None]

_URL = re.compile(r"^(?P<url>https?://[^#\s]+)#(?P<name>\S+)$")
_HELP = (
    "Give a script (PATH.yaml), a recorded run (PATH.json), an OpenAI-compatible server "
    "(http://localhost:11434/v1#MODEL_NAME) or Bedrock itself (bedrock:MODEL_ID)."
)


#: The environment variable with the key of an OpenAI-compatible server. ``BALLAST_MODEL_KEY_MODELS_EXAMPLE_8443`` is
#: that of ``models.example:8443`` alone.
MODEL_KEY = "BALLAST_MODEL_KEY"
_KEY = re.compile(r"[!-~]{1,4096}")
_BARE = (
    "Write SCHEME://HOST/PATH#MODEL_NAME alone, without a user, a password or a query. "
    f"A key belongs into the environment variable {MODEL_KEY}; it is sent as a bearer token."
)

#: The smallest conversation; a model that cannot answer it answers nothing.
_HELLO: dict[str, Any] = {
    "messages": [{"role": "user", "content": [{"text": "Say OK."}]}],
    "inferenceConfig": {"maxTokens": 16},
}
#: Seconds that a model has for it: a server on this machine may have to load the model first.
_HELLO_WITHIN_S = 60.0
#: An empty answer. A small model gives one now and then; a misconfigured proxy gives nothing else.
_NOTHING = "EmptyReply"
#: Errors that may be temporary; the model is asked again after these seconds.
_PASSES = (
    *("ThrottlingException", "ServiceUnavailableException", "InternalServerException", "ModelNotReadyException"),
    _NOTHING,
)
_AGAIN_AFTER_S = (1.0, 3.0)


@dataclass(frozen=True)
class Bedrock:
    """Real Bedrock, with the user's credentials and at their cost."""

    model_id: str


def model_source(spec: str) -> Source | Bedrock:
    """Return the model that ``spec`` names, or raise ``InvalidInput`` that lists the possible forms."""
    if spec.startswith("bedrock:"):
        model_id = spec.removeprefix("bedrock:").strip()
        if not model_id:
            raise InvalidInput(f"--model {spec}: lacks the model's id after the colon. {_HELP}")
        return Bedrock(model_id)
    if "://" in spec:
        return _server(spec)
    path = Path(spec).expanduser()
    if not path.is_file():
        # A URL without its scheme may have a credential, too.
        shown = f" {spec}" if not any(sign in spec for sign in "@?") else ""
        raise InvalidInput(f"--model{shown}: no such file. {_HELP}")
    return _from_file(path)


def label_of(spec: str) -> str:
    """Return a valid ``spec`` as it is shown and saved: a server's by its host and the model's name alone."""
    found = _URL.match(spec)
    return f"{urlsplit(found['url']).netloc}#{found['name']}" if found is not None else spec


def _server(spec: str) -> Source:
    """Return a model behind a server. Raises ``InvalidInput``, which shows nothing that may be a credential."""
    from localcloud.converse.openai import OpenAIModel

    if not spec.startswith(("http://", "https://")):
        raise InvalidInput(f"--model: a server's URL begins with http:// or https://. {_HELP}")
    shown = f"--model {spec.partition(':')[0]}://…"
    found = _URL.match(spec)
    if any(sign in spec.partition("#")[0] for sign in "@?") or (found is not None and "?" in found["name"]):
        raise InvalidInput(f"{shown}: the URL may have a credential. {_BARE}")
    if found is None:
        raise InvalidInput(f"{shown}: lacks the model's name after a #, e.g. http://localhost:11434/v1#llama3.2.")
    try:
        host, _ = urlsplit(found["url"]).hostname, urlsplit(found["url"]).port
    except ValueError:
        host = None
    if not host:
        raise InvalidInput(f"{shown}: has no valid host and port. {_BARE}")
    return OpenAIModel(found["url"], found["name"], api_key=_key_of(urlsplit(found["url"]).netloc))


def _own_key(netloc: str) -> str:
    """Return the name of the variable with the key of one server alone."""
    return f"{MODEL_KEY}_{re.sub('[^A-Z0-9]', '_', netloc.upper())}"


def _key_of(netloc: str) -> str | None:
    """Return the server's key. Raises ``InvalidInput``, which does not show it."""
    name = next((one for one in (_own_key(netloc), MODEL_KEY) if os.environ.get(one, "").strip()), None)
    if name is None:
        return None
    key = os.environ[name].strip()
    if not _KEY.fullmatch(key):
        raise InvalidInput(f"{name}: must be printable ASCII without spaces. Export the server's key again.")
    return key


def check_keys(specs: Iterable[str]) -> None:
    """Refuse to send one key to several servers: each would learn that of another. Raises ``InvalidInput``."""
    if not os.environ.get(MODEL_KEY, "").strip():
        return
    hosts = {urlsplit(found["url"]).netloc: None for found in map(_URL.match, specs) if found is not None}
    without = [host for host in hosts if not os.environ.get(_own_key(host), "").strip()]
    if len(without) > 1:
        raise InvalidInput(
            f"{MODEL_KEY}: {' and '.join(without)} would each get this key. Export one for each server instead: "
            f"{', '.join(map(_own_key, without))}. A server without a key needs {MODEL_KEY} to be unset."
        )


def _from_file(path: Path) -> Source:
    from localcloud.converse.recorded import RecordedModel
    from localcloud.converse.script import ScriptModel

    if path.suffix == ".json":
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, OSError) as problem:
            raise InvalidInput(f"{path}: is not JSON: {problem}") from None
        log = data.get("events") if isinstance(data, dict) else data
        if isinstance(log, list):
            return RecordedModel.of(log)
    return ScriptModel.read(path)


def check_that_it_answers(
    model: Source | Bedrock,
    spec: str,
    *,
    option: str = "--model",
    pause: Pause = time.sleep,
    within_s: float = _HELLO_WITHIN_S,
) -> None:
    """Send a remote model a minimal request. Raises ``InvalidInput`` with the reason if no answer comes.

    ``option``: where ``spec`` was typed. Does nothing for a script or a recorded run, which are files.
    """
    from localcloud.converse.openai import OpenAIModel

    if isinstance(model, Bedrock):
        ask: Callable[[], object] = _hello_to_bedrock(model, within_s)
    elif isinstance(model, OpenAIModel):
        patient = model.within(within_s)

        def ask() -> object:
            return patient.reply(_HELLO, "").body

    else:
        return
    code, why = "", ""
    for wait_s in (0.0, *_AGAIN_AFTER_S):
        if wait_s:
            pause(wait_s)
        code, why = _refusal(ask)
        if not why:
            return
        if code not in _PASSES or "cannot be reached" in why:
            break
    said = " ".join(why.split())  # a server wrote a part of it
    raise InvalidInput(f"{option} {label_of(spec)}: the model does not answer, so nothing was started. {code}: {said}")


def _refusal(ask: Callable[[], object]) -> tuple[str, str]:
    """Return the error's name and text if ``ask`` fails or returns an empty answer."""
    from botocore.exceptions import ClientError

    from localcloud.converse.source import ModelError

    try:
        reply = ask()
    except ModelError as problem:
        return problem.code, problem.message
    except ClientError as problem:
        return problem.response["Error"]["Code"], problem.response["Error"]["Message"]
    except Exception as problem:  # botocore's own errors, and those of its parser for a malformed reply
        return type(problem).__name__, str(problem)
    if not _says_something(reply):
        return _NOTHING, "it answered with success and without a message. Is this the right endpoint?"
    return "", ""


def _says_something(reply: object) -> bool:
    """Return whether the reply has a Converse message with a block, or one that was cut off during reasoning."""
    output = reply.get("output") if isinstance(reply, Mapping) else None
    message = output.get("message") if isinstance(output, Mapping) else None
    if not isinstance(reply, Mapping) or not isinstance(message, Mapping):
        return False
    return bool(message.get("content")) or reply.get("stopReason") == "max_tokens"


def bedrock_client(within_s: float) -> Any:
    """Return a client of Bedrock with the user's credentials and region. Raises ``InvalidInput`` without any."""
    import boto3
    from botocore.config import Config

    from localcloud.sessions import NotLocal, users_bedrock

    try:
        users = users_bedrock()
    except NotLocal as problem:
        raise InvalidInput(f"--model: {problem}") from None
    config = Config(read_timeout=within_s, connect_timeout=10, retries={"total_max_attempts": 1})
    return boto3.Session().client("bedrock-runtime", **users.options(config))


def _hello_to_bedrock(model: Bedrock, within_s: float) -> Callable[[], object]:
    client = bedrock_client(within_s)
    return lambda: client.converse(modelId=model.model_id, **_HELLO)
