"""The ``@tool`` decorator: one function and its argument model become a tool of the playbook."""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, JsonValue, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from ballast.contracts import RunRequest, ToolCall
from ballast.contracts.wire import MAX_DEPTH, canonical, complaints
from ballast.errors import PlaybookInvalid, SchemaViolation, TooLarge
from ballast.playbook.annotations import annotations, takes_run
from ballast.playbook.approval import OnUnanswered, choice, group
from ballast.playbook.context import ToolContext
from ballast.playbook.cost import Cost, checked_cost, worst_cost
from ballast.playbook.defect import Returned, ask, refuse_unplain
from ballast.playbook.effects import Breaker, EffectPolicy, effect_policy
from ballast.playbook.form import Form
from ballast.playbook.formless import refuse_formless
from ballast.playbook.hardened import MAX_DIGITS, out_of_bounds
from ballast.playbook.moves import Moves, declared_moves
from ballast.validation import ARGUMENT_BYTES, DEPTH, RESULT_BYTES, Grounded, Sensitive, Taint, has_mark, too_large

if TYPE_CHECKING:
    from ballast.playbook.run import RunSoFar

#: A form, with its defaults, has at most so many times the bytes that a tool takes, and so many levels: the log's
#: readers take 64 around it.
FORM_TIMES, FORM_DEPTH = 16, MAX_DEPTH - 2
#: What Converse takes as the name of a tool.
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Effect(StrEnum):
    """What a tool does to the world."""

    READ = "read"
    WRITE = "write"


