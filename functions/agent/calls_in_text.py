"""Find a call of a tool that a model wrote as text: by its template marks, or by the name of a tool. Pure.

Template marks are calls whatever they name: tags (``<tool_call>``), special tokens (``<|tool_calls|>``), words in
square brackets (``[TOOL_CALLS]``), fences and lines of ReAct. The name of a mark has only words of a call:
``<tool-belt>`` and ``[function_room]`` name other things, and ``<function-name>`` in a command is a placeholder. A tag
must stand where a call would: before its arguments, at the start of a line or a sentence, or with its end. In code
that a text shows, a mark counts only if the code names a tool of the playbook.

Objects, labels and code are calls if they name a tool of the playbook. A name that nobody writes by chance
(``look_up_order``) is found in more shapes than a name of one word (``search``), which must stand alone on its line or
be called with a keyword argument. A report of finished work has the same names: ``Action: refund``,
``{"refund": "done"}``, ``cancel_order:``. So a name needs its arguments beside it: under a key or label that means
arguments (``arguments``, ``Action Input``), or all named as the tool's parameters are. A text that can be read both
ways is an answer.
"""

import json
import re
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from ballast.contracts.wire import text_or_length
from ballast.regex import regex
from functions.agent.text import FENCE_LINE, Normalised, any_spelling, normalised, words_of


def call_in_text(text: str, tools: Collection[str], *, structured: bool = False) -> str | None:
    """Return a complaint, for the model, that names the call in ``text``; None if it has none.

    tools       the names of the agent's tools, if possible as a mapping to the names of their parameters
    structured  the intent asks for an object: then only a known tool's name with arguments makes it a call
    """
    seen = normalised(text)
    marker = _marked_call(text, seen, tools)
    if marker is not None:
        return f"it has {text_or_length(' '.join(marker.split()), 40)!r}, a call of a tool written as text"
    name = _as_object(text, seen.text, tools, structured) or _by_name(seen.text, tools, structured)
    bare = _bare(seen.text)
    if name is None and not structured and bare.endswith((")", ")]", ");")) and (only := _ONLY_CALLS.match(bare)):
        known = any(_names_one(part, tools) for part in only["name"].split("."))
        name = only["name"] if known or only["list"] or only["keyword"] else None
    return None if name is None else f"it has a call of {text_or_length(name, 64)} written as text"


def _bare(text: str) -> str:
    """Return the text without a fence, or backticks, around all of it."""
    fenced = _FENCED.match(text.strip())
    return (fenced["text"] if fenced else text).strip()


# Template marks

#: Words of a mark's name: the thing, the act, parts of a call, and fillers.
_KINDS = frozenset(("tool", "tools", "function", "functions", "func", "mcp"))
_ACTS = frozenset(
    ("call", "calls", "calling", "use", "uses", "using", "invoke", "invokes", "invocation", "invocations", "execute",
     "run", "plugin")
)  # fmt: skip
#: Other names have these words as well (``<tool_code>A-17</tool_code>``): such a tag must hold a call.
_PARTS = frozenset(
    ("code", "input", "args", "arguments", "parameters", "params", "result", "results", "response", "responses",
     "output", "outputs", "request", "requests")
)  # fmt: skip
_FILLERS = frozenset(
    ("start", "begin", "end", "section", "sep", "block", "my", "the", "assistant", "model", "available")
)  # fmt: skip
_GLUED = regex(r"(?:tool|function|func)s?(?:calls?|use|invoke)|invokes?")
_GLUED_PART = regex(r"(?:tool|function|func)s?(?:code|input|args?|results?)")
#: Words that make a special token the mark of a call.
_IN_TOKENS = regex(r"tools?|functions?|invokes?|(?:tool|function|func)(?:calls?|use|code|names?|input|args?|results?)")
_ACTION = frozenset(("action", "actions", "call", "calls", "python", "ipython"))

