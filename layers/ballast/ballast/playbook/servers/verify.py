"""A ``verify`` of a tool from elsewhere: another tool is asked whether the call's effect happened, by the call's key.

What is sent as the key, what the read is asked by, and what must stand in its answer are one text.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any

from pydantic import ValidationError

from ballast.contracts.wire import canonical
from ballast.errors import PlaybookInvalid
from ballast.playbook.context import ToolContext
from ballast.playbook.servers.absence import why_no_summary, why_open, why_troubled
from ballast.playbook.servers.declaration import DeclaredTool, Verify
from ballast.playbook.servers.form import SchemaArguments, SchemaForm, Validator
from ballast.playbook.servers.proof import REFUSALS, RemoteFailed
from ballast.playbook.servers.schema import normalized, pointer
from ballast.playbook.servers.values import Answer, NoValue, answer_at, holds, is_a_thing, tells_more, values_from
from ballast.playbook.tool import Tool
from ballast.values import dataclass

#: A key as the executor makes it, to try whether its place takes it; and keys of all lengths that it makes.
SAMPLE_KEY = f"run-{'a' * 24}.0001.1"
SAMPLE_KEYS = (SAMPLE_KEY, f"run-{'2' * 24}.0010.12")
#: How a complaint names a value that is in no object.
_WHOLE = "(whole): "


def key_as_sent(key: str, declared: DeclaredTool, form: SchemaForm) -> str:
    """Return the key as the server gets it: as it is, or as a UUID made of it where its place takes no other text.

    So it is sent, so ``verify`` asks by it, and so it stands in what is found.
    """
    return uuid_of(key) if _complaint_of_place(key, declared, form) else key


def why_no_key(declared: DeclaredTool, form: SchemaForm) -> str | None:
    """Return why a key cannot be sent where it is declared to go, as the end of "it …"; None if it can."""
    for key in SAMPLE_KEYS:
        if wrong := _complaint_of_place(key_as_sent(key, declared, form), declared, form):
            return wrong
    return None


def header_takes_a_key(schema: Mapping[str, Any]) -> bool:
    """Say whether a header whose document gives it that schema takes a key, as text or as a UUID."""
    return not any(_complaint_by(schema, key) and _complaint_by(schema, uuid_of(key)) for key in SAMPLE_KEYS)


def _complaint_of_place(text: str, declared: DeclaredTool, form: SchemaForm) -> str:
    """Return what is wrong with a key as it would be sent, "" if nothing is, or if nothing is known of its place."""
    key, call = declared.key, declared.pinned.call
    if key is None:
        return ""
    if key.argument is not None:
        return form.complaint_about(key.argument, text).removeprefix(_WHOLE)
    described = call.key if call is not None else None
    if key.header is None or described is None or described.header.lower() != key.header.lower():
        return ""
    return _complaint_by(described.schema_, text)


def _complaint_by(schema: Mapping[str, Any], text: str) -> str:
    return Validator(normalized(schema, of_object=False)).complaints(text).removeprefix(_WHOLE)


def uuid_of(key: str) -> str:
    """Return the UUID of an idempotency key, the same for every attempt."""
    import uuid

    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"ballast:{key}"))


@dataclass(frozen=True)
class VerifyByRead:
    """A ``verify`` that asks another tool of the playbook, which reads. ``spelled``: the key as the server gets it."""

    where: str
    declared: Verify
    spelled: Callable[[str], str] = field(compare=False, repr=False)
    tools: dict[str, Tool] = field(default_factory=dict, compare=False, repr=False)

    def __call__(self, args: SchemaArguments, ctx: ToolContext) -> Any:
        """Return what the read found, None if it did not happen."""
        said, (read, form) = self.declared, self.read_of(args, ctx.idempotency_key)
        asks: Callable[..., Answer] | None = getattr(read.function, "answer", None)
        try:
            answer = asks(form, ctx) if asks is not None else Answer(read.function(form, ctx))
        except RemoteFailed as failed:
            if failed.status in said.absent:
                return None
            raise
        result = read.dump(answer.result)
        path = pointer(said.found) if said.found else ()
        found, about = answer_at(result, path)
        asked = self._asked(args, ctx.idempotency_key)
        if said.found is None and _has_no_body(read):
            return True  # ``check_verify`` wants matched: false
        if found is None or found is False or (path and found in ([], {})):
            self._check_absence(answer, result, path, [value for _, value, _ in asked])
            return None
        if not said.matched and found in ("", 0):
            raise NoValue(
                f"{read.name} has {found!r} as {said.found}, which says neither that it happened nor that not."
            )
        if said.found is None and not self._is_the_effect(read, found, asked, args):
            raise NoValue(
                f"{read.name} answered with a text, or with no id and no argument of the call beside what it was "
                "asked by, and verify.found does not say which part is there if it happened. Name it, such as /id."
            )
        for name, value, names in asked if said.matched else ():
            if not holds(about, value, names):
                raise NoValue(
                    f"{read.name} found something that does not hold the {name} that it was asked for, so it may be "
                    "anybody's. If the server never repeats it, say verify.matched: false."
                )
        return found

    def _is_the_effect(
        self, read: Tool, found: Any, asked: Sequence[tuple[str, Any, tuple[str, ...]]], args: SchemaArguments
    ) -> bool:
        """Say whether a whole result may be believed: of a server, only as a thing of its own."""
        if not isinstance(getattr(read.function, "declared", None), DeclaredTool):
            return tells_more(found, [value for _, value, _ in asked])
        return is_a_thing(found, asked, args.root, matched=self.declared.matched)

    def _check_absence(self, answer: Answer, result: Any, path: Sequence[str], asked: Sequence[Any]) -> None:
        """Raise ``NoValue`` where an answer without what was looked for is no "it did not happen"."""
        read, absent = self.declared.tool, self.declared.absent
        if absent and self.declared.found is None:
            statuses = ", ".join(map(str, absent))
            raise NoValue(f"{read} was answered with nothing, and only {statuses} says that nothing is there.")
        texts = (why_no_summary(text, asked) for text in answer.texts)
        why = answer.partial or why_open(result, path) or why_troubled(answer.beside) or next(filter(None, texts), "")
        if why:
            raise NoValue(f"{read} {why}. That does not say that nothing is there.")

    def _asked(self, args: SchemaArguments, key: str) -> list[tuple[str, Any, tuple[str, ...]]]:
        """Return the values that tell the effect from others, with their names: the key, or the call's arguments."""
        sources = self.declared.arguments
        named = {name for name, one in sources.items() if one.key} or {n for n, one in sources.items() if one.argument}
        values = values_from(sources, args.root, None, key=self.spelled(key))
        return [(name, values[name], (name, *_last_name(sources[name].argument))) for name in sources if name in named]

    def read_of(self, args: SchemaArguments, key: str) -> tuple[Tool, Any]:
        """Return the tool that is asked, and its arguments."""
        read = self.tools[self.declared.tool]
        return read, read.form.from_python(values_from(self.declared.arguments, args.root, None, key=self.spelled(key)))


