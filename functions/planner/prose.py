"""Calls of tools that a model wrote as text: in tags, special tokens, labels, objects and code. Pure.

Some shapes are calls whatever they name (``<tool_call>…``, ``[TOOL_CALLS]…``, ``<|START_ACTION|>…``). Others are calls
where they name a tool of the playbook. A name that nobody writes by chance (``look_up_order``) makes a call of more
shapes than one that is a word (``search``): that one must stand alone on its line, or be called by keyword.
"""

import json
import re
from collections.abc import Callable, Collection, Iterator
from functools import lru_cache
from typing import Any

from ballast.contracts.wire import whole
from functions.planner.evened import Evened, evened

#: Keys of a call as an object: what is called, and with what.
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
#: Those that say of themselves that a tool is meant, and its arguments.
_SURELY_WHAT = frozenset(("tool", "tool_name", "toolName", "function", "function_name", "functionName"))
_SURELY_WITH = frozenset(_WITH) - {"input", "params", "content", "action_input"}
#: What an object says that it is, where it is a call.
_TYPES = ("tool_use", "tool_call", "function_call", "function", "server_tool_use")

#: Words that make a call of a tag, a token or a fence whose name has them.
_TOOL = re.compile(r"tools?|functions?|invokes?|(?:tool|function|func)(?:calls?|use|code|names?|input|args?|results?)")
_ACTION = frozenset(("action", "actions", "call", "calls", "python", "ipython"))
#: Parts of the names of other elements: ``<tool-tip>``, ``<tool-bar>``.
_ELEMENTS = frozenset(("tip", "tips", "bar", "box", "kit", "button", "icon", "menu"))
_ANGLE = re.compile(
    r"<{1,2}\s?/?\s?(?P<name>[a-z_][\w:.-]{0,60})(?P<is>\s?=)?"
    r"(?P<named>\s[^<>]{0,80}?\b(?:name|tool|function)\s?=)?(?P<more>[^<>]{0,200}?)(?:>\s{0,9}(?P<opens>[{\[])?|\Z)",
    re.IGNORECASE,
)
_TOKEN = re.compile(r"</?\|/?(?P<token>[^|<>\n]{1,60})/?\|(?P<tail>/?[\w=. -]{0,40})")
_FENCE = re.compile(r"```[ \t]*(?P<name>[\w-]{3,40})\b")
#: What else only a model writes that means to call a tool, whatever the tool's name.
_MARKER = re.compile(
    r"\[/?(?:[a-z]{1,20}_){0,3}(?:tool|function)s?"
    r"(?:_(?!(?:box|kit|tip|bar|menu|icon|button|list|page|shop|set)(?:e?s)?\])"
    r"[a-z]{1,20}){1,3}\](?!\()"
    r"|\[/?(?:[a-z]{1,20}_){1,3}(?:tool|function)s?\](?!\()"
    r"|\[\s?(?:(?:calling|invoking|executing)\s(?:the\s)?(?:tool|function)|(?:tool|function)[ _-](?:call|use|request|"
    r"invocation))s?(?:\s?:\s?|\s)"
    r"(?=[`\"']?[a-z]\w{0,30}_\w{1,40}|[`\"']?[\w.-]{1,64}[`\"']?(?:\s?[({:\]]|\s(?:with|for)\b))"
    r"[^\]\n]{1,400}\](?!\()"
    r"|✿(?:function|args|result|return)✿"
    r"|\bfunctools\s?\[\s{0,4}\{"
    r"|(?<![?&\w])to=functions\.\w"
    r"|\bfunctions\.[a-z_][\w-]{0,63}:\d{1,6}\s{0,9}\{"
    r"|<end_code>"
    r"|^[ \t*#>]{0,8}(?:tool|function)[ _-]?calls?[ \t*`]{0,6}:[ \t*`]{0,6}"
    r"(?:[\[{]\s{0,9}[\[{\"']|[a-z]\w{0,60}_\w{1,60}\()"
    r"|^[ \t*]{0,8}Action[ \t*]{0,4}:[ \t*`]{0,6}[\w.-]{1,99}[ \t*`]{0,6}\n[\s*]{0,20}Action[ _]Input[ \t*]{0,4}:"
    r"|<(?P<of>tool|function|tool_name|function_name)>\s{0,9}[a-z]\w{0,60}_\w{1,60}\s{0,9}</",
    re.IGNORECASE | re.MULTILINE,
)
#: An object in the middle of a text that is a call; a decoder reads the others.
_OPENS = re.compile(rf"\{{\s{{0,20}}[\"'](?:{'|'.join((*_WHAT, *_AROUND, *_WITH, *_BESIDE))})[\"']\s{{0,4}}:")
_IN_TEXT = re.compile(
    rf"\{{\s{{0,20}}[\"'](?:{'|'.join(_WHAT)})[\"']\s{{0,4}}:\s{{0,4}}[\"'](?P<name>[a-z_][\w.-]{{0,63}})[\"']\s{{0,4}},"
    rf"\s{{0,20}}[\"'](?:{'|'.join(sorted(_SURELY_WITH))})[\"']\s{{0,4}}:\s{{0,4}}[{{\"']",
    re.IGNORECASE,
)
_MOST_OBJECTS = 40
#: A text that is nothing but calls. One without a list around it or a keyword in it may be a formula: ``SUM("A1")``.
_ONLY_CALLS = re.compile(
    r"(?P<list>\[?)\s*(?:print\()?(?P<name>[A-Za-z_][\w.]{0,80})"
    r"\((?=\s*(?:\)|(?P<keyword>[A-Za-z_]\w{0,80}\s*=[^=])|[\"'{\[]))"
)
_FENCED = re.compile(r"\A(?P<ticks>`{1,3})[\w-]{0,20}[ \t]*\n?(?P<text>.*?)\n?(?P=ticks)\Z", re.DOTALL)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def call_in_prose(text: str, tools: Collection[str], *, formal: bool = False) -> str | None:
    """Return what in ``text`` is a call of a tool written as prose, in words for the model; None where nothing is.

    tools   the names that the agent knows
    formal  whether an object is what was asked for: then only a known name with arguments makes a call of it
    """
    seen = evened(text)
    marker = _marked(text, seen)
    if marker is not None:
        return f"it has {whole(' '.join(marker.split()), 40)!r}, a call of a tool written as text"
    name = _as_object(text, seen.text, tools, formal) or _by_name(seen.text, tools, formal)
    bare = _bare(seen.text)
    if name is None and not formal and bare.endswith((")", ")]", ");")) and (only := _ONLY_CALLS.match(bare)):
        known = any(_names_one(part, tools) for part in only["name"].split("."))
        name = only["name"] if known or only["list"] or only["keyword"] else None
    return None if name is None else f"it has a call of {whole(name, 64)} written as text"