_ANGLE = regex(
    r"<{1,2}\s?(?P<slash>/?)\s?(?P<name>[a-z_][\w:.-]{0,60})(?P<is>\s?=)?"
    r"(?P<named>\s[^<>]{0,80}?\b(?:name|tool|function)\s?=\s?[\"']?(?P<of>[\w.-]{0,64}))?"
    r"(?P<more>[^<>]{0,200}?)(?:>|\Z)",
    re.IGNORECASE,
)
_SQUARE = regex(r"\[(?P<slash>/?)(?P<name>[a-z]{1,20}(?:_[a-z]{1,20}){1,5})\](?!\()", re.IGNORECASE)
_TOKEN = regex(r"</?\|/?(?P<token>[^|<>\n]{1,60})/?\|(?P<tail>/?[\w=. -]{0,40})")
_FENCE = regex(r"```[ \t]*(?P<name>[\w-]{3,40})\b")
#: Other marks: lines and phrases that only a model writes, and only to call a tool.
_OTHER_MARKS = regex(
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
#: Text after a tag that begins a call: its arguments, another tag, or a call as code.
_TAG_OPENS = regex(r"\s{0,9}[{\[<]")
_TAG_HOLDS = regex(r"\s{0,9}(?:[{\[<]|(?:print\()?[a-z_][\w.]{0,80}\()", re.IGNORECASE)
_TAG_ARGUMENTS = regex(r"\s{0,9}(?:[{\[]|</?(?:parameter|param|arg|input|invoke))", re.IGNORECASE)
#: Text after a tag that is the subject of a sentence.
_SPEAKS_OF = regex(
    r"\s{1,3}(?:is|are|was|were|means?|stands?|has|had|does|will|can|may|must|marks?|begins?|starts?|opens?|closes?|"
    r"ends?|shows?|tags?|and|or)\b"
)


def _marked_call(text: str, seen: Normalised, tools: Collection[str]) -> str | None:
    """Return the part of the original text that is the mark of a call, whatever tool it names."""
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


def _is_quoted(text: str, found: re.Match[str]) -> bool:
    """Say whether the mark stands alone between backticks or quotes, as the subject of a sentence."""
    before = text[max(0, found.start() - 1) : found.start()]
    return before in ("`", '"', "'") and before == text[found.end() : found.end() + 1]


def _closed_fences(text: str) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each fence that is closed."""
    opened: re.Match[str] | None = None
    for line in FENCE_LINE.finditer(text) if "```" in text else ():
        if opened is None:
            opened = line
        elif not line["info"].strip():
            yield opened.start(), line.end()
            opened = None


def _code_around(text: str, found: re.Match[str], fences: list[tuple[int, int]]) -> str | None:
    """Return the rest of the code around the mark; None if it is outside of code, or if the text is only code."""
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
    return any(re.search(rf"(?<![\w-]){any_spelling(name)}(?![\w-])", code) for name in tools)


def _stands_as_call(tag: re.Match[str], opens: re.Pattern[str]) -> bool:
    """Say whether a tag stands where a call would. In the middle of a sentence it is one of the words."""
    text, end = tag.string, tag.end()
    before = text[max(0, tag.start() - 40) : tag.start()]
    if not tag["slash"] and opens.match(text, end):
        return True
    ending = f"{tag.group()[0]}/{tag['name']}"
    closed = not tag["slash"] and text.find(ending, end, end + 4_000) >= 0
    if opens is _TAG_HOLDS:  # a word that names other things as well
        return False
    if before[-1:] in ("}", "]") or (closed and not _SPEAKS_OF.match(text, end)):
        return True
    line = before.rpartition("\n")[2].strip(" \t>*`")
    return (not line or line[-1] in ".!?…") and not _SPEAKS_OF.match(text, end)


def _text_after(name: str) -> re.Pattern[str] | None:
    """Return the pattern that must follow a tag of that name to make it a call; None if the name is not a call's."""
    for named in name.split(":"):
        words = [word for word in words_of(named) if word not in _FILLERS]
        kinds = [word for word in words if word in _KINDS]
        others = [word for word in words if word not in _KINDS]
        whole = bool(others) and bool(kinds or any(_is_glued(word) for word in others))
        if whole and all(_GLUED.fullmatch(word) or word in _ACTS for word in others):
            return _TAG_OPENS
        if whole and all(word in _ACTS | _PARTS or _is_glued(word) for word in others):
            return _TAG_HOLDS
    return None


def _is_glued(word: str) -> bool:
    return bool(_GLUED.fullmatch(word) or _GLUED_PART.fullmatch(word))


def _is_call_tag(tag: re.Match[str], tools: Collection[str]) -> bool:
    if tag["more"].startswith(("@", "/")) and not tag["named"] and tag["more"] != "/":
        return False  # an address
    words = words_of(tag["name"])
    if words in (["function"], ["tool"], ["functions"], ["tools"]):
        following = tag.string[tag.end() : tag.end() + 12]
        if tag["is"] or following.lstrip()[:1] in ("{", "["):
            return True
        rest = bool(_TAG_ARGUMENTS.match(tag.string, tag.end())) or not following.strip()
        return bool(tag["named"]) and (tag["of"] in tools or (rest and not re.search(r"\w\s?=", tag["more"])))
    if words in (["parameter"], ["call"], ["action"], ["execute"]):
        if tag["is"] or not tag["named"]:
            return bool(tag["is"])
        alone = words != ["action"] and words != ["parameter"] and not tag.string[: tag.start()].strip()
        return tag["of"] in tools or alone or bool(_TAG_ARGUMENTS.match(tag.string, tag.end()))
    if words in (["arg", "key"], ["arg", "value"]):
        return True
    opens = _text_after(tag["name"])
    if opens is None:
        return False
    return bool(tag["is"] or tag["named"]) or _stands_as_call(tag, opens)


def _is_call_square(word: re.Match[str], _: Collection[str]) -> bool:
    opens = _text_after(word["name"])
    return opens is not None and _stands_as_call(word, opens)


def _is_call_token(token: re.Match[str], _: Collection[str]) -> bool:
    words = words_of(f"{token['token']} {token['tail']}")
    return any(word in _ACTION or _IN_TOKENS.fullmatch(word) for word in words)


def _is_call_fence(fence: re.Match[str], _: Collection[str]) -> bool:
    opens = _text_after(fence["name"])
    return opens is _TAG_OPENS or (opens is _TAG_HOLDS and fence["name"].lower().endswith("code"))


_SHAPES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str], Collection[str]], bool]], ...] = (
    (_OTHER_MARKS, lambda _found, _tools: True),
    (_TOKEN, _is_call_token),
    (_ANGLE, _is_call_tag),
    (_SQUARE, _is_call_square),
    (_FENCE, _is_call_fence),
)


