"""A ``verify`` of a tool from elsewhere: another tool is asked whether the call's effect happened, by the call's key.

What is sent as the key, what the read is asked by, and what must stand in its answer are one text.
"""

from collections.abc import Callable
from dataclasses import field
from typing import Any

from pydantic import ValidationError

from ballast.contracts.wire import canonical
from ballast.errors import PlaybookInvalid
from ballast.playbook.context import ToolContext
from ballast.playbook.servers.declaration import DeclaredTool, Verify
from ballast.playbook.servers.form import SchemaArguments, SchemaForm
from ballast.playbook.servers.proof import RemoteFailed
from ballast.playbook.servers.schema import pointer
from ballast.playbook.servers.values import NoValue, answer_at, holds, tells_more, values_from
from ballast.playbook.tool import Tool
from ballast.values import dataclass

#: A key as the executor makes it, to try whether an argument takes it.
SAMPLE_KEY = f"run-{'0' * 24}.0001.1"


def key_as_sent(key: str, declared: DeclaredTool, form: SchemaForm) -> str:
    """Return the key as the server gets it: as it is, or as a UUID made of it where its argument takes no other text.

    So it is sent, so ``verify`` asks by it, and so it stands in what is found.
    """
    name = declared.key.argument if declared.key is not None else None
    return key if name is None or not form.complaint_about(name, key) else uuid_of(key)


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
        try:
            result = read.function(form, ctx)
        except RemoteFailed as failed:
            if failed.status in said.absent:
                return None
            raise
        found, about = answer_at(read.dump(result), pointer(said.found) if said.found else ())
        if found is None or found is False:
            return None
        asked = self._asked(args, ctx.idempotency_key)
        if said.found is None and not tells_more(found, [value for _, value, _ in asked]):
            raise NoValue(
                f"{read.name} answered with a text, or with nothing but what it was asked by, and verify.found does "
                "not say which part is there if it happened. Name it, such as /items/0."
            )
        for name, value, names in asked if said.matched else ():
            if not holds(about, value, names):
                raise NoValue(
                    f"{read.name} found something that does not hold the {name} that it was asked for, so it may be "
                    "anybody's. If the server never repeats it, say verify.matched: false."
                )
        return found

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


def check_verify(where: str, verify: VerifyByRead, read: Tool, declared: DeclaredTool | None) -> None:
    """Raise ``PlaybookInvalid`` for a ``verify`` that could never be asked, or that would believe any answer.

    ``declared``: the declaration of its read, None for a tool of the playbook's own.
    """
    _check_key(f"{where}.verify.arguments", verify, read)
    if declared is not None:
        _check_found(where, verify.declared, read, declared)


def _check_key(where: str, verify: VerifyByRead, read: Tool) -> None:
    """Raise ``PlaybookInvalid`` where the read takes no key as the call sends it."""
    sent = verify.spelled(SAMPLE_KEY)
    for name in (name for name, one in verify.declared.arguments.items() if one.key):
        if wrong := _complaint_about(read, name, sent):
            how = "the text run-….0001.1" if sent == SAMPLE_KEY else "a UUID"
            raise PlaybookInvalid(
                f"{where}.{name}: {read.name} does not take the key as it is sent, {how}: it {wrong}. Ask by an "
                "argument that takes it, or send the key in an argument of the same form (key: {argument: NAME})."
            )


def _complaint_about(read: Tool, name: str, value: str) -> str:
    """Return what is wrong with one argument of a tool that reads, "" if nothing is."""
    if isinstance(read.form, SchemaForm):
        return read.form.complaint_about(name, value)
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
        f"{where}.verify.found: is missing, so that any answer of {read.name} would be the effect, also one that says "
        f"that there is none. Name the part that is there only if it happened, such as /items/0{status}."
    )