@dataclass(frozen=True)
class Tool:
    """A tool of the playbook. Make one with ``@tool``.

    name       the function's name: what the model calls
    summary    the function's docstring: what the model reads
    arguments  the closed, frozen pydantic model of its arguments
    effect     read or write
    undo       the name of the tool that undoes it, if any
    undo_arguments  from (arguments, result as JSON) to the undo's arguments
    validate        from (arguments, request[, run so far]) to a complaint, or None where all is well
    approve_if      from (arguments, request), or (arguments, request, run so far), to whether a person
                    must approve first: true, or a text that says why
    approvals       how many different people must approve, where any must
    approvers       the group that they must be members of; None where every reviewer may approve
    on_unanswered   what follows where nobody answers; None takes the agent's choice
    precondition    from (arguments, context) to what an approval relies on, as JSON: where it is something
                    else when the approved call is to act, the approval is void
    offered         whether the agent may see and call it; every other planner may anyway
    untrusted       whether nobody vouches for what it returns
    outward         whether its arguments leave the house: a URL, a mail address, a webhook
    taint           what becomes of a call with values that only untrusted text names
    argument_bytes, result_bytes, depth  how large and how deep its arguments and results may be
    returns         the return annotation
    cost_microusd   the worst case of a call, or a function of (arguments, request); None costs nothing
    moves           what a call moves of the business's own money, and whose; None moves nothing
    policy          repeats, dead attempts, time, its downstream, and the rollback
    """

    name: str
    summary: str
    arguments: type[BaseModel]
    effect: Effect
    function: Callable[..., Any]
    undo: str | None = None
    undo_arguments: Callable[[Any, Any], Mapping[str, Any]] | None = None
    validate: Callable[..., str | None] | None = None
    offered: bool = True
    untrusted: bool = False
    outward: bool = False
    taint: Taint = "approve"
    argument_bytes: int = ARGUMENT_BYTES
    result_bytes: int = RESULT_BYTES
    depth: int = DEPTH
    asks_run: bool = field(default=False, repr=False)
    returns: Any = field(default=None, repr=False, compare=False)
    cost_microusd: Cost | None = None
    moves: Moves | None = None
    policy: EffectPolicy = field(default_factory=EffectPolicy)
    approve_if: Callable[..., bool | str] | None = None
    approvals: int = 1
    approvers: str | None = None
    on_unanswered: OnUnanswered | None = None
    precondition: Callable[[Any, ToolContext], Any] | None = None
    result: TypeAdapter[Any] = field(default_factory=lambda: TypeAdapter(JsonValue), repr=False, compare=False)

    def __call__(self, args: Any, ctx: ToolContext) -> Any:
        """Run the function itself, as its unit test does."""
        return self.function(args, ctx)

    def call(self, **arguments: Any) -> ToolCall:
        """Return a proposed call, for a fallback to ``yield``; fields by Python's names or by JSON's (aliases).

        It is held to what the gate will hold it to. Raises ``SchemaViolation`` or ``TooLarge``.
        """
        try:
            return ToolCall(tool=self.name, arguments=self.fitting(self.form.made(arguments)))
        except ValidationError as problem:
            raise SchemaViolation(f"{self.name}: {complaints(problem, missing_first=True)}") from None
        except SchemaViolation as problem:
            raise SchemaViolation(f"{self.name}: {problem}.") from None

    def fitting(self, args: BaseModel) -> dict[str, Any]:
        """Return the form of arguments that were read, held to the tool's limits.

        Defaults do not count: they are not the caller's, and a form that is sent again is no larger than it was. All
        together it has at most so many times its limit. Raises ``TooLarge``, ``SchemaViolation`` for a number.
        """
        form = self.form.write(args)
        if (where := out_of_bounds(form)) is not None:
            raise SchemaViolation(f"{where}: must be a finite number of at most {MAX_DIGITS} digits")
        problem = too_large(self.form.said(args), max_bytes=self.argument_bytes, max_depth=self.depth)
        problem = problem or too_large(form, max_bytes=FORM_TIMES * self.argument_bytes, max_depth=FORM_DEPTH)
        if problem:
            raise TooLarge(f"{self.name}: the arguments as they are read are {problem}.")
        return form

    @cached_property
    def form(self) -> Form:
        """Reads and writes its arguments in their one JSON form."""
        return Form(self.arguments)

    def read(self, arguments: Any) -> BaseModel:
        """Return JSON ``arguments`` checked. Raises ``SchemaViolation`` by the names that a model sends."""
        try:
            return self.form.read(arguments)
        except ValidationError as problem:
            said = complaints(problem)
        except SchemaViolation as problem:
            said = str(problem)
        raise SchemaViolation(f"{self.name}: {said}. Its arguments are: {', '.join(self.argument_names)}.")

    @cached_property
    def argument_names(self) -> tuple[str, ...]:
        """The names of its arguments, as a model sends them."""
        schema = self.schema
        if "$ref" in schema:  # a model that holds itself
            schema = schema["$defs"][schema["$ref"].rpartition("/")[2]]
        return tuple(schema.get("properties", ()))

    @cached_property
    def grounds(self) -> bool:
        """Whether any of its arguments must be grounded."""
        return has_mark(self.arguments, Grounded)

    @cached_property
    def marks_arguments(self) -> bool:
        """Whether any of its arguments is sensitive."""
        return has_mark(self.arguments, Sensitive)

    @cached_property
    def marks_result(self) -> bool:
        """Whether something that it returns is sensitive."""
        return has_mark(self.returns, Sensitive)

    def complaint(self, args: BaseModel, request: RunRequest, run: "Callable[[], RunSoFar]") -> str | None:
        """Return what the tool's own rule says against the call; ``run`` is read only for a rule that takes it.

        Raises ``RuleViolation`` where the rule breaks.
        """
        rule = self.validate
        if rule is None:
            return None
        given = (args, request, run()) if self.asks_run else (args, request)

        def said() -> str | None:
            complaint: Any = rule(*given)
            if complaint is None or complaint is False:
                return None
            if not isinstance(complaint, str):
                raise Returned(complaint, "a text that says what is wrong, or None")
            return complaint or None

        return ask(f"{self.name}: validate", said, rule)

    def worst_cost(self, args: BaseModel, request: RunRequest) -> int | None:
        """Return what the call may cost at most, None where nothing. Raises ``RuleViolation`` where it cannot say."""
        return worst_cost(self.name, self.cost_microusd, args, request)

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of the arguments, as the model gets it."""
        return self.arguments.model_json_schema()

    @property
    def returns_nothing(self) -> bool:
        """Whether the function is annotated to return None."""
        return bool(self.result.core_schema["type"] == "none")

    @property
    def spec(self) -> dict[str, Any]:
        """The tool as an entry of Converse's ``toolConfig.tools``."""
        return {"toolSpec": {"name": self.name, "description": self.summary, "inputSchema": {"json": self.schema}}}

    def dump(self, result: Any) -> JsonValue:
        """Return what the function returned as JSON, checked against its return annotation.

        Raises ``ValueError`` where it is something else: ``ValidationError``, or for a NaN.
        """
        # Without warnings: they would print what the function returned, sensitive or not.
        dumped: JsonValue = self.result.dump_python(self.result.validate_python(result), mode="json", warnings=False)
        canonical(dumped)  # what the log could not record must fail here
        return dumped


