"""Model dollars with and without prompt caching, on recorded conversations and on tau2's gold plans.

    python -m bench.caching [--runs 200] [--workers 6]

Each conversation is played again with what the models said and the tools returned. The requests are made by the agent's
own code, the strict double takes them and its prompt cache counts them. Exits with 1 where a request was refused, or
where an attempt cost more than its reservation.

A ratio is the charge with caching over the price of the same tokens as plain input. Assumed: four bytes a token; a
completion after 3 s, a person after 30 s, or after ten minutes where the row says so; each run has a cache of its own,
unless the row says otherwise. Indented rows are of every eighth run. The recorded set has no
declarations of its tools: they are made up to the stated size.
"""

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import field, replace
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any, cast

from ballast.contracts import Answer, CallTools, ExitReason, HandOver, Limits, Planner, RunRequest
from ballast.contracts.wire import utf8_size
from ballast.folds.loops import Loops, Rung
from ballast.log.event import Event
from ballast.log.events import (
    CallSettled,
    EscalationAnswered,
    Fact,
    ModelRequested,
    ModelResponded,
    RunOpened,
)
from ballast.models.catalog import Catalog
from ballast.money import TokenCounts
from ballast.playbook import Playbook, Tool, load_playbook
from ballast.playbook.agent import AgentConfig
from ballast.playbook.first_prompt import ASK_REQUESTER, tool_config
from ballast.playbook.inference import Caching
from ballast.run import Run
from ballast.values import dataclass
from bench import NotMeasured, require
from bench.tau2.environments import DOMAINS
from bench.transcripts import POLICY, TAU_BENCH
from functions.agent.prompt import compose
from functions.agent.reply import read_completion
from functions.agent.request import converse_request
from functions.agent.usage import charge_fields, charge_of, read_usage
from localcloud.converse import PromptCache, Strict
from localcloud.converse.source import CallableModel, ModelError, said

ROOT = Path(__file__).resolve().parents[1]
MODELS = {
    "Haiku 4.5": "global.anthropic.claude-haiku-4-5-20251001-v1:0",
    "Sonnet 4.6": "global.anthropic.claude-sonnet-4-6",
    "Nova Pro": "us.amazon.nova-pro-v1:0",
}
#: Bytes of a token, in the double's cache as here.
BYTES_A_TOKEN = 4
USUAL_TOOLS, FEWER_TOOLS = 2_500, (1_500, 600)
#: What changes one thing is played for one run in so many: it takes time.
EVERY = 8
TURNS = (1, 2, 3, 5, 10, 20)
COMPLETION_S, PERSON_S, LATE_S, APART_S = 3, 30, 600, 60
_ON = date(2026, 11, 29)
_BEGAN = datetime(2026, 11, 29, 9, tzinfo=UTC)
#: No limit ends a conversation that was recorded whole.
_LIMITS = Limits(turns=5_000, tool_calls=5_000, input_tokens_per_turn=10**7, tokens_per_run=10**9, cost_microusd=10**9)
_FILLER = "Says what the desk must know of a reservation. "


# Conversations


@dataclass(frozen=True)
class Step:
    """One completion, and a (status, value) for each of its calls, or a person's reply to what the agent asked."""

    content: tuple[dict[str, Any], ...]
    outcomes: tuple[tuple[str, Any], ...] = ()
    reply: str | None = None


@dataclass(frozen=True)
class Conversation:
    """A request's text, and the completions until the end."""

    name: str
    text: str
    steps: tuple[Step, ...]


def recorded(runs: int) -> list[Conversation]:
    """Return the first ``runs`` recorded runs of the airline desk."""
    with TAU_BENCH.open(encoding="utf-8") as lines:
        return [_recorded(json.loads(line)) for line in islice(lines, runs)]


def _recorded(run: Mapping[str, Any]) -> Conversation:
    first, *rest = run["messages"]
    steps: list[Step] = []
    for message in rest:
        match message["role"]:
            case "assistant":
                steps.append(Step(tuple(_said(message))))
            case "tool":
                status = "failed" if message["content"].startswith("Error") else "ok"
                outcomes = (*steps[-1].outcomes, (status, _parsed(message["content"])))
                steps[-1] = replace(steps[-1], outcomes=outcomes)
            case "user":
                steps[-1] = replace(steps[-1], reply=message["content"])
    return Conversation(f"{run['task_id']}-{run['trial']}", first["content"], tuple(steps))


