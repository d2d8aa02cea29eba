"""Whether a provider's refusal says that the conversation is longer than its model takes. Pure.

Converse has no name for it: it is a ``ValidationException``, as any other mistake, in words of each provider's own. A
provider's own code is believed first. Else the words decide, sentence by sentence: a limit is exceeded, and what is
beyond it is the whole (the context, the prompt, its tokens), not a part (a tool's description, an image) and not the
answer that was asked for (``max_tokens``).
"""

import re

#: So much of an error's text is looked at.
_MOST = 2_000

_CODE = re.compile(
    r"(?<![a-z0-9])(?:max_)?(?:(?:model_)?context_?(?:length|window|size|limit)_?exceed(?:ed|s)?(?:_?error)?"
    r"|exceeds?_(?:context|prompt|token)_?(?:length|window|size|limit)?(?:_error)?"
    r"|string_above_max_length|(?:model_)?max_(?:prompt|input)_tokens_exceeded"
    r"|(?:prompt|input|context|conversation)_(?:is_)?too_(?:long|large)|(?:input_|prompt_)?tokens?_limit_(?:exceeded|reached)"
    r")(?![a-z0-9])"
)
_SENTENCES = re.compile(r"[.;!?\n]+(?=\s|$)")
_OVER = (
    r"(?:exceed\w*|overflow\w*|(?:longer|larger|greater|bigger|higher) than|more than (?:(?:the|its)\b|\d{3})"
    r"|beyond|over the|(?<!not )too (?:long|large|big|many))"
)
_CONTEXT = r"context[ _-]?(?:window|length|size|limit|tokens?)"
#: Those of an answer are counted as well, and a key to a service is called so, too.
_TOKENS = (
    r"(?<!max_)(?<!max )(?<!maximum )(?<!output )(?<!output_)(?<!completion )(?<!completion_)(?<!new_)(?<!new )"
    r"(?<!access )(?<!security )(?<!session )(?<!bearer )(?<!auth )(?<!page )\btokens?\b"
)
_WHOLE = r"(?<!no )\b(?:inputs?|prompts?|requests?|messages?|conversations?|history|text)\b"


def _near(first: str, second: str, within: int = 80) -> str:
    return rf"{first}.{{0,{within}}}?{second}"


#: Each of these says it, whatever else is in the sentence.
_SAYS = tuple(
    re.compile(one)
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
#: A value of a field, by OpenAI; that of a small field is no conversation.
_STRING = re.compile(r"\bstring too long\b.{0,80}\bmaximum length \d{5,}", re.DOTALL)
#: Each of these says it where the sentence is about the whole.
_MAY_SAY = tuple(
    re.compile(one)
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
#: A part of a request, or something else that has a limit.
_PART = re.compile(
    r"\b(?:images?|pictures?|videos?|audio|documents?|pdfs?|files?|attachments?|tool\w*"
    r"|functions?|schemas?|descriptions?|names?|identifiers?|stop[ _-]?sequences?|headers?|ur[li]s?|metadata|tags?"
    r"|labels?|guardrails?|attempts|quota|rate|per (?:second|minute|min|hour|day)|[tr]p[md])\b"
)
#: The path of a field that is neither the prompt nor a message.
_FIELD = re.compile(
    r"(?:^|\s|')(?!#?/?(?:messages|prompt|inputs?|inputtext|system|contents)\b)#?/?[a-z_]\w*(?:[./\[][\w\]]+)+'?:"
)
_ANSWERS = re.compile(r"\b(?:max_?(?:new_|completion_|output_)?tokens|maximum tokens|(?:output|completion) tokens)\b")
_PROMPTS = re.compile(r"\b(?:inputs?|prompts?|messages?|context)\b")


def is_too_long(code: str, message: str) -> bool:
    """Say whether an error of that name and text means that the conversation is longer than the model takes."""
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