# Calls by name

#: Keys of a call as an object: of the tool, and of its arguments.
_WHAT = (
    "name", "tool", "tool_name", "toolName", "function", "function_name", "functionName", "action", "recipient_name",
    "recipient", "method",
)  # fmt: skip
_WITH = (
    "arguments", "parameters", "args", "params", "kwargs", "input", "tool_input", "toolInput", "action_input",
    "tool_parameters", "tool_args", "content",
)  # fmt: skip
_BESIDE = frozenset(("type", "id", "call_id", "tool_call_id", "toolUseId", "index", "version", "thought"))
_AROUND = ("tool_calls", "toolUse", "tool_use", "function_call", "function_calls", "tool_uses", "calls", "toolCalls")
#: Keys that mean a tool, or arguments, by themselves; the other keys mean them only if they hold an object.
_SURELY_WHAT = frozenset(("tool", "tool_name", "toolName", "function", "function_name", "functionName"))
_SURELY_WITH = frozenset(_WITH) - {"input", "params", "content"}
#: Values of ``type`` in an object that is a call.
_TYPES = ("tool_use", "tool_call", "function_call", "function", "server_tool_use")
#: Start of an object inside a text that may be a call. ``_IN_TEXT`` finds one that no JSON decoder reads.
_OPENS = regex(rf"\{{\s{{0,20}}[\"'](?:{'|'.join((*_WHAT, *_AROUND, *_WITH, *_BESIDE))})[\"']\s{{0,4}}:")
_IN_TEXT = regex(
    rf"\{{\s{{0,20}}[\"'](?:{'|'.join(_WHAT)})[\"']\s{{0,4}}:\s{{0,4}}[\"'](?P<name>[a-z_][\w.-]{{0,63}})[\"']\s{{0,4}},"
    rf"\s{{0,20}}[\"'](?:{'|'.join(sorted(_SURELY_WITH - {'action_input'}))})[\"']\s{{0,4}}:\s{{0,4}}[{{\"']",
    re.IGNORECASE,
)
_MOST_OBJECTS = 40
#: A text of calls alone. Without a list around it or a keyword argument it may be a formula: ``SUM("A1")``.
_ONLY_CALLS = regex(
    r"(?P<list>\[?)\s*(?:print\()?(?P<name>[A-Za-z_][\w.]{0,80})"
    r"\((?=\s*(?:\)|(?P<keyword>[A-Za-z_]\w{0,80}\s*=[^=])|[\"'{\[]))"
)
_FENCED = regex(r"\A(?P<ticks>`{1,3})[\w-]{0,20}[ \t]*\n?(?P<text>.*?)\n?(?P=ticks)\Z", re.DOTALL)
#: Name of an argument if the tool's parameters are not known: one that nobody writes by chance.
_ANY_ARGUMENT = r"[a-z]{1,20}_\w{1,40}"


