"""Read the ``Resource`` of a policy: a resource of the template by its logical id, in any form, or a literal ARN.

::

    {"Ref": "OutQueue"}, GetAtt, "${Table.Arn}/index/x"       a resource of the template, by its logical id
    Fn::Join, Fn::Sub with a map, SAM's policy templates      the same, once their text is put together
    arn:aws:dynamodb:…:table/ballast-*-X                      whatever of the template could be called so

CloudFormation calls what it makes ``STACK-LOGICALID-RANDOM``, and nobody knows here what the stack will be called.
What has a fixed name is compared by that name: behind ``${Table.Arn}*`` is whatever begins like it. A parameter's value
is somebody's own thing where it is all of a name, and any text, also none, where the name goes on with a wildcard
(``table/${Prefix}*``), or where it says of which service or type something is.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import chain, product
from typing import Any

#: A template. ``Yours``, where it is there, are the logical ids of the business's resources, whatever their types.
Template = dict[str, Any]

#: Of each type: the service, what stands before the name in an ARN, and whether the name has the logical id in it.
FORMS: Mapping[str, tuple[str, tuple[str, ...], bool]] = {
    "AWS::ApiGatewayV2::Api": ("execute-api", ("",), False),
    "AWS::CloudWatch::Alarm": ("cloudwatch", ("alarm:",), True),
    "AWS::CloudWatch::CompositeAlarm": ("cloudwatch", ("alarm:",), True),
    "AWS::DynamoDB::GlobalTable": ("dynamodb", ("table/",), True),
    "AWS::DynamoDB::Table": ("dynamodb", ("table/",), True),
    "AWS::Events::EventBus": ("events", ("event-bus/",), True),
    "AWS::Events::Rule": ("events", ("rule/",), True),
    "AWS::KMS::Key": ("kms", ("key/",), False),
    "AWS::Kinesis::Stream": ("kinesis", ("stream/",), True),
    "AWS::Lambda::Function": ("lambda", ("function:",), True),
    "AWS::Logs::LogGroup": ("logs", ("log-group:",), True),
    "AWS::S3::Bucket": ("s3", ("",), True),
    "AWS::SNS::Topic": ("sns", ("",), True),
    "AWS::SQS::Queue": ("sqs", ("",), True),
    "AWS::SSM::Parameter": ("ssm", ("parameter/",), True),
    "AWS::SecretsManager::Secret": ("secretsmanager", ("secret:",), True),
    "AWS::StepFunctions::StateMachine": ("states", ("stateMachine:", "execution:", "express:"), True),
}
#: What an ARN may have behind the resource's name; ``*`` is any text without a colon, ``~`` a name, ``#`` an id.
_BELOW: Mapping[str, tuple[str, ...]] = {
    "cloudwatch": (),
    "dynamodb": ("/~/~", "/stream/~:~:~"),
    "events": ("/~",),
    "execute-api": ("/*",),
    "kinesis": ("/consumer/~:~",),
    "kms": (),
    "lambda": (":~",),
    "logs": (":*", ":log-stream:*"),
    "s3": ("/*",),
    "secretsmanager": (),
    "sns": (":#",),
    "sqs": (),
    "ssm": ("/*",),
    "states": (":~", ":~:~"),
}
#: What SAM makes of its own types; a template as it is written has these.
_OF_SAM = {
    "AWS::Serverless::Function": "AWS::Lambda::Function",
    "AWS::Serverless::HttpApi": "AWS::ApiGatewayV2::Api",
    "AWS::Serverless::SimpleTable": "AWS::DynamoDB::Table",
    "AWS::Serverless::StateMachine": "AWS::StepFunctions::StateMachine",
}
#: Of these types a ``Ref`` is an ARN; of the others in ``FORMS`` it is a name, a URL or an id.
_REF_IS_ARN = {"AWS::SNS::Topic", "AWS::SecretsManager::Secret", "AWS::StepFunctions::StateMachine"}
#: A parameter whose value nobody knows here stands for any text; of one's own parameters, for something of one's own.
OPAQUE = "\0"
#: What stands for the stack's name, and for a region or a partition, whatever they are here.
_STACK, _SOME = "\1", "\2"
#: What stands for a name that CloudFormation makes up, or for the ARN of something of the template: no other has it.
_OWN = "\3"
#: Where a resource's fixed name stands; no type has two of them.
_NAMES = (
    *("TableName", "BucketName", "QueueName", "TopicName", "LogGroupName", "FunctionName", "StateMachineName"),
    *("AlarmName", "Name"),
)
#: Types whose attributes may be any text: what another template or a function of somebody's says.
_SAYS_ANYTHING = re.compile(r"(?!AWS::)|AWS::CloudFormation::|AWS::Serverless::Application$")
#: A name that is put together of more names than these may be any.
_DEEPEST = 8
_PART = r"(?:[^:${}]|\$\{[^}]*\})*"
_ARN = re.compile(rf"arn:{_PART}:(?P<service>{_PART}):{_PART}:{_PART}:(?P<rest>.*)", re.DOTALL)
_ACCESS_POINT = re.compile(rf"arn:{_PART}:s3:{_PART}:(?!:){_PART}:accesspoint/")
_PLACE = re.compile(r"\$\{([^}]+)\}")
#: What a name is between two signs that part an ARN, and those signs.
_SEGMENTS = re.compile(r"(?:\$\{[^}]*\}|[^/:])+|[/:]")
#: A place of which nothing is known, with a wildcard right behind it.
_MAYBE_NOTHING = re.compile(r"(?:\$\{(?!AWS::)[^}]*\}|\0)+(?=[*?])")
#: A value that CloudFormation reads from SSM or Secrets Manager when it deploys; nobody knows it here.
_RESOLVED = re.compile(r"\{\{resolve:(?:\$\{[^}]*\}|[^}])*\}\}")
_IAM_VARIABLE = re.compile(r".*[^A-Za-z0-9.].*", re.DOTALL)


class Unreadable(Exception):
    """The resource cannot be determined; the text says how to write it instead."""


@dataclass(frozen=True)
class Named:
    """A resource that a policy names.

    text  a logical id and what follows it (``PayloadBucket/payloads/*``), or an ARN without ``arn:PARTITION:``
    ids   the logical ids that stand in it anywhere
    arn   the ARN that it is, with ``${…}`` for what is not known yet
    """

    text: str
    ids: frozenset[str]
    arn: str


def names(template: Template, resource: Any) -> Iterator[Named]:
    """Yield what ``resource`` may name: one thing, or one for each side of an ``Fn::If``. Raises ``Unreadable``."""
    for text in _texts(resource):
        places = _PLACE.findall(text)
        ids = frozenset(place.split(".")[0] for place in places) & template["Resources"].keys()
        yield Named(_short(template, text), ids, text)


def texts(value: Any) -> list[str]:
    """Return what a value of a template may be as a text; nothing where that cannot be read."""
    try:
        return [*_texts(value)]
    except Unreadable:
        return []


def _short(template: Template, text: str) -> str:
    """Return the logical id and the rest, where the text is the ARN of a resource, or something below it."""
    own = re.match(r"\$\{(\w+)(\.\w+)?\}", text)
    if own is not None:
        between = "/stream" if own[2] == ".StreamArn" else ""
        return f"{own[1]}{between}{text[own.end() :]}"
    arn = _ARN.fullmatch(text)
    if arn is not None:
        for name, one in template["Resources"].items():
            service, (before, *_), _ = FORMS.get(one["Type"], ("", ("",), False))
            slash = "?" if before.endswith("/") else ""  # a parameter's name may begin with it
            if arn["service"] != service or f"${{{name}" not in arn["rest"]:
                continue
            below = re.fullmatch(rf"{before}{slash}\$\{{{name}(\.\w+)?\}}(?P<rest>.*)", arn["rest"], re.DOTALL)
            if below is not None:
                return f"{name}{below['rest']}"
    return text.removeprefix("arn:${AWS::Partition}:")


def _texts(value: Any) -> Iterator[str]:
    """Yield what ``value`` can be as a text: ``${Id.Attribute}`` for what CloudFormation puts in."""
    for text in _parts(value):
        yield _RESOLVED.sub(OPAQUE, text)


def _parts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case {"Ref": "AWS::NoValue"}:
            return
        case {"Ref": str(name)}:
            yield f"${{{name}}}"
        case {"Fn::GetAtt": [str(name), *attributes]}:
            yield f"${{{'.'.join([name, *map(str, attributes)])}}}"
        case {"Fn::GetAtt": str(name)}:
            yield f"${{{name}}}"
        case {"Fn::ImportValue": _}:
            yield OPAQUE  # this template exports nothing, so it is another stack's
        case {"Fn::If": [_, one, other]}:
            yield from _parts(one)
            yield from _parts(other)
        case {"Fn::Join": [str(between), list(parts)]}:
            yield from _joined(between, parts)
        case {"Fn::Sub": str(text)}:
            yield text
        case {"Fn::Sub": [str(text), dict(given)]}:
            yield from _substituted(text, given)
        case _:
            raise Unreadable(f"{json.dumps(value)[:200]}: write it with Ref, GetAtt, Sub, Join or If")


def _joined(between: str, parts: list[Any]) -> Iterator[str]:
    texts = [""]
    for number, part in enumerate(parts):
        texts = [f"{text}{between if number else ''}{more}" for text in texts for more in _parts(part)]
    yield from texts


def _substituted(text: str, given: Mapping[str, Any]) -> Iterator[str]:
    texts = [text]
    for name, value in given.items():
        texts = [one.replace(f"${{{name}}}", more) for one in texts for more in _parts(value)]
    yield from texts


def as_deployed(template: Template) -> Template:
    """Return a template as it is written with the types that SAM makes of its own, so that each is known here."""
    made = {name: {**one, "Type": _OF_SAM.get(one["Type"], one["Type"])} for name, one in template["Resources"].items()}
    return {**template, "Resources": made}


def why_no_arn(template: Template, arn: str) -> str | None:
    """Return why what a policy names as its resource can be no ARN; None where it is one, or may be."""
    if not re.match(r"arn:|\$|\*|[\0-\3]", arn):
        return "it begins with something else than arn:"
    own = re.match(r"\$\{(\w+)\}", arn)
    of = template["Resources"].get(own[1], {}).get("Type") if own is not None else None
    if own is not None and of in FORMS and of not in _REF_IS_ARN:
        return f"a Ref of {own[1]} is its name or URL; write !GetAtt {own[1]}.Arn"
    return None


def names_all(template: Template, arn: str) -> bool:
    """Say whether an ARN, with the known values in it, names everything of its type: its wildcard precedes any name."""

    def is_there(place: re.Match[str]) -> str:
        return "x" if place[1].split(".")[0] in template["Resources"] else place[0]  # no resource's name is empty

    filled = (_PLACE.sub(is_there, one) for one in _put_in(template, arn))
    return any(_names_all(one) for one in filled if not one.startswith((_OWN, OPAQUE)))


def _names_all(arn: str) -> bool:
    found = _ARN.fullmatch(_MAYBE_NOTHING.sub("", arn))
    if found is None or any(part in "*?" for part in found["service"]):
        return True
    wild = re.search(r"[*?]", found["rest"])
    befores = [before for service, befores, _ in FORMS.values() if service == found["service"] for before in befores]
    kind = re.match(r"[A-Za-z-]+[:/]", found["rest"])
    before = next((one for one in befores if one and found["rest"].startswith(one)), None)
    if before is None:
        before = kind[0] if kind is not None and ("" not in befores or _ACCESS_POINT.match(arn)) else ""
    if wild is None:
        return bool(before) and found["rest"] == before  # the root of all names, as `parameter/` is
    return wild.start() <= len(before) or any(one.startswith(found["rest"][: wild.start()]) for one in befores if one)


def could_be(template: Template, arn: str, logical_id: str, free: frozenset[str]) -> bool:
    """Say whether a literal ARN, with its wildcards, could name that resource or something below it.

    ``free`` are the parameters whose value may be anything.
    """
    resource = template["Resources"][logical_id]
    form = FORMS.get(resource["Type"])
    if form is None:
        return False
    fixed = _fixed(resource)
    called = () if fixed is None else tuple(_called(fixed))
    return any(_could_be(one, form, logical_id, called, free) for one in _put_in(template, arn))


def _fixed(resource: Mapping[str, Any]) -> Any:
    """Return the name that the template gives a resource; None where CloudFormation generates it."""
    properties = resource.get("Properties", {})
    return next((properties[key] for key in _NAMES if key in properties), None)


def _called(fixed: Any) -> Iterator[str]:
    try:
        yield from _texts(fixed)
    except Unreadable:
        yield "*"


def _put_in(template: Template, arn: str, depth: int = 0) -> Iterator[str]:
    """Yield the ARNs that are possible with the known names and allowed values filled in."""
    for place in _PLACE.finditer(arn):
        at_start = place.start() == 0
        if depth >= _DEEPEST:
            known: list[str] | None = ["*"]
        elif _is_its_own(template, place):
            known = [_OWN]
        else:
            known = _known(template, place[1], at_start=at_start)
        if known is not None:
            for text in known:
                yield from _put_in(template, f"{arn[: place.start()]}{text}{arn[place.end() :]}", depth + 1)
            return
    yield arn


def _is_its_own(template: Template, place: re.Match[str]) -> bool:
    """Say whether a placeholder is a resource's own ARN, or its name in one, and nothing goes on with the name."""
    name, _, attribute = place[1].partition(".")
    form = FORMS.get(template["Resources"].get(name, {}).get("Type", ""))
    start, rest = place.string[: place.start()], place.string[place.end() :]
    if form is None or attribute == "Value" or (rest and rest[0] not in "/:"):
        return False
    service, befores, _ = form
    return not start or any(re.fullmatch(rf"arn:{_PART}:{service}:{_PART}:{_PART}:{one}/?", start) for one in befores)


def _known(template: Template, place: str, *, at_start: bool) -> list[str] | None:
    """Return the possible texts of a placeholder; None where it is unknown. An ARN begins with a whole one."""
    name, _, attribute = place.partition(".")
    if values := template.get("Parameters", {}).get(name, {}).get("AllowedValues"):
        return [str(value) for value in values]
    resource = template["Resources"].get(name)
    if resource is None:
        return None
    if _SAYS_ANYTHING.match(resource["Type"]):
        return ["*"]
    if (resource["Type"], attribute) == ("AWS::SSM::Parameter", "Value"):
        return [*_called(resource.get("Properties", {}).get("Value", "*"))]
    fixed = _fixed(resource)
    if resource["Type"] not in FORMS:
        return [_OWN] if at_start else None
    if fixed is None:
        return [_OWN]
    service, (before, *_), _ = FORMS[resource["Type"]]
    where = "::" if service == "s3" else "${AWS::Region}:${AWS::AccountId}:"
    start = f"arn:${{AWS::Partition}}:{service}:{where}{before}" if at_start else ""
    return [f"{start}{text.removeprefix('/') if before.endswith('/') else text}" for text in _called(fixed)]


@cache  # most rights of two templates are the same
def _could_be(
    arn: str,
    form: tuple[str, tuple[str, ...], bool],
    logical_id: str,
    fixed: tuple[str, ...],
    free: frozenset[str],
) -> bool:
    service, befores, has_id = form
    pattern = tuple(_pattern(arn, free))
    stack = _STACK if _STACK in pattern else _NAME
    if has_id:
        called = logical_id.lower() if service == "s3" else logical_id
        made: list[tuple[Kind, ...]] = [(stack, *f"-{called}-", _NAME), (*called, "-", _NAME), tuple(called)]
    else:
        # A key's name is random: whoever writes one out knows which it is, and a wildcard may be any.
        made = [(_NAME,)] if {_ANY, _ONE} & set(_pattern(_name_in(arn, befores), free)) else []
    unknown = {_STACK: stack, _SOME: _NAME, OPAQUE: _NAME}
    made += [
        tuple(unknown.get(one, one) if isinstance(one, str) else one for one in _pattern(name, free)) for name in fixed
    ]
    begin: tuple[Kind, ...] = (*"arn:", _PARTITION, *f":{service}:")
    starts = [(*begin, *one, ":", _ACCOUNT, ":") for one in (_PSEUDO["AWS::Region"], (_WORD, "-", _WORD))]
    starts = [(*begin, *"::")] if service == "s3" else starts
    below = _BELOW[service]
    rests: list[tuple[Kind, ...]] = [
        tuple({"*": _SEGMENT, "~": _NAME, "#": _ID}.get(one, one) for one in rest) for rest in ("", *below)
    ]
    return any(_meet(pattern, tuple(chain(*whole))) for whole in product(starts, befores, made, rests))


def _name_in(arn: str, befores: tuple[str, ...]) -> str:
    """Return the part of an ARN that identifies the resource within its type; all of it where that is unknown."""
    found = _ARN.fullmatch(arn)
    rest = found["rest"] if found is not None else arn
    before = next((one for one in befores if rest.startswith(one)), None)
    return rest if before is None else rest[len(before) :].split("/")[0]


@dataclass(frozen=True)
class _Characters:
    """Unknown characters: their kind, and whether it is one or any number."""

    of: str = "."
    many: bool = True


Kind = str | _Characters
_ANY, _ONE, _SEGMENT = _Characters(), _Characters(many=False), _Characters("[^:]")
_ID = _Characters(r"[0-9a-f-]")
_NAME, _DIGIT = _Characters(rf"[\w.{_SOME}-]"), _Characters("[0-9]", many=False)
#: A partition, a part of a region, and an account.
_PARTITION, _WORD, _ACCOUNT = (_Characters(rf"[{one}{OPAQUE}{_STACK}{_SOME}]") for one in ("a-z-", "a-z0-9-", "0-9"))
_PSEUDO: Mapping[str, tuple[Kind, ...]] = {
    "AWS::AccountId": (_DIGIT,) * 12,
    "AWS::Partition": (_SOME,),
    "AWS::Region": (_SOME,),
    "AWS::StackName": (_STACK,),
}


def _pattern(arn: str, free: frozenset[str]) -> Iterator[Kind]:
    """Yield an ARN of a policy, character by character."""
    segments = _SEGMENTS.findall(arn)
    of_type = _says_of_which_type(segments)
    for at, segment in enumerate(segments):
        pieces = _PLACE.split(segment)
        wild = re.search(r"[*?]", "".join(pieces[::2])) is not None
        unknown: Kind = _ANY if wild else _SEGMENT if at in of_type else OPAQUE
        for number, piece in enumerate(pieces):
            if number % 2 == 0:
                known: dict[str, Kind] = {"*": _ANY, "?": _ONE, OPAQUE: unknown}
                yield from (known.get(character, character) for character in piece)
            elif piece.startswith("AWS::"):
                yield from _PSEUDO.get(piece, (_SEGMENT,))
            else:  # IAM's own variables have a colon, or had a mark of exclamation
                yield _ANY if piece in free or _IAM_VARIABLE.fullmatch(piece) else unknown


def _says_of_which_type(segments: list[str]) -> frozenset[int]:
    """Return the parts of an ARN that give place and type of a resource, not its identity."""
    if segments[:1] != ["arn"]:
        return frozenset()
    colons = [at for at, one in enumerate(segments) if one == ":"]
    if len(colons) < 5:
        return frozenset(range(len(segments)))
    rest = colons[4] + 1
    service = "".join(segments[colons[1] + 1 : colons[2]])
    nameless = any(of == service and "" in befores for of, befores, _ in FORMS.values())
    return frozenset(range(rest + (not nameless)))


def _meet(one: tuple[Kind, ...], other: tuple[Kind, ...]) -> bool:
    """Say whether there is a text that both patterns match."""
    waiting, seen = [(0, 0)], {(0, 0)}
    while waiting:
        at = waiting.pop()
        if at == (len(one), len(other)):
            return True
        for step in _steps(one[at[0] :][:1], other[at[1] :][:1]):
            there = (at[0] + step[0], at[1] + step[1])
            if there not in seen:
                seen.add(there)
                waiting.append(there)
    return False


def _steps(here: tuple[Kind, ...], there: tuple[Kind, ...]) -> Iterator[tuple[int, int]]:
    """Yield how far to advance in both patterns from the current positions; nothing at an end."""
    many = [any(isinstance(kind, _Characters) and kind.many for kind in side) for side in (here, there)]
    if many[0]:
        yield (1, 0)
    if many[1]:
        yield (0, 1)
    if here and there and _same(here[0], there[0]):
        yield (0 if many[0] else 1, 0 if many[1] else 1)


def _same(one: Kind, other: Kind) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        return one == other
    known, kind = (one, other) if isinstance(one, str) else (other, one)
    return not isinstance(known, str) or re.fullmatch(getattr(kind, "of", "."), known, re.DOTALL) is not None


@cache
def meet(one: str, other: str) -> bool:
    """Say whether two patterns with ``*`` and ``?`` have a text in common."""
    nothing: frozenset[str] = frozenset()
    return _meet(tuple(_pattern(one, nothing)), tuple(_pattern(other, nothing)))
