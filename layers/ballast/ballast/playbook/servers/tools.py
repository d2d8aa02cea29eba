"""Make ordinary tools of the declarations in ``servers/``, and check what they say of each other.

A tool's function is a ``RemoteCall``. It raises what the executor classifies: ``ToolFailed`` where the server proves
that it did nothing and will not, ``NotSent`` where nothing was sent and nothing would be, ``RetryLater`` where nothing
was sent or the server says that it did nothing now, and anything else where the effect is in doubt. A read changes
nothing, so after doubt it may be tried again.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, Protocol

from pydantic import JsonValue, TypeAdapter

from ballast.contracts import RunRequest
from ballast.errors import PlaybookInvalid
from ballast.playbook.agent import Teller, raised
from ballast.playbook.context import AsIfAgain, NotSent, ToolContext, WrongResult
from ballast.playbook.declaration import (
    Approval,
    CallLimits,
    Circuit,
    Effect,
    EffectPolicy,
    Read,
    Write,
    checked_approval,
    checked_circuit,
    checked_limits,
    effect_policy,
)
from ballast.playbook.money_rules import checked_cost, checked_moves
from ballast.playbook.servers.checks import read_declaration
from ballast.playbook.servers.declaration import (
    Above,
    Call,
    Declaration,
    DeclaredTool,
    LambdaServer,
    McpServer,
    Server,
    Undo,
    ValueFrom,
    token_name,
)
from ballast.playbook.servers.form import OutputForm, SchemaArguments, SchemaForm
from ballast.playbook.servers.proof import GONE, AnswerLost, NotLookedAt, NotNow, RemoteFailed, Unauthorized
from ballast.playbook.servers.schema import SchemaRefused, annotation_of_marks, paths_of, read_marks
from ballast.playbook.servers.values import Answer, above, amount_of, customer_of, values_from
from ballast.playbook.servers.verify import VerifyByRead, check_verify, key_as_sent, why_no_key
from ballast.playbook.tool import Tool
from ballast.validation import Untrusted
from ballast.validation.marks import has_mark
from ballast.values import dataclass

_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Transport(Protocol):
    """Sends a call to its server."""

    def send(self, call: "RemoteCall", payload: dict[str, Any], key: str | None, ctx: ToolContext) -> Answer:
        """Return what the server answers. ``key``: the idempotency key, where it is no argument.

        Raises ``ToolFailed``, ``RetryLater`` or, where the effect is in doubt, ``AnswerLost``.
        """


@dataclass
class RemoteServer:
    """A declared server. Its transport, with sessions and tokens, is made when the executor first calls a tool.

    calls  the operations of all its tools; none where they are no operations
    """

    name: str
    declared: Server
    calls: tuple[Call, ...] = ()

    @cached_property
    def transport(self) -> Transport:
        """The transport of its kind."""
        if isinstance(self.declared, LambdaServer):
            from ballast.playbook.servers.invoke import LambdaTransport

            return LambdaTransport(self.declared)
        if isinstance(self.declared, McpServer):
            from ballast.playbook.servers.mcp import McpTransport

            return McpTransport(self.name, self.declared)
        from ballast.playbook.servers.openapi import OpenApiTransport

        return OpenApiTransport(self.declared, self.calls)

    def forget(self) -> None:
        """Forget sessions, tokens and secrets, as the end of a process does."""
        self.__dict__.pop("transport", None)


@dataclass(frozen=True)
class RemoteCall:
    """The function of a tool from elsewhere."""

    server: RemoteServer
    remote_name: str
    declared: DeclaredTool
    form: SchemaForm = field(repr=False)
    output: OutputForm | None = field(default=None, repr=False)

    def __call__(self, args: SchemaArguments, ctx: ToolContext) -> JsonValue:
        """Send the call and return the result. Raises as the module says."""
        result: JsonValue = self.answer(args, ctx).result
        return result

    def answer(self, args: SchemaArguments, ctx: ToolContext) -> Answer:
        """Send the call and return what the server answers. Raises as the module says."""
        payload = {**self.form.write(args), **self.declared.set}
        key = self.declared.key
        sent = None if key is None else key_as_sent(ctx.idempotency_key, self.declared, self.form)
        if key is not None and key.argument is not None:
            payload[key.argument] = sent
        if complaints := self.form.complaints(payload, whole=True):
            raise NotSent(f"Nothing was sent: {complaints}.")
        outside = None if key is None or key.argument is not None else sent
        try:
            answer = self.server.transport.send(self, payload, outside, ctx)
        except AnswerLost as lost:
            if self.declared.effect == "read":
                raise NotNow(str(lost), lost.apart) from None
            raise
        except NotLookedAt as refused:
            if key is None and self.declared.idempotent and not isinstance(refused, Unauthorized):
                if refused.status in GONE and refused.status not in self.declared.refusals:
                    raise AsIfAgain(str(refused)) from None
                raise RemoteFailed(str(refused), refused.status) from None  # no repetition brings another answer
            raise
        if self.output is not None and (complaints := self.output.complaints(answer.result)):
            server = self.server
            raise WrongResult(f"{complaints}.", server=server.name, tool=self.remote_name, kind=server.declared.kind)
        return answer


def declared_tools(folder: Path, tell: Teller = raised) -> Iterator[Tool]:
    """Yield the tools of the files in ``servers/``; what is wrong is told, and left out."""
    for file in sorted(folder.glob("*.yaml")):
        try:
            declaration = read_declaration(file)
        except PlaybookInvalid as problem:
            tell(problem)
            continue
        yield from tools_of(file, declaration, tell)


def tools_of(file: Path, declaration: Declaration, tell: Teller = raised) -> Iterator[Tool]:
    """Yield the tools of one declaration; what is wrong is told with the tool and the field, and left out."""
    calls = tuple(one.pinned.call for one in declaration.tools.values() if one.pinned.call is not None)
    server = RemoteServer(file.stem, declaration.server, calls)
    for name, declared in declaration.tools.items():
        where = f"{file}: tools.{name}"
        try:
            yield _made(where, server, name, declared)
        except SchemaRefused as refused:
            tell(PlaybookInvalid(f"{where}.pinned.schema: {refused}."))
        except PlaybookInvalid as problem:
            tell(problem)


def usual_name(server: str, remote_name: str) -> str:
    """Return what the model calls a tool whose declaration gives it no name."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", f"{server}_{remote_name}")