# Objects


def _as_object(text: str, seen: str, tools: Collection[str], structured: bool) -> str | None:
    """Return the tool that an object calls: one that is the whole text, or one inside it."""
    for one in (text, seen) if seen != text else (text,):
        for value in _values(_bare(one)):
            name = _called(value, tools, structured, alone=True)
            if name is not None:
                return name
        if structured:
            continue
        for value in _objects_in(one):
            name = _called(value, tools, structured, alone=False)
            if name is not None:
                return name
    found = None if structured else _IN_TEXT.search(seen)
    return found["name"] if found else None


def _values(text: str) -> Iterator[Any]:
    """Yield the values of a text that is JSON: one or several values, or lists of them."""
    if text[:1] not in "[{" or not text:
        return
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return
        yield from value if isinstance(value, list) else [value]
        between = re.compile(r"[\s;,]*").match(text, end)
        at = between.end() if between else len(text)


def _objects_in(text: str) -> Iterator[Any]:
    """Yield the first ``_MOST_OBJECTS`` objects inside a text that begin like a call."""
    decoder, passed = json.JSONDecoder(), 0
    for number, found in enumerate(_OPENS.finditer(text)):
        if number >= _MOST_OBJECTS:
            return
        if found.start() < passed:
            continue
        try:
            value, passed = decoder.raw_decode(text, found.start())
        except (ValueError, RecursionError):
            continue
        yield value