def _said(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    made = message.get("tool_calls") or ()
    if not made:  # the desk speaks to its customer by its one tool for that
        yield _use(ASK_REQUESTER, {"question": message["content"]})
        return
    if message.get("content"):
        yield {"text": message["content"]}
    for one in made:
        yield _use(one["function"]["name"], _parsed(one["function"]["arguments"]))


def _use(tool: str, arguments: Any) -> dict[str, Any]:
    return {"toolUse": {"toolUseId": "1", "name": tool, "input": arguments}}


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def gold(domain: str, runs: int) -> list[Conversation]:
    """Return the first ``runs`` gold plans of a tau2 domain, one call a turn. Raises ``ImportError`` without tau2."""
    from bench.tau2.gold import gold_plans, play_directly  # tau2 is optional

    made = []
    for number, plan in enumerate(gold_plans(domain)[:runs], start=1):
        _, outcomes = play_directly(plan)
        steps = [
            Step((_use(call.tool, dict(call.arguments)),), ((outcome.status, outcome.value),))
            for call, outcome in zip(plan.calls, outcomes, strict=True)
        ]
        made.append(Conversation(f"{domain}-{number}", plan.text, (*steps, Step(({"text": "Done."},)))))
    return made


def desk() -> list[Conversation]:
    """Return a run of the example desk: two reads, a refund and an answer."""
    order = {"order_id": "O-1001", "status": "delivered", "total_usd": "48.00", "items": [{"sku": "T-1", "count": 1}]}
    calls = [
        ("look_up_order", {"order_id": "O-1001"}, order),
        ("search_docs", {"query": "refund of a damaged item"}, {"text": "Refunds within 30 days. " * 10}),
        ("refund_order", {"order_id": "O-1001", "amount_usd": "48.00"}, {"refund_id": "R-1"}),
    ]
    steps = [Step((_use(tool, arguments),), (("ok", result),)) for tool, arguments, result in calls]
    answer = Step(({"text": "Your refund of $48.00 is on its way."},))
    return [Conversation("desk", "My order O-1001 arrived broken. I want my money back.", (*steps, answer))]


# Playbooks


@dataclass(frozen=True)
class _Declared:
    """A tool as far as a prompt has it."""

    spec: Mapping[str, Any]


@dataclass(frozen=True)
class Airline(Playbook):
    """The recorded desk: its policy, and tools of a stated size."""

    declared: tuple[_Declared, ...] = ()

    def offered(self, intent: str | None) -> list[Tool]:
        """Return the tools, for any intent."""
        return cast(list[Tool], list(self.declared))


def airline(conversations: Sequence[Conversation], tokens: int) -> Airline:
    """Return the desk of these conversations, with tools of ``tokens`` tokens in all."""
    uses = (block["toolUse"]["name"] for one in conversations for step in one.steps for block in step.content[-1:])
    names = sorted({*uses} - {ASK_REQUESTER})
    agent = AgentConfig(
        name="airline", model="-", instructions=POLICY.read_text(encoding="utf-8"), limits=_LIMITS, ask_requester=True
    )
    made = Airline(ROOT, agent, {}, {}, declared=tuple(_declared(name, 0) for name in names))
    missing = tokens * BYTES_A_TOKEN - tools_bytes(made)
    require(missing >= 0, f"{len(names)} tools need more than {tokens} tokens.")
    each, rest = divmod(missing, len(names))
    declared = tuple(_declared(name, each + (at < rest)) for at, name in enumerate(names))
    return replace(made, declared=declared)


def _declared(name: str, more: int) -> _Declared:
    text = "." + (_FILLER * (more // len(_FILLER) + 1))[:more]
    schema = {"json": {"type": "object", "properties": {}}}
    return _Declared({"toolSpec": {"name": name, "description": text, "inputSchema": schema}})


def tools_bytes(playbook: Playbook) -> int:
    """Return the bytes of a playbook's tools as JSON, without Ballast's own."""
    card = Catalog().card(next(iter(MODELS.values())))
    return utf8_size(tool_config([one.spec for one in playbook.offered(None)], card))


# Replay


@dataclass(frozen=True)
class Attempt:
    """One attempt at a completion: what is recorded and sent, and the reply; ``person``: a person's reply follows."""

    requested: ModelRequested
    request: Mapping[str, Any]
    reply: Mapping[str, Any]
    person: bool


def replayed(told: Conversation, playbook: Playbook, model: str) -> Iterator[Attempt]:
    """Yield the attempts of a conversation, as the agent makes them. Raises ``NotMeasured`` if one is refused."""
    models, card = playbook.models, playbook.models.card(model)
    steps = iter(told.steps)
    source = CallableModel(lambda request, _: said(list(next(steps).content), "tool_use", request))
    strict = Strict(source, models=models, cache=PromptCache(lambda: _BEGAN))
    log = _Log(told)
    for step in told.steps:
        requested = compose(
            log.run,
            log.turn + 1,
            attempt=1,
            priced=models.price(model, on=_ON),
            card=card,
            playbook=playbook,
            loops=Loops(Rung.NONE, {}, {}, None),
            shown=lambda body: body,
        )
        if isinstance(requested, ExitReason):
            raise NotMeasured(f"{told.name}: a limit ended it: {requested}")
        request = converse_request(log.run, requested, stack="bench")
        sent = {name: value for name, value in request.items() if name != "modelId"}
        try:
            reply = strict.reply(sent, model).body
        except ModelError as refused:
            raise NotMeasured(f"{told.name}, turn {requested.turn}: {refused}") from None
        yield Attempt(requested, sent, reply, person=step.reply is not None)
        log.answered(requested, reply, step, models)


class _Log:
    """A run's log while a conversation is played."""

    def __init__(self, told: Conversation) -> None:
        self.turn, self.request = 0, RunRequest(request_id=told.name, text=told.text)
        opened = {
            "request": self.request.model_dump(mode="json"),
            "request_sha256": self.request.digest,
            "limits": _LIMITS.model_dump(mode="json"),
            "agent_until_ms": 0,
            "deadline_ms": 0,
        }
        self.run = Run.of([self._event(RunOpened.key(), opened)])

    def _event(self, seq: str, body: Mapping[str, Any]) -> Event:
        plain = json.loads(json.dumps(body))
        return Event(run_id=self.request.run_id, seq=seq, at=_BEGAN.isoformat(), body=plain)

    def _records(self, *facts: Fact | tuple[str, Mapping[str, Any]]) -> None:
        pairs = [one if isinstance(one, tuple) else (one.seq, one.body) for one in facts]
        self.run = self.run.with_event(*(self._event(*pair) for pair in pairs))

    def answered(self, requested: ModelRequested, reply: Mapping[str, Any], step: Step, models: Catalog) -> None:
        """Record an attempt, its reply, and what came of it."""
        self.turn = turn = requested.turn
        completion = read_completion(reply, turn)
        require(completion.decision is not None, f"turn {turn}: the reply decides nothing")
        decision: CallTools | Answer | HandOver | None = completion.decision
        if step.reply is not None:
            decision = HandOver(to=Planner.REQUESTER, reason=ExitReason.QUESTION, guidance="(asked)")
        charge = charge_of(requested, completion.usage, completion.tier, models)
        responded = ModelResponded(**charge_fields(charge), message=completion.message, decision=decision)
        self._records(requested, responded)
        if step.reply is not None:
            self.turn += 1
            back = HandOver(to=Planner.AGENT, reason=ExitReason.GUIDANCE, guidance=step.reply)
            body = {"kind": "question", "by": "user", "decision": back.model_dump(mode="json")}
            self._records((EscalationAnswered.key(self.turn), body))
        elif isinstance(decision, CallTools):
            for index, (call, (status, value)) in enumerate(zip(decision.calls, step.outcomes, strict=False), start=1):
                outcome = {"result": value} if status == "ok" else {"message": str(value)}
                settled = {"tool": call.tool, "arguments": call.arguments, "effect": "read", "undo": None}
                self._records((CallSettled.key(turn, index), {**settled, "status": status, **outcome}))


# Lanes


@dataclass
class Lane:
    """The same attempts under one behaviour of people and of the cache; micro-dollars.

    late         percent of people who reply after ten minutes
    miss_one_in  the cache misses one look in so many
    shared       whether runs read each other's prefixes, one beginning a minute after the other ended
    every        one run in so many counts
    """

    label: str
    late: int = 0
    miss_one_in: int = 0
    shared: bool = False
    every: int = 1
    charged: int = 0
    plain: int = 0
    tokens: Counter[str] = field(default_factory=Counter)
    by_turn: dict[int, tuple[int, int]] = field(default_factory=dict)
    attempts: int = 0
    overspent: int = 0
    disbelieved: int = 0

    def plays(self, name: str, attempts: Sequence[Attempt], account: "_Account", playbook: Playbook) -> None:
        """Count and charge the attempts of one run."""
        people = random.Random(name)  # noqa: S311 - who is late is no secret
        for number, one in enumerate(attempts, start=1):
            card = playbook.models.card(one.requested.model)
            looks_back = card.vendor == "Anthropic"
            used = account.cache.used(one.request, one.requested.model, card.cache, looks_back=looks_back)
            reported = used.as_reported(one.reply["usage"]["outputTokens"])
            read = read_usage(reported, one.reply["output"]["message"]["content"])
            charge = charge_of(one.requested, read, None, playbook.models)
            self._counts(number, one, read.tokens, charge, playbook.models)
            late = one.person and people.randrange(100) < self.late
            waits_s = (LATE_S if late else PERSON_S) if one.person else 0
            account.now += timedelta(seconds=COMPLETION_S + waits_s)
        account.now += timedelta(seconds=APART_S)

    def _counts(self, number: int, one: Attempt, tokens: TokenCounts | None, charge: Any, models: Catalog) -> None:
        require(tokens is not None, "a usage of the double has no tokens")
        assert tokens is not None
        price = models.price_of(one.requested.price_version, one.requested.model).price()
        plain, cost = price.cost(tokens.uncached), price.cost(tokens)
        self.attempts += 1
        self.overspent += cost > one.requested.reserved_microusd or charge.cost_microusd > cost
        self.disbelieved += charge.usage_disbelieved is not None
        self.charged += charge.cost_microusd
        self.plain += plain
        self.tokens.update(prompt=tokens.prompt, read=tokens.cache_read)
        before = self.by_turn.get(number, (0, 0))
        self.by_turn[number] = (before[0] + charge.cost_microusd, before[1] + plain)

    @property
    def ratio(self) -> float:
        """What it costs with caching, where 1 is what it costs without."""
        return self.charged / self.plain

    @property
    def read_percent(self) -> int:
        """The tokens of all prompts that were read from the cache."""
        return 100 * self.tokens["read"] // max(1, self.tokens["prompt"])


class _Account:
    """A prompt cache and its clock."""

    def __init__(self, *, miss_one_in: int, seed: int) -> None:
        self.now = _BEGAN
        self.cache = PromptCache(lambda: self.now, miss_one_in=miss_one_in, seed=seed)


def usual_lanes() -> list[Lane]:
    """Return the lanes of the recorded runs."""
    return [
        Lane("as above"),
        Lane("one run in eight", every=EVERY),
        Lane("  10% of people answer after ten minutes", every=EVERY, late=10),
        Lane("  30% do", every=EVERY, late=30),
        Lane("  all of them do", every=EVERY, late=100),
        Lane("  one look into the cache in four misses", every=EVERY, miss_one_in=4),
        Lane("  runs follow within a minute and share the cache", every=EVERY, shared=True),
    ]


def played(conversations: Sequence[Conversation], playbook: Playbook, model: str, lanes: list[Lane]) -> list[Lane]:
    """Play the conversations in each lane, and return the lanes."""
    shared = _Account(miss_one_in=0, seed=0)
    for number, one in enumerate(conversations):
        attempts = list(replayed(one, playbook, model))
        for lane in lanes:
            if number % lane.every:
                continue
            account = shared if lane.shared else _Account(miss_one_in=lane.miss_one_in, seed=number)
            lane.plays(one.name, attempts, account, playbook)
    return lanes


# The table


Rows = dict[str, dict[str, Lane]]
PARTS = ("usual", "others")


def measure(name: str, part: str, runs: int) -> tuple[dict[str, Lane], str]:
    """Return a model's lanes by label, and what is missing: of the usual requests, or of all others."""
    model, told = MODELS[name], recorded(runs)
    usual = airline(told, USUAL_TOOLS)
    if part == "usual":
        return {lane.label: lane for lane in played(told, usual, model, usual_lanes())}, ""
    hourly = replace(usual, agent=usual.agent.model_copy(update={"cache": Caching(ttl="1h")}))
    few, lanes, missing = told[::EVERY], cast(list[Lane], []), ""
    lanes += played(few, hourly, model, [Lane("  30% answer after ten minutes, cache: {ttl: 1h}", late=30)])
    for tokens in FEWER_TOOLS:
        lanes += played(few, airline(told, tokens), model, [Lane(f"  {tokens:,} tokens of tools")])
    example = load_playbook(ROOT / "layers" / "playbook" / "playbook", check_models=False)
    lanes += played(desk(), example, model, [Lane(f"the example desk ({_size(example)})")])
    try:
        for domain in DOMAINS:
            plans = gold(domain, -(-runs // EVERY))
            made = load_playbook(Path(__file__).parent / "tau2" / domain, check_models=False)
            lanes += played(plans, made, model, [Lane(f"tau2's {domain}, {len(plans)} gold plans ({_size(made)})")])
    except ImportError:
        missing = "Without tau2's gold plans: tau2 is not installed (pip install --no-deps -r requirements/tau2.txt)."
    return {lane.label: lane for lane in lanes}, missing


def _size(playbook: Playbook) -> str:
    return f"{tools_bytes(playbook) // BYTES_A_TOKEN:,} tokens of tools"


def table(rows: Rows, runs: int) -> Iterator[str]:
    """Yield the lines of the table; ``rows``: each model's lanes by label."""
    base = {name: next(iter(lanes.values())) for name, lanes in rows.items()}
    yield _line(f"{runs} recorded runs, {USUAL_TOOLS:,} tokens of tools", MODELS)
    dollars = (
        [f"{base[name].plain / 1e6:.2f}" for name in MODELS],
        [f"{base[name].charged / 1e6:.2f}" for name in MODELS],
    )
    yield _line("US dollars without caching", dollars[0])
    yield _line("US dollars with caching", dollars[1])
    yield _line("percent of the prompts' tokens read from the cache", [str(base[name].read_percent) for name in MODELS])
    yield ""
    yield _line("with caching, where 1 is without", MODELS)
    for label in next(iter(rows.values())):
        yield _line(label, [f"{rows[name][label].ratio:.2f}" for name in MODELS])
    yield ""
    yield _line("by the number of the completion in its run", MODELS)
    for turn in TURNS:
        if all(turn in base[name].by_turn for name in MODELS):
            parts = (base[name].by_turn[turn] for name in MODELS)
            yield _line(str(turn), [f"{charged / plain:.2f}" for charged, plain in parts])


def _line(label: str, cells: Iterable[str]) -> str:
    return f"{label:<58}" + "".join(f"{cell:>12}" for cell in cells)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; return 1 if an attempt cost more than it reserved or was refused, 2 without recorded runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200, help="of each set, the first so many (%(default)s)")
    parser.add_argument("--workers", type=int, default=len(MODELS) * len(PARTS), help="processes (%(default)s)")
    options = parser.parse_args(arguments)
    runs = options.runs
    if not TAU_BENCH.is_file():
        print(f"{TAU_BENCH} is not there: this benchmark reads recorded runs that the project does not carry.")
        return 2
    try:
        tasks = [(name, part, runs) for name in MODELS for part in PARTS]
        if options.workers == 1:
            made = [measure(*task) for task in tasks]
        else:  # spawned, not forked: boto3 keeps threads
            with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
                made = [one.result() for one in [pool.submit(measure, *task) for task in tasks]]
    except NotMeasured as problem:
        print(f"Not measured: {problem}", file=sys.stderr)
        return 1
    rows: Rows = {name: {} for name in MODELS}
    for (name, *_), (found, _) in zip(tasks, made, strict=True):
        rows[name] |= found
    print("\n".join(table(rows, runs)))
    lanes = [lane for by_model in rows.values() for lane in by_model.values()]
    attempts, over = sum(lane.attempts for lane in lanes), sum(lane.overspent for lane in lanes)
    doubted = sum(lane.disbelieved for lane in lanes)
    print(f"\n{attempts:,} attempts: {over} cost more than their reservation, {doubted} usages were not believed.")
    if missing := made[-1][1]:
        print(missing)
    return int(over > 0 or doubted > 0)


if __name__ == "__main__":
    sys.exit(main())
