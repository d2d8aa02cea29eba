"""A model behind an OpenAI-compatible server (Ollama, llama.cpp, vLLM), and Converse as chat completions."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import OpenerDirector, ProxyHandler, Request, build_opener

from localcloud.converse.source import ModelError, Reply

#: Bedrock's error for each HTTP status; any other below 500 means an invalid request.
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
        self._api_key = api_key
        self._opener = _opener(url)

    def within(self, timeout_s: float) -> OpenAIModel:
        """Return the same model with a timeout of at most ``timeout_s``."""
        other = copy.copy(self)
        other._timeout_s = min(timeout_s, self._timeout_s)
        return other

    def reply(self, request: Mapping[str, Any], _model_id: str, /) -> Reply:
        """Forward the request to the server. Raises ``ModelError`` for every failure."""
        body = json.dumps({"model": self._name, **to_openai(request)}).encode()
        try:
            # `choose` accepts only http and https.
            request_there = Request(self._url, body, {"Content-Type": "application/json"})  # noqa: S310
            if self._api_key:  # for this server alone: a redirect does not take it along
                request_there.add_unredirected_header("Authorization", f"Bearer {self._api_key}")
            with self._opener.open(request_there, timeout=self._timeout_s) as response:
                text = response.read()
        except HTTPError as problem:
            code = _ERRORS.get(problem.code, "ValidationException" if problem.code < 500 else "ModelErrorException")
            raise ModelError(code, f"{self._url} answered {problem.code}: {self._words(problem)}") from None
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

    def _words(self, problem: HTTPError) -> str:
        """Return what the server says of an error, without the key: some repeat it."""
        said = _words(problem)
        return said.replace(self._api_key, "***") if self._api_key else said

    def _late(self) -> ModelError:
        return ModelError("ModelTimeoutException", f"{self._url} did not answer within {self._timeout_s} s.")


def _opener(url: str) -> OpenerDirector:
    """Return an opener that uses the environment's proxy, but not for servers on this machine."""
    local = (urlsplit(url).hostname or "") in ("localhost", "127.0.0.1", "::1")
    return build_opener(ProxyHandler({})) if local else build_opener()


def _words(problem: HTTPError) -> str:
    text = problem.read(2000).decode("utf-8", "replace")
    try:
        error = json.loads(text)["error"]
    except (ValueError, LookupError, TypeError):
        return text[:500]
    return str(error.get("message", error) if isinstance(error, dict) else error)[:500]


_STOP_REASON = {
    "stop": "end_turn",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "length": "max_tokens",
    "content_filter": "content_filtered",
}
_INFERENCE = {"maxTokens": "max_tokens", "temperature": "temperature", "topP": "top_p", "stopSequences": "stop"}