def parts_of(name: str) -> list[str]:
    """Return the words of a name, in small letters: of ``toolCall``, ``TOOL_CALL`` and ``tool-call`` the same two."""
    return [word.lower() for word in _WORD.findall(name)]


def _marked(text: str, seen: Evened) -> str | None:
    """Return the part of the original text that is a call whatever it names."""
    for shape, is_call in _SHAPES:
        for found in shape.finditer(seen.text):
            if is_call(found) and not _is_quoted(seen.text, found):
                return text[seen.origin(found.start()) : seen.origin(found.end())].strip()
    return None


def _is_quoted(text: str, found: re.Match[str]) -> bool:
    """Say whether it stands alone between backticks or quotes, as what a sentence speaks of."""
    before = text[max(0, found.start() - 1) : found.start()]
    return before in ("`", '"', "'") and before == text[found.end() : found.end() + 1]


def _is_call_tag(tag: re.Match[str]) -> bool:
    words = parts_of(tag["name"])
    told = [word for word in words if _TOOL.fullmatch(word)]
    if words in (["function"], ["tool"]) and re.search(r"\b(?:price|class|style|href|size)\s?=", tag["more"]):
        return False
    if told and not _ELEMENTS & set(words):
        glued = any(word not in ("tool", "tools", "function", "functions") for word in told)
        return glued or len(words) > 1 or bool(tag["is"] or tag["named"] or tag["opens"])
    if words in (["parameter"], ["call"], ["action"], ["execute"]):
        return bool(tag["is"] or tag["named"])
    return words in (["arg", "key"], ["arg", "value"])


