"""Load a playbook from its folder and check that its parts fit together. The same in Lambda, tests and the local
cloud."""

import hashlib
import importlib
import importlib.util
import pkgutil
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import field, replace
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Self

from ballast.attachments.prompt import why_not_taken
from ballast.contracts import ToolCall
from ballast.contracts.wire import canonical, sha256
from ballast.errors import ModelRefused, PlaybookInvalid, SettingInvalid, ends_the_process, whatever_it_raises
from ballast.folds.calls import identity, identity_of
from ballast.masking import error_text
from ballast.playbook.agent import AgentConfig, Teller, agent_file, raised, readable_agents
from ballast.playbook.agents import agents_problems, hand_over_spec
from ballast.playbook.declaration import Circuit, Effect, OnRollback
from ballast.playbook.fallback import Fallback
from ballast.playbook.first_prompt import ASK_REQUESTER, ASK_REQUESTER_SPEC, least_tokens, tool_config, why_not_strict
from ballast.playbook.sensitive import playbook_names
from ballast.playbook.tool import Tool
from ballast.validation import Untrusted, has_mark
from ballast.validation.marks import undeclared
from ballast.values import dataclass

if TYPE_CHECKING:
    from ballast.contracts.attachment import Attachment
    from ballast.models.card import ModelCard
    from ballast.models.catalog import Catalog

_LOCK = threading.Lock()


