"""The model client: Bedrock Converse through boto3, and its failures named.

Only this module calls a model. botocore's retries are off: another attempt has its own reservation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ballast.contracts import ExitReason
from ballast.contracts.wire import read_digits
from ballast.errors import ends_the_process
from ballast.masking import error_text
from ballast.regex import regex
from ballast.values import dataclass

if TYPE_CHECKING:
    from ballast.runtime import Runtime

#: Errors after which another attempt may succeed, and whether Bedrock may charge for this one.
_TRY_AGAIN: dict[str, tuple[ExitReason, bool]] = {
    "ThrottlingException": (ExitReason.MODEL_THROTTLED, False),
    "ModelNotReadyException": (ExitReason.MODEL_UNAVAILABLE, False),
    "ServiceUnavailableException": (ExitReason.MODEL_UNAVAILABLE, False),
    "ServiceUnavailable": (ExitReason.MODEL_UNAVAILABLE, False),
    "InternalServerException": (ExitReason.MODEL_UNAVAILABLE, True),
    "ModelErrorException": (ExitReason.MODEL_UNAVAILABLE, True),
    "ModelTimeoutException": (ExitReason.MODEL_TIMEOUT, True),
}
#: The same for a status without such a name: from a gateway, a proxy or a test double.
_TRY_AGAIN_STATUS: dict[int, tuple[ExitReason, bool]] = {
    408: (ExitReason.MODEL_TIMEOUT, True),
    424: (ExitReason.MODEL_UNAVAILABLE, True),
    429: (ExitReason.MODEL_THROTTLED, False),
    500: (ExitReason.MODEL_UNAVAILABLE, True),
    502: (ExitReason.MODEL_UNAVAILABLE, True),
    503: (ExitReason.MODEL_UNAVAILABLE, False),
    504: (ExitReason.MODEL_TIMEOUT, True),
}
#: Errors about the model that was asked, and those about the caller, who is the same for every model.
_OF_THE_MODEL = frozenset(("AccessDeniedException", "ResourceNotFoundException", "ServiceQuotaExceededException"))
_OF_THE_CALLER = re.compile(r"Token|Signature|UnrecognizedClient|OptInRequired|Authentication")
#: The same for the ``ValidationException``, which has one code for all: Bedrock's and the providers' words.
_SAYS_MODEL = regex(
    r"\bmodel (?:identifier|id|arn|version)\b|inference profile|on-demand throughput|end of (?:its )?life|\blegacy\b"
    r"|\b(?:does not|doesn't|do not|don't) support\b|\b(?:not|isn't|aren't|no longer) (?:supported|available|enabled)\b"
    r"|\bunsupported (?:parameter|value|field|model|operation|feature)|\bdeprecated\b|extraneous key|\bextra inputs?\b"
    r"|\bunknown (?:parameter|field)|\bunrecogni[sz]ed request argument|invalid beta|\boperation not allowed\b"
)
#: More digits than a double always keeps, with a point or an exponent.
_LONG_FRACTION = regex(rb"[0-9][0-9.]{15,}")
#: A call that was given less time than this may have been cut too early: its timeout is no sign of an outage.
_FAIR_S = 10


@dataclass(frozen=True)
class ModelFailure(Exception):
    """The call returned no completion.

    again    another attempt may succeed
    charged  the attempt may have cost something; its reservation stays charged
    detail   the provider's text, whole; it may quote the request, so it is cut before it is recorded
    retry_after_s  seconds until the provider wants to be asked again; None if it does not say
    of_model  the refusal is about the model that was asked, so another one may take the same request
    """

    reason: ExitReason
    again: bool
    charged: bool
    detail: str
    retry_after_s: float | None = None
    of_model: bool = False


@dataclass(frozen=True)
class CircuitFailure(ModelFailure):
    """The provider throttles, is down or hangs: the only failure that counts for its circuit."""


class Converse:
    """A Converse client with a time limit; its endpoint is AWS or the local cloud."""

    def __init__(self, client: Callable[[int], Any], timeout_s: int) -> None:
        self._client, self._timeouts_s = client, _timeouts(timeout_s)

    @classmethod
    def of(cls, runtime: Runtime, *, endpoint_url: str, timeout_s: int) -> Converse:
        """Build the client. ``endpoint_url`` "" is AWS; no call may take longer than ``timeout_s``."""
        from botocore.config import Config

        def client(seconds: int) -> Any:
            config = Config(
                # A retry is a new attempt with its own reservation, never a hidden one.
                retries={"total_max_attempts": 1, "mode": "standard"},
                connect_timeout=min(5, seconds),
                read_timeout=seconds,
            )
            # botocore has no timeout for a single request, so each timeout has its own client, made when needed.
            variant = "" if seconds == timeout_s else f"{seconds}s"
            made = runtime.client("bedrock-runtime", config, endpoint_url or None, variant=variant, regional=True)
            made.meta.events.register("after-call.bedrock-runtime.Converse", _keep_digits, unique_id="ballast-digits")
            return made

        client(timeout_s)
        return cls(client, timeout_s)

    def reply(self, request: dict[str, Any], *, within_s: float) -> dict[str, Any]:
        """Send ``request`` (the arguments of ``converse``) and return the reply.

        The call is cut after ``within_s``, or somewhat earlier. Raises ``ModelFailure``.
        """
        timeout_s = next((one for one in self._timeouts_s if one <= within_s), self._timeouts_s[-1])
        try:
            return self._send(request, timeout_s)
        except ModelFailure as failure:
            # A short time limit says nothing about the provider.
            hurried = failure.reason is ExitReason.MODEL_TIMEOUT and timeout_s < min(_FAIR_S, self._timeouts_s[0])
            if not failure.again or hurried:
                raise
            raise CircuitFailure(**vars(failure)) from failure

    def _send(self, request: dict[str, Any], timeout_s: int) -> dict[str, Any]:
        from botocore.exceptions import (
            BotoCoreError,
            ClientError,
            ConnectTimeoutError,
            EndpointConnectionError,
            HTTPClientError,
            ParamValidationError,
            ReadTimeoutError,
        )

        try:
            reply: dict[str, Any] = self._client(timeout_s).converse(**request)
        except ClientError as problem:
            raise _failure(problem.response) from problem
        except ReadTimeoutError as problem:
            raise ModelFailure(ExitReason.MODEL_TIMEOUT, True, True, error_text(problem)) from problem
        except (ConnectTimeoutError, EndpointConnectionError) as problem:
            raise ModelFailure(ExitReason.MODEL_UNAVAILABLE, True, False, error_text(problem)) from problem
        except ParamValidationError as problem:
            raise ModelFailure(ExitReason.MODEL_REFUSED, False, False, error_text(problem)) from problem
        except (HTTPClientError, BotoCoreError) as problem:
            # The connection broke: it may have been charged.
            raise ModelFailure(ExitReason.MODEL_UNAVAILABLE, True, True, error_text(problem)) from problem
        except BaseException as problem:
            if ends_the_process(problem):
                raise
            # A reply of another shape makes botocore's parser raise anything.
            detail = f"The reply is not a Converse reply: {type(problem).__name__}: {error_text(problem)}"
            raise ModelFailure(ExitReason.MALFORMED_MODEL_OUTPUT, False, True, detail) from problem
        return reply


def _keep_digits(http_response: Any, parsed: dict[str, Any], **_: Any) -> None:
    """Replace each number of a reply's calls that a float would round with its text: "12345678901234567.89".

    botocore reads every fraction as a float. A tool that takes a Decimal reads the text; any other tool refuses it.
    """
    body: bytes = http_response.content
    if http_response.status_code >= 300 or not _LONG_FRACTION.search(body):
        return
    with suppress(ValueError, LookupError, TypeError, RecursionError):  # not a reply: the caller reports it
        exact = read_digits(body)["output"]["message"]["content"]
        for block, read in zip(parsed["output"]["message"]["content"], exact, strict=True):
            if "toolUse" in block:
                block["toolUse"]["input"] = read["toolUse"].get("input", {})


def _failure(response: Mapping[str, Any]) -> ModelFailure:
    """Return the failure that an error response means: by its name, else by its status."""
    error = response.get("Error", {})
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    known = _TRY_AGAIN.get(error.get("Code", "")) or _TRY_AGAIN_STATUS.get(status)
    too_long = known is None and is_context_too_long(str(error.get("Code", "")), str(error.get("Message", "")))
    otherwise = ExitReason.MODEL_CONTEXT_WINDOW_EXCEEDED if too_long else ExitReason.MODEL_REFUSED
    reason, charged = known or (otherwise, False)
    detail = f"{error.get('Code', '')}: {error.get('Message', '')}"
    of_model = known is None and is_of_model(reason, detail, status)
    return ModelFailure(reason, known is not None, charged, detail, _retry_after_s(response), of_model)


def is_of_model(reason: ExitReason, detail: str, status: int = 0) -> bool:
    """Say whether a refusal is about the model: it is gone, closed to the caller, or takes no such request.

    detail  "code: message", as in the log, where it may be cut
    status  of the HTTP answer; 0 is not known
    """
    code, _, message = detail.partition(": ")
    if reason is ExitReason.MODEL_CONTEXT_WINDOW_EXCEEDED or code in _OF_THE_MODEL:
        return True
    if status in (403, 404):
        return not _OF_THE_CALLER.search(code)
    return bool(_SAYS_MODEL.search(message[:_MOST].lower().replace("\u2019", "'")))


def _retry_after_s(response: Mapping[str, Any]) -> float | None:
    """Return the seconds of the header ``Retry-After``; None if it has none, or a date."""
    sent = str(response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("retry-after", ""))
    return float(sent) if re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?", sent) else None


def _timeouts(longest_s: int) -> tuple[int, ...]:
    """Return the timeouts in seconds that have a client: each four fifths of the one before, down to one."""
    timeouts = [longest_s]
    while timeouts[-1] > 1:
        timeouts.append(max(1, timeouts[-1] * 4 // 5))
    return tuple(timeouts)


# The text of an error whose conversation is longer than the model takes
#
# Converse has no error for it: it is a ``ValidationException`` like any other mistake, in each provider's own words. A
# provider's own code decides first. Otherwise each sentence is read: it says that a limit is exceeded, and the thing
# beyond the limit is the whole (the context, the prompt, its tokens), not a part (a tool's description, an image) and
# not the requested answer (``max_tokens``).

#: Characters of an error's text that are read.
_MOST = 2_000

_CODE = regex(
    r"(?<![a-z0-9])(?:max_)?(?:(?:model_)?context_?(?:length|window|size|limit)_?exceed(?:ed|s)?(?:_?error)?"
    r"|exceeds?_(?:context|prompt|token)_?(?:length|window|size|limit)?(?:_error)?"
    r"|string_above_max_length|(?:model_)?max_(?:prompt|input)_tokens_exceeded"
    r"|(?:prompt|input|context|conversation)_(?:is_)?too_(?:long|large)|(?:input_|prompt_)?tokens?_limit_(?:exceeded|reached)"
    r")(?![a-z0-9])"
)
_SENTENCES = regex(r"[.;!?\n]+(?=\s|$)")
_OVER = (
    r"(?:exceed\w*|overflow\w*|(?:longer|larger|greater|bigger|higher) than|more than (?:(?:the|its)\b|\d{3})"
    r"|beyond|over the|(?<!not )too (?:long|large|big|many))"
)
_CONTEXT = r"context[ _-]?(?:window|length|size|limit|tokens?)"
#: Not the tokens of an answer, and not a key to a service.
_TOKENS = (
    r"(?<!max_)(?<!max )(?<!maximum )(?<!output )(?<!output_)(?<!completion )(?<!completion_)(?<!new_)(?<!new )"
    r"(?<!access )(?<!security )(?<!session )(?<!bearer )(?<!auth )(?<!page )\btokens?\b"
)
_WHOLE = r"(?<!no )\b(?:inputs?|prompts?|requests?|messages?|conversations?|history|text)\b"


def _near(first: str, second: str, within: int = 80) -> str:
    return rf"{first}.{{0,{within}}}?{second}"


#: Each of these is enough, whatever else is in the sentence.
_SAYS = tuple(
    regex(one)
    for one in (
        _near(_OVER, rf"\b{_CONTEXT}"),
        _near(rf"\b{_CONTEXT}", rf"\b{_OVER}"),
        _near(r"\bcontext\b", r"\boverflow"),
        r"\bmax(?:imum)?[ _-]?(?:context|prompt|input|model|sequence) (?:window|length) (?:is|of) \d",
        r"\btoo many (?:input |prompt |total |context )*tokens\b",
        r"\b(?:reduce|shorten|trim|truncate) (?:the )?(?:length|size|number of tokens) (?:of|in) (?:the |your )?"
        r"(?:messages?|prompt|inputs?|conversation|context|request)\b",
        # Text Generation Inference, DashScope, and Bedrock's own check of a body
        r"\binputs?`? (?:tokens )?\+ `?max_new_tokens`? must be <=",
        r"\binputs?`? must have less than \d+ tokens",
        r"\brange of input length should be\b",
        r"input request: (?:#/(?:prompt|inputs?|inputtext|messages)\S*: )?expected maxlength: \d{4,}",
    )
)
#: OpenAI, for a field's value; only a large limit can be the conversation's.
_STRING = regex(r"\bstring too long\b.{0,80}\bmaximum length \d{5,}", re.DOTALL)
#: Each of these is enough in a sentence about the whole.
_MAY_SAY = tuple(
    regex(one)
    for one in (
        _near(_TOKENS, rf"\b{_OVER}"),
        _near(rf"\b{_OVER}", _TOKENS),
        _near(_WHOLE, r"(?<!not )\btoo (?:long|large|big)\b", 60),
        _near(_WHOLE, rf"\b{_OVER}.{{0,60}}?\b(?:length|tokens?|context)\b", 60),
        _near(r"\b(?:input|prompt|sequence|conversation|total)s?[ _-](?:length|size)\b", rf"\b{_OVER}"),
        _near(rf"\b{_OVER}", r"\b(?:input|prompt|sequence|conversation)s?[ _-](?:length|size|limit)\b"),
        r"\btokens?[ _-]limit (?:was |is |has been )?(?:exceeded|reached)\b",
    )
)
#: A part of a request, or another thing with a limit.
_PART = regex(
    r"\b(?:images?|pictures?|videos?|audio|documents?|pdfs?|files?|attachments?|tool\w*"
    r"|functions?|schemas?|descriptions?|names?|identifiers?|stop[ _-]?sequences?|headers?|ur[li]s?|metadata|tags?"
    r"|labels?|guardrails?|attempts|quota|rate|per (?:second|minute|min|hour|day)|[tr]p[md])\b"
)
#: The path of a field other than the prompt and the messages.
_FIELD = regex(
    r"(?:^|\s|')(?!#?/?(?:messages|prompt|inputs?|inputtext|system|contents)\b)#?/?[a-z_]\w*(?:[./\[][\w\]]+)+'?:"
)
_ANSWERS = regex(r"\b(?:max_?(?:new_|completion_|output_)?tokens|maximum tokens|(?:output|completion) tokens)\b")
_PROMPTS = regex(r"\b(?:inputs?|prompts?|messages?|context)\b")


def is_context_too_long(code: str, message: str) -> bool:
    """Say whether an error of that code and text means that the conversation is longer than the model takes."""
    text = message[:_MOST].lower()
    if _CODE.search(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", code).lower()) or _CODE.search(text):
        return True
    if _STRING.search(text) and not _FIELD.search(text):
        return True
    return any(_sentence_says(sentence) for sentence in _SENTENCES.split(text))


def _sentence_says(sentence: str) -> bool:
    if any(says.search(sentence) for says in _SAYS):
        return True
    if _PART.search(sentence) or _FIELD.search(sentence):
        return False
    if _ANSWERS.search(sentence) and not _PROMPTS.search(sentence):
        return False
    return any(says.search(sentence) for says in _MAY_SAY)