def _called(value: Any, tools: Collection[str], structured: bool, *, alone: bool, typed: bool = False) -> str | None:
    """Return the tool that an object calls. An object that is the whole text, or has a ``type``, needs fewer signs."""
    if not isinstance(value, dict):
        return None
    typed = typed or value.get("type") in _TYPES
    for around in _AROUND:
        inner = value.get(around)
        for one in inner if isinstance(inner, list) else [inner]:
            name = _called(one, tools, structured, alone=alone, typed=typed or around != "calls")
            if name is not None:
                return name
    inner = value.get("function")
    if isinstance(inner, dict):
        return _called(inner, tools, structured, alone=alone, typed=typed)
    given = [key for key in _WITH if key in value]
    for key in [key for key in _WHAT if isinstance(value.get(key), str)]:
        name = str(value[key]).removeprefix("functions.").removeprefix("default_api.")
        if _names_one(name, tools):
            if any(_means_arguments(key, with_, value, typed=typed) for with_ in given):
                return name
            rest = value.keys() - {key} - _BESIDE
            sure = key in _SURELY_WHAT or _is_distinct(name)
            fits = _are_arguments(rest, name, tools) if rest else _is_distinct(name)
            if alone and not structured and sure and fits:
                return name
            continue
        closed = not structured and key != "method" and value.keys() <= {key, *given, *_BESIDE}
        if closed and _calls_unknown(name, value, given, alone=alone, typed=typed):
            return name
    if structured or not alone or len(value) != 1:
        return None
    [(only, held)] = value.items()
    return only if only in tools and isinstance(held, dict) and _are_arguments(held, only, tools) else None


def _means_arguments(what: str, with_: str, value: dict[str, Any], *, typed: bool) -> bool:
    """Say whether the key ``with_`` holds the arguments of the tool that the key ``what`` names."""
    if with_ in _SURELY_WITH or typed:
        return True
    return isinstance(value[with_], dict) and (with_ != "content" or what.startswith("recipient"))


def _calls_unknown(name: str, value: dict[str, Any], given: list[str], *, alone: bool, typed: bool) -> bool:
    """Say whether an object calls an unknown tool: its name may be a tool's, and it has arguments under a sure key."""
    if not re.fullmatch(r"[A-Za-z_][\w.-]{0,99}", name):
        return False
    if _SURELY_WITH & set(given) - (set() if alone else {"action_input"}):
        return any(isinstance(value[key], dict | str) for key in given)
    objects = [key for key in given if isinstance(value[key], dict) and key != "content"]
    return bool(objects) and (typed or (alone and _is_distinct(name)))


def _parameters(name: str, tools: Collection[str]) -> Collection[str] | None:
    """Return the names of a tool's parameters, lower case and without separators; None if they are not known."""
    if not isinstance(tools, Mapping):
        return None
    known = next((tools[one] for one in tools if one == name or words_of(one) == words_of(name)), ())
    return {"".join(words_of(one)) for one in known}


def _are_arguments(keys: Iterable[str], name: str, tools: Collection[str]) -> bool:
    """Say whether all keys are parameters of the tool; a report of the call has others (``status``, ``amount``)."""
    known = _parameters(name, tools)
    if known is None:
        return bool(list(keys)) and all(re.fullmatch(_ANY_ARGUMENT, key) for key in keys)
    return bool(list(keys)) and all("".join(words_of(key)) in known for key in keys)


# Names


def _is_distinct(name: str) -> bool:
    """Say whether nobody writes that name by chance: it has several words."""
    return len(words_of(name)) > 1 and bool(re.fullmatch(r"[A-Za-z_][\w.-]{0,63}", name))


def _names_one(name: str, tools: Collection[str]) -> bool:
    return name in tools or (_is_distinct(name) and words_of(name) in [words_of(tool) for tool in tools])


def _by_name(text: str, tools: Collection[str], structured: bool) -> str | None:
    """Return the known tool that the text calls."""
    flat = re.sub(r"[_-]", "", text).lower()
    for name in sorted(tools, key=lambda one: (-len(one), one)):
        words = words_of(name)
        if "".join(words) not in flat:
            continue
        calls = _distinct_calls if len(words) > 1 else _word_calls
        argument = _argument(tools[name] if isinstance(tools, Mapping) else None, exact=len(words) == 1)
        found = calls(name, argument).search(text)
        if found is None and not structured:
            found = _element(name, argument, text)
        if found is None:
            found = _block(name, argument).fullmatch(text.strip("` \n\t"))
        if found:
            return name
    return None


_KEYWORD = r"[A-Za-z_]\w{0,80}\s{0,4}=\s{0,4}[^=\s]"
_LINE = r"^[ \t>*`\d.+-]{0,12}"


