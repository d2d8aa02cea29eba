"""Remove a model's reasoning from its text, so that the requester sees only the rest. Pure.

Models write reasoning in tags (``<think>…</think>``), in the special tokens of their templates, and under labels
(``Thought: … Final Answer: …``). A tag counts, in any spelling, if its name means hidden thought alone. A name that
reports have as well does not count: reasoning, analysis, reflection, rationale, planning, notes.

A text whose reasoning has no end says nothing. A tag that a sentence mentions (``write </think> to end it``,
``because <reason>.``) is one of its words: reasoning has an end, or begins a sentence.
"""

import json
import re
from bisect import bisect_left
from functools import lru_cache

from ballast.regex import regex
from ballast.validation import ANSWER_BYTES
from ballast.values import dataclass
from functions.agent.text import FENCE_LINE, normalised, words_of

#: Eight times the size of an answer.
_MOST_CHARS = 8 * ANSWER_BYTES
#: Words of a tag for hidden thought. All words of its name are among these and ``_OF_THOUGHT``, else it names another
#: thing: ``<thinking_budget>``, ``<design-thinking>``. No report, form or configuration has such a name.
_THOUGHT = regex(r"(?:my|ant|self)?(?:think(?:s|ing)?|thoughts?)|cots?|scratchpads?")
_OF_THOUGHT = frozenset(
    (
        "chain", "of", "process", "step", "steps", "inner", "internal", "hidden", "private", "my", "self", "deep",
        "model", "assistant", "system", "ant", "llm", "seed", "longcat", "content", "trace", "block",
        "begin", "start", "end", "close", "stop",
    )
)  # fmt: skip
#: Words of reports as well. They mean hidden thought only beside a word that says whose it is.
_REPORTED = {
    "reasoning": frozenset(("inner", "internal", "hidden", "private", "model", "assistant", "llm", "ant", "content")),
    "reason": frozenset(("model", "assistant")),
    **dict.fromkeys(("monologue", "monolog", "dialogue", "dialog", "voice"), frozenset(("inner", "internal"))),
}
#: In a special token, which only models write, any of these means hidden thought.
_ANY_THOUGHT = regex(r"\w*(?:think|thought)\w*")
_IN_TOKENS = regex(
    r"reason(?:s|ings?)?|reflect\w*|reflexions?|rationales?|monolog(?:ue)?s?|deliberat\w+|introspect\w+|analysis|planning"
)
_ENDS = frozenset(("end", "close", "stop", "eot", "finish", "suffix"))
#: Gemma marks the start and the end of reasoning with two of its unused tokens; true for the end.
_UNUSED = {"unused94": False, "unused95": True}