@dataclass(frozen=True)
class Playbook:
    """An agent, its tools by name, its fallbacks by intent, and other agents by name.

    ``agent`` is the one of ``agent.yaml``, or the one for which ``as_agent`` made it.
    """

    folder: Path
    agent: AgentConfig
    tools: Mapping[str, Tool]
    fallbacks: Mapping[str, Fallback]
    others: Mapping[str, AgentConfig] = field(default_factory=dict)

    @property
    def agents(self) -> dict[str, AgentConfig]:
        """All agents by name, ``agent`` first."""
        return {self.agent.name: self.agent, **self.others}

    def as_agent(self, agent: AgentConfig) -> Self:
        """Return the playbook as ``agent`` has it, with what does not depend on the agent read once."""
        others = {name: one for name, one in self.agents.items() if name != agent.name}
        made = replace(self, agent=agent, others=others)
        vars(made).update({name: value for name, value in vars(self).items() if name in _OF_ALL_AGENTS})
        return made

    @cached_property
    def models(self) -> "Catalog":
        """The model cards that it can use: the platform's, and those of its own ``models.yaml``.

        Raises ``SettingInvalid``.
        """
        from ballast.models.catalog import Catalog  # a function that asks no model reads no card

        return Catalog.of_playbook(self.folder)

    def in_region(self, region: str) -> Self:
        """Return a copy with the model ids that ``region`` can call."""
        here = {
            name: one.with_models(lambda model: self.models.in_region(model, region))
            for name, one in self.agents.items()
        }
        return replace(self, agent=here.pop(self.agent.name), others=here)

    def check_model(self, model_id: str, *, on: date, check_retired: bool = False) -> None:
        """Raise ``ModelRefused`` if the model cannot be the agent's: by its card, or by ``inference.required``.

        ``on``: the day on which it must have a price, and with ``check_retired`` still be served.
        """
        tier, tools = self.agent.service_tier, self._tells_tools_to(model_id)
        self.models.check(model_id, tools=tools, on=on, check_retired=check_retired, tier=tier)
        card, inference = self.models.card(model_id), self.agent.inference
        refused = inference.taken_by(card).refused
        for name in inference.required:
            if name in refused:
                raise ModelRefused(
                    f"The model {model_id!r} ({card.name}) {refused[name]}, and `inference.required` names {name}. "
                    "Name another model, or change the setting."
                )
        if "strict_tools" in inference.required and (loose := why_not_strict(self.all_specs, card)):
            raise ModelRefused(
                f"The model {model_id!r} ({card.name}) cannot be held to a tool's schema, and `inference.required` "
                f"names strict_tools. {loose}. Change the tool, or take strict_tools out of the list."
            )
        if "structured_answers" in inference.required and (intent := self._told_in_words(card)):
            raise ModelRefused(
                f"The model {model_id!r} ({card.name}) cannot be held to the answer_schema of the intent {intent}, and "
                "`inference.required` names structured_answers. Name the type of each value and close each object "
                "with `additionalProperties: false`, or take structured_answers out of the list."
            )

    def why_not_asked(
        self, model_id: str, files: Sequence["Attachment"], *, on: date | None = None, beside_results: bool = False
    ) -> str | None:
        """Return why the model cannot be asked with those files of a run; None if it can.

        on              the day on which it must have a price for the agent's tier, and be served; None: whatever it is
        beside_results  files stand beside tool results
        """
        from ballast.models.retirement import retired

        try:
            card = self.models.card(model_id)
            if on is not None:
                self.models.price(model_id, on=on).worst(self.agent.service_tier)
        except ModelRefused as refused:
            if on is None:
                raise  # it is the model that must be asked: the run reports it
            return str(refused)
        if on is not None and (said := retired(card, model_id, on)):
            return said
        why = why_not_taken(files, card)
        if why is None and beside_results and not card.text_beside_results:
            why = "takes no files beside results"  # another model was shown them there
        return why and f"{model_id} {why}: the run's attachments."

    @property
    def all_specs(self) -> list[dict[str, Any]]:
        """The declarations of the tools that some request offers."""
        tools = (made for made in self.tools.values() if made.offered and self.agent.offers(made.name))
        return [*(made.spec for made in tools), *self.own_specs(None)]

    def own_specs(self, intent: str | None) -> list[dict[str, Any]]:
        """The declarations of Ballast's own tools that the agent is offered for a request of that intent."""
        asks = [ASK_REQUESTER_SPEC] if self.agent.ask_requester else []
        hands = hand_over_spec(self, intent) if self.agent.hand_over_to else None
        return asks if hands is None else [*asks, hands]

    def _tells_tools_to(self, model_id: str) -> bool:
        """Return whether the model is asked in runs that offer a tool. A model that replaces another one is."""
        agent = self.agent
        entries = [other.intents for other in agent.model_for if other.model == model_id]
        usual = model_id in (agent.model, agent.second_model, agent.cheaper_model)
        if usual or not entries or not all(entries):
            return bool(self.all_specs)
        return any(self.offered(intent) or self.own_specs(intent) for intents in entries for intent in intents)

    def _told_in_words(self, card: "ModelCard") -> str | None:
        """Return an intent whose answer the provider cannot be held to."""
        taken = self.agent.inference.taken_by(card)
        schemas = {name: known.answer_schema for name, known in self.agent.intents.items() if known.answer_schema}
        return next((name for name, one in schemas.items() if "textFormat" not in taken.output_config_for(one)), None)

    @cached_property
    def code_sha256(self) -> str:
        """Hex SHA-256 of the folder's Python files and of ``servers/``: the version of the playbook's code."""
        whole = hashlib.sha256()
        for file in sorted([*self.folder.rglob("*.py"), *self.folder.glob("servers/*.yaml")]):
            whole.update(f"{file.relative_to(self.folder)}\0".encode())
            whole.update(hashlib.sha256(file.read_bytes()).digest())
        return whole.hexdigest()

    @cached_property
    def marks_sensitive(self) -> bool:
        """Whether anything in the playbook is marked as sensitive."""
        marked = any(tool.marks_arguments or tool.marks_result for tool in self.tools.values())
        return marked or bool(self.agent.sensitive.context)

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of its tools, their fields and its intents."""
        return playbook_names(self)

    def identity(self, call: ToolCall) -> str:
        """Return the identity of a call, a SHA-256: equal for calls that ask their tool for the same.

        Arguments count as the tool reads them, with defaults, and 1.50 of an amount as 1.5. Arguments that no tool
        accepts count as they were sent.
        """
        tool = self.tools.get(call.tool)
        if tool is not None:
            with whatever_it_raises():  # an error in the author's validator: the tool does not accept them
                return identity_of(tool.name, tool.form.comparable(tool.form.read(call.arguments)))
        return identity(call)

    @cached_property
    def moves_money(self) -> bool:
        """Whether any of its tools moves the business's own money."""
        return any(tool.moves for tool in self.tools.values())

    def offered(self, intent: str | None) -> list[Tool]:
        """Return the tools that the agent may see for a request of that intent."""
        made = (tool for tool in self.tools.values() if tool.offered and self.agent.offers(tool.name))
        return [tool for tool in made if tool.effect is Effect.READ or self.agent.may_write(tool.name, intent)]

    @cached_property
    def may_read_untrusted(self) -> bool:
        """Whether a run may read untrusted text, as far as the playbook declares it."""
        tools = self.tools.values()
        return not self.agent.trust_text or any(made.untrusted or has_mark(made.returns, Untrusted) for made in tools)

    def side_by_side(self, tools: Iterator[str]) -> bool:
        """Return whether calls of these tools may run in parallel: none writes, and none costs money.

        An unknown tool will be refused, so it does not count.
        """
        known = (self.tools[name] for name in tools if name in self.tools)
        return all(made.effect is Effect.READ and made.cost_microusd is None for made in known)

    def is_undo(self, name: str) -> bool:
        """Return whether that tool is the undo of another one."""
        return any(made.undo == name for made in self.tools.values())

    def on_rollback(self, tool: Tool) -> OnRollback:
        """Return what a rollback does about an effect of ``tool``.

        An undo whose own interrupted attempt could not be resolved is not started: a person looks.
        """
        if tool.policy.on_rollback in (OnRollback.KEEP, OnRollback.FREEZE):
            return tool.policy.on_rollback
        undo = self.tools.get(tool.undo) if tool.undo else None
        return OnRollback.UNDO if undo is not None and undo.policy.resolvable else OnRollback.FREEZE


