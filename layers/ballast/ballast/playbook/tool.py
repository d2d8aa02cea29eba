"""The ``@tool`` decorator: one function and its argument model become a tool of the playbook."""

import inspect
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Never, get_args

from pydantic import BaseModel, JsonValue, TypeAdapter, ValidationError
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError

from ballast.contracts import RunRequest, ToolCall
from ballast.contracts.wire import MAX_DEPTH, canonical, complaints
from ballast.errors import PlaybookInvalid, SchemaViolation, TooLarge
from ballast.playbook.arguments.form import ArgumentsForm, Form, form_of
from ballast.playbook.arguments.load_check import require_json_form
from ballast.playbook.arguments.strict_schema import MAX_DIGITS, out_of_bounds
from ballast.playbook.context import ToolContext
from ballast.playbook.declaration import (
    NO_APPROVAL,
    USUAL_LIMITS,
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
    require_booleans,
)
from ballast.playbook.money_rules import Cost, Moves, checked_cost, checked_moves, worst_cost
from ballast.playbook.old_declaration import refuse_old_declaration, refuse_unknown_arguments
from ballast.playbook.rules import (
    WrongReturn,
    is_plain_function,
    require_parameters,
    require_plain_functions,
    run_rule,
    wants_run,
)
from ballast.validation import Grounded, Sensitive, Taint, has_mark, ineffective_marks, too_large
from ballast.values import dataclass

if TYPE_CHECKING:
    from ballast.playbook.rules import RunSoFar


def function_types(function: Callable[..., Any], where: str) -> tuple[type[BaseModel], Any, TypeAdapter[Any]]:
    """Return the argument model, the return annotation and the return value's validator. Raises ``PlaybookInvalid``."""
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except NameError as problem:
        raise PlaybookInvalid(f"{where}: an annotation cannot be resolved: {problem}.") from None
    parameters = inspect.signature(function).parameters.values()
    model = next((hints.get(one.name) for one in parameters), None)
    two = len(parameters) == 2 and all(one.kind is one.POSITIONAL_OR_KEYWORD for one in parameters)
    if not (two and is_plain_function(function) and isinstance(model, type) and issubclass(model, BaseModel)):
        raise PlaybookInvalid(f"{where} must be written `def {function.__name__}(args: Model, ctx: ToolContext)`.")
    if model.model_config.get("extra") != "forbid" or not model.model_config.get("frozen"):
        raise PlaybookInvalid(
            f"{where}: {model.__name__} must be closed and frozen: "
            'model_config = ConfigDict(extra="forbid", frozen=True).'
        )
    if "return" not in hints:
        raise PlaybookInvalid(f"{where} must annotate what it returns: a pydantic model or a JSON type.")
    try:
        result: TypeAdapter[Any] = TypeAdapter(hints["return"])
        result.json_schema(mode="serialization")
    except (PydanticUserError, PydanticUndefinedAnnotation) as problem:
        raise PlaybookInvalid(f"{where}: its return type cannot be JSON: {problem.message}.") from None
    for what, annotation in (("argument", model), ("result's field", hints["return"])):
        lost = ineffective_marks(annotation)
        if lost:
            raise PlaybookInvalid(
                f"{where}: the mark on the {what} {', '.join(sorted(set(lost)))} would have no effect. Put the mark on "
                "the field of a pydantic model, dataclass, TypedDict or NamedTuple that is written as it is declared."
            )
    return model, hints["return"], result


