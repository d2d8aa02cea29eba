"""Calls of tools that a model wrote as text: with marks of their own, or as objects, labels and code. Pure.

Marks are calls whatever they name (``marks``). Others are calls where they name a tool of the playbook. A name that
nobody writes by chance (``look_up_order``) makes a call of more shapes than one that is a word (``search``): that one
must stand alone on its line, or be called by keyword.

A text that reports what was done has the same names: ``Action: refund``, ``{"refund": "done"}``, ``cancel_order:``.
So a name needs its arguments beside it: under a key or a label that says so (``arguments``, ``Action Input``), or all
of them named as the tool's parameters are. Where both readings are possible, the text is an answer.
"""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from ballast.contracts.wire import text_or_length
from functions.agent.evened import evened
from functions.agent.marks import marked, parts_of, spelled

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
#: Those that say of themselves that a tool is meant, and its arguments; others say so where they hold an object.
_SURELY_WHAT = frozenset(("tool", "tool_name", "toolName", "function", "function_name", "functionName"))
_SURELY_WITH = frozenset(_WITH) - {"input", "params", "content"}
#: What an object says that it is, where it is a call.
_TYPES = ("tool_use", "tool_call", "function_call", "function", "server_tool_use")
#: An object in the middle of a text that is a call; a decoder reads the others.
_OPENS = re.compile(rf"\{{\s{{0,20}}[\"'](?:{'|'.join((*_WHAT, *_AROUND, *_WITH, *_BESIDE))})[\"']\s{{0,4}}:")
_IN_TEXT = re.compile(
    rf"\{{\s{{0,20}}[\"'](?:{'|'.join(_WHAT)})[\"']\s{{0,4}}:\s{{0,4}}[\"'](?P<name>[a-z_][\w.-]{{0,63}})[\"']\s{{0,4}},"
    rf"\s{{0,20}}[\"'](?:{'|'.join(sorted(_SURELY_WITH - {'action_input'}))})[\"']\s{{0,4}}:\s{{0,4}}[{{\"']",
    re.IGNORECASE,
)
_MOST_OBJECTS = 40
#: A text that is nothing but calls. One without a list around it or a keyword in it may be a formula: ``SUM("A1")``.
_ONLY_CALLS = re.compile(
    r"(?P<list>\[?)\s*(?:print\()?(?P<name>[A-Za-z_][\w.]{0,80})"
    r"\((?=\s*(?:\)|(?P<keyword>[A-Za-z_]\w{0,80}\s*=[^=])|[\"'{\[]))"
)
_FENCED = re.compile(r"\A(?P<ticks>`{1,3})[\w-]{0,20}[ \t]*\n?(?P<text>.*?)\n?(?P=ticks)\Z", re.DOTALL)
#: An argument of a tool whose parameters are not known has a name that nobody writes by chance.
_ANY_ARGUMENT = r"[a-z]{1,20}_\w{1,40}"


def call_in_prose(text: str, tools: Collection[str], *, formal: bool = False) -> str | None:
    """Return what in ``text`` is a call of a tool written as prose, in words for the model; None where nothing is.

    tools   the names that the agent knows, if it can with the names of each one's parameters
    formal  whether an object is what was asked for: then only a known name with arguments makes a call of it
    """
    seen = evened(text)
    marker = marked(text, seen, tools)
    if marker is not None:
        return f"it has {text_or_length(' '.join(marker.split()), 40)!r}, a call of a tool written as text"
    name = _as_object(text, seen.text, tools, formal) or _by_name(seen.text, tools, formal)
    bare = _bare(seen.text)
    if name is None and not formal and bare.endswith((")", ")]", ");")) and (only := _ONLY_CALLS.match(bare)):
        known = any(_names_one(part, tools) for part in only["name"].split("."))
        name = only["name"] if known or only["list"] or only["keyword"] else None
    return None if name is None else f"it has a call of {text_or_length(name, 64)} written as text"


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


def _called(value: Any, tools: Collection[str], formal: bool, *, alone: bool, typed: bool = False) -> str | None:
    """Return the name that an object calls. One that is the whole text needs to say less, and one that is typed."""
    if not isinstance(value, dict):
        return None
    typed = typed or value.get("type") in _TYPES
    for around in _AROUND:
        inner = value.get(around)
        for one in inner if isinstance(inner, list) else [inner]:
            name = _called(one, tools, formal, alone=alone, typed=typed or around != "calls")
            if name is not None:
                return name
    inner = value.get("function")
    if isinstance(inner, dict):
        return _called(inner, tools, formal, alone=alone, typed=typed)
    given = [key for key in _WITH if key in value]
    for key in [key for key in _WHAT if isinstance(value.get(key), str)]:
        name = str(value[key]).removeprefix("functions.").removeprefix("default_api.")
        if _names_one(name, tools):
            if any(_means_arguments(key, with_, value, typed=typed) for with_ in given):
                return name
            rest = value.keys() - {key} - _BESIDE
            sure = key in _SURELY_WHAT or _is_distinct(name)
            if alone and not formal and sure and (_are_arguments(rest, name, tools) if rest else _is_distinct(name)):
                return name
            continue
        closed = not formal and key != "method" and value.keys() <= {key, *given, *_BESIDE}
        if closed and _calls_unknown(name, value, given, alone=alone, typed=typed):
            return name
    if formal or not alone or len(value) != 1:
        return None
    [(only, held)] = value.items()
    return only if only in tools and isinstance(held, dict) and _are_arguments(held, only, tools) else None