#: Values of a playbook that are the same for all its agents.
_OF_ALL_AGENTS = ("models", "code_sha256", "marks_sensitive", "names", "moves_money", "may_read_untrusted")


def load_playbook(
    folder: str | Path, *, check_models: bool = True, on: date | None = None, check_retired: bool = False
) -> Playbook:
    """Import ``folder`` (``agent.yaml``, ``agents/``, ``tools/``, ``fallbacks/``) and check that it fits together.

    check_models   also check the models that its agents name. A function that asks none need not read cards
    on             the day on which they must have prices; None: today in UTC
    check_retired  they must still be served on that day. Not in a deployed function: a date in a card stops no stack at
                   midnight, only the provider's own refusal does

    A folder without ``agent.yaml``, such as a deployed layer, may contain the playbook's folder under any name. The
    playbook's folder is a package; use relative imports inside it. Raises ``PlaybookInvalid`` and removes its imported
    modules, so that a corrected playbook loads as a new one.
    """
    day = (on or datetime.now(UTC).date()) if check_models else None
    loaded = _load(folder, _Models(day, check_retired) if day else None, raised)
    assert loaded is not None  # what is wrong was raised
    return loaded


@dataclass(frozen=True)
class _Models:
    """How the models of the agents are checked: see ``load_playbook``."""

    on: date
    check_retired: bool = False


def playbook_problems(folder: str | Path, *, on: date) -> tuple[Playbook | None, tuple[PlaybookInvalid, ...]]:
    """Return the playbook, as far as it could be loaded, and everything that ``load_playbook`` would refuse in it.

    The playbook is None if agent.yaml cannot be read. What may only follow from a file that cannot be imported, such
    as a missing undo, is left out.
    """
    found: dict[str, PlaybookInvalid] = {}
    try:
        loaded = _load(folder, _Models(on), lambda problem: found.setdefault(str(problem), problem))
    except PlaybookInvalid as problem:  # there is nothing more to look at
        loaded = None
        found.setdefault(str(problem), problem)
    return loaded, tuple(found.values())


def problems_of(playbook: Playbook, *, on: date) -> tuple[PlaybookInvalid, ...]:
    """Return what ``load_playbook`` would refuse in a playbook whose agents were changed after it was loaded."""
    found = [*_problems(playbook.folder, playbook.agent, dict(playbook.tools), whole=True)]
    return (*found, *_agents_problems(playbook, _Models(on), whole=True))