def _as_labels(keys: Iterable[str]) -> str:
    """Return the pattern of keys as labels: ``tool_name`` as ``tool name``, ``tool_name`` or ``toolname``."""
    return "|".join("[ _]?".join(words_of(key)) for key in keys)


_WHAT_LABELS = _as_labels(_WHAT)
_WITH_LABELS = _as_labels(one for one in _WITH if one != "content")
_SURE_LABELS = _as_labels(sorted(_SURELY_WITH))


def _argument(parameters: Collection[str] | None, *, exact: bool) -> str:
    """Return the pattern of an argument's name: a parameter's, or one that nobody writes by chance if none is known.

    exact  match only the parameter's own spelling: ``Amount: 5`` below ``Tool: refund`` reports a payment
    """
    if parameters is None:
        return rf"(?:{_ANY_ARGUMENT})"
    if exact and parameters:
        return rf"(?:{'|'.join(map(re.escape, parameters))})"
    known = ["[_ -]?".join(map(re.escape, words_of(one))) for one in parameters if words_of(one)]
    return rf"(?i:{'|'.join(known)})" if known else r"(?!)"


def _anywhere(name: str, labels: str, argument: str) -> list[str]:
    """Return patterns for a tool of any name: under a key or after one of the ``labels``, with its arguments."""
    what, with_ = "|".join(_WHAT), "|".join(sorted(_SURELY_WITH))
    holds = rf"(?:{with_})[\"']?\s{{0,4}}[:=]|(?:input|params)[\"']?\s{{0,4}}[:=]\s{{0,4}}\{{"
    said = rf"[`\"'*]{{0,3}}[ \t]{{0,4}}\n[ \t>*`-]{{0,8}}{argument}[*`]{{0,3}}:[*`]{{0,3}}[ \t]{{0,4}}\S"
    return [
        rf"[\"'](?:{what})[\"']\s{{0,4}}[:=]\s{{0,4}}[\"'](?:functions\.)?{name}[\"']"
        rf"(?=[^{{}}]{{0,400}}[\"'](?:{holds}))",
        rf"[{{,]\s{{0,20}}(?:{what})\s{{0,4}}:\s{{0,4}}[\"'](?:functions\.)?{name}[\"']"
        rf"(?=\s{{0,9}},[^{{}}]{{0,400}}\b(?:{holds}))",
        rf"^[ \t>*`#-]{{0,12}}(?i:{labels})[*` \t]{{0,4}}[:=][ \t*`\"']{{0,6}}(?:functions\.)?{name}[`\"'*]{{0,3}}"
        rf"[ \t]{{0,4}}\n(?:[^\n]{{0,200}}\n){{0,2}}?[ \t>*`#-]{{0,12}}(?i:{_SURE_LABELS})[*` \t]{{0,4}}[:=]",
        rf"^[ \t>*`#-]{{0,12}}(?i:(?:tool|function)(?:[ _]?name)?)[*` \t]{{0,4}}[:=][ \t*`\"']{{0,6}}(?:functions\.)?"
        rf"{name}[`\"'*]{{0,3}}[ \t]{{0,4}}\n[ \t>*`#-]{{0,12}}(?i:input|params)[*` \t]{{0,4}}[:=]",
        rf"^[ \t>*`#-]{{0,12}}(?i:tool|function)(?i:[ _]name)?[*` \t]{{0,4}}[:=][ \t*`\"']{{0,6}}{name}{said}",
        rf"^[ \t>*`#-]{{0,12}}(?i:using|calling|invoking)\s(?i:tool|function)[*` \t]{{0,4}}:[ \t*`\"']{{0,6}}{name}"
        rf"[`\"'*]{{0,3}}[ \t]{{0,4}}\n[ \t>*`-]{{0,8}}[A-Za-z][\w ]{{0,30}}[*`]{{0,3}}:[ \t]{{0,4}}\S",
        rf"^[ \t*>#]{{0,8}}Action[ \t*]{{0,4}}:[ \t*`]{{0,6}}{name}"
        rf"(?:\[(?!\d{{1,2}}\])[^\]\n]{{1,400}}\]|\((?:[\"'{{)]|{_KEYWORD})|[ \t*`]{{0,6}}\{{\s{{0,9}}[\"'}}])",
        rf"\A\s{{0,9}}Thought[ \t]{{0,4}}:[^\n]{{0,2000}}\n\s{{0,9}}Action[ \t]{{0,4}}:[ \t*`]{{0,6}}{name}"
        r"[ \t*`]{0,6}$",
        rf"<(?P<around>tool|function|tool_name|function_name)>\s{{0,9}}{name}\s{{0,9}}</",
        rf"<(?P<carries>execute|api_call|use_tool|function_call|run_tool)>\s{{0,9}}{name}\b[^<>\n]{{0,400}}</",
        rf"\b{name}\s?\[ARGS\]",
        rf"{_LINE}(?:print\(|await\s|[A-Za-z_]\w{{0,40}}\s?=\s?)?(?:[A-Za-z_]\w{{0,40}}\.){{0,3}}{name}"
        rf"\((?=[\"'\[{{]|{_KEYWORD})[^\n]{{0,2000}}\)[ \t`;)\]]{{0,4}}$",
    ]


