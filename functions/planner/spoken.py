"""What of a model's text is said to the requester: not its reasoning, and no call that it wrote as prose. Pure.

Models leak both: reasoning in tags (``<think>…</think>``), and calls as text in the form that they were trained with
(``<function=…>``, ``[TOOL_CALLS]…``, ``[look_up_order(order_id="O-1")]``). Reasoning is taken out; a text with a call,
or with reasoning whose end cannot be found, is not sent.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ballast.contracts.wire import whole

_THOUGHT = (
    r"think(?:ing)?|thoughts?|reason(?:ing)?|reflections?|scratch_?pad|(?:inner|internal)_(?:monologue|thoughts?)|"
    r"antthinking|analysis|chain_of_thought|cot"
)
#: Where reasoning begins and ends, in the spellings of the models that are about. HTML's escapes are spellings, too.
_TAG = re.compile(
    rf"(?:<|&lt;)(?P<slash>/?)(?:[a-z]{{2,12}}:)?(?:{_THOUGHT})(?:\s[^<>\n]{{0,200}})?(?:>|&gt;)"
    r"|\[(?P<square>/?)(?:THINK|REASONING)\]"
    r"|◁(?P<kimi>/?)think▷"
    r"|<\|(?P<word>begin_of_|end_of_|start_|end_)(?:thought|thinking|think|reasoning)\|>",
    re.IGNORECASE,
)
#: Code that a text shows: a tag in it is quoted and not meant.
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
_THOUGHT_FENCE = re.compile(rf"^```[ \t]*(?:{_THOUGHT})[ \t]*\n.*?(?:^```[ \t]*$|\Z)", re.DOTALL | re.MULTILINE | re.I)
#: Harmony, the form of gpt-oss: ``<|channel|>analysis<|message|>…<|end|>…<|channel|>final<|message|>…``
_CHANNEL = re.compile(r"<\|channel\|>\s*(?P<channel>[a-z]{1,20})[^<]{0,200}(?:<\|constrain\|>\w{0,20})?<\|message\|>")
_SPECIAL = re.compile(r"<\|(?:start|end|return|message|channel|im_end|eot_id)\|>(?:assistant\b)?")
_BARE_HARMONY = re.compile(r"\A\s*analysis(?=[A-Z ]).*?assistantfinal(?=\s*\S)", re.DOTALL)
_WRAPPED = re.compile(
    r"\A<(?P<tag>answer|final_answer|final|response|reply|output)>(?P<text>.*)</(?P=tag)>\Z", re.DOTALL | re.IGNORECASE
)

#: What only a model writes that means to call a tool, whatever the tool's name.
_MARKER = re.compile(
    r"</?(?:[a-z]{2,12}:)?(?:[a-z]{1,20}_)?(?:tool|function)_?(?:calls?|use|code|name|input|parameter|request|invocation)s?(?=[\s=>/])"
    r"|</?(?:[a-z]{2,12}:)?invoke(?:\s+name\s*=|>)"
    r"|<(?:function|tool)(?:\s+name)?\s*="
    r"|<[|｜][^|｜<>\n]{0,40}(?:tool|function|python_tag|action_start|call)[^|｜<>\n]{0,40}[|｜]>"
    r"|\[/?(?:TOOL_CALLS?|TOOL_REQUEST|FUNCTION_CALLS?|END_TOOL_REQUEST)\]"
    r"|\bfunctools\s?\["
    r"|\bto=functions\.\w"
    r"|```[ \t]*(?:tool_code|tool_calls?|tool_use|function_calls?)\b"
    r"|^[ \t*]*Action[ \t*]*:.{0,200}\n[\s*]{0,20}Action[ _]Input[ \t*]*:",
    re.IGNORECASE | re.MULTILINE,
)
#: Keys of a call as an object: what is called, and with what.
_WHAT = ("name", "tool", "tool_name", "toolName", "function", "function_name", "action", "recipient_name")
_WITH = (
    "arguments", "parameters", "args", "params", "kwargs", "input", "tool_input", "toolInput", "action_input",
    "tool_parameters", "tool_args",
)  # fmt: skip
_BESIDE = frozenset(("type", "id", "call_id", "tool_call_id", "toolUseId", "index", "version", "thought"))
_AROUND = ("tool_calls", "toolUse", "tool_use", "function_call", "function_calls", "tool_uses", "calls", "toolCalls")
#: A text that is nothing but calls, of whatever names: ``[get_weather(city="Berlin"), get_time()]``.
_ONLY_CALLS = re.compile(r"\[?\s*(?:print\()?[A-Za-z_][\w.]{0,80}\((?=\s*(?:\)|[A-Za-z_]\w{0,80}\s*=[^=]|[\"'{\[]))")
_FENCED = re.compile(r"\A```[\w-]{0,20}[ \t]*\n(?P<text>.*?)\n?```\Z", re.DOTALL)


@dataclass(frozen=True)
class Spoken:
    """What a text says.

    text      without the reasoning; empty where it is nothing else
    unclosed  whether reasoning begins and its end is not found, so that nobody knows what is said
    """

    text: str
    unclosed: bool = False


def text_of(blocks: Sequence[Mapping[str, Any]]) -> str:
    """Return what the blocks say. What a model cites stands in blocks of its own, in the middle of a sentence."""
    said, after_citation = "", True
    for block in blocks:
        cited = cited_text(block)
        text = cited if cited is not None else block.get("text")
        if not isinstance(text, str) or not text:
            continue
        between = cited is not None or after_citation or not text.strip()
        said = said + text if between else f"{said.rstrip()}\n\n{text}"
        after_citation = cited is not None
    return said.strip()


def cited_text(block: Mapping[str, Any]) -> str | None:
    """Return the text of a ``citationsContent``; None where the block is none."""
    cited = block.get("citationsContent")
    if not isinstance(cited, Mapping):
        return None
    parts = cited.get("content")
    texts = [part.get("text") for part in parts if isinstance(part, Mapping)] if isinstance(parts, list) else []
    return "".join(text for text in texts if isinstance(text, str))


def spoken(text: str) -> Spoken:
    """Return what ``text`` says to whoever reads it, without the reasoning in it. Linear in its length."""
    bare = _BARE_HARMONY.sub("", text, count=1) if "final" in text else text
    if "<|channel|>" in bare:
        bare = _final(bare)
    elif "```" in bare:
        bare = _THOUGHT_FENCE.sub("", bare)
    code = [found.span() for found in _CODE.finditer(bare)] if "`" in bare else []
    kept, since, depth, at = [""], 0, 0, 0
    for tag in _TAG.finditer(bare):
        while at < len(code) and code[at][1] <= tag.start():
            at += 1
        if at < len(code) and code[at][0] <= tag.start():
            continue
        if not _closes(tag):
            if not depth:
                kept.append(bare[since : tag.start()])
            depth += 1
        elif depth:
            depth -= 1
            since = tag.end()
        else:  # the beginning stood in the prompt: what came before was reasoning
            kept, since = [""], tag.end()
    if depth:
        return Spoken("", unclosed=True)
    said = "".join([*kept, bare[since:]])
    said = (_SPECIAL.sub("", said) if "<|" in said else said).strip()
    wrapped = _WRAPPED.match(said) if said != text.strip() else None
    return Spoken(wrapped["text"].strip() if wrapped else said)


def call_in_prose(text: str, tools: Collection[str], *, formal: bool = False) -> str | None:
    """Return what in ``text`` is a call of a tool written as prose, in words for the model; None where nothing is.

    tools   the names that the agent knows
    formal  whether an object is what was asked for: then only a known name makes a call of it
    """
    found = _MARKER.search(text)
    if found:
        return f"it has {whole(' '.join(found.group().split()), 40)!r}, a call of a tool written as text"
    fenced = _FENCED.match(text.strip())
    bare = (fenced["text"] if fenced else text).strip()
    name = _as_object(bare, tools, formal) or _by_name(text, tools)
    if name is None and not formal and bare.endswith((")", ")]", ");")) and _ONLY_CALLS.match(bare):
        name = bare.lstrip("[ \n").partition("(")[0]
    return None if name is None else f"it has a call of {whole(name, 64)} written as text"


def _final(text: str) -> str:
    """Return what Harmony's channel ``final`` says; the whole text where another one calls a tool."""
    if "to=" in text:
        return text
    parts = list(_CHANNEL.finditer(text))
    ends = [*(part.start() for part in parts), len(text)][1:]
    final = [text[part.end() : end] for part, end in zip(parts, ends, strict=False) if part["channel"] == "final"]
    return "".join(final)