def _made(where: str, server: RemoteServer, remote_name: str, declared: DeclaredTool) -> Tool:
    name = declared.name or usual_name(server.name, remote_name)
    if not _TOOL_NAME.fullmatch(name):
        raise PlaybookInvalid(
            f"{where}.name: must be 1 to 64 ASCII letters, digits, - and _, not {name!r}. Write another `name:`."
        )
    marks, result_marks = read_marks(f"{where}.marks", declared.marks), declared.result.marks
    key_argument = declared.key.argument if declared.key else None
    hidden = frozenset({*declared.set, *([key_argument] if key_argument else [])})
    if marked := next((path for path in marks if path[0] in hidden), None):
        raise PlaybookInvalid(f"{where}.marks: {marked[0]} is set by the executor, so a mark on it has no effect.")
    try:
        form = SchemaForm(declared.pinned.schema_, marks, hidden)
    except SchemaRefused as refused:
        if "has no argument" not in str(refused):
            raise
        from ballast.playbook.servers.schema import normalized

        known = ", ".join(paths_of(normalized(declared.pinned.schema_))[:20])
        raise PlaybookInvalid(f"{where}.marks: {refused}. Arguments: {known or 'none'}.") from None
    form.compile()
    output = _output(where, declared)
    _check_hidden(where, declared, form)
    known_names = form.whole.get("properties", {})
    field = server.declared.tool_field if isinstance(server.declared, LambdaServer) else None
    if field in known_names:
        raise PlaybookInvalid(
            f"{where}.pinned.schema: has the argument {field}, by which server.tool_field names the tool. Choose "
            "another tool_field that the function reads, such as tool_name."
        )
    call = declared.pinned.call
    placed = (*call.where, *filter(None, [call.body])) if call else ()
    if stray := next((one for one in placed if one not in known_names), None):
        raise PlaybookInvalid(f"{where}.pinned.call: {stray} is no argument of pinned.schema. Import the tool again.")
    writes = declared.effect == "write"
    effect = (
        _write(where, declared, form) if writes else Read(repeat=declared.repeat, outward=declared.outward is not False)
    )
    limits = declared.limits.model_dump(exclude_none=True)
    rule = declared.approval.if_ if declared.approval else None
    if isinstance(rule, Above) and not _names_argument(form, rule.argument):
        raise PlaybookInvalid(f"{where}.approval.if.argument: {rule.argument} is no argument of the tool.")
    circuit = server.declared.circuit
    suspect = writes or declared.outward is not False
    return Tool(
        name=name,
        summary=(declared.description or declared.pinned.description).strip(),
        arguments=form.model,
        effect=Effect.WRITE if writes else Effect.READ,
        function=RemoteCall(server, remote_name, declared, form, output),
        policy=_policy(where, declared, effect),
        moves=checked_moves(where, effect),
        undo=declared.undo.tool if declared.undo else None,
        undo_arguments=_undo_arguments(declared.undo),
        approval=checked_approval(where, _approval(declared)),
        limits=checked_limits(where, CallLimits(**{"timeout_s": server.declared.timeout_s, **limits})),
        circuit=checked_circuit(
            where,
            Circuit(
                f"server.{server.name}",
                circuit.failures,
                circuit.recovery_s,
                per_requester=token_name(server.declared) is not None,
            ),
        ),
        taint=declared.taint or ("approve" if suspect else "allow"),
        untrusted=declared.result.untrusted,
        foreign=True,
        offered=declared.offered,
        cost_microusd=checked_cost(declared.cost_microusd, where),
        result=_any_json(),
        returns=annotation_of_marks(read_marks(f"{where}.result.marks", result_marks)) if result_marks else Any,
    )