def _means_arguments(what: str, with_: str, value: dict[str, Any], *, typed: bool) -> bool:
    """Say whether what stands under ``with_`` are the arguments of the tool that ``what`` names."""
    if with_ in _SURELY_WITH or typed:
        return True
    return isinstance(value[with_], dict) and (with_ != "content" or what.startswith("recipient"))


def _calls_unknown(name: str, value: dict[str, Any], given: list[str], *, alone: bool, typed: bool) -> bool:
    """Say whether an object calls a tool that nobody knows: its name can be one, and it says that it has arguments."""
    if not re.fullmatch(r"[A-Za-z_][\w.-]{0,99}", name):
        return False
    if _SURELY_WITH & set(given) - (set() if alone else {"action_input"}):
        return any(isinstance(value[key], dict | str) for key in given)
    objects = [key for key in given if isinstance(value[key], dict) and key != "content"]
    return bool(objects) and (typed or (alone and _is_distinct(name)))


def _parameters(name: str, tools: Collection[str]) -> Collection[str] | None:
    """Return the names of a tool's parameters, in small letters alone; None where they are not known."""
    if not isinstance(tools, Mapping):
        return None
    known = next((tools[one] for one in tools if one == name or parts_of(one) == parts_of(name)), ())
    return {"".join(parts_of(one)) for one in known}


def _are_arguments(keys: Iterable[str], name: str, tools: Collection[str]) -> bool:
    """Say whether these are names of the tool's parameters, and not of what became of it (``status``, ``amount``)."""
    known = _parameters(name, tools)
    if known is None:
        return bool(list(keys)) and all(re.fullmatch(_ANY_ARGUMENT, key) for key in keys)
    return bool(list(keys)) and all("".join(parts_of(key)) in known for key in keys)


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
        calls = _distinct_calls if len(words) > 1 else _word_calls
        argument = _argument(tools[name] if isinstance(tools, Mapping) else None, exact=len(words) == 1)
        found = calls(name, argument).search(text)
        if found is None and not formal:
            found = _element(name, argument, text)
        if found is None:
            found = _block(name, argument).fullmatch(text.strip("` \n\t"))
        if found:
            return name
    return None


_KEYWORD = r"[A-Za-z_]\w{0,80}\s{0,4}=\s{0,4}[^=\s]"
_LINE = r"^[ \t>*`\d.+-]{0,12}"
_WORDS_WHAT = "|".join(re.escape(" ".join(parts_of(one))).replace(r"\ ", "[ _]?") for one in _WHAT)
_WORDS_WITH = "|".join(re.escape(" ".join(parts_of(one))).replace(r"\ ", "[ _]?") for one in _WITH if one != "content")

_SURE_WORDS = "|".join(re.escape(" ".join(parts_of(one))).replace(r"\ ", "[ _]?") for one in sorted(_SURELY_WITH))


def _argument(parameters: Collection[str] | None, *, exact: bool) -> str:
    """Return the pattern of an argument's name: a parameter's; where none is known, one that nobody writes by chance.

    exact  whether it is spelled as the parameter is: ``Amount: 5`` below ``Tool: refund`` reports what was paid
    """
    if parameters is None:
        return rf"(?:{_ANY_ARGUMENT})"
    if exact and parameters:
        return rf"(?:{'|'.join(map(re.escape, parameters))})"
    known = ["[_ -]?".join(map(re.escape, parts_of(one))) for one in parameters if parts_of(one)]
    return rf"(?i:{'|'.join(known)})" if known else r"(?!)"