def _closes(tag: re.Match[str]) -> bool:
    return bool(tag["slash"] or tag["square"] or tag["kimi"] or (tag["word"] or "").lower().startswith("end"))


def _as_object(text: str, tools: Collection[str], formal: bool) -> str | None:
    """Return the name in a text that is a call as JSON, or a list of such, or several one after the other."""
    if text[:1] not in "[{" or not text:
        return None
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return None
        for one in value if isinstance(value, list) else [value]:
            name = _called(one, tools, formal)
            if name is not None:
                return name
        between = re.compile(r"[\s;,]*").match(text, end)
        at = between.end() if between else len(text)
    return None


def _called(value: Any, tools: Collection[str], formal: bool) -> str | None:
    if not isinstance(value, dict):
        return None
    for around in _AROUND:
        inner = value.get(around)
        for one in inner if isinstance(inner, list) else [inner]:
            name = _called(one, tools, formal)
            if name is not None:
                return name
    inner = value.get("function")
    if isinstance(inner, dict):
        return _called(inner, tools, formal)
    what = [key for key in _WHAT if isinstance(value.get(key), str)]
    given = [key for key in _WITH if key in value]
    for key in what:
        name = str(value[key]).removeprefix("functions.")
        if given and (name in tools or (not formal and value.keys() <= {key, *given, *_BESIDE})):
            return name
    [only] = value if len(value) == 1 else [None]
    return only if only in tools and isinstance(value[only], dict) else None


def _by_name(text: str, tools: Collection[str]) -> str | None:
    """Return the known tool that the text calls: ``name(…)``, ``name {"…"}``, ``<name>``, ``tool: name … args: …``."""
    known = [re.escape(name) for name in sorted(tools, key=len, reverse=True) if name in text]
    if not known:
        return None
    name = "|".join(known)
    found = re.search(
        rf"(?<![\w-])(?P<a>{name})\((?=\s*(?:\)|\{{|\*\*|[A-Za-z_]\w{{0,80}}\s*=[^=]|[\"'\[]))"
        rf"|(?<![\w\"'-])(?P<b>{name})[\s`*:=>→-]{{0,8}}(?:json\s{{0,4}})?\{{\s{{0,20}}[\"'}}]"
        rf"|<(?P<c>{name})(?:\s[^<>]{{0,200}})?/?>"
        rf"|\b(?:{'|'.join(_WHAT)})[\"']?\s{{0,4}}[:=]\s{{0,4}}[\"'`]?(?:functions\.)?(?P<d>{name})\b"
        rf"(?=[^{{}}]{{0,400}}\b(?:{'|'.join(_WITH)})[\"']?\s{{0,4}}[:=])"
        rf"|^[ \t*]*Action[ \t*]*:[ \t*`]*(?P<e>{name})\b",
        text,
        re.MULTILINE,
    )
    return next((one for one in found.groups() if one), None) if found else None