def tool(
    *,
    effect: Effect,
    undo: str | None = None,
    undo_arguments: Callable[[Any, Any], Mapping[str, Any]] | None = None,
    validate: Callable[..., str | None] | None = None,
    offered: bool = True,
    untrusted: bool = False,
    outward: bool = False,
    taint: Taint | None = None,
    argument_bytes: int = ARGUMENT_BYTES,
    result_bytes: int = RESULT_BYTES,
    depth: int = DEPTH,
    cost_microusd: Cost | None = None,
    repeat: str | None = None,
    verify: Callable[[Any, ToolContext], Any] | None = None,
    honours_key: bool = False,
    timeout_s: float | None = None,
    breaker: str | Breaker | None = None,
    on_rollback: str | None = None,
    approve_if: Callable[..., bool | str] | None = None,
    approvals: int = 1,
    approvers: str | None = None,
    on_unanswered: str | None = None,
    precondition: Callable[[Any, ToolContext], Any] | None = None,
    moves: Callable[[Any, RunRequest], Any] | None = None,
    moves_key: Callable[[Any, ToolContext], str] | None = None,
    undo_gives_back: bool = False,
) -> Callable[[Callable[..., Any]], Tool]:
    """Make a tool of ``function(args: Model, ctx: ToolContext) -> Result``.

    The model must be a frozen pydantic model that forbids extra fields, of types whose values survive JSON;
    the docstring is what the language model reads; the return annotation is checked and must be JSON-like. Without
    ``undo_arguments`` the undo gets the arguments of the call itself. A tool that only undoes is
    best not ``offered``: it would cost tokens in every prompt and invite misuse. Where ``taint`` is not
    given it is "approve" for a write and for a read that is ``outward``, "allow" for any other read.
    From ``repeat`` on: ``EffectPolicy``; ``moves`` and what belongs to it: ``ballast.playbook.moves``.
    Raises ``PlaybookInvalid`` naming what is wrong.
    """

    def decorate(function: Callable[..., Any]) -> Tool:
        name, where = function.__name__, f"Tool {function.__name__} ({function.__module__})"
        summary = inspect.cleandoc(function.__doc__ or "")
        if not _NAME.fullmatch(name):
            raise PlaybookInvalid(f"{where}: models take names of 1 to 64 ASCII letters, digits and _. Rename it.")
        if not isinstance(effect, Effect):
            raise PlaybookInvalid(f"{where}: effect must be Effect.READ or Effect.WRITE, not {effect!r}.")
        if not summary:
            raise PlaybookInvalid(f"{where} has no docstring. The model reads it: say what the tool does and when.")
        if taint not in (None, *get_args(Taint)):
            raise PlaybookInvalid(f'{where}: taint must be "approve", "refuse" or "allow", not {taint!r}.')
        if not isinstance(outward, bool):
            raise PlaybookInvalid(f"{where}: outward must be True or False, not {outward!r}.")
        refuse_unplain(
            where,
            validate=validate,
            approve_if=approve_if,
            precondition=precondition,
            cost_microusd=cost_microusd,
            moves=moves,
            moves_key=moves_key,
            undo_arguments=undo_arguments,
            verify=verify,
        )
        model, returns, result = annotations(function, where)
        made = Tool(
            name=name,
            summary=summary,
            arguments=model,
            effect=effect,
            function=function,
            undo=undo,
            undo_arguments=undo_arguments,
            approve_if=approve_if,
            validate=validate,
            offered=offered,
            untrusted=untrusted,
            outward=outward,
            taint=taint or ("approve" if effect is Effect.WRITE or outward else "allow"),
            argument_bytes=argument_bytes,
            result_bytes=result_bytes,
            depth=depth,
            asks_run=takes_run(validate, where),
            returns=returns,
            cost_microusd=checked_cost(cost_microusd, where),
            moves=declared_moves(
                where,
                writes=effect is Effect.WRITE,
                has_undo=undo is not None,
                moves=moves,
                key=moves_key,
                back=undo_gives_back,
            ),
            policy=effect_policy(
                where,
                writes=effect is Effect.WRITE,
                has_undo=undo is not None,
                repeat=repeat,
                verify=verify,
                honours_key=honours_key,
                timeout_s=timeout_s,
                breaker=breaker,
                on_rollback=on_rollback,
            ),
            approvals=approvals,
            approvers=group(approvers, where),
            on_unanswered=choice(on_unanswered, approvals, where),
            precondition=precondition,
            result=result,
        )
        try:
            made.schema  # noqa: B018  computed now, so that a bad model fails at load and not at 3 AM
        except PydanticUserError as problem:
            raise PlaybookInvalid(
                f"{where}: {model.__name__} cannot become a JSON schema: {problem.message}. "
                "Use types that JSON has: str, int, Decimal, bool, Literal, list, or a nested model."
            ) from None
        refuse_formless(made.form, where)
        return made

    return decorate