def _is_call_token(token: re.Match[str]) -> bool:
    words = parts_of(f"{token['token']} {token['tail']}")
    return any(word in _ACTION or _TOOL.fullmatch(word) for word in words)


def _is_call_fence(fence: re.Match[str]) -> bool:
    words = parts_of(fence["name"])
    return len(words) > 1 and any(_TOOL.fullmatch(word) for word in words)


_SHAPES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], bool]], ...] = (
    (_MARKER, bool),
    (_TOKEN, _is_call_token),
    (_ANGLE, _is_call_tag),
    (_FENCE, _is_call_fence),
)


def _bare(text: str) -> str:
    """Return the text without the fence, or the backticks, around the whole of it."""
    fenced = _FENCED.match(text.strip())
    return (fenced["text"] if fenced else text).strip()


# Objects


def _as_object(text: str, seen: str, tools: Collection[str], formal: bool) -> str | None:
    """Return the name that an object of the text calls: of the whole text, or in the middle of it."""
    for one in (text, seen) if seen != text else (text,):
        for value in _values(_bare(one)):
            name = _called(value, tools, formal, alone=True)
            if name is not None:
                return name
        if formal:
            continue
        for value in _objects_in(one):
            name = _called(value, tools, formal, alone=False)
            if name is not None:
                return name
    found = None if formal else _IN_TEXT.search(seen)
    return found["name"] if found else None


def _values(text: str) -> Iterator[Any]:
    """Yield the values of a text that is JSON, or several such one after the other, or lists of them."""
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
    """Yield the first objects that stand in a text and begin like a call."""
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


def _called(value: Any, tools: Collection[str], formal: bool, *, alone: bool) -> str | None:
    """Return the name that an object calls. One that is the whole text needs to say less."""
    if not isinstance(value, dict):
        return None
    for around in _AROUND:
        inner = value.get(around)
        for one in inner if isinstance(inner, list) else [inner]:
            name = _called(one, tools, formal, alone=alone)
            if name is not None:
                return name
    inner = value.get("function")
    if isinstance(inner, dict):
        return _called(inner, tools, formal, alone=alone)
    given = [key for key in _WITH if key in value]
    for key in [key for key in _WHAT if isinstance(value.get(key), str)]:
        name = str(value[key]).removeprefix("functions.").removeprefix("default_api.")
        if _names_one(name, tools) and (given or (alone and not formal)):
            return name
        if formal:
            continue
        closed = bool(given) and key != "method" and value.keys() <= {key, *given, *_BESIDE}
        if closed and _means_arguments(name, value, given, alone=alone):
            return name
        if alone and key in _SURELY_WHAT and _is_distinct(name):
            return name
    [only] = value if len(value) == 1 else [None]
    takes = dict if formal else dict | str
    return only if alone and only in tools and isinstance(value[only], takes) else None


def _means_arguments(name: str, value: dict[str, Any], given: list[str], *, alone: bool) -> bool:
    """Say whether an object calls a tool that nobody knows: its name can be one, and it says that it has arguments."""
    if not re.fullmatch(r"[A-Za-z_][\w.-]{0,99}", name):
        return False
    objects = any(isinstance(value[key], dict) for key in given)
    if objects and (alone or value.get("type") in _TYPES):
        return True
    surely = _SURELY_WITH | {"action_input"} if alone else _SURELY_WITH
    return bool(surely & set(given)) and any(isinstance(value[key], dict | str) for key in given)


# Names


def _is_distinct(name: str) -> bool:
    """Say whether nobody writes that name by chance: it is no single word."""
    return len(parts_of(name)) > 1 and bool(re.fullmatch(r"[A-Za-z_][\w.-]{0,63}", name))


def _names_one(name: str, tools: Collection[str]) -> bool:
    return name in tools or (_is_distinct(name) and parts_of(name) in [parts_of(tool) for tool in tools])


def _by_name(text: str, tools: Collection[str], formal: bool) -> str | None:
    """Return the known tool that the text calls, as the text spells it."""
    flat = re.sub(r"[_-]", "", text).lower()
    for name in sorted(tools, key=lambda one: (-len(one), one)):
        words = parts_of(name)
        if "".join(words) not in flat:
            continue
        if len(words) > 1:
            found = _distinct_calls(name).search(text)
        else:
            found = _word_calls(name).search(text) or (None if formal else _element(name, text))
            found = found or re.fullmatch(rf"[`\s]*{re.escape(name)}:?\s*\n(?:[ \t]+[\w-]+:[^\n]*\n?)+[`\s]*", text)
        if found:
            return name
    return None