def _load(folder: str | Path, models: _Models | None, tell: Teller) -> Playbook | None:
    path = Path(folder).resolve()
    if not path.is_dir():
        raise PlaybookInvalid(
            f"{path}: no such folder. Point at a folder that holds agent.yaml, tools/ and fallbacks/."
        )
    path = playbook_in(path)
    told: list[PlaybookInvalid] = []

    def say(problem: PlaybookInvalid) -> None:
        told.append(problem)
        tell(problem)

    agent, others = readable_agents(path, say)
    with _LOCK:
        name = _package_name(path)
        before = frozenset(sys.modules)
        try:
            package = _import_package(name, path)
            modules: list[ModuleType] = []
            whole = [_imported(package, path / part, modules, say) for part in ("tools", "fallbacks")]
            tools, fallbacks = _collect(path, modules, say)
            whole.append(_add_servers(path, tools, agent, say))
            for problem in _problems(path, agent, tools, whole=all(whole)):
                say(problem)
            made = Playbook(path, agent, dict(sorted(tools.items())), fallbacks, others) if agent is not None else None
            for problem in _agents_problems(made, models, whole=all(whole)) if made is not None else ():
                say(problem)
        except BaseException:
            _unload(name, before)
            raise
        if told:
            _unload(name, before)
    return made


def playbook_in(folder: Path) -> Path:
    """Return ``folder``, or the one playbook folder in it."""
    if (folder / "agent.yaml").is_file():
        return folder
    inside = sorted(found.parent for found in folder.glob("*/agent.yaml"))
    if len(inside) > 1:
        names = ", ".join(found.name for found in inside)
        raise PlaybookInvalid(f"{folder}: holds several playbooks ({names}). Point at one of them, or ship one.")
    return inside[0] if inside else folder


def _collect(path: Path, modules: Sequence[ModuleType], tell: Teller) -> tuple[dict[str, Tool], dict[str, Fallback]]:
    tools: dict[str, Tool] = {}
    fallbacks: dict[str, Fallback] = {}
    for module in modules:
        for value in vars(module).values():
            if isinstance(value, Tool):
                if (first := tools.setdefault(value.name, value)) is not value:
                    tell(
                        PlaybookInvalid(
                            f"{_file_of(path, value)}: two tools are named {value.name}; rename one. The other one: "
                            f"{_file_of(path, first)}."
                        )
                    )
            elif isinstance(value, Fallback):
                for intent in value.intents:
                    if (other := fallbacks.setdefault(intent, value)) is not value:
                        tell(
                            PlaybookInvalid(
                                f"{_file_of(path, value)}: two fallbacks serve the intent {intent}; keep one. The "
                                f"other one: {_file_of(path, other)}."
                            )
                        )
    return tools, fallbacks


def _file_of(path: Path, made: Tool | Fallback) -> str:
    """Return the file of a tool's function, or of the server that has it; the playbook's folder if unknown."""
    server = getattr(made.function, "server", None)
    if server is not None:
        return str(path / "servers" / f"{server.name}.yaml")
    return str(getattr(getattr(made.function, "__code__", None), "co_filename", path))


def _add_servers(path: Path, tools: dict[str, Tool], agent: AgentConfig | None, tell: Teller) -> bool:
    """Add the tools that the files of ``servers/`` declare; return whether all could be made."""
    folder, whole = path / "servers", True
    if not folder.is_dir():
        return whole
    from ballast.playbook.servers.tools import declared_tools, link  # a playbook without servers needs no JSON Schema

    def say(problem: PlaybookInvalid) -> None:
        nonlocal whole
        whole = False
        tell(problem)

    for made in declared_tools(folder, say):
        if tools.setdefault(made.name, made) is not made:
            say(PlaybookInvalid(f"{folder}: two tools are named {made.name}. Rename one, or give it another `name:`."))
    if whole:
        link(tools, say, folder, None if agent is None else agent.moves.currency)
    return whole