def _last_name(path: str | None) -> tuple[str, ...]:
    """Return the name of the argument at a pointer, without numbers of items; none where there is no pointer."""
    return tuple(step for step in pointer(path) if not step.isdigit())[-1:] if path is not None else ()


def _has_no_body(read: Tool) -> bool:
    """Say whether a read is an operation whose answer says something by its status alone."""
    declared = getattr(read.function, "declared", None)
    call = declared.pinned.call if isinstance(declared, DeclaredTool) else None
    return call is not None and call.method == "HEAD"


def check_verify(where: str, verify: VerifyByRead, read: Tool, declared: DeclaredTool | None) -> None:
    """Raise ``PlaybookInvalid`` for a ``verify`` that could never be asked, or that would believe any answer.

    ``declared``: the declaration of its read, None for a tool of the playbook's own.
    """
    _check_key(f"{where}.verify.arguments", verify, read)
    _check_absent(where, verify.declared, read, declared)
    if _has_no_body(read) and (verify.declared.found is not None or verify.declared.matched):
        raise PlaybookInvalid(
            f"{where}.verify.tool: {read.name} is a HEAD, whose answer has no content to look into. "
            "Leave found out, list in absent the statuses that say that it did not happen, and say matched: false: "
            "any status of 2xx then says that it did."
        )
    if declared is not None:
        _check_found(where, verify.declared, read, declared)