@cache
def _any_json() -> TypeAdapter[Any]:
    """Return the validator of any result, built once for all tools."""
    return TypeAdapter(JsonValue)


def _names_argument(form: SchemaForm, path: str) -> bool:
    return path in paths_of(form.schema)


def _check_hidden(where: str, declared: DeclaredTool, form: SchemaForm) -> None:
    key, known = declared.key, form.whole.get("properties", {})
    of_key = [("key.argument", key.argument)] if key is not None and key.argument is not None else []
    for setting, named in (*(("set", one) for one in declared.set), *of_key):
        if named not in known:
            plain = named.strip("/")
            told = f"Write it without the slash: {plain}" if plain in known else f"It has: {', '.join(known) or 'none'}"
            raise PlaybookInvalid(f"{where}.{setting}: {named} is no argument of the tool. {told}.")
    for hidden, value in declared.set.items():
        if complaint := form.complaint_about(hidden, value):
            raise PlaybookInvalid(f"{where}.set.{hidden}: {complaint}.")
    if key is None or (wrong := why_no_key(declared, form)) is None:
        return
    place, name, other = "header", key.header, "an argument"
    if key.argument is not None:
        place, name, other = "argument", key.argument, "another argument"
    raise PlaybookInvalid(
        f"{where}.key.{place}: {name} takes neither a key as text (run-….0001.1) nor a UUID: it {wrong}. Send it in "
        f"{other} that takes one (key: {{argument: NAME}}), or leave key out and declare verify, or idempotent where "
        "the same call made twice has the effect of one."
    )


def _output(where: str, declared: DeclaredTool) -> OutputForm | None:
    if declared.pinned.output is None or not declared.result.checked:
        return None
    try:
        return OutputForm(declared.pinned.output)
    except SchemaRefused as refused:
        raise PlaybookInvalid(f"{where}.pinned.output: {refused}. Say result: {{checked: false}}.") from None


def _write(where: str, declared: DeclaredTool, form: SchemaForm) -> Write:
    moves = declared.moves
    named = {} if moves is None else {"amount": moves.amount, "customer": moves.customer}
    if moves is not None and moves.currency is not None:
        named["currency.argument"] = moves.currency.argument
    for name, path in named.items():
        if path is not None and not _names_argument(form, path):
            raise PlaybookInvalid(f"{where}.moves.{name}: {path} is no argument of the tool.")
    return Write(
        moves=amount_of(moves) if moves else None,
        moves_key=customer_of(moves.customer) if moves and moves.customer else None,
        undo_gives_back=moves is not None and moves.undo_gives_back,
        undo=declared.undo.tool if declared.undo else None,
        undo_arguments=_undo_arguments(declared.undo),
        verify=VerifyByRead(where, declared.verify, partial(key_as_sent, declared=declared, form=form))
        if declared.verify
        else None,
        honours_key=declared.key is not None or bool(declared.idempotent),
        repeat=declared.repeat,
        on_rollback=declared.on_rollback,
    )


def _policy(where: str, declared: DeclaredTool, effect: Read | Write) -> EffectPolicy:
    """Return the policy; what is only ``idempotent`` may be sent again, and answers a repetition as it likes."""
    policy = effect_policy(where, effect)
    looks = declared.verify is not None and not declared.verify.by_key
    return (
        replace(policy, replays=declared.key is not None, look_before=looks) if declared.effect == "write" else policy
    )


def _undo_arguments(undo: Undo | None) -> Callable[[Any, Any], Mapping[str, Any]] | None:
    if undo is None or undo.arguments is None:
        return None
    sources = undo.arguments
    return lambda args, result: values_from(sources, args.root, result, key=None)


def _approval(declared: DeclaredTool) -> Approval | None:
    said = declared.approval
    if said is None:
        return None
    rule: Callable[..., bool | str | None] | None = None
    if isinstance(said.if_, Above):
        rule = above(said.if_)
    elif said.if_ == "always":
        rule = _always
    return Approval(if_=rule, people=said.people, approvers=said.approvers, on_unanswered=said.on_unanswered)