def _problems(
    path: Path, agent: AgentConfig | None, tools: Mapping[str, Tool], *, whole: bool
) -> Iterator[PlaybookInvalid]:
    """Yield what does not fit together. Unless ``whole``, a tool may be missing because its file was not imported."""
    if not tools and whole:
        yield PlaybookInvalid(
            f"{path / 'tools'}: holds no tool. Write one function decorated with @tool, or import one into servers/."
        )
    if ASK_REQUESTER in tools:
        yield PlaybookInvalid(f"{path / 'tools'}: the name {ASK_REQUESTER} is Ballast's own. Rename that tool.")
    for made in tools.values():
        undo, where = tools.get(made.undo or ""), _file_of(path, made)
        if made.undo is not None and undo is None and whole:
            yield PlaybookInvalid(f"{where}: {made.name} names {made.undo} as its undo, but there is no such tool.")
        if undo is not None and undo.effect is Effect.READ:
            keep = "on_rollback: keep" if made.foreign else 'on_rollback="keep"'
            yield PlaybookInvalid(
                f"{where}: {made.name} names {made.undo} as its undo, and that is a read: it undoes nothing. Name a "
                f"tool that writes, or leave `undo` out and say {keep} if the effect is right however the run ends."
            )
        elif made.policy.on_rollback is OnRollback.UNDO and undo is not None and not undo.policy.resolvable:
            said = "on_rollback: undo" if made.foreign else 'on_rollback="undo"'
            neither = "verify, key nor idempotent" if undo.foreign else "verify nor honours_key"
            yield PlaybookInvalid(
                f"{where}: {made.name} says {said}, but {made.undo} has neither {neither}: nobody could tell whether "
                "an interrupted undo happened. Give it one of them."
            )
    circuits: dict[str, Circuit] = {}
    for made in tools.values():
        circuit = made.circuit
        if circuit and circuits.setdefault(circuit.name, circuit) != circuit:
            yield PlaybookInvalid(
                f"{path}: the tools of circuit {circuit.name} must give it the same failures and recovery_s."
            )
        if agent and agent.sensitive.policy == "mask" and made.marks_arguments:
            yield PlaybookInvalid(
                f"{path}: {made.name} marks arguments as sensitive, and agent.yaml's `sensitive.policy: mask` would "
                "hide them from the tool as well. Use `encrypt`, or remove the marks."
            )


def _agents_problems(playbook: Playbook, models: _Models | None, *, whole: bool) -> Iterator[PlaybookInvalid]:
    """Yield what is wrong with an agent: what it names, and its models unless ``models`` is None."""
    yield from agents_problems(playbook, whole=whole)
    if models is None:
        return
    for one in playbook.agents.values():
        file = agent_file(playbook.folder, playbook.agent, one.name)
        yield from _model_problems(playbook.as_agent(one), file, models)


def _model_problems(playbook: Playbook, file: Path, checked: _Models) -> Iterator[PlaybookInvalid]:
    """Yield why a model cannot be the agent's, naming the field. ``cheaper_model`` must save something."""
    agent, refused = playbook.agent, False
    for name, model in agent.models.items():
        try:
            playbook.check_model(model, on=checked.on, check_retired=checked.check_retired)
            card = playbook.models.card(model)
            tool_config(playbook.all_specs, card)
            if card.context_window < (needed := least_tokens(playbook, model) + agent.inference.taken_by(card).budget):
                raise ModelRefused(
                    f"The model {model!r} ({card.name}) has a context_window of {card.context_window} tokens, and the "
                    f"prompt of a short request with an answer takes about {needed}. Correct the card, name another "
                    "model, or shorten the instructions and the tools."
                )
        except ModelRefused as problem:
            refused = True
            yield PlaybookInvalid(f"{file}: {name}: {problem}")
        except SettingInvalid as problem:  # a file of cards: every model would say the same
            yield PlaybookInvalid(str(problem))
            return
    if agent.cheaper_model is None or refused:
        return
    usual, cheaper = (playbook.models.price(one, on=checked.on) for one in (agent.model, agent.cheaper_model))
    if not cheaper.is_cheaper_than(usual, agent.service_tier):
        yield PlaybookInvalid(
            f"{file}: cheaper_model {agent.cheaper_model} is not cheaper than model {agent.model} (prices of version "
            f"{cheaper.version} and {usual.version}). Name one whose input and output both cost no more, and one of "
            "them less, or leave it out: then the spend breaker's mode `cheaper` changes nothing."
        )