_KEYWORD = r"[A-Za-z_]\w{0,80}\s{0,4}=\s{0,4}[^=\s]"
_LINE = r"^[ \t>*`\d.+-]{0,12}"
_WORDS_WHAT = "|".join(re.escape(" ".join(parts_of(one))).replace(r"\ ", "[ _]?") for one in _WHAT)
_WORDS_WITH = "|".join(re.escape(" ".join(parts_of(one))).replace(r"\ ", "[ _]?") for one in _WITH if one != "content")


def _anywhere(name: str, labels: str) -> list[str]:
    """Return the shapes that make a call of any name, one after each of the ``labels`` with its arguments below."""
    what, with_ = "|".join(_WHAT), "|".join(_WITH)
    return [
        rf"[\"'](?:{what})[\"']\s{{0,4}}[:=]\s{{0,4}}[\"'](?:functions\.)?{name}[\"']"
        rf"(?=[^{{}}]{{0,400}}[\"'](?:{with_})[\"']\s{{0,4}}[:=])",
        rf"[{{,]\s{{0,20}}(?:{what})\s{{0,4}}:\s{{0,4}}[\"'](?:functions\.)?{name}[\"']"
        rf"(?=\s{{0,9}},[^{{}}]{{0,400}}\b(?:{with_})\s{{0,4}}:)",
        rf"^[ \t>*`#-]{{0,12}}(?i:{labels})[*` \t]{{0,4}}[:=][ \t*`\"']{{0,6}}(?:functions\.)?{name}[`\"'*]{{0,3}}"
        rf"[ \t]{{0,4}}\n(?:[^\n]{{0,200}}\n){{0,2}}?[ \t>*`#-]{{0,12}}(?i:{_WORDS_WITH})[*` \t]{{0,4}}[:=]",
        rf"^[ \t>*`#-]{{0,12}}(?i:(?:using|calling|invoking)?\s?(?:tool|function)(?:[ _]name)?)[*` \t]{{0,4}}[:=]"
        rf"[ \t*`\"']{{0,6}}{name}[`\"'*]{{0,3}}[ \t]{{0,4}}\n[ \t>*`-]{{0,8}}"
        rf"[A-Za-z][\w ]{{0,30}}[*`]{{0,3}}:[ \t]{{0,4}}\S",
        rf"^[ \t*>#]{{0,8}}Action[ \t*]{{0,4}}:[ \t*`]{{0,6}}{name}[ \t*`]{{0,6}}(?:$|[\[({{])",
        rf"<(?P<around>tool|function|tool_name|function_name)>\s{{0,9}}{name}\s{{0,9}}</",
        rf"<(?P<carries>execute|api_call|use_tool|tool|function_call|run_tool)>\s{{0,9}}{name}\b[^<>\n]{{0,400}}</",
        rf"\b{name}\s?\[ARGS\]",
        rf"^Code:[ \t]{{0,4}}\n```[^`]{{0,2000}}?\b{name}\(",
        rf"{_LINE}(?:print\(|await\s|[A-Za-z_]\w{{0,40}}\s?=\s?)?(?:[A-Za-z_]\w{{0,40}}\.){{0,3}}{name}"
        rf"\((?=[\"'\[{{\d-]|{_KEYWORD})[^\n]{{0,2000}}\)[ \t`;)\]]{{0,4}}$",
    ]