def _anywhere(name: str, labels: str, argument: str) -> list[str]:
    """Return the shapes that make a call of any name, one after each of the ``labels`` with its arguments below."""
    what, with_ = "|".join(_WHAT), "|".join(sorted(_SURELY_WITH))
    holds = rf"(?:{with_})[\"']?\s{{0,4}}[:=]|(?:input|params)[\"']?\s{{0,4}}[:=]\s{{0,4}}\{{"
    said = rf"[`\"'*]{{0,3}}[ \t]{{0,4}}\n[ \t>*`-]{{0,8}}{argument}[*`]{{0,3}}:[*`]{{0,3}}[ \t]{{0,4}}\S"
    return [
        rf"[\"'](?:{what})[\"']\s{{0,4}}[:=]\s{{0,4}}[\"'](?:functions\.)?{name}[\"']"
        rf"(?=[^{{}}]{{0,400}}[\"'](?:{holds}))",
        rf"[{{,]\s{{0,20}}(?:{what})\s{{0,4}}:\s{{0,4}}[\"'](?:functions\.)?{name}[\"']"
        rf"(?=\s{{0,9}},[^{{}}]{{0,400}}\b(?:{holds}))",
        rf"^[ \t>*`#-]{{0,12}}(?i:{labels})[*` \t]{{0,4}}[:=][ \t*`\"']{{0,6}}(?:functions\.)?{name}[`\"'*]{{0,3}}"
        rf"[ \t]{{0,4}}\n(?:[^\n]{{0,200}}\n){{0,2}}?[ \t>*`#-]{{0,12}}(?i:{_SURE_WORDS})[*` \t]{{0,4}}[:=]",
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
    """Return the calls of a tool whose name nobody writes by chance, in any spelling of the name."""
    name = spelled(tool)
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
        rf"[*`\"' \t]{{0,6}}{name}[*`\"']{{0,3}}\s{{0,4}}(?:\Z|\(|\{{|```|with\b|(?i:{_WORDS_WITH})[*` ]{{0,4}}:)",
        rf"[\[*(]\s?(?i:calls?|calling|invok\w{{1,5}}|execut\w{{1,5}})\s(?:the\s)?(?:tool\s|function\s)?"
        rf"[`\"']?{name}[`\"']?\s?(?:[\])*({{:]|with\s?[{{\"'])",
        rf"<(?P<element>command|cmd|run|api)>\s{{0,9}}{name}\s[^<>\n]{{1,400}}</",
        rf"<(?P<called>call|method_call|fncall)>\s{{0,9}}{name}\b[^<>\n]{{0,400}}</",
        rf"<(?P<names>action|name)>\s{{0,9}}{name}\s{{0,9}}</[^<>]{{1,40}}>\s{{0,9}}<(?i:{_WORDS_WITH})>",
        rf"\A\s{{0,9}}[/@]{re.escape(tool)}\s{{1,4}}(?:\{{|{_KEYWORD}|{id_})[^\n]{{0,400}}\Z",
        rf"\{{[{{%]\s?{name}\s?(?:\(|\s{argument}=)",
        rf"^[ \t]{{0,8}}\[{name}\s(?:{id_}|{_KEYWORD})[^\]\n(]{{0,400}}\](?!\()[ \t]{{0,8}}$",
        rf"{_LINE}{name}\s{{1,4}}{argument}=\S",
        rf"{_LINE}{_block(tool, argument).pattern}",
        rf"\bfunctions\.{name}\s{{0,3}}[({{:]",
        rf"(?<![?&\w])to={name}\b",
        rf"^Code:[ \t]{{0,4}}\n```[^`]{{0,2000}}?\b{name}\(",
        *_anywhere(name, _WORDS_WHAT, argument),
    ]
    return re.compile("|".join(shapes), re.MULTILINE)


@lru_cache(maxsize=256)
def _word_calls(tool: str, argument: str) -> re.Pattern[str]:
    """Return the calls of a tool whose name is a word that a sentence may have."""
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
    """Return the tool with lines below that are its arguments and nothing else: ``search:``, ``  query: x``."""
    line = rf"[ \t]{{0,8}}(?:-[ \t]{{1,3}})?{argument}:[^\n]{{0,2000}}"
    return re.compile(
        rf"{spelled(tool)}[`*]{{0,3}}:?[`*]{{0,3}}[ \t]{{0,4}}\n{line}(?:\n{line}){{0,30}}(?=[`\s]{{0,9}}(?:\n|\Z))"
        r"(?!\n[ \t]{1,8}[-\s]{0,3}\w[\w ]{0,40}:)"
    )


def _element(tool: str, argument: str, text: str) -> re.Match[str] | None:
    """Return where the tool is an element with its arguments; without any, a word between brackets is no call."""
    name = spelled(tool)
    value = r"\s{0,9}(?:\{|[A-Za-z]{0,8}[-#]?\d)" if len(parts_of(tool)) > 1 else r"(?!)"
    found = re.search(
        rf"<{name}(?:\s{{1,9}}{argument}\s?=[^<>]{{0,200}})?/>|<{name}\s{{1,9}}{argument}\s?=[^<>]{{0,200}}>"
        rf"|<{name}>(?:\s{{0,9}}<{argument}[\s>]|{value})",
        text,
    )
    ends = re.compile(rf"</{name}>")
    return found if found and ("<" not in found.group()[1:] or ends.search(text, found.end())) else None