def _package_name(path: Path) -> str:
    """Return the folder's import name: its own, or an alias if another module has that name."""
    name = path.name if path.name.isidentifier() else "playbook"
    module = sys.modules.get(name)
    spec = importlib.util.find_spec(name) if module is None else None
    places = getattr(module, "__path__", None) or (spec.submodule_search_locations if spec else None) or []
    is_free = module is None and spec is None
    if is_free or path in [Path(place).resolve() for place in places]:
        return name
    return f"{name}_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"


def _import_package(name: str, path: Path) -> ModuleType:
    if name in sys.modules:
        return sys.modules[name]
    init = path / "__init__.py"
    spec = importlib.util.spec_from_file_location(name, init, submodule_search_locations=[str(path)])
    if not init.is_file() or spec is None or spec.loader is None:
        raise PlaybookInvalid(f"{path}: cannot be imported as a package. Add an empty __init__.py.")
    package = importlib.util.module_from_spec(spec)
    sys.modules[name] = package
    with _naming_the_file(init):
        spec.loader.exec_module(package)
    return package


def _imported(package: ModuleType, folder: Path, modules: list[ModuleType], tell: Teller) -> bool:
    """Import the files of a folder into ``modules``; return whether all could be."""
    found = sorted(pkgutil.iter_modules([str(folder)]), key=lambda one: one.name) if folder.is_dir() else []
    whole = True
    for info in found:
        try:
            with _naming_the_file(folder / f"{info.name}.py"):
                modules.append(importlib.import_module(f"{package.__name__}.{folder.name}.{info.name}"))
        except PlaybookInvalid as problem:
            whole = False
            tell(problem)
    return whole


@contextmanager
def _naming_the_file(file: Path) -> Iterator[None]:
    """Turn any error of importing ``file`` into ``PlaybookInvalid`` with the file and line at fault."""
    try:
        yield
    except BaseException as problem:
        if ends_the_process(problem):
            raise
        why = error_text(problem)
        if not isinstance(problem, PlaybookInvalid):
            why = f"cannot be imported: {type(problem).__name__}: {why}"
        raise PlaybookInvalid(f"{_error_place(problem, file)}: {why}") from problem


def _error_place(problem: BaseException, file: Path) -> str:
    """Return the innermost frame in the playbook: the fault may be in a file that ``file`` imports."""
    if isinstance(problem, SyntaxError) and problem.filename:
        return f"{problem.filename}, line {problem.lineno}"
    root = file.parent if file.name == "__init__.py" else file.parent.parent
    places = traceback.extract_tb(problem.__traceback__)
    inside = [f"{place.filename}, line {place.lineno}" for place in places if Path(place.filename).is_relative_to(root)]
    return inside[-1] if inside else str(file)


def _unload(name: str, before: frozenset[str]) -> None:
    for module in frozenset(sys.modules) - before:
        if module == name or module.startswith(f"{name}."):
            del sys.modules[module]
    importlib.invalidate_caches()  # a file that was corrected within one clock tick keeps its time


def undeclared_arguments(playbook: "Playbook") -> tuple[str, ...]:
    """Return ``tool.field``, sorted by tool, for each argument that is neither ``Grounded`` nor ``FreeText`` nor a
    choice.

    A choice (a Literal, an Enum, a boolean) has only values that the author wrote. For every other argument the author
    should decide: a value that must occur in the run, or the model's own words.
    """
    tools = sorted(playbook.tools.values(), key=lambda made: made.name)
    return tuple(f"{made.name}.{path}" for made in tools for path in dict.fromkeys(undeclared(made.arguments)))


def policy_version(playbook: Playbook, tool: Tool) -> str:
    """Return the hex SHA-256 of the tool's declaration, the agent's approval settings and the playbook's code.

    An approval is bound to it. All modules count, since a rule may use a constant of another module: after any change,
    the call that would run may not be the one that a person approved.
    """
    agent = playbook.agent
    return sha256(
        canonical(
            {
                "tool": tool.name,
                "schema": tool.schema,
                "effect": tool.effect,
                "undo": tool.undo,
                "approvals": tool.approval.people,
                "approvers": tool.approval.approvers,
                "on_unanswered": tool.approval.on_unanswered or agent.on_unanswered,
                "approve_over_microusd": agent.approve_over_microusd,
                "code": playbook.code_sha256,
                **({"on_full": agent.moves.on_full} if tool.moves else {}),
            }
        )
    )