@lru_cache(maxsize=256)
def _distinct_calls(tool: str) -> re.Pattern[str]:
    """Return the calls of a tool whose name nobody writes by chance, in any spelling of the name."""
    name = "(?i:" + "[_-]?".join(parts_of(tool)) + ")"
    typed = r"[A-Za-z_]\w{0,80}\s{0,4}:\s{0,4}[\"'\d\[{]"
    value = rf"\{{|\*\*|{_KEYWORD}|{typed}|[\"'\[]|[A-Za-z]{{0,8}}[-#]?\d"
    shapes = [
        rf"(?<![\w-]){name}\((?=\s{{0,9}}(?:{value}))",
        rf"(?<![\w-]){name}\s{{1,4}}\((?=\s{{0,9}}(?:\{{|{_KEYWORD}|{typed}))",
        rf"{_LINE}(?:print\(|await\s|[A-Za-z_]\w{{0,40}}\s?=\s?)?(?:[A-Za-z_]\w{{0,40}}\.){{0,3}}{name}\(\s{{0,9}}\)"
        r"[ \t`;)\],.]{0,4}$",
        rf"(?<![\w\"'-]){name}[\s`*:=>→<-]{{0,8}}(?:(?:with|using)\s(?:\w{{1,20}}[:\s]{{1,2}}){{0,3}})?"
        rf"(?:json\s{{0,4}})?\{{\s{{0,20}}[\"'}}]",
        rf"</?{name}(?:\s[^<>]{{0,200}})?/?>",
        rf"^[ \t*#>]{{0,8}}(?i:tool|function)[ _-]?(?i:calls?|use|request|invocation)[*` \t]{{0,4}}:"
        rf"[*`\"' \t]{{0,6}}{name}\b",
        rf"[\[*(]\s?(?i:calls?|calling|invok\w{{1,5}}|execut\w{{1,5}})\s(?:the\s)?(?:tool\s|function\s)?"
        rf"[`\"']?{name}\b",
        rf"<(?P<element>command|cmd|call|run|action|name|method_call|fncall|api)>\s{{0,9}}{name}\b[^<>\n]{{0,400}}</",
        rf"{_LINE}[/@]{name}\b",
        rf"^\$ {name}\b",
        rf"\{{[{{%]\s?{name}\b",
        rf"^[ \t]{{0,8}}\[{name}\b[^\]\n(]{{0,400}}\](?!\()[ \t]{{0,8}}$",
        rf"{_LINE}{name}\s{{1,4}}[a-z_]\w{{0,40}}=\S",
        rf"{_LINE}{name}[`*]{{0,3}}:?[`*]{{0,3}}[ \t]{{0,4}}\n"
        r"(?:[ \t]{1,8}[-\s]{0,3}[a-z]\w{0,40}|[a-z]{1,20}_\w{1,40}):[ \t]{0,4}\S",
        rf"\bfunctions\.{name}\s{{0,3}}[({{:]",
        rf"(?<![?&\w])to={name}\b",
        *_anywhere(name, _WORDS_WHAT),
    ]
    return re.compile("|".join(shapes), re.MULTILINE)


@lru_cache(maxsize=256)
def _word_calls(tool: str) -> re.Pattern[str]:
    """Return the calls of a tool whose name is a word that a sentence may have."""
    name = re.escape(tool)
    shapes = [
        rf"(?<![\w`-]){name}\((?=[A-Za-z_]\w{{0,80}}\s{{0,4}}=\s{{0,4}}(?:[\"'\[{{\d-]|True\b|False\b|None\b))",
        rf"{_LINE}{name}[\s`*:=>-]{{0,8}}(?:json\s{{0,4}})?\{{\s{{0,20}}[\"'][\w-]{{1,64}}[\"']\s{{0,4}}:",
        rf"\A[`\s]{{0,9}}{name}\(\)[`\s;]{{0,9}}\Z",
        rf"\bfunctions\.{name}\((?=[\"'{{\[]|{_KEYWORD})",
        rf"(?<![?&\w])to={name}\b(?=[^\n{{]{{0,40}}\n?[ \t]{{0,4}}\{{)",
        *_anywhere(name, "tool(?:[ _]?name)?|function(?:[ _]?name)?"),
    ]
    return re.compile("|".join(shapes), re.MULTILINE)


def _element(tool: str, text: str) -> re.Match[str] | None:
    """Return where the tool is an element with its arguments; without any, a word between brackets is no call."""
    name = re.escape(tool)
    found = re.search(
        rf"<{name}(?:\s[^<>]{{0,200}})?/>|<{name}\s[\w-]{{1,40}}\s?=[^<>]{{0,200}}>|<{name}>\s{{0,9}}<\w", text
    )
    return found if found and ("<" not in found.group()[1:] or f"</{tool}>" in text[found.end() :]) else None
