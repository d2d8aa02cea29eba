"""A model behind an OpenAI-compatible server: Ollama, llama.cpp, vLLM."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import OpenerDirector, ProxyHandler, Request, build_opener

from localcloud.converse.openai_form import from_openai, to_openai
from localcloud.converse.source import ModelError, Reply

#: Bedrock's error for the server's HTTP status; any other below 500 is a refusal of the request.
_ERRORS = {
    401: "AccessDeniedException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    429: "ThrottlingException",
    500: "InternalServerException",
    503: "ServiceUnavailableException",
    504: "ModelTimeoutException",
}


class OpenAIModel:
    """Forwards each Converse request to ``url`` + ``/chat/completions``, for the model ``name``."""

    def __init__(self, url: str, name: str, *, timeout_s: float = 300.0, api_key: str | None = None) -> None:
        self._url = url.rstrip("/") + "/chat/completions"
        self._name = name
        self._timeout_s = timeout_s
        self._headers = {"Content-Type": "application/json"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._opener = _opener(url)

    def within(self, timeout_s: float) -> OpenAIModel:
        """Return the same model, for which nobody waits longer than ``timeout_s``."""
        other = copy.copy(self)
        other._timeout_s = min(timeout_s, self._timeout_s)
        return other

    def reply(self, request: Mapping[str, Any], _model_id: str, /) -> Reply:
        """Ask the server. Raises ``ModelError`` for whatever keeps it from a reply."""
        body = json.dumps({"model": self._name, **to_openai(request)}).encode()
        try:
            # `choose` lets http and https through, and no other scheme.
            request_there = Request(self._url, body, self._headers)  # noqa: S310
            with self._opener.open(request_there, timeout=self._timeout_s) as response:
                text = response.read()
        except HTTPError as problem:
            code = _ERRORS.get(problem.code, "ValidationException" if problem.code < 500 else "ModelErrorException")
            raise ModelError(code, f"{self._url} answered {problem.code}: {_words(problem)}") from None
        except TimeoutError:
            raise self._late() from None
        except URLError as problem:
            if isinstance(problem.reason, TimeoutError):
                raise self._late() from None
            words = f"{self._url} cannot be reached ({problem.reason}). Is the server running?"
            raise ModelError("ServiceUnavailableException", words) from None
        except (OSError, HTTPException) as problem:
            raise ModelError("ServiceUnavailableException", f"{self._url} broke off: {problem}") from None
        try:
            return Reply(from_openai(json.loads(text)))
        except (ValueError, LookupError, TypeError, AttributeError) as problem:
            raise ModelError("ModelErrorException", f"{self._url} sent no chat completion: {problem!r}") from None

    def _late(self) -> ModelError:
        return ModelError("ModelTimeoutException", f"{self._url} did not answer within {self._timeout_s} s.")


def _opener(url: str) -> OpenerDirector:
    """A proxy that the environment names is not for this machine's own servers."""
    local = (urlsplit(url).hostname or "") in ("localhost", "127.0.0.1", "::1")
    return build_opener(ProxyHandler({})) if local else build_opener()


def _words(problem: HTTPError) -> str:
    text = problem.read(2000).decode("utf-8", "replace")
    try:
        error = json.loads(text)["error"]
    except (ValueError, LookupError, TypeError):
        return text[:500]
    return str(error.get("message", error) if isinstance(error, dict) else error)[:500]