def _check_key(where: str, verify: VerifyByRead, read: Tool) -> None:
    """Raise ``PlaybookInvalid`` where the read takes no key as the call sends it."""
    for key in SAMPLE_KEYS:
        sent = verify.spelled(key)
        for name in (name for name, one in verify.declared.arguments.items() if one.key):
            if wrong := _complaint_about(read, name, sent):
                how = "the text run-….0001.1" if sent == key else "a UUID"
                raise PlaybookInvalid(
                    f"{where}.{name}: {read.name} does not take the key as it is sent, {how}: it {wrong}. Ask by an "
                    "argument that takes it, or send the key where it has the same form: in an argument (key: "
                    "{argument: NAME}), or in a header that the document describes so (pinned.call.key; import the "
                    "tool again)."
                )


def _check_absent(where: str, verify: Verify, read: Tool, declared: DeclaredTool | None) -> None:
    """Raise ``PlaybookInvalid`` where the read never answers with a status of ``absent``."""
    if not verify.absent:
        return
    if declared is None:
        raise PlaybookInvalid(
            f"{where}.verify.absent: has statuses of HTTP, and {read.name} is a tool of the playbook's own, which has "
            "none. Remove it, and return None there where nothing is."
        )
    if declared.pinned.call is None:
        raise PlaybookInvalid(
            f"{where}.verify.absent: has statuses of HTTP, and {read.name} is no operation of openapi: its error may "
            "be an outage. Remove it, and name in found the part that is there only if it happened, such as /items/0."
        )
    known = REFUSALS | {one for one in declared.refusals if isinstance(one, int)}
    if (other := next((one for one in verify.absent if one not in known), None)) is not None:
        raise PlaybookInvalid(
            f"{where}.verify.absent: {other} counts as no answer of {read.name}, which is asked again. If the server "
            f"says by it that nothing is there, write refusals: [{other}] in the declaration of {read.name}, too."
        )


def _complaint_about(read: Tool, name: str, value: str) -> str:
    """Return what is wrong with one argument of a tool that reads, "" if nothing is."""
    if isinstance(read.form, SchemaForm):
        return read.form.complaint_about(name, value).removeprefix(_WHOLE)
    try:
        read.arguments.model_validate_json(canonical({name: value}))
    except ValidationError as wrong:  # of the others, that they are missing
        return next((f"must fit: {one['msg']}" for one in wrong.errors() if one["loc"][:1] == (name,)), "")
    except Exception:  # a validator of the author's own, which wants the others as well
        return ""
    return ""


def _check_found(where: str, verify: Verify, read: Tool, declared: DeclaredTool) -> None:
    """Raise ``PlaybookInvalid`` where any answer of the read would count as the effect, also "nothing found"."""
    by_status = declared.pinned.call is not None
    if verify.found is not None or (verify.absent and by_status):
        return
    status = ", or absent: [404] where it says by a status that nothing is there" if by_status else ""
    raise PlaybookInvalid(
        f"{where}.verify.found: is missing, or the whole result, so that any answer of {read.name} would be the "
        "effect, also one that says that there is none. Name the part that is there only if it happened, such as "
        f"/items/0{status}."
    )