def to_openai(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return a Converse request as the body of ``/chat/completions``, without the model's name.

    Raises ``ModelError`` for content without a counterpart (images, documents).
    """
    messages: list[dict[str, Any]] = []
    if system := "\n\n".join(block["text"] for block in request.get("system", []) if "text" in block):
        messages.append({"role": "system", "content": system})
    for message in request.get("messages", []):
        messages += _assistant(message) if message["role"] == "assistant" else _user(message)
    body: dict[str, Any] = {"messages": messages, "stream": False}
    inference = request.get("inferenceConfig", {})
    body |= {theirs: inference[ours] for ours, theirs in _INFERENCE.items() if ours in inference}
    config = request.get("toolConfig", {})
    if tools := [_tool(tool["toolSpec"]) for tool in config.get("tools", []) if "toolSpec" in tool]:
        body["tools"] = tools
        if (choice := _choice(config.get("toolChoice", {}))) is not None:
            body["tool_choice"] = choice
    return body


def _assistant(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    blocks = message["content"]
    calls = [
        {
            "id": block["toolUse"]["toolUseId"],
            "type": "function",
            "function": {"name": block["toolUse"]["name"], "arguments": json.dumps(block["toolUse"]["input"])},
        }
        for block in blocks
        if "toolUse" in block
    ]
    text = _text(blocks)
    yield {"role": "assistant", "content": text or None, **({"tool_calls": calls} if calls else {})}


def _user(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Return the messages of one Converse message: tool results are separate messages, right after the calls."""
    blocks = message["content"]
    for block in blocks:
        if unknown := set(block) - {"text", "toolResult", "cachePoint"}:
            raise ModelError("ValidationException", f"A {'/'.join(sorted(unknown))} block has no counterpart here.")
        if "toolResult" in block:
            result = block["toolResult"]
            content = "\n".join(
                part["text"] if "text" in part else json.dumps(part.get("json"), ensure_ascii=False)
                for part in result["content"]
            )
            failed = "Error: " if result.get("status") == "error" else ""
            yield {"role": "tool", "tool_call_id": result["toolUseId"], "content": failed + content}
    if text := _text(blocks):
        yield {"role": "user", "content": text}


def _text(blocks: Sequence[Mapping[str, Any]]) -> str:
    texts = [block.get("text") or _cited(block) for block in blocks]
    return "\n\n".join(text for text in texts if text)


def _cited(block: Mapping[str, Any]) -> str:
    return "".join(part.get("text", "") for part in block.get("citationsContent", {}).get("content", []))


def _tool(spec: Mapping[str, Any]) -> dict[str, Any]:
    function = {"name": spec["name"], "parameters": spec["inputSchema"]["json"]}
    if "description" in spec:
        function["description"] = spec["description"]
    return {"type": "function", "function": function}


def _choice(choice: Mapping[str, Any]) -> Any:
    if "tool" in choice:
        return {"type": "function", "function": {"name": choice["tool"]["name"]}}
    return "required" if "any" in choice else "auto" if "auto" in choice else None


def from_openai(completion: Mapping[str, Any]) -> dict[str, Any]:
    """Return a chat completion as a Converse response.

    Raises ``LookupError``, ``TypeError`` or ``AttributeError`` if it is malformed.
    """
    choice = completion["choices"][0]
    message = choice["message"]
    content: list[dict[str, Any]] = []
    if text := _said(message.get("content")) or _said(message.get("refusal")):
        content.append({"text": text})
    for index, call in enumerate(message.get("tool_calls") or [], start=1):
        function = call["function"]
        tool_use = {"name": function["name"], "input": _arguments(function.get("arguments"))}
        content.append({"toolUse": {"toolUseId": call.get("id") or f"call-{index}", **tool_use}})
    stop_reason = _STOP_REASON.get(choice.get("finish_reason") or "stop", "end_turn")
    if stop_reason == "end_turn" and any("toolUse" in block for block in content):
        stop_reason = "tool_use"  # some servers say "stop" after calls as well
    response = {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": stop_reason,
        "metrics": {"latencyMs": 0},
    }
    usage = completion.get("usage")
    counts = _usage(usage) if isinstance(usage, dict) else None
    return response | {"usage": counts} if counts else response


def _arguments(arguments: Any) -> Any:
    """Return the arguments' JSON; pass on an unreadable string as it is, to be refused later."""
    if not isinstance(arguments, str):
        return {} if arguments is None else arguments
    try:
        return json.loads(arguments or "{}")
    except ValueError:
        return arguments


def _said(content: Any) -> str:
    """Return the text of a message's content: a text, a requested object, or parts of which some are text.

    Reasoning parts are not text.
    """
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(_part(part) for part in content)
    if isinstance(content, dict):
        return _part(content) if "type" in content else json.dumps(content, ensure_ascii=False)
    return "" if content is None else json.dumps(content)


def _part(part: Any) -> str:
    if not isinstance(part, dict):
        return part if isinstance(part, str) else ""
    kind = part.get("type", "text")
    if kind not in ("text", "output_text", "refusal"):
        return ""
    text = part.get("refusal") if kind == "refusal" else part.get("text")
    return _said(text.get("value") if isinstance(text, dict) else text) if text is not None else ""


def _usage(usage: Mapping[str, Any]) -> dict[str, int] | None:
    """Return the token counts in Converse's form; None if one of them is invalid.

    OpenAI counts cached tokens within the prompt's, Bedrock separately. So do some OpenAI-compatible servers; those
    report more cached tokens than the prompt has.
    """
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    given, made = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if not (isinstance(cached, int) and isinstance(given, int) and isinstance(made, int)):
        return None
    given = given - cached if given >= cached else given
    counts = {"inputTokens": given, "outputTokens": made, "totalTokens": given + cached + made}
    return counts | {"cacheReadInputTokens": cached} if cached else counts