@lru_cache(maxsize=256)
def _distinct_calls(tool: str, argument: str) -> re.Pattern[str]:
    """Return the pattern of calls of a tool whose name nobody writes by chance, in any spelling."""
    name = any_spelling(tool)
    typed = r"[A-Za-z_]\w{0,80}\s{0,4}:\s{0,4}[\"'\d\[{]"
    id_ = r"[A-Za-z]{0,8}[-#]?\d"
    value = rf"\{{|\*\*|{_KEYWORD}|{typed}|[\"'\[]|{id_}"
    shapes = [
        rf"(?<![\w-]){name}\((?=\s{{0,9}}(?:{value}))",
        rf"(?<![\w-]){name}\s{{1,4}}\((?=\s{{0,9}}(?:\{{|{typed.replace(':', '[:=]')}))",
        r"^[ \t`]{0,8}(?:print\(|await\s|[A-Za-z_]\w{0,40}\s?=\s?)?(?:[A-Za-z_]\w{0,40}\.){0,3}"
        rf"{name}\(\s{{0,9}}\)[ \t`;)\],.]{{0,4}}$",
        rf"(?<![\w\"'-]){name}[\s`*:=>→<-]{{0,8}}(?:(?:with|using)\s(?:\w{{1,20}}[:\s]{{1,2}}){{0,3}})?"
        rf"(?:json\s{{0,4}})?\{{\s{{0,20}}(?:\}}|[\"']{argument}[\"'])",
        rf"^[ \t*#>]{{0,8}}(?i:tool|function)[ _-]?(?i:calls?|invocation)[*` \t]{{0,4}}:"
        rf"[*`\"' \t]{{0,6}}{name}[*`\"']{{0,3}}\s{{0,4}}(?:\Z|\(|\{{|```|with\b|(?i:{_WITH_LABELS})[*` ]{{0,4}}:)",
        rf"[\[*(]\s?(?i:calls?|calling|invok\w{{1,5}}|execut\w{{1,5}})\s(?:the\s)?(?:tool\s|function\s)?"
        rf"[`\"']?{name}[`\"']?\s?(?:[\])*({{:]|with\s?[{{\"'])",
        rf"<(?P<element>command|cmd|run|api)>\s{{0,9}}{name}\s[^<>\n]{{1,400}}</",
        rf"<(?P<called>call|method_call|fncall)>\s{{0,9}}{name}\b[^<>\n]{{0,400}}</",
        rf"<(?P<names>action|name)>\s{{0,9}}{name}\s{{0,9}}</[^<>]{{1,40}}>\s{{0,9}}<(?i:{_WITH_LABELS})>",
        rf"\A\s{{0,9}}[/@]{re.escape(tool)}\s{{1,4}}(?:\{{|{_KEYWORD}|{id_})[^\n]{{0,400}}\Z",
        rf"\{{[{{%]\s?{name}\s?(?:\(|\s{argument}=)",
        rf"^[ \t]{{0,8}}\[{name}\s(?:{id_}|{_KEYWORD})[^\]\n(]{{0,400}}\](?!\()[ \t]{{0,8}}$",
        rf"{_LINE}{name}\s{{1,4}}{argument}=\S",
        rf"{_LINE}{_block(tool, argument).pattern}",
        rf"\bfunctions\.{name}\s{{0,3}}[({{:]",
        rf"(?<![?&\w])to={name}\b",
        rf"^Code:[ \t]{{0,4}}\n```[^`]{{0,2000}}?\b{name}\(",
        *_anywhere(name, _WHAT_LABELS, argument),
    ]
    return re.compile("|".join(shapes), re.MULTILINE)


