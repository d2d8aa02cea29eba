"""The rules of tools, each tried on one call of a scenario in fresh tables.

::

    base ─ run ─▶ done          the honest attempt: what stood before, its result, what stands after it
    done ─ run again ─▶ done    under the same key: later, with other randomness
    base ─ run, dies at request n ─▶ part ─ verify, run again ─▶ done
    done ─ undo ─▶ base         and again ─▶ base
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from pydantic import JsonValue

from ballast.contracts.wire import canonical
from ballast.errors import SchemaViolation
from ballast.playbook import Effect, Playbook
from ballast.playbook.servers.tools import RemoteCall
from ballast.playbook.servers.verify import VerifyByRead
from cli.certify.answers import Answers
from cli.certify.declared import Declared, declared
from cli.certify.elsewhere import Away, Came
from cli.certify.facts import KEEP_NOTHING, READ_STRONGLY, behind, other_requests, remembered
from cli.certify.modules import changed_in, memory_of, own_to_its_process
from cli.certify.other_calls import ELSEWHERE, OUTSIDE, named_in, names_of, texts_in
from cli.certify.other_process import FirstAttempt
from cli.certify.overlaps import Overlaps
from cli.certify.plays import DECLARE_TIME, GIVE_TIME, too_long
from cli.certify.pure import told, watched
from cli.certify.records import is_undone
from cli.certify.remedies import NAME_REQUESTS, OWN_CLIENT, tell_of_effects
from cli.certify.report import TO_A_PERSON, Finding
from cli.certify.rig import MARKER, End, Fault, Rig, Sample, Seen, canonical_or_repr, differences
from cli.certify.sequences import WAITS, Honest, Sequences
from cli.certify.surroundings import EACH_HOUR_S, wall_clock_at
from localcloud.project import package_of

#: What a double cannot tell of the service in whose place it stands.
ITS_OWN_WORD = "That the service itself counts a key once is its own word: only what was sent to it is known."
NO_REQUEST = "It makes no request that can be interrupted: neither by an AWS client nor by http.client."
#: Seconds between an attempt and the next one under its key.
LATER_S = 97.0
#: Seconds after which a function that gets a context is asked: at each hour of a day, and on each weekday.
_HOURS_S = tuple(29 * 3600.0 * number for number in range(1, 25))
#: Most requests of a call at which faults are played; the first ones.
MOST_REQUESTS = 40
#: Annotations of results that are passed on as they came.
_RELAYED: tuple[Any, ...] = (Any, JsonValue, object)
#: Amounts of something else, by a unit in their names: unless it is what a price is for, as in ``price_per_kg``.
_OTHER_AMOUNT = re.compile(
    r"(?:^|(?<!_per)(?<!^per)_)(?:[kmgt]i?b|bytes|k?wh|kw|[kmu]?g|grams?|[kcm]m|met(?:er|re)s?|miles|[mcdh]?l|lit(?:er|re)s?"
    r"|lbs?|oz|ms|s|h|seconds|minutes|hours|hrs|days|weeks|months|years|k?cal|k?j|items|pieces|pcs|units|pages|rows"
    r"|points|count|percent|pct|ratio)(?:_|$)",
    re.I,
)
_MONEY = re.compile(r"(amount|price|cost|fee|total|balance|paid|refund|money|usd|eur|gbp|cents|salary|discount)", re.I)
#: Behind a unit, these say that it is money all the same: the fee for some days.
_OF_MONEY_ALONE = re.compile(r"(price|cost|fee|money|usd|eur|gbp|cents|salary)", re.I)
_NEW_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True)
class _Verified:
    """The answer of a ``verify``: found with a result, or not; or no answer, with the reason."""

    found: bool
    result: Any = None
    problem: str = ""


class Trial:
    """All rules for one call. ``findings`` may be read once.

    ``more_samples`` afterwards are the calls that it leads to: the one that undoes it, and the declared read by which
    it is verified.
    """

    def __init__(self, rig: Rig, playbook: Playbook, sample: Sample, others: Sequence[Sample] = ()) -> None:
        self._rig, self._playbook, self._sample, self._others = rig, playbook, sample, others
        self._tool, self._policy = sample.tool, sample.tool.policy
        self._acts = self._reads = False
        self.more_samples: list[Sample] = []

    @property
    def honest(self) -> FirstAttempt | None:
        """The honest attempt, once ``findings`` were read; None if it came to nothing."""
        return None if self._honest.how in ("unfit", "raised") else FirstAttempt(self._base, self._honest, self._done)

    def _held(self, rule: str, seen: str = "") -> Finding:
        return Finding(self._tool.name, rule, "held", self._sample.scenario, seen)

    def _broken(self, rule: str, seen: str, remedy: str) -> Finding:
        return Finding(self._tool.name, rule, "broken", self._sample.scenario, seen, remedy)

    def _not_tried(self, rule: str, why: str, remedy: str = "", *, needed: bool = False) -> Finding:
        return Finding(self._tool.name, rule, "not tried", self._sample.scenario, why, remedy, needed)

    def findings(self) -> Iterator[Finding]:
        """Try every rule; yield what each says."""
        rig, sample = self._rig, self._sample
        rig.fresh(sample.before)
        form = canonical_or_repr(sample.args.model_dump())
        self._base = rig.seen()
        self._honest = rig.attempt(sample)
        self._done = rig.seen()
        yield from self._arguments(form)
        if self._honest.how in ("unfit", "raised"):
            yield self._unfit()
            return
        if self._honest.late:
            seen = f"It returned, and asked for {self._honest.late[0]} afterwards: nobody waits for that."
            remedy = "Wait for your threads, and start no Timer: Lambda stops a process that has answered."
            yield self._broken("result", seen, remedy)
            return
        yield self._held("result")
        yield self._repeatable()
        yield self._money()
        yield self._timeout()
        yield from self._of_its_declaration()
        if self._tool.circuit is not None:
            yield self._circuit()
        if self._tool.effect is Effect.READ:
            yield self._read()
            self._reads = True
            return
        if self._honest.peers and not rig.sees(self._tool):
            yield from self._unseen(self._peer)
            return
        if self._honest.how != "ok":
            yield self._failure_leaves_nothing()
            return
        if not differences(self._base, self._done):
            yield from self._nothing_seen()
            return
        yield self._failure()
        if self._policy.honours_key:
            yield self._key()
            if self._honest.wire:
                yield self._sent()
        else:
            yield self._not_tried("key", "It declares no honours_key.")
        if self._policy.verify is not None:
            yield self._verify()
        else:
            yield self._not_tried("verify", "It declares no verify.")
        if self._policy.resolvable:
            yield self._interrupted()
        else:
            yield self._not_tried("interrupted", TO_A_PERSON)
        if self._tool.undo is not None:
            yield self._undo()
        self._acts = True

    def over_calls(self) -> Iterator[Finding]:
        """Try a call that ``findings`` has tried, and found nothing against, with misleading answers; once.

        A write is tried over several calls as well.
        """
        found: list[Finding] = []
        if self._acts:
            found += Sequences(self._as_honest()).findings()
        if self._acts or self._reads:
            found += Answers(self._as_honest()).findings()
        yield from found
        if self._acts and not any(one.state == "broken" for one in found):
            yield Overlaps(self._as_honest()).finding()

    def _as_honest(self) -> Honest:
        return Honest(
            self._rig,
            self._sample,
            self._honest,
            self._base,
            self._done,
            self._others,
            undo=self._undoing if self._tool.undo is not None else None,
            ask=self._asked if self._policy.verify is not None else None,
            ends_by_verify=self._ends_by_verify,
            not_restored=self._not_restored,
            resolve=self._resolved,
        )

    # Every tool

    def _arguments(self, form: str) -> Iterator[Finding]:
        after = canonical_or_repr(self._sample.args.model_dump())
        if after == form:
            yield self._held("arguments")
            return
        yield self._broken(
            "arguments",
            f"It changed its arguments: {form[:150]} became {after[:150]}.",
            "Copy a list or an object of the arguments before you change it.",
        )

    def _no_request(self, rule: str) -> Finding:
        """Say that no request of the tool can be interrupted, and how it would be one that can."""
        if not self._honest.own_clients:
            return self._not_tried(rule, NO_REQUEST, NAME_REQUESTS)
        why = f"It asks AWS through a client of its own, {self._honest.own_clients[0]}: no fault can be played there."
        return self._not_tried(rule, why, OWN_CLIENT, needed=True)

    def _unfit(self) -> Finding:
        if self._honest.how == "unfit":
            return self._broken(
                "result",
                f"Its result is not what it promises: {self._honest.message}",
                "Return what the annotation says, or correct the annotation.",
            )
        return self._broken(
            "result",
            f"It raised {self._honest.message}",
            OWN_CLIENT
            if self._honest.own_clients
            else "Raise ToolFailed for a reason of the business. Check the tool's rights and its environment.",
        )

    def _repeatable(self) -> Finding:
        rig, honest = self._rig, self._honest
        for _ in range(2):
            rig.fresh(self._sample.before)
            again = rig.attempt(self._sample)
            if again.said != honest.said:
                seen = f"In the same store it said {_told(honest)}, and then {_told(again)}{_apart(honest, again)}."
            elif found_other := differences(self._done, rig.seen()):
                seen = f"In the same store it had another effect the second time: {found_other}."
            else:
                continue
            return self._broken(
                "repeatable",
                seen,
                "It remembers something in its process, and another attempt has another one: keep state in a table, "
                "and take the time from ctx.now.",
            )
        return self._held("repeatable")

    def _money(self) -> Finding:
        result = self._honest.result if self._honest.how == "ok" else None
        declared, relayed = list(_floats(self._sample.args.model_dump(), "the argument ")), []
        if self._tool.returns in _RELAYED or isinstance(self._tool.function, RemoteCall):
            relayed = list(_floats(result, "the result's "))
        else:
            declared += _floats(result, "the result's ")
        if declared:
            return self._broken(
                "money",
                f"{declared[0]} is a float.",
                "Use Decimal, written as text with its decimals, or whole cents.",
            )
        if relayed:
            seen = f"{relayed[0]} is a float, as another system says it: its annotation promises any JSON."
            return self._not_tried("money", seen, "Declare the result's type, with Decimal for amounts.")
        return self._held("money")

    def _timeout(self) -> Finding:
        """Judge the honest attempt; every other play of the call is judged by ``rig.plays``."""
        declared, honest = self._tool.limits.timeout_s, self._honest
        if late := too_long(honest, declared, "It"):
            return self._broken("timeout", late, GIVE_TIME)
        if not honest.peers:
            return self._not_tried("timeout", "It opens no connection of its own.")
        if declared is None:
            seen = f"It connects to {honest.peers[0][0]} and declares no time."
            return self._not_tried("timeout", seen, DECLARE_TIME, needed=True)
        return self._held("timeout")

    def _of_its_declaration(self) -> Iterator[Finding]:
        """Ask each function of the declaration but ``verify``, which has rules of its own."""
        yield from self._cost()
        for name, rule in declared(self._tool).items():
            if name == "verify" or (rule.gets == "result" and self._honest.how != "ok"):
                continue
            seen, remedy = self._reads_store(rule) if rule.gets == "context" else self._follows(rule)
            yield self._broken(name, seen, remedy) if seen else self._held(name)

    def _cost(self) -> Iterator[Finding]:
        """Compare what the call has reported with what it may cost."""
        reported = self._honest.cost_microusd
        try:
            most = self._tool.worst_cost(self._sample.args, self._sample.context.request) or 0
        except Exception:
            return  # what it says is asked below
        if reported > most:
            seen = f"It reported a cost of {reported:,} micro-dollars, and its cost_microusd was {most:,}."
            yield self._broken("cost_microusd", seen, "Declare the most that a call may cost: a run's budget holds it.")

    def _reads_store(self, rule: Declared) -> tuple[str, str]:
        """Ask a function that gets a context; return what is wrong, and what to do."""
        sample, name, reads = self._sample, rule.name, list[str]()
        self._rig.fresh(sample.before)
        with watched(str(self._playbook.folder), reads, chance_alone=True, environment=False):
            one, how = self._rig.ask(name, rule.function, sample)
        self._rig.ask(name, rule.function, sample, key=f"{sample.context.idempotency_key}-another", draw=1)
        times = (0.0, *(later_s for later_s, _ in WAITS), *_HOURS_S)
        answers = [self._rig.ask(name, rule.function, sample, later_s=later_s, draw=2) for later_s in times]
        other, again = next((got for got in answers if not _same(got, one)), answers[-1])
        changed = differences(self._base, self._rig.seen())
        if how.how != "ok":
            return f"It raised {how.message}.", "It must answer for a call that is proposed."
        if changed or how.changes:
            remedy = f"A {name} only reads: it is asked several times, and for calls that are never made."
            return f"It changed something: {changed or ', '.join(how.changes)}.", remedy
        remedy = "Return facts of the store alone, without a time or a random id."
        if not _same((other, again), one):
            return f"Asked twice, the second time later, it said {_short(one)} and {_short(other)}.", remedy
        if reads:
            return f"It reads {reads[0]}.", remedy
        return self._of_a_changed_fact(rule)

    def _of_a_changed_fact(self, rule: Declared) -> tuple[str, str]:
        """Ask it after another has changed what it reads; return what is wrong, and what to do."""
        rig, sample = self._rig, self._sample

        def here() -> str:
            return str(rig.ask(rule.name, rule.said, sample)[0])

        def away() -> Came:
            return rig.play_away(sample, what=rule.name)

        rig.fresh(sample.before)
        rig.ask(rule.name, rule.said, sample)
        rig.fresh(sample.before)
        read = (here_end := rig.ask(rule.name, rule.said, sample)[1]).read
        with suppress(Away):  # told by the rule `process`
            rig.fresh(sample.before)
            read = (there_end := away().end).read
            if other := other_requests(here_end, there_end):
                return f"In another process it {other}.", KEEP_NOTHING
            if wrong := remembered(rig, sample, read, here, lambda: str(away().answer)):
                return wrong, KEEP_NOTHING
        return behind(rig, sample, read, here), READ_STRONGLY

    def _follows(self, rule: Declared) -> tuple[str, str]:
        """Ask a function that gets values alone; return what is wrong, and what to do."""
        sample, result, reads = self._sample, self._honest.result, list[str]()
        remedy = "Take it from what it gets alone: it is asked again in another process, and at another time."
        folder, package = str(self._playbook.folder), package_of(self._playbook)
        if own := own_to_its_process(rule.function, package, folder, self._rig.drawn):
            return f"It reads {own}.", remedy
        # The playbook's own modules have their real clocks here, so that the profile sees them.
        with wall_clock_at(sample.context.now), watched(folder, reads):
            of_its_run = rule.said(sample.args, sample.context, result, sample.calls)
            one = rule.said(sample.args, sample.context, result)
        answers, memory = [], memory_of(rule.function, package)
        for number, (later_s, _) in enumerate(((0.0, ""), *WAITS)):
            with told(folder, reads):
                asked = self._rig.ask(
                    rule.name, lambda args, ctx: rule.said(args, ctx, result), sample, later_s=later_s, draw=number
                )
            answers.append(asked[0])
        if reads:
            return f"It reads {reads[0]}.", remedy
        with self._rig.surroundings.of(sample.context.now, 0) as around:
            for later_s in EACH_HOUR_S:
                around.passes(later_s)
                answers.append(rule.said(sample.args, sample.context, result))
                again = rule.said(sample.args, sample.context, result, sample.calls) if sample.calls else of_its_run
                if again != of_its_run:
                    when = "Asked twice of the run as the scenario has it, the second time later,"
                    return f"{when} it said {_short(of_its_run)} and {_short(again)}.", remedy
        if (other := next((got for got in answers if got != one), None)) is not None:
            return f"Asked twice, the second time later, it said {_short(one)} and {_short(other)}.", remedy
        if changed := changed_in(memory, memory_of(rule.function, package)):
            return f"Each answer changes {changed}, which it reads, in its process.", remedy
        return "", remedy

    def _read(self) -> Finding:
        changed = differences(self._base, self._done)
        if changed or self._honest.changes:
            return self._broken(
                "read",
                f"It is a read, and it changed something: {changed or ', '.join(self._honest.changes)}.",
                "Declare effect=Write(…), or leave the change out.",
            )
        if self._honest.peers and not self._rig.sees_outside:
            if self._honest.wire and all(one.startswith(("GET ", "HEAD ")) for one in self._honest.wire):
                return self._held("read", "It sent nothing but GET and HEAD, which change nothing by HTTP's own rules.")
            return next(self._unseen(self._peer, ("read",)))
        return self._held("read")

    @property
    def _peer(self) -> str:
        return f"It connects to {self._honest.peers[0][0]}, and nothing tells what that has done."

    def _nothing_seen(self) -> Iterator[Finding]:
        """Say of a write that left nothing whether its process remembers the call, or its effect is out of sight."""
        self._rig.fresh(self._sample.before)
        self._rig.attempt(self._sample, key=f"{self._sample.context.idempotency_key}-another")
        if differences(self._base, self._rig.seen()):
            yield self._broken(
                "key",
                "In fresh tables it did nothing under its key, and something under another key: its process remembers.",
                "Keep the key with the effect, in one transaction (ctx.write_once).",
            )
            return
        if self._sample.before and self._acts_alone():
            # An earlier call has brought about what this one asks for: what it does is seen without that one.
            self.more_samples.append(replace(self._sample, before=()))
            for rule in ("failure", "key", "verify", "interrupted"):
                yield self._not_tried(rule, "An earlier call of the scenario had done so already; tried without it.")
            return
        yield from self._unseen("It returned a result, and nothing that can be seen has changed.")

    def _acts_alone(self) -> bool:
        """Whether the call changes something in tables as seeded."""
        self._rig.fresh()
        base = self._rig.seen()
        return self._rig.attempt(self._sample).how == "ok" and bool(differences(base, self._rig.seen()))

    def _unseen(
        self, why: str, rules: tuple[str, ...] = ("failure", "key", "verify", "interrupted", "undo")
    ) -> Iterator[Finding]:
        remedy = tell_of_effects(stand_ins=self._rig.cloud.stand_ins is not None)
        for rule in rules:
            yield self._not_tried(rule, why, remedy, needed=True)

    # Writes

    def _failure_leaves_nothing(self) -> Finding:
        changed = differences(self._base, self._done)
        if changed:
            return self._broken(
                "failure",
                f"It said that nothing was done ({_told(self._honest)}), and yet: {changed}.",
                "Raise ToolFailed and RetryLater only before the effect.",
            )
        return self._held("failure")

    def _failure(self) -> Finding:
        """Lose the answer of each request; what it then calls certain must be so."""
        faults = self._faults("lost")
        if not faults:
            return self._no_request("failure")
        for fault in faults:
            self._rig.fresh(self._sample.before)
            end = self._rig.attempt(self._sample, fault=fault)
            now = self._rig.seen()
            if end.how in ("failed", "again") and (changed := differences(self._base, now)):
                return self._broken(
                    "failure",
                    f"{fault}. It said that nothing was done ({_told(end)}), and yet: {changed}.",
                    "Let an error of the transport pass: it is in doubt, and Ballast resolves it.",
                )
            if end.how == "ok" and (missing := differences(self._done, now)):
                return self._broken(
                    "failure",
                    f"{fault}. It returned a result as if it were done, and this differs: {missing}.",
                    "Let an error of the transport pass instead of catching it.",
                )
        return self._held("failure")

    def _key(self) -> Finding:
        rig = self._rig
        rig.fresh(self._sample.before)
        rig.attempt(self._sample)
        again = rig.attempt(self._sample, later_s=LATER_S, draw=1)
        remedy = "Use ctx.write_once, or give ctx.idempotency_key to the service; else leave honours_key out."
        if second := differences(self._done, rig.seen()):
            if queued := self._queued_twice(rig.seen()):
                remedy = queued
            return self._broken("key", f"A second attempt under its key had a second effect: {second}.", remedy)
        if self._ends_by_verify(again):
            tells = "verify finds the first one" if self._policy.verify is not None else "a person decides"
            return self._held("key", f"A second attempt is in doubt ({_told(again)}), and {tells}.")
        if again.said != self._honest.said:
            seen = f"The first attempt said {_told(self._honest)}, and the second one under its key {_told(again)}"
            seen += f"{_apart(self._honest, again)}."
            return self._broken("key", seen, remedy)
        return self._held("key", ITS_OWN_WORD if self._honest.reached_outside else "")

    def _queued_twice(self, now: Seen) -> str:
        """Return the remedy where a service of AWS takes the same request twice, with the key in it; "" elsewhere."""
        key, sent = self._sample.context.idempotency_key, now["sent elsewhere"]
        twice = [name.removesuffix(" (again)") for name in sent if name.endswith(" (again)") and key in name]
        if not twice:
            return ""
        service = twice[0].partition(" ")[0]
        return (
            f"{service} counts no key in an attribute or a body: it takes both. Leave honours_key out, and let who "
            "receives them count the key once: then a doubt goes to a person, or to a verify that asks the receiver. "
            "A FIFO queue or topic counts a MessageDeduplicationId once, for five minutes only."
        )

    def _sent(self) -> Finding:
        """Compare what is sent: a service counts a request once if it comes again as it was."""
        rig, sample, wires = self._rig, self._sample, []
        for key in (None, f"{sample.context.idempotency_key}-another"):
            rig.fresh(sample.before)
            wires.append(rig.attempt(sample, later_s=LATER_S, draw=1, key=key).wire)
        again, another = wires
        if again != self._honest.wire:
            differs = next(
                (f"{was[:150]!r}, and then {now[:150]!r}" for was, now in zip(self._honest.wire, again, strict=False)
                 if was != now),
                f"{len(self._honest.wire)} requests, and then {len(again)}",
            )  # fmt: skip
            seen = f"Under the same key it sent {differs}."
            remedy = "Make a request from the arguments and the key alone: neither a time nor a random value."
            return self._broken("sent", seen, remedy)
        needs_none = isinstance(self._tool.function, RemoteCall) and self._tool.function.declared.idempotent
        if another == again and not needs_none:
            remedy = "Give ctx.idempotency_key to the service, as a header or a field; else leave honours_key out."
            return self._broken("sent", "What it sent is the same under another call's key: it sends no key.", remedy)
        return self._held("sent")

    def _circuit(self) -> Finding:
        """Lose answers: what the circuit is to count must not be told as a refusal of the business."""
        faults = self._faults("lost")
        if not faults:
            return self._no_request("circuit")
        for fault in faults:
            self._rig.fresh(self._sample.before)
            end = self._rig.attempt(self._sample, fault=fault)
            if end.how == "failed":
                return self._broken(
                    "circuit",
                    f"{fault}. It raised ToolFailed ({end.message[:100]}), which no circuit counts as an outage.",
                    "Raise ToolFailed only for a refusal by the business, and let an error of the transport pass.",
                )
        return self._held("circuit")

    def _verify(self) -> Finding:
        rig, sample, shared = self._rig, self._sample, ""
        for key in (None, f"{sample.context.idempotency_key}-another"):
            rig.fresh(sample.before)
            if key is not None:
                rig.attempt(sample)
            said = self._asked(key=key)
            when = "before the effect" if key is None else "under the key of another call"
            if key is not None and said.found and self._tool.undo is None and self._is_a_state(key):
                shared = "It finds the state that the call asks for, also if another call has brought it about."
                continue
            if said.problem or said.found:
                return self._broken(
                    "verify",
                    f"Asked {when}, it {said.problem or f'found {_short(said.result)}'}.",
                    "Return None unless the effect under ctx.idempotency_key is there.",
                )
        rig.fresh(sample.before)
        rig.attempt(sample)
        said = self._asked()
        if said.problem or not said.found:
            return self._broken(
                "verify",
                f"Asked after the effect, it {said.problem or 'found nothing'}.",
                "Read what the tool has written under ctx.idempotency_key, strongly consistent.",
            )
        if canonical(said.result) != canonical(self._honest.result):
            return self._broken(
                "verify",
                f"The tool returned {_short(self._honest.result)}, and verify {_short(said.result)}.",
                "Return the result of the effect, not that it happened; True only for a tool that returns nothing.",
            )
        if changed := differences(self._done, rig.seen()):
            return self._broken("verify", f"It changed something: {changed}.", "A verify only reads.")
        if isinstance(self._policy.verify, VerifyByRead):
            read, args = self._policy.verify.read_of(sample.args, sample.context.idempotency_key)
            self.more_samples.append(Sample(sample.scenario, read, args, sample.context, (*sample.before, sample)))
        return self._held("verify", shared)

    def _ends_by_verify(self, again: End, later_s: float = LATER_S) -> bool:
        """Whether a second attempt ended in doubt, and ``verify`` finds the first one's effect with its result.

        A tool that is only ``idempotent`` answers a repetition as it likes: a refusal of it is doubt (404 of what is
        gone, 409 of what is closed), and without a ``verify`` a person decides.
        """
        refused = again.how in ("failed", "raised") and not self._policy.replays and self._policy.honours_key
        if refused and self._policy.verify is None:
            return True
        if not (refused or again.how == "raised") or self._policy.verify is None:
            return False
        said = self._asked(later_s=later_s)
        return said.found and canonical(said.result) == canonical(self._honest.result)

    def _is_a_state(self, key: str) -> bool:
        """Whether the same call under another key does nothing more: a cancelled order can be cancelled by one call.

        Then it does not matter whose effect it is, unless a rollback would undo another's.
        """
        self._rig.fresh(self._sample.before)
        self._rig.attempt(self._sample)
        self._rig.attempt(self._sample, key=key, later_s=LATER_S, draw=1)
        return not differences(self._done, self._rig.seen())

    def _asked(self, *, key: str | None = None, later_s: float = 0) -> _Verified:
        verify = self._policy.verify
        assert verify is not None
        answer, end = self._rig.ask("verify", verify, self._sample, key=key, later_s=later_s)
        if end.how != "ok":
            return _Verified(False, problem=f"raised {end.message}")
        if answer is None or (answer is False and not self._may_be_false):
            return _Verified(False)
        if isinstance(answer, str | list | tuple | dict | set) and not answer:
            return _Verified(False, problem=f"returned {answer!r}, which is no answer: None says that nothing happened")
        try:
            return _Verified(True, self._tool.dump(None if answer is True and self._tool.returns_nothing else answer))
        except Exception as problem:
            return _Verified(False, problem=f"returned what the tool does not promise: {problem}")

    @property
    def _may_be_false(self) -> bool:
        try:
            self._tool.dump(False)
        except Exception:
            return False
        return not self._tool.returns_nothing

    def _faults(self, kind: Any) -> list[Fault]:
        count = min(len(self._honest.requests), MOST_REQUESTS)
        return [Fault(at, when, kind) for at in range(count) for when in ("before", "after")]

    def _interrupted(self) -> Finding:
        faults = self._faults("death")
        if not faults:
            return self._no_request("interrupted")
        died = False
        for fault in faults:
            self._rig.fresh(self._sample.before)
            if self._rig.attempt(self._sample, fault=fault).how != "died":
                continue
            died = True
            problem = self._resolved(fault)
            if problem is not None:
                return problem
        return self._held("interrupted") if died else self._no_request("interrupted")

    def _resolved(self, fault: object) -> Finding | None:
        """Resolve a dead attempt as the executor does; return what is wrong."""
        rig, part = self._rig, self._rig.seen()
        begun, whole = differences(self._base, part), not differences(self._done, part)
        if self._policy.verify is not None:
            said = self._asked()
            if said.problem:
                return self._broken("verify", f"{fault}: verify {said.problem}.", "Answer in every state.")
            if said.found and not whole:
                return self._broken(
                    "verify",
                    f"{fault}: verify found the effect, and this is missing: {differences(part, self._done)}.",
                    "Let verify read what is written last, or write everything in one transaction.",
                )
            if not said.found and begun and (whole or not self._policy.honours_key):
                return self._broken(
                    "verify",
                    f"{fault}: verify found nothing, and yet: {begun}.",
                    "Let verify read what is written first, or write everything in one transaction.",
                )
            if said.found:
                if canonical(said.result) != canonical(self._honest.result):
                    seen = f"{fault}: the tool returns {_short(self._honest.result)}, and verify {_short(said.result)}."
                    return self._broken("verify", seen, "Return the result of the effect.")
                return None
        again = rig.attempt(self._sample, draw=1 if begun else 0)
        remedy = "Write the effect and its key in one transaction (ctx.write_once)."
        if other := differences(self._done, rig.seen()):
            return self._broken("interrupted", f"{fault}. After another attempt this differs: {other}.", remedy)
        if again.said != self._honest.said and not self._ends_by_verify(again):
            seen = f"{fault}. Another attempt said {_told(again)} instead of {_told(self._honest)}."
            return self._broken("interrupted", seen, remedy)
        return None

    # Undo

    def _undo(self) -> Finding:
        rig, sample, tool = self._rig, self._sample, self._tool
        undo = self._playbook.tools[str(tool.undo)]
        try:
            undoing = self._undoing(self._honest.result, sample.context.idempotency_key)
        except SchemaViolation as problem:
            return self._broken("undo", f"{undo.name} does not take its arguments: {problem}", "See undo_arguments.")
        except Exception as problem:
            seen = f"undo_arguments raised {type(problem).__name__}: {problem}"
            return self._broken("undo", seen, "It gets the arguments and the result as JSON.")
        rig.fresh(sample.before)
        rig.attempt(sample)
        end = rig.attempt(undoing, later_s=LATER_S)
        if end.how != "ok":
            seen = f"{undo.name} did not undo what had just been done: {_told(end)}."
            return self._broken("undo", seen, "It must undo what the call has recorded.")
        self.more_samples.append(undoing)
        undone = rig.seen()
        if wrong := self._not_restored(undone, self._done, self._base):
            remedy = f"{undo.name} restores what {tool.name} changed, and nothing else."
            return self._broken("undo", f"After {undo.name}, this is not as before: {wrong}.", remedy)
        if kept := self._not_named(end, undoing):
            seen = f"It sent {kept[:150]}, and no request of {undo.name} names that: nothing tells that it is undone."
            remedy = "Name what was sent, such as DeleteObject of the same Key; else declare no undo: a person decides."
            return self._not_tried("undo", seen, remedy, needed=True)
        if undo.policy.honours_key or undo.policy.verify is None:
            rig.attempt(undoing, later_s=2 * LATER_S, draw=1)
            if more := differences(undone, rig.seen()):
                seen = f"A second attempt at {undo.name} under the same key did more: {more}."
                return self._broken("undo", seen, f"{undo.name}: use ctx.write_once, or look first what there is.")
        return self._held("undo")

    def _undoing(self, result: Any, key: str) -> Sample:
        """Return the call that undoes the one under ``key``, given its result."""
        sample, tool = self._sample, self._tool
        undo = self._playbook.tools[str(tool.undo)]
        make = tool.undo_arguments or (lambda args, _: tool.form.write(args))
        args = undo.read(undo.call(**dict(make(sample.args, result))).arguments)
        context = replace(sample.context, idempotency_key=f"{key}-undo")
        return Sample(sample.scenario, undo, args, context, (*sample.before, sample))

    def _not_named(self, end: End, undoing: Sample) -> str:
        """Return what the call has sent to another service, if its undo sent nothing there that names it."""
        base, done = (seen.get(ELSEWHERE, {}) for seen in (self._base, self._done))
        sent, after = [one for one in done if one not in base], [*end.told, *end.wire, *end.given]
        known = {*texts_in(self._honest.result), *texts_in(undoing.args.model_dump(mode="json"))}
        known.add(self._sample.context.idempotency_key)
        return next((one for one in sent if not named_in(after, known | names_of(one))), "")

    def _not_restored(self, undone: Seen, done_before: Seen, without: Seen) -> str:
        """Return what the undo has not restored, given what stands after it, before it, and without the call.

        A record that the call made may stay if the undo has changed it.
        """
        wrong: Seen = {}
        for place, items in undone.items():
            if place == "sent elsewhere":
                continue
            base, done = without.get(place, {}), done_before.get(place, {})
            for key in {*items, *base}:
                before, now, made = base.get(key), items.get(key), done.get(key)
                if MARKER in key or before == now:
                    continue
                if place == OUTSIDE and is_undone(before, now, made, self._rig.traces):
                    continue
                if place == OUTSIDE:
                    wrong.setdefault(place, {})[key] = now
                    continue
                if before is None and made is not None and made != now:
                    continue  # its record, such as a refund that is cancelled
                if isinstance(before, dict) and isinstance(now, dict) and self._same_where_it_was(before, now, made):
                    continue
                wrong.setdefault(place, {})[key] = now
        shown = {place: {key: without.get(place, {}).get(key) for key in items} for place, items in wrong.items()}
        return differences(shown, wrong)

    def _same_where_it_was(self, before: dict[str, Any], now: dict[str, Any], made: Any) -> bool:
        """Whether each attribute is as before. One that the call added may stay."""
        added = {name for name in made or () if name not in before}
        names = {*before, *now} - self._rig.traces - added
        return all(before.get(name) == now.get(name) for name in names)


def _is_money(name: str) -> bool:
    """Whether a name says that it is an amount of money: not one that names the unit of something else."""
    words = _NEW_WORD.sub("_", name)
    unit = _OTHER_AMOUNT.search(words)
    return bool(_MONEY.search(name)) and (unit is None or bool(_OF_MONEY_ALONE.search(words, unit.end())))


def _floats(value: Any, where: str) -> Iterator[str]:
    """Yield the places of floats whose name says that they are money."""
    if isinstance(value, dict):
        for name, inside in value.items():
            if isinstance(inside, float) and _is_money(str(name)):
                yield f"{where}{name}"
            yield from _floats(inside, where)
    elif isinstance(value, list | tuple):
        for inside in value:
            yield from _floats(inside, where)


def _same(answer: tuple[Any, End], one: Any) -> bool:
    return answer[1].how == "ok" and canonical_or_repr(answer[0]) == canonical_or_repr(one)


def _apart(one: End, other: End) -> str:
    """Return which fields of two results differ, as the end of a sentence; "" if they have none to compare."""
    if not isinstance(one.result, dict) or not isinstance(other.result, dict):
        return ""
    names = sorted({*one.result, *other.result})
    return f" (it differs in {', '.join(name for name in names if one.result.get(name) != other.result.get(name))})"


def _told(end: End) -> str:
    word = {"ok": "returned", "failed": "ToolFailed", "again": "RetryLater"}.get(end.how, end.how)
    return f"{word} {_short(end.said[1])}"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else canonical_or_repr(value)
    return text if len(text) <= 120 else f"{text[:119]}…"