#: Bounds of a form with its defaults: this many times the tool's ``argument_bytes``, and this many levels. The log's
#: readers accept 64 levels, those around the form included.
FORM_TIMES, FORM_DEPTH = 16, MAX_DEPTH - 2
#: Converse's rule for the name of a tool.
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True)
class Tool:
    """A tool of the playbook. Make one with ``@tool``.

    name       the function's name: what the model calls
    summary    the function's docstring: what the model reads
    arguments  the closed, frozen pydantic model of its arguments
    effect     read or write
    policy     the declared effect: repeats, interrupted attempts and rollback
    undo       the name of the tool that undoes it, if any
    undo_arguments  from (arguments, result as JSON) to the undo's arguments; None: the call's own
    moves      the business's own money that a call moves, and whose; None moves nothing
    approval   when people must approve a call, how many, and who
    limits     how large a call may be, and how long an attempt may take
    circuit    the circuit of its downstream, if it names one
    validate   from (arguments, request[, run so far]) to a complaint, or None
    taint      what happens to a call with values that only untrusted text names
    untrusted  whether its results are untrusted
    foreign    whether its words (summary, schema, errors) are a server's, which vouch for no value
    offered    whether the agent may see and call it; every other planner may
    cost_microusd  the worst case of a call, or a function of (arguments, request); None: no cost
    returns    the return annotation
    """

    name: str
    summary: str
    arguments: type[BaseModel]
    effect: Effect
    function: Callable[..., Any]
    policy: EffectPolicy = field(default_factory=EffectPolicy)
    undo: str | None = None
    undo_arguments: Callable[[Any, Any], Mapping[str, Any]] | None = None
    moves: Moves | None = None
    approval: Approval = NO_APPROVAL
    limits: CallLimits = USUAL_LIMITS
    circuit: Circuit | None = None
    validate: Callable[..., str | None] | None = None
    taint: Taint = "approve"
    untrusted: bool = False
    foreign: bool = False
    offered: bool = True
    cost_microusd: Cost | None = None
    asks_run: bool = field(default=False, repr=False)
    returns: Any = field(default=None, repr=False, compare=False)
    result: TypeAdapter[Any] = field(default_factory=lambda: TypeAdapter(JsonValue), repr=False, compare=False)

    def __call__(self, args: Any, ctx: ToolContext) -> Any:
        """Run the function itself, as a unit test does."""
        return self.function(args, ctx)

    def call(self, **arguments: Any) -> ToolCall:
        """Return a proposed call for a fallback to ``yield``; fields by their Python names or their aliases.

        The gate's checks of schema and size apply. Raises ``SchemaViolation`` or ``TooLarge``.
        """
        try:
            return ToolCall(tool=self.name, arguments=self.bounded_form(self.form.from_python(arguments)))
        except ValidationError as problem:
            raise SchemaViolation(f"{self.name}: {complaints(problem, missing_first=True)}") from None
        except SchemaViolation as problem:
            raise SchemaViolation(f"{self.name}: {problem}.") from None

    def bounded_form(self, args: BaseModel) -> dict[str, Any]:
        """Return the form of validated arguments, checked against the tool's limits.

        Defaults do not count, so that a form that is sent again passes. The whole form may have ``FORM_TIMES`` the
        limit. Raises ``TooLarge``, and ``SchemaViolation`` for a number out of bounds.
        """
        form = self.form.write(args)
        if (where := out_of_bounds(form)) is not None:
            raise SchemaViolation(f"{where}: must be a finite number of at most {MAX_DIGITS} digits")
        most = self.limits.argument_bytes
        problem = too_large(self.form.without_defaults(args), max_bytes=most, max_depth=self.limits.depth)
        problem = problem or too_large(form, max_bytes=FORM_TIMES * most, max_depth=FORM_DEPTH)
        if problem:
            raise TooLarge(f"{self.name}: the validated arguments are {problem}.")
        return form

    @cached_property
    def form(self) -> ArgumentsForm:
        """The reader and writer of its arguments' one JSON form."""
        return form_of(self.arguments)

    def read(self, arguments: Any) -> BaseModel:
        """Return validated JSON ``arguments``. Raises ``SchemaViolation`` with the names that a model sends."""
        try:
            args: BaseModel = self.form.read(arguments)
            return args
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
    def has_grounded(self) -> bool:
        """Whether any of its arguments must be grounded."""
        return has_mark(self.arguments, Grounded)

    @cached_property
    def marks_arguments(self) -> bool:
        """Whether any of its arguments is sensitive."""
        return has_mark(self.arguments, Sensitive)

    @cached_property
    def marks_result(self) -> bool:
        """Whether any part of its result is sensitive."""
        return has_mark(self.returns, Sensitive)

    def complaint(self, args: BaseModel, request: RunRequest, run: "Callable[[], RunSoFar]") -> str | None:
        """Return the complaint of the tool's ``validate``, None for none; ``run`` is read only for a rule that takes
        it.

        Raises ``RuleViolation`` if the rule fails.
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
                raise WrongReturn(complaint, "a text that says what is wrong, or None")
            return complaint or None

        return run_rule(f"{self.name}: validate", said, rule)

    def worst_cost(self, args: BaseModel, request: RunRequest) -> int | None:
        """Return the call's highest cost in micro-dollars, None for none. Raises ``RuleViolation`` if its function
        fails."""
        return worst_cost(self.name, self.cost_microusd, args, request)

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of the arguments that the model gets."""
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
        """Return the function's result as JSON, validated by its return annotation.

        Raises ``ValueError`` if it does not fit (``ValidationError``) or contains a NaN.
        """
        # Without warnings: they would print the result, sensitive or not.
        dumped: JsonValue = self.result.dump_python(self.result.validate_python(result), mode="json", warnings=False)
        canonical(dumped)  # a result that the log cannot record must fail here
        return dumped