@lru_cache(maxsize=256)
def _word_calls(tool: str, argument: str) -> re.Pattern[str]:
    """Return the pattern of calls of a tool whose name is a word that a sentence may have."""
    name = re.escape(tool)
    shapes = [
        rf"(?<![\w`-]){name}\((?=[A-Za-z_]\w{{0,80}}\s{{0,4}}=\s{{0,4}}(?:[\"'\[{{\d-]|True\b|False\b|None\b))",
        rf"{_LINE}{name}[\s`*:=>-]{{0,8}}(?:json\s{{0,4}})?\{{\s{{0,20}}[\"']{argument}[\"']\s{{0,4}}:",
        rf"\A[`\s]{{0,9}}{name}\(\)[`\s;]{{0,9}}\Z",
        rf"\bfunctions\.{name}\((?=[\"'{{\[]|{_KEYWORD})",
        rf"(?<![?&\w])to={name}\b(?=[^\n{{]{{0,40}}\n?[ \t]{{0,4}}\{{)",
        rf"^Thought:[^\n]{{0,2000}}\nCode:[ \t]{{0,4}}\n```[^`]{{0,2000}}?\b{name}\(",
        *_anywhere(name, "tool(?:[ _]?name)?|function(?:[ _]?name)?", argument),
    ]
    return re.compile("|".join(shapes), re.MULTILINE)


@lru_cache(maxsize=256)
def _block(tool: str, argument: str) -> re.Pattern[str]:
    """Return the pattern of a tool's name above lines that are only its arguments: ``search:``, ``  query: x``."""
    line = rf"[ \t]{{0,8}}(?:-[ \t]{{1,3}})?{argument}:[^\n]{{0,2000}}"
    name = any_spelling(tool)
    return re.compile(
        rf"{name}[`*]{{0,3}}:?[`*]{{0,3}}[ \t]{{0,4}}\n{line}(?:\n{line}){{0,30}}(?=[`\s]{{0,9}}(?:\n|\Z))"
        r"(?!\n[ \t]{1,8}[-\s]{0,3}\w[\w ]{0,40}:)"
    )


def _element(tool: str, argument: str, text: str) -> re.Match[str] | None:
    """Return the element that is a call of the tool; it needs arguments, else it is a word in brackets."""
    name = any_spelling(tool)
    value = r"\s{0,9}(?:\{|[A-Za-z]{0,8}[-#]?\d)" if len(words_of(tool)) > 1 else r"(?!)"
    found = re.search(
        rf"<{name}(?:\s{{1,9}}{argument}\s?=[^<>]{{0,200}})?/>|<{name}\s{{1,9}}{argument}\s?=[^<>]{{0,200}}>"
        rf"|<{name}>(?:\s{{0,9}}<{argument}[\s>]|{value})",
        text,
    )
    ends = re.compile(rf"</{name}>")
    return found if found and ("<" not in found.group()[1:] or ends.search(text, found.end())) else None