def _always(_args: Any, _request: RunRequest) -> bool:
    return True


def link(tools: Mapping[str, Tool], tell: Teller, folder: Path, currency: str | None) -> None:
    """Let each ``verify`` of a declared tool find its read, and tell what they say wrongly of others.

    ``folder`` holds their files; ``currency`` is that of the windows in agent.yaml.
    """
    for made in tools.values():
        if isinstance(made.function, RemoteCall):
            try:
                where = f"{folder / made.function.server.name}.yaml: tools.{made.function.remote_name}"
                _link(made, made.function, tools, where)
                _check_currency(made.function, currency, where)
            except PlaybookInvalid as problem:
                tell(problem)


def _link(made: Tool, call: RemoteCall, tools: Mapping[str, Tool], where: str) -> None:
    verify, undo = made.policy.verify, call.declared.undo
    if isinstance(verify, VerifyByRead):
        read = tools.get(verify.declared.tool)
        if read is None or read.effect is not Effect.READ:
            name = verify.declared.tool
            raise PlaybookInvalid(f"{where}.verify.tool: {name} {_why_no_read(name, call, tools)}")
        if not made.untrusted and _is_less_trusted(read, made):
            raise PlaybookInvalid(
                f"{where}.result.untrusted: is false, and {read.name}, whose result stands for a lost one, returns "
                "untrusted text. Say true here, or vouch for that read, too."
            )
        _check_sources(f"{where}.verify.arguments", read, verify.declared.arguments, call)
        check_verify(where, verify, read, read.function.declared if isinstance(read.function, RemoteCall) else None)
        verify.tools[read.name] = read
    if undo is not None and undo.tool not in tools:
        name = f"{call.server.name}_{undo.tool}"
        if any(made.name == name for made in tools.values()):
            raise PlaybookInvalid(f"{where}.undo.tool: {undo.tool} is {name} here. Write that name.")
    if undo is not None and undo.arguments is not None and undo.tool in tools:
        _check_sources(f"{where}.undo.arguments", tools[undo.tool], undo.arguments, call)


def _why_no_read(name: str, call: RemoteCall, tools: Mapping[str, Tool]) -> str:
    """Return why ``verify`` of a call cannot ask that tool, and what to write."""
    found = tools.get(name)
    if found is not None and isinstance(found.function, RemoteCall):
        return (
            f"is declared as a write, as each tool is that is imported of MCP or Lambda, and verify asks a read. If it "
            f"changes nothing, write effect: read under {found.function.remote_name} in servers/"
            f"{found.function.server.name}.yaml, and take its approval out."
        )
    if found is not None:
        return "is a write, and verify asks a read. Name a tool that reads."
    return f"is no tool of the playbook that reads. {_instead_of(name, call, tools, reads=True)}"


def _instead_of(name: str, call: RemoteCall, tools: Mapping[str, Tool], *, reads: bool = False) -> str:
    """Return what to write for the name of a tool that there is not: the name that the playbook has it by, or all."""
    for made in tools.values():
        other = made.function
        if isinstance(other, RemoteCall) and other.remote_name == name and other.server.name == call.server.name:
            if reads and made.effect is not Effect.READ:
                return f"Here it is {made.name}, a write: {_why_no_read(made.name, call, tools)}"
            return f"Here it is {made.name}: write that name."
    names = [made.name for made in tools.values() if made.effect is Effect.READ or not reads]
    return f"It has: {', '.join(names[:20]) or 'none'}."


def _check_currency(call: RemoteCall, currency: str | None, where: str) -> None:
    moves = call.declared.moves
    said = moves.currency.is_ if moves and moves.currency else currency
    if currency is not None and said != currency:
        raise PlaybookInvalid(
            f"{where}.moves.currency.is: is {said}, and moves.currency of agent.yaml is {currency}. The windows count "
            "one currency."
        )


def _is_less_trusted(read: Tool, made: Tool) -> bool:
    return read.untrusted or (has_mark(read.returns, Untrusted) and not has_mark(made.returns, Untrusted))


def _check_sources(where: str, tool: Tool, sources: Mapping[str, ValueFrom], call: RemoteCall) -> None:
    names = tool.argument_names
    for name, source in sources.items():
        if name not in names:
            raise PlaybookInvalid(f"{where}.{name}: {tool.name} has no such argument. It has: {', '.join(names)}.")
        if source.argument is not None and not _names_argument(call.form, source.argument):
            raise PlaybookInvalid(f"{where}.{name}: {source.argument} is no argument of the call.")