def tool(
    *,
    effect: Read | Write,
    approval: Approval | None = None,
    limits: CallLimits = USUAL_LIMITS,
    circuit: Circuit | None = None,
    validate: Callable[..., str | None] | None = None,
    taint: Taint | None = None,
    untrusted: bool = False,
    offered: bool = True,
    cost_microusd: Cost | None = None,
    **old_arguments: Never,
) -> Callable[[Callable[..., Any]], Tool]:
    """Make a tool of ``function(args: Model, ctx: ToolContext) -> Result``.

    effect     ``Read()``, or ``Write(…)`` with its undo, its verification, and the money that it moves
    approval   when people must approve a call; None: one reviewer, and only if something else asks
    limits     bytes and levels of a call, seconds of an attempt
    circuit    of its downstream: after some outages in a row, calls fail at once
    validate   (args, request) or (args, request, run so far) -> a complaint, or None
    taint      what happens to a call with values that only untrusted text names: "approve", "refuse" or "allow". None:
               "approve" for a write and for a read that is ``outward``, "allow" for any other read
    untrusted  whether all of its results are untrusted
    offered    whether the agent sees it. Do not offer a tool that only undoes: it costs tokens in every prompt and
               invites misuse
    cost_microusd  the worst case of a call in millionths of a US dollar, or a function of (args, request)

    The argument model must be a frozen pydantic model that forbids extra fields, with types whose values survive JSON;
    marks (``Grounded``, ``Sensitive``, …) are annotations on its fields. The language model reads the function's
    docstring. The return annotation must be a pydantic model or a JSON type. Raises ``PlaybookInvalid``; for
    ``old_arguments`` (``undo=``, ``approve_if=``, …) its text shows the new form.
    """
    refuse_unknown_arguments(old_arguments)

    def decorate(function: Callable[..., Any]) -> Tool:
        if not inspect.isfunction(function):
            of = f"{function.name} is decorated twice" if isinstance(function, Tool) else f"{function!r} is decorated"
            raise PlaybookInvalid(f"@tool: {of}. Decorate one function `def name(args: Model, ctx: ToolContext)` once.")
        name, where = function.__name__, f"Tool {function.__name__} ({function.__module__})"
        summary = inspect.cleandoc(function.__doc__ or "")
        if not _NAME.fullmatch(name):
            raise PlaybookInvalid(
                f"{where}: a tool's name must be 1 to 64 ASCII letters, digits and _. Rename the function."
            )
        if not isinstance(effect, Read | Write | Effect):
            raise PlaybookInvalid(f"{where}: effect must be Read() or Write(…), not {effect!r}.")
        if old_arguments or isinstance(effect, Effect):
            values = {"effect": effect, "approval": approval, "limits": limits, "circuit": circuit}
            kept = {"validate": validate, "taint": taint, "untrusted": untrusted, "offered": offered}
            refuse_old_declaration(function, where, {**values, **kept, "cost_microusd": cost_microusd, **old_arguments})
        if not summary:
            raise PlaybookInvalid(f"{where} has no docstring. The model reads it: say what the tool does and when.")
        if taint not in (None, *get_args(Taint)):
            raise PlaybookInvalid(f'{where}: taint must be "approve", "refuse" or "allow", not {taint!r}.')
        require_booleans(where, untrusted=untrusted, offered=offered)
        asked, writes = checked_approval(where, approval), effect if isinstance(effect, Write) else None
        require_plain_functions(
            where,
            {
                "validate": validate,
                "approval.if_": asked.if_,
                "approval.precondition": asked.precondition,
                "cost_microusd": cost_microusd,
                "effect.moves": writes and writes.moves,
                "effect.moves_key": writes and writes.moves_key,
                "effect.undo_arguments": writes and writes.undo_arguments,
                "effect.verify": writes and writes.verify,
            },
        )
        if validate is not None and not callable(validate):
            raise PlaybookInvalid(f"{where}: validate must be a function of (args, request), not {validate!r}.")
        asks_run = wants_run(validate)
        for setting, rule in (("validate", validate), ("approval.if_", asked.if_)):
            takes = "args, request, run" if wants_run(rule) else "args, request"
            require_parameters(where, {setting: rule}, takes=takes)
        of_request = {"cost_microusd": cost_microusd, "effect.moves": writes and writes.moves}
        require_parameters(where, of_request, takes="args, request")
        of_context = {"approval.precondition": asked.precondition, "effect.verify": writes and writes.verify}
        of_context["effect.moves_key"] = writes and writes.moves_key
        require_parameters(where, of_context, takes="args, ctx")
        require_parameters(where, {"effect.undo_arguments": writes and writes.undo_arguments}, takes="args, result")
        model, returns, result = function_types(function, where)
        suspect = isinstance(effect, Write) or effect.outward
        made = Tool(
            name=name,
            summary=summary,
            arguments=model,
            effect=Effect.WRITE if writes else Effect.READ,
            function=function,
            policy=effect_policy(where, effect),
            undo=writes.undo if writes else None,
            undo_arguments=writes.undo_arguments if writes else None,
            moves=checked_moves(where, effect),
            approval=asked,
            limits=checked_limits(where, limits),
            circuit=checked_circuit(where, circuit),
            validate=validate,
            taint=taint or ("approve" if suspect else "allow"),
            untrusted=untrusted,
            offered=offered,
            cost_microusd=checked_cost(cost_microusd, where),
            asks_run=asks_run,
            returns=returns,
            result=result,
        )
        try:
            made.schema  # noqa: B018  computed now, so that a bad model fails at load and not at 3 AM
        except PydanticUserError as problem:
            raise PlaybookInvalid(
                f"{where}: {model.__name__} cannot become a JSON schema: {problem.message}. "
                "Use types that JSON has: str, int, Decimal, bool, Literal, list, or a nested model."
            ) from None
        if isinstance(made.form, Form):
            require_json_form(made.form, where)
        return made

    return decorate
