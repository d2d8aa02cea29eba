"""The machine of a candidate lane: with other prices and thresholds, and a model that may be asked for real."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from ballast.folds.loops import ladder
from ballast.log.events import (
    ModelRequested,
)
from ballast.masking import error_text
from ballast.models.card_file import CardFile, over, read_cards
from ballast.models.catalog import OWN_FILE, Catalog
from ballast.playbook import Playbook
from ballast.run import Run
from ballast.validation import Grounding
from localcloud.converse.choose import Bedrock, bedrock_client, model_source
from localcloud.moto_seams.replaced import replaced
from localcloud.replay.candidate import CandidateEnds, CandidatePlaying
from localcloud.replay.candidate_oracle import CandidateOracle
from localcloud.replay.declared_outcomes import Declared
from localcloud.replay.lane import Ending, Inferred, Replayed
from localcloud.replay.machine import Machine
from localcloud.replay.oracle import Oracle, Position
from localcloud.replay.playing import Playing
from localcloud.replay.recorded import RecordedRun
from localcloud.replay.rules import Rules

_FIRST_DAY = "1970-01-01"
#: Seconds that a model has for a reply that is asked for real.
_WITHIN_S = 300.0


class CandidateMachine(Machine):
    """Plays runs in a candidate lane, beside what the baseline made of them."""

    playing: CandidatePlaying
    model: Callable[[Mapping[str, Any], CandidateEnds], Mapping[str, Any]] | None = None
    inferred = Inferred()

    def _build(self, stack: ExitStack) -> None:
        rules = Rules.model_validate(self.lane.rules, strict=False)
        if self.lane.cards is not None:
            stack.enter_context(replaced(Catalog, "of_playbook", classmethod(partial(with_cards, self.lane.cards))))
        if rules.loops:
            stack.enter_context(replaced(ladder, "THRESHOLDS", rules.thresholds))
        self._rules = rules
        if self.lane.asks:
            self.model = asking(self.lane.asks)
        super()._build(stack)
        if not rules.grounding:
            attempt = sys.modules[self._module("ExecutorFunction", "History")["__name__"]]
            stack.enter_context(replaced(attempt, "ground", lambda *_, **__: Grounding()))

    def _changed(self, playbook: Playbook) -> Playbook:
        return self._rules.changed(super()._changed(playbook))

    @cached_property
    def declared(self) -> Mapping[str, Declared]:
        """What each tool declares of its outcomes here."""
        return {name: Declared.of(tool) for name, tool in self.playbook.tools.items()}

    def play_beside(self, recorded: RecordedRun, baseline: Replayed) -> tuple[Replayed, CandidateEnds | None]:
        """Return what became of a run whose baseline came out, and where the record has no more to say."""
        self.inferred = baseline.inferred
        try:
            played, ends = self._play(recorded, baseline.inferred.moved), None
        except CandidateEnds as unknown:
            ends = unknown
            played = self._result(recorded, self.playing.missing(), unknown.ending)
        played = replace(played, difference=self.playing.missing())
        return played, ends

    def request_of(self, run: Run, requested: ModelRequested) -> Mapping[str, Any]:
        """Return the request of a recorded attempt, as it was sent."""
        made: Mapping[str, Any] = self._module("AgentFunction", "Agent")["converse_request"](
            run, requested, stack="replay"
        )
        return made

    def _module(self, function: str, known_by: str) -> dict[str, Any]:
        """Return the names of the module in which a function's handler finds ``known_by``."""
        handler = vars(self._functions[function].module)
        return vars(sys.modules[handler[known_by].__module__])

    def _playing_of(self, recorded: RecordedRun) -> Playing:
        return CandidatePlaying(recorded, self.inferred)

    def _oracle_of(self, moved: Mapping[Position, int]) -> Oracle:
        return CandidateOracle(self, moved)


def asking(spec: str) -> Callable[[Mapping[str, Any], CandidateEnds], Mapping[str, Any]]:
    """Return a function that asks the model of ``--model`` for real. Raises ``InvalidInput``.

    Its failure leaves the run where the record had no more to say.
    """
    source = model_source(spec)
    client: Any = bedrock_client(_WITHIN_S) if isinstance(source, Bedrock) else None

    def ask(request: Mapping[str, Any], unknown: CandidateEnds) -> Mapping[str, Any]:
        try:
            if isinstance(source, Bedrock):
                sent = {**request, "modelId": source.model_id}
                made: Mapping[str, Any] = client.converse(**sent)
                return {name: made[name] for name in ("output", "stopReason", "usage") if name in made}
            sent = {name: value for name, value in request.items() if name != "modelId"}
            return source.reply(sent, str(request["modelId"])).body
        except Exception as problem:
            why = f"{unknown.why}; the model was asked and failed: {error_text(problem)}"
            raise CandidateEnds(Ending.OFF_THE_RECORD, unknown.seq, why) from problem

    return ask


def with_cards(file: Path, kind: type[Catalog], folder: Path) -> Catalog:
    """Return the catalog of the playbook in ``folder`` with the cards of ``file`` over its own."""
    own, more = folder / OWN_FILE, read_cards(file)
    below = read_cards(own) if own.is_file() else CardFile()
    models = dict(below.models)
    for model, facts in more.models.items():
        before = dict(models.get(model, {}))
        prices = facts.get("prices")
        newest = [_at_any_time(prices[-1])] if isinstance(prices, list) and prices else []
        models[model] = over(before, dict(facts)) | ({"prices": newest} if newest else {})
    made = replace(
        below,
        vendor=more.vendor or below.vendor,
        as_of=more.as_of or below.as_of,
        sources={**below.sources, **more.sources},
        families={**below.families, **more.families},
        models=models,
        arns={**below.arns, **more.arns},
    )
    return kind(made, str(file))


def _at_any_time(price: Any) -> Any:
    """Return a price that counts on every day, under a version that no card has."""
    if not isinstance(price, dict):
        return price  # the card says what is wrong with it
    return price | {"valid_from": _FIRST_DAY, "version": f"what-if-{price.get('version', '')}"}
