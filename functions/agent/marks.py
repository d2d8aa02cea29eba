"""Marks that only the template of a model's calls has, whatever tool they name. Pure.

Tags (``<tool_call>``), special tokens (``<|tool_calls|>``), words in square brackets (``[TOOL_CALLS]``), fences and
lines of ReAct. The name of a tag has no other words than those of a call: ``<tool-belt>`` and ``[function_room]`` are
names of other things, and ``<function-name>`` in a command is to be filled in. A tag must stand where a call would:
before its arguments, at the beginning of a line or a sentence, or with its end. In code that a text shows, it is only
shown, unless the code names a tool of the playbook.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator

from functions.agent.evened import Evened

#: What a call is of, what is done with it, and what else stands in such names.
_KINDS = frozenset(("tool", "tools", "function", "functions", "func", "mcp"))
_ACTS = frozenset(
    ("call", "calls", "calling", "use", "uses", "using", "invoke", "invokes", "invocation", "invocations", "execute",
     "run", "plugin")
)  # fmt: skip
#: They make names of other things as well (``<tool_code>A-17</tool_code>``): such a tag must hold a call.
_PARTS = frozenset(
    ("code", "input", "args", "arguments", "parameters", "params", "result", "results", "response", "responses",
     "output", "outputs", "request", "requests")
)  # fmt: skip
_BESIDE = frozenset(
    ("start", "begin", "end", "section", "sep", "block", "my", "the", "assistant", "model", "available")
)  # fmt: skip
_GLUED = re.compile(r"(?:tool|function|func)s?(?:calls?|use|invoke)|invokes?")
_GLUED_PART = re.compile(r"(?:tool|function|func)s?(?:code|input|args?|results?)")
#: Words that make a call of a special token.
_IN_TOKENS = re.compile(
    r"tools?|functions?|invokes?|(?:tool|function|func)(?:calls?|use|code|names?|input|args?|results?)"
)
_ACTION = frozenset(("action", "actions", "call", "calls", "python", "ipython"))

_ANGLE = re.compile(
    r"<{1,2}\s?(?P<slash>/?)\s?(?P<name>[a-z_][\w:.-]{0,60})(?P<is>\s?=)?"
    r"(?P<named>\s[^<>]{0,80}?\b(?:name|tool|function)\s?=\s?[\"']?(?P<of>[\w.-]{0,64}))?"
    r"(?P<more>[^<>]{0,200}?)(?:>|\Z)",
    re.IGNORECASE,
)
_SQUARE = re.compile(r"\[(?P<slash>/?)(?P<name>[a-z]{1,20}(?:_[a-z]{1,20}){1,5})\](?!\()", re.IGNORECASE)
_TOKEN = re.compile(r"</?\|/?(?P<token>[^|<>\n]{1,60})/?\|(?P<tail>/?[\w=. -]{0,40})")
_FENCE = re.compile(r"```[ \t]*(?P<name>[\w-]{3,40})\b")
#: What else only a model writes that means to call a tool.
_MARKER = re.compile(
    r"\[\s?(?:(?:calling|invoking|executing)\s(?:the\s)?(?:tool|function)|(?:tool|function)[ _-](?:call|invocation))s?"
    r"(?:\s?:\s?|\s)"
    r"(?=[`\"']?[a-z]\w{0,30}_\w{1,40}|[`\"']?[\w.-]{1,64}[`\"']?(?:\s?[({:\]]|\swith\b))"
    r"[^\]\n]{1,400}\](?!\()"
    r"|✿(?:function|args|result|return)✿"
    r"|\bfunctools\s?\[\s{0,4}\{"
    r"|(?<![?&\w])to=functions\.\w"
    r"|\bfunctions\.[a-z_][\w-]{0,63}:\d{1,6}\s{0,9}\{"
    r"|<end_code>"
    r"|^[ \t*#>]{0,8}(?:tool|function)[ _-]?calls?[ \t*`]{0,6}:[ \t*`]{0,6}"
    r"(?:[\[{]\s{0,9}[\[{\"']|[a-z]\w{0,60}_\w{1,60}\()"
    r"|^[ \t*]{0,8}Action[ \t*]{0,4}:[ \t*`]{0,6}[\w.-]{1,99}[ \t*`]{0,6}\n[\s*]{0,20}Action[ _]Input[ \t*]{0,4}:"
    r"|<(?P<of>function|tool_name|function_name)>\s{0,9}[a-z]\w{0,60}_\w{1,60}\s{0,9}</"
    r"|<tool>\s{0,9}[a-z]\w{0,60}_\w{1,60}\s{0,9}</tool>\s{0,9}<(?:arg|param|input)",
    re.IGNORECASE | re.MULTILINE,
)
#: What follows a tag that begins a call: its arguments, another tag, or a call as code.
_OPENS = re.compile(r"\s{0,9}[{\[<]")
_HOLDS = re.compile(r"\s{0,9}(?:[{\[<]|(?:print\()?[a-z_][\w.]{0,80}\()", re.IGNORECASE)
_ARGUMENTS = re.compile(r"\s{0,9}(?:[{\[]|</?(?:parameter|param|arg|input|invoke))", re.IGNORECASE)
#: A text that says something of the tag that it begins with.
_SPEAKS_OF = re.compile(
    r"\s{1,3}(?:is|are|was|were|means?|stands?|has|had|does|will|can|may|must|marks?|begins?|starts?|opens?|closes?|"
    r"ends?|shows?|tags?|and|or)\b"
)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_FENCES = re.compile(r"^[ \t>*-]{0,12}```+(?P<info>[^`\n]*)$", re.MULTILINE)


def parts_of(name: str) -> list[str]:
    """Return the words of a name, in small letters: of ``toolCall``, ``TOOL_CALL`` and ``tool-call`` the same two."""
    return [word.lower() for word in _WORD.findall(name)]


def marked(text: str, seen: Evened, tools: Collection[str]) -> str | None:
    """Return the part of the original text that is a call whatever it names."""
    fences: list[tuple[int, int]] | None = None
    for shape, is_call in _SHAPES:
        for found in shape.finditer(seen.text):
            if not is_call(found, tools) or _is_quoted(seen.text, found):
                continue
            fences = list(_closed_fences(seen.text)) if fences is None else fences
            code = None if shape is _FENCE else _code_around(seen.text, found, fences)
            if code is None or _names_any(code, tools):
                return text[seen.origin(found.start()) : seen.origin(found.end())].strip()
    return None


# Where it stands


def _is_quoted(text: str, found: re.Match[str]) -> bool:
    """Say whether it stands alone between backticks or quotes, as what a sentence speaks of."""
    before = text[max(0, found.start() - 1) : found.start()]
    return before in ("`", '"', "'") and before == text[found.end() : found.end() + 1]


def _closed_fences(text: str) -> Iterator[tuple[int, int]]:
    """Yield where the fences that have their end begin and end."""
    opened: re.Match[str] | None = None
    for line in _FENCES.finditer(text) if "```" in text else ():
        if opened is None:
            opened = line
        elif not line["info"].strip():
            yield opened.start(), line.end()
            opened = None


def _code_around(text: str, found: re.Match[str], fences: list[tuple[int, int]]) -> str | None:
    """Return the code from there on that a text shows it in; None where it is in none, or the text is nothing else."""
    at = found.start()
    start, end = fences[bisect_left(fences, (at, 0)) - 1] if fences and fences[0][0] < at else (at, at)
    if start < at < end:
        return text[at:end] if text[:start].strip() or text[end:].strip() else None
    first, last = text.rfind("\n", 0, at) + 1, text.find("\n", at)
    last = len(text) if last < 0 else last
    if text.count("`", first, at) % 2 == 0:
        return None
    ends = text.find("`", at, last)
    starts = text.rfind("`", first, at)
    return None if ends < 0 or not (text[:starts].strip() or text[ends + 1 :].strip()) else text[at:ends]


def _names_any(code: str, tools: Collection[str]) -> bool:
    return any(re.search(rf"(?<![\w-]){spelled(name)}(?![\w-])", code) for name in tools)


def spelled(name: str) -> str:
    """Return the pattern of a name in any of its spellings; a name that is a word has one."""
    words = parts_of(name)
    return "(?i:" + "[_-]?".join(words) + ")" if len(words) > 1 else re.escape(name)


def _stands_as_call(tag: re.Match[str], opens: re.Pattern[str]) -> bool:
    """Say whether a tag stands where a call would: one in the middle of a sentence is a word of it."""
    text, end = tag.string, tag.end()
    before = text[max(0, tag.start() - 40) : tag.start()]
    if not tag["slash"] and opens.match(text, end):
        return True
    ending = f"{tag.group()[0]}/{tag['name']}"
    closed = not tag["slash"] and text.find(ending, end, end + 4_000) >= 0
    if opens is _HOLDS:  # a part of a call, which other things are called as well
        return False
    if before[-1:] in ("}", "]") or (closed and not _SPEAKS_OF.match(text, end)):
        return True
    line = before.rpartition("\n")[2].strip(" \t>*`")
    return (not line or line[-1] in ".!?…") and not _SPEAKS_OF.match(text, end)


# What it is


def _name_of_call(name: str) -> re.Pattern[str] | None:
    """Return what must follow a tag of that name where it begins a call; None where no call is named so."""
    for named in name.split(":"):
        words = [word for word in parts_of(named) if word not in _BESIDE]
        kinds = [word for word in words if word in _KINDS]
        others = [word for word in words if word not in _KINDS]
        whole = bool(others) and bool(kinds or any(_is_glued(word) for word in others))
        if whole and all(_GLUED.fullmatch(word) or word in _ACTS for word in others):
            return _OPENS
        if whole and all(word in _ACTS | _PARTS or _is_glued(word) for word in others):
            return _HOLDS
    return None


def _is_glued(word: str) -> bool:
    return bool(_GLUED.fullmatch(word) or _GLUED_PART.fullmatch(word))


def _is_call_tag(tag: re.Match[str], tools: Collection[str]) -> bool:
    if tag["more"].startswith(("@", "/")) and not tag["named"] and tag["more"] != "/":
        return False  # an address
    words = parts_of(tag["name"])
    if words in (["function"], ["tool"], ["functions"], ["tools"]):
        following = tag.string[tag.end() : tag.end() + 12]
        if tag["is"] or following.lstrip()[:1] in ("{", "["):
            return True
        rest = bool(_ARGUMENTS.match(tag.string, tag.end())) or not following.strip()
        return bool(tag["named"]) and (tag["of"] in tools or (rest and not re.search(r"\w\s?=", tag["more"])))
    if words in (["parameter"], ["call"], ["action"], ["execute"]):
        if tag["is"] or not tag["named"]:
            return bool(tag["is"])
        alone = words != ["action"] and words != ["parameter"] and not tag.string[: tag.start()].strip()
        return tag["of"] in tools or alone or bool(_ARGUMENTS.match(tag.string, tag.end()))
    if words in (["arg", "key"], ["arg", "value"]):
        return True
    opens = _name_of_call(tag["name"])
    if opens is None:
        return False
    return bool(tag["is"] or tag["named"]) or _stands_as_call(tag, opens)


def _is_call_square(word: re.Match[str], _: Collection[str]) -> bool:
    opens = _name_of_call(word["name"])
    return opens is not None and _stands_as_call(word, opens)


def _is_call_token(token: re.Match[str], _: Collection[str]) -> bool:
    words = parts_of(f"{token['token']} {token['tail']}")
    return any(word in _ACTION or _IN_TOKENS.fullmatch(word) for word in words)


def _is_call_fence(fence: re.Match[str], _: Collection[str]) -> bool:
    opens = _name_of_call(fence["name"])
    return opens is _OPENS or (opens is _HOLDS and fence["name"].lower().endswith("code"))


_SHAPES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str], Collection[str]], bool]], ...] = (
    (_MARKER, lambda _found, _tools: True),
    (_TOKEN, _is_call_token),
    (_ANGLE, _is_call_tag),
    (_SQUARE, _is_call_square),
    (_FENCE, _is_call_fence),
)