#: Marks that may begin or end reasoning, in normalised text: tags, special tokens, words in square brackets.
_TAG = regex(
    r"<details(?:\s[^<>]{0,200})?>\s{0,20}<summary(?:\s[^<>]{0,200})?>(?P<summary>[^<>]{0,60})</summary>"
    r"|<{1,2}\s{0,3}(?:!--\s{0,3})?(?P<slash>/?)\s{0,3}(?P<name>[a-z][\w:-]{0,60})"
    r"(?P<more>(?:\s[^<>]{0,200}?)?)(?P<empty>/?)(?:--)?>{1,2}"
    r"|<(?P<before>/?)\|(?P<inside>/?)(?P<token>[\w. -]{1,60})(?P<after>/?)\|>"
    r"|\[(?P<square_slash>/?)(?P<square>[a-z][a-z_ ]{2,30})\](?![(\[:])",
    re.IGNORECASE,
)
#: Attributes of a tag all have values: ``<ThinkPad X1>`` is not a tag.
_ATTRIBUTES = regex(r"(?:\s+[\w:.-]{1,60}\s?=\s?(?:\"[^\"]*\"|'[^']*'|[^\s\"'=]+))*\s*(?:--)?")
#: Text after a tag inside a sentence, and after a tag that is the subject of a sentence.
_GOES_ON = regex(r"[\"')\],;:.!?]|\s{1,3}[^\W\d_A-Z]|\s{0,3}\Z")
_SPEAKS_OF = regex(
    r"[\"')]?\s{1,3}(?:is|are|was|were|means?|stands?|has|had|does|will|can|may|must|marks?|begins?|"
    r"starts?|opens?|closes?|"
    r"ends?|stays?|tags?|and|or)\b"
)
#: An element that a sentence only shows: with one word in it, an ellipsis, or nothing.
_SHOWN = regex(r"\s?(?:…|\.{3}|\w{0,20})\s?(?P<end><\s?/[^<>]{1,60}>)")
_STANDS_AS_WORD = regex(r"[\"')\],;:.!?\s]|\Z")
_A_NOUN_FOLLOWS = regex(r"\b(?:the|an?|this|that|tags?|your|element|marker|token|with|by|and|or|of)\s\Z", re.IGNORECASE)
_THOUGHT_FENCE = regex(
    r"^(?P<fence>`{3,}|~{3,})[ \t]*(?P<name>[a-z_-]{3,40})[ \t]*\n.*?(?:^(?P=fence)[`~]*[ \t]*$|\Z)", re.S | re.M | re.I
)
#: Harmony, the format of gpt-oss: ``<|channel|>analysis<|message|>…<|end|>…<|channel|>final<|message|>…``
_CHANNEL = regex(r"<\|channel\|>\s*(?P<channel>[a-z]{1,20})[^<]{0,200}(?:<\|constrain\|>\w{0,20})?<\|message\|>")
_SPECIAL = regex(
    r"<\|(?:start|end|return|message|channel|im_end|eot_id)\|>(?:assistant\b)?"
    r"|<\|(?:START|END)_RESPONSE\|>|<\|(?:begin|end)_of_(?:solution|answer|box)\|>"
)
#: Blocks with their own end: Gemma's channel, and the output of a command line.
_BLOCK = regex(
    r"<\|channel>\s*(?:thought|analysis)\b.*?(?:<channel\|>|\Z)"
    r"|\A\s*Thinking(?:\.\.\.|…)[ \t]*\n.*?^(?:\.\.\.|…)\s?done thinking\.?[ \t]*$",
    re.DOTALL | re.MULTILINE,
)
#: ``### Thinking … ### Answer``: headings of hidden thought. Reports have "Reasoning" and "Analysis" as well.
_HIDDEN = (
    r"thinking(?: process)?|thought process|chain[ -]of[ -]thought|scratchpad|"
    r"(?:inner|internal) (?:monologue|reasoning|thoughts?)"
)
_HEADED = regex(
    rf"\A\s*(?:#{{1,6}}[ \t]*|\*\*|__)(?:{_HIDDEN})[ \t]*(?:\*\*|__|:){{0,2}}[ \t]*\n.*?"
    r"^(?:#{1,6}[ \t]*|\*\*|__)(?:final )?(?:answer|response|reply)[ \t]*(?:\*\*|__|:){0,2}[ \t]*$",
    re.DOTALL | re.MULTILINE | re.IGNORECASE,
)
#: A text of two elements, the second of them the answer: a format in which models are trained to think.
_TWO_ELEMENTS = regex(
    r"\A\s*<(?P<tag>reasoning|analysis|reflection|rationale|planning|deliberation)>.*?</(?P=tag)>\s*"
    r"<(?P<answer>answer|final_answer)>(?P<text>.*)</(?P=answer)>\s*\Z",
    re.DOTALL | re.IGNORECASE,
)
_THOUGHT_KEYS = frozenset(("thought", "thinking", "scratchpad", "chain_of_thought"))
_ANSWER_KEYS = frozenset(("answer", "response", "reply", "final_answer", "final"))
_FENCED = regex(r"\A```(?:json)?[ \t]*\n(?P<text>.*)\n```\Z", re.DOTALL | re.IGNORECASE)
_BARE_HARMONY = regex(r"\A\s*(?:assistant\s?)?\s*analysis(?=[A-Z\s]).*?assistant\n?final(?=\s*\S)", re.DOTALL)
_WRAPPED = regex(
    r"\A<(?P<tag>answer|final_answer|final|response|reply|output)>(?P<text>.*)</(?P=tag)>\Z", re.DOTALL | re.IGNORECASE
)
#: ``Thought: … Final Answer: …`` at the start of lines, as in ReAct. A hidden label may end at any label of an answer.
_LABEL = regex(rf"\A[\s*_#>]{{0,10}}(?:(?P<hidden>{_HIDDEN})|thoughts?)[ \t*_]{{0,6}}:", re.IGNORECASE)
_ANSWER_LABEL = regex(
    r"^[ \t*_#>]{0,10}(?:(?P<final>final)[ _](?:answer|response|reply|output)|answer|response|reply|final)"
    r"[ \t*_]{0,6}:[ \t*_]{0,6}",
    re.IGNORECASE | re.MULTILINE,
)
_ACTION_LABEL = regex(r"^[ \t*_#>]{0,10}(?:action|observation)[ \t*_]{0,6}:", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class VisibleText:
    """A text without its reasoning.

    text      the rest; "" if the text is reasoning alone
    unclosed  true if some reasoning has no end, so that the rest is unknown
    tag       the tag that begins or ends the last reasoning, as written; None if there is none
    """

    text: str
    unclosed: bool = False
    tag: str | None = None


def visible_text(text: str) -> VisibleText:
    """Return what ``text`` says to whoever reads it, without the reasoning in it. Linear in its length.

    A text far too long for an answer is returned as it is; its length gets it refused.
    """
    if len(text) > _MOST_CHARS:
        return VisibleText(text)
    elements = _TWO_ELEMENTS.match(text)
    if elements:
        return VisibleText(elements["text"].strip())
    bare = _BARE_HARMONY.sub("", text, count=1) if "final" in text else text
    if "<|channel|>" in bare:
        bare = _final(bare)
    else:
        bare = _THOUGHT_FENCE.sub(lambda fence: "" if _is_thought(fence["name"]) else fence.group(), bare)
    if "<|channel>" in bare or "done thinking" in bare:
        bare = _BLOCK.sub("", bare)
    read = _without_reasoning(bare, frozenset())
    if read.words:  # openings in a sentence that have no end are words of it
        read = _without_reasoning(bare, read.words)
    if read.unclosed:
        return VisibleText("", unclosed=True, tag=read.tag)
    said = _labelled((_SPECIAL.sub("", read.text) if "<|" in read.text else read.text).strip())
    wrapped = _WRAPPED.match(said) if said != text.strip() else None
    return VisibleText(wrapped["text"].strip() if wrapped else said, tag=read.tag)


def answer_of_object(text: str) -> str:
    """Return the answer of a JSON object that has only reasoning and an answer; any other text as it is."""
    fenced = _FENCED.match(text.strip())
    try:
        value = json.loads(fenced["text"] if fenced else text)
    except (ValueError, RecursionError):
        return text
    if not isinstance(value, dict) or not _THOUGHT_KEYS & value.keys():
        return text
    answers = [value[key] for key in value if key in _ANSWER_KEYS]
    alone = value.keys() <= _THOUGHT_KEYS | _ANSWER_KEYS and len(answers) == 1
    return answers[0].strip() if alone and isinstance(answers[0], str) and answers[0].strip() else text


@dataclass(frozen=True)
class _Read:
    """A text without tagged reasoning; ``words`` are the positions of openings in a sentence that have no end."""

    text: str
    unclosed: bool
    tag: str | None
    words: frozenset[int]


def _without_reasoning(bare: str, words: frozenset[int]) -> _Read:
    seen = normalised(bare)
    code = _Code(seen.text)
    kept, since, details, last = [""], 0, 0, None
    opened: list[re.Match[str]] = []
    mentioned: re.Match[str] | None = None  # an opening that may be a word, until an ending shows that it is not
    taken, shown = False, -1
    for tag in _TAG.finditer(seen.text):
        closes = _closes(tag, seen.text, in_details=details > 0)
        if (
            closes is None
            or tag.start() == shown
            or tag.start() in words
            or code.quotes(tag.start(), tag.end(), closes=closes)
        ):
            continue
        is_word = _is_word(tag, seen.text, closes=closes)
        if not closes:
            if not opened and (end := _end_of_shown(tag, seen.text)) is not None:
                shown = end
                continue
            if is_word:
                mentioned = mentioned or (None if opened else tag)
                continue
            if not opened:
                kept.append(bare[since : seen.origin(tag.start())])
            if not tag["empty"]:
                opened.append(tag)
            details += 1 if tag["summary"] is not None or (tag["name"] or "").lower() == "details" else 0
            since, last = seen.origin(tag.end()), tag
            continue
        if not opened and is_word:
            mentioned = None
            continue
        if not opened and taken and not seen.text[tag.end() :].strip():  # one ending too many, and nothing after it
            kept.append(bare[since : seen.origin(tag.start())])
        elif not opened and mentioned is not None:
            kept.append(bare[since : seen.origin(mentioned.start())])
        elif not opened:  # the prompt had the beginning: all text before is reasoning
            kept = [""]
        del opened[-1:]
        details = max(0, details - 1) if (tag["name"] or "").lower() == "details" else details
        since, last, mentioned = seen.origin(tag.end()), tag, None
        if not opened:
            code.begin_at(tag.end())
            taken = True
    within: frozenset[int] = frozenset()
    if not words:
        within = frozenset(tag.start() for tag in opened if _is_within(tag, seen.text) or _ends(tag, seen.text))
    named = bare[seen.origin(last.start()) : seen.origin(last.end())] if last else None
    return _Read("".join([*kept, bare[since:]]), bool(opened), named, within)


def _end_of_shown(tag: re.Match[str], text: str) -> int | None:
    """Return where the closing tag of an element starts that a sentence only shows; None if it shows none there."""
    found = _SHOWN.match(text, tag.end()) if _is_within(tag, text) else None
    return found.start("end") if found and _GOES_ON.match(text, found.end()) else None


def _is_within(tag: re.Match[str], text: str) -> bool:
    """Say whether the tag stands in the middle of a sentence."""
    if tag["token"] or tag["summary"] is not None:
        return False
    before = text[max(0, tag.start() - 40) : tag.start()].rpartition("\n")[2].rstrip(" \t\"'(*_")
    return bool(before.strip(" \t>*#-")) and before[-1] not in ".!?…。！？>}"


def _ends(tag: re.Match[str], text: str) -> bool:
    """Say whether the text ends with the tag, which then hides nothing: ``Remarks: <thoughts>`` is a placeholder."""
    return not tag["token"] and bool(text[: tag.start()].strip()) and not text[tag.end() :].strip()


def _is_word(tag: re.Match[str], text: str, *, closes: bool) -> bool:
    """Say whether the tag is a word of a sentence that mentions it."""
    if tag["token"] or tag["summary"] is not None or (tag["name"] or "").lower() == "details":
        return False
    before = text[max(0, tag.start() - 1) : tag.start()]
    if before not in ("", " ", "\n", '"', "'", "(") or not _STANDS_AS_WORD.match(text, tag.end()):
        return False
    if _SPEAKS_OF.match(text, tag.end()):
        return True
    if not _is_within(tag, text):
        return False
    noun = _A_NOUN_FOLLOWS.search(text[max(0, tag.start() - 12) : tag.start()])
    return not closes or bool(noun or (_GOES_ON.match(text, tag.end()) and text[tag.end() :].strip()))


def _final(text: str) -> str:
    """Return the text of Harmony's channel ``final``; the whole text if another channel calls a tool."""
    if "to=" in text:
        return text
    parts = list(_CHANNEL.finditer(text))
    ends = [*(part.start() for part in parts), len(text)][1:]
    final = [text[part.end() : end] for part, end in zip(parts, ends, strict=False) if part["channel"] == "final"]
    return "".join(final)


def _labelled(text: str) -> str:
    """Return the text under the label of an answer, if the text begins with a label of reasoning.

    A text with an action in between stays as it is: the model made up the action's result, and so the answer.
    """
    headed = _HEADED.match(text)
    if headed:
        return text[headed.end() :].strip() or text
    label = _LABEL.match(text)
    if not label:
        return text
    answers = list(_ANSWER_LABEL.finditer(text))
    found = next((one for one in answers if one["final"]), answers[0] if answers and label["hidden"] else None)
    if found is None or _ACTION_LABEL.search(text, 0, found.start()):
        return text
    return text[found.end() :].strip()


def _closes(tag: re.Match[str], text: str, *, in_details: bool) -> bool | None:
    """Return true if the tag ends reasoning, false if it begins some, None if it does neither."""
    if tag["summary"] is not None:
        told = tag["summary"].split()
        return False if told[:2] == ["Thought", "for"] or _is_thought("_".join(told)) else None
    if tag["square"]:
        return _square_closes(tag, text)
    if tag["token"]:
        slash = bool(tag["before"] or tag["inside"] or tag["after"])
        return _by_name(tag["token"], slash=slash, token=True)
    name = tag["name"].lower()
    if name in _UNUSED:
        return _UNUSED[name]
    if name == "details":
        if tag["slash"]:
            return True if in_details else None
        return False if re.search(r"type\s?=\s?[\"']?(?:reasoning|thinking)", tag["more"], re.IGNORECASE) else None
    if not _ATTRIBUTES.fullmatch(tag["more"]):
        return None
    return _by_name(tag["name"].rpartition(":")[2].rstrip("-"), slash=bool(tag["slash"]))


@lru_cache(maxsize=1_024)
def _by_name(name: str, *, slash: bool, token: bool = False) -> bool | None:
    if not _is_thought(name, token=token):
        return None
    words = words_of(name)
    return slash or words[0] in _ENDS or words[-1] in _ENDS


def _square_closes(tag: re.Match[str], text: str) -> bool | None:
    """Return the same for words in square brackets. Without a slash they may be the heading of a report."""
    named = tag["square"]
    template = named == "REASONING" and (tag["square_slash"] or f"[/{named}]" in text)
    if not (template or _is_thought(named)):
        return None
    if tag["square_slash"]:
        return True
    return False if named in ("THINK", "THINKING", "THOUGHT") or f"[/{named}]" in text else None


@lru_cache(maxsize=1_024)
def _is_thought(name: str, *, token: bool = False) -> bool:
    """Say whether a tag of that name, or a special token, marks hidden thought."""
    words = words_of(name)
    if words in (["inner", "prefix"], ["inner", "suffix"]) or "".join(words) in ("cot", "scratchpad", "scratchpads"):
        return True
    if token and any(_IN_TOKENS.fullmatch(word) or _ANY_THOUGHT.fullmatch(word) for word in words):
        return True
    if any(_THOUGHT.fullmatch(word) for word in words):
        others = [word for word in words if not _THOUGHT.fullmatch(word)]
        return all(word in _OF_THOUGHT for word in others) or words == ["cot", "budget", "reflect"]
    beside = next((_REPORTED[word] for word in words if word in _REPORTED), frozenset())
    return bool(beside & set(words)) and all(word in _REPORTED or word in beside for word in words)


class _Code:
    """Code inside a text, to tell a tag that is only shown from one that is meant.

    A fence has its own line; a fence that is never closed is not code.
    """

    def __init__(self, text: str) -> None:
        fences = list(FENCE_LINE.finditer(text)) if "```" in text else []
        self._text, self._fences = text, [found.start() for found in fences]
        self._bare = [not found["info"].strip() for found in fences]  # a fence with a language closes none
        self._ticks = [found.start() for found in re.finditer("`+", text)] if "`" in text else []
        self._lines = [found.start() for found in re.finditer("\n", text)] if self._ticks else []
        # For each fence: are all fences closed at the end, if none is open before it (closed), and if one is (opened)?
        closed, opened = True, [False]
        for bare in reversed(self._bare):
            closed, was_open = opened[-1], closed and bare
            opened.append(was_open)
        self._open = opened[::-1]
        self._base, self._next, self._is_open, self._shown = 0, 0, False, 0

    def begin_at(self, at: int) -> None:
        """Treat the text from ``at`` on as a text of its own."""
        self._pass(at)
        self._base, self._is_open, self._shown = at, False, 0

    def quotes(self, start: int, end: int, *, closes: bool) -> bool:
        """Say whether the tag there is only shown. Ask from left to right."""
        if not self._ticks:
            return False
        self._pass(start)
        shown = self._in_line(start, end, closes=closes) or self._in_fence()
        if shown:
            self._shown = max(0, self._shown + (-1 if closes else 1))
        return shown

    def _pass(self, at: int) -> None:
        while self._next < len(self._fences) and self._fences[self._next] < at:
            if not self._is_open or self._bare[self._next]:
                self._is_open, self._shown = not self._is_open, 0
            self._next += 1

    def _in_fence(self) -> bool:
        """Say whether a fence is open here that is closed later."""
        return self._is_open and self._open[self._next]

    def _in_line(self, start: int, end: int, *, closes: bool) -> bool:
        line = bisect_left(self._lines, start)
        first = max(self._base, self._lines[line - 1] if line else 0)
        line = bisect_left(self._lines, end)
        last = self._lines[line] if line < len(self._lines) else len(self._text)
        before = bisect_left(self._ticks, start) - bisect_left(self._ticks, first)
        after = bisect_left(self._ticks, last) - bisect_left(self._ticks, end)
        if before % 2 == 0 or after % 2 == 0:
            return False
        return not closes or self._shown > 0 or self._text[start - 1] == "`"
