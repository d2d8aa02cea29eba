"""Admission of requests, as far as it depends on the playbook and on no state of its stack. Pure.

Admit asks it for each request, and ``ballast check`` for those of scenarios: so neither knows a rule of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING

from ballast.attachments.prompt import why_not_taken
from ballast.contracts import Limits, RunRequest
from ballast.contracts.attachment import Kept
from ballast.contracts.request import why_no_reply
from ballast.errors import ModelRefused, NotAdmitted, WindowFull
from ballast.models.catalog import FOLLOWS_REGION
from ballast.money.windows import WindowLimits, claims_of_run, described, full
from ballast.playbook.agent import AgentConfig
from ballast.playbook.first_prompt import why_no_attempt
from ballast.values import dataclass

if TYPE_CHECKING:
    from ballast.playbook.load import Playbook


@dataclass(frozen=True)
class Admissible:
    """The requests that a deployed playbook takes.

    model_id      replaces the playbook's models; "" does not
    reply_prefix  prefix of the queues that a caller may name
    uncertified   why every run is refused, where a certificate is required; None admits
    """

    playbook: Playbook
    model_id: str = ""
    reply_prefix: str = ""
    uncertified: str | None = None

    def limits(self, request: RunRequest) -> Limits:
        """Return the limits of the request's run. Raises ``NotAdmitted``, and ``InvalidInput`` for looser ones.

        Checks all that needs neither files nor prices.
        """
        if self.uncertified is not None:
            raise NotAdmitted(f"This stack admits certified playbooks alone. {self.uncertified}")
        if why := why_no_reply(self.reply_prefix, request.reply_to, request.tenant):
            raise NotAdmitted(why)
        agent = self.agent(request)
        if request.intent is not None and request.intent not in agent.intents:
            known = ", ".join(agent.intents)
            raise NotAdmitted(
                f"intent {request.intent!r} is not in the playbook. Leave it out"
                + (f", or use one of: {known}." if known else f": the agent {agent.name} has none.")
            )
        limits = agent.limits_for(request.intent).tightened(request.limits, by="request")
        # Of a short time the fallback gets at most half, and so of the time that a person's answer adds.
        reserve_s = min(limits.fallback_reserve_s, limits.deadline_s // 2)
        return limits.model_copy(update={"fallback_reserve_s": reserve_s})

    def agent(self, request: RunRequest) -> AgentConfig:
        """Return the request's agent, or that of agent.yaml if it names none. Raises ``NotAdmitted``."""
        agents = self.playbook.agents
        agent = self.playbook.agent if request.agent is None else agents.get(request.agent)
        if agent is None:
            said = "agent is" if len(agents) == 1 else "agents are"
            raise NotAdmitted(
                f"agent {request.agent!r} is not deployed here; this playbook's {said} {', '.join(map(repr, agents))}."
            )
        return agent

    def check_files(self, request: RunRequest, limits: Limits) -> None:
        """Raise ``NotAdmitted``, which names the field, for files whose number, size or format is not taken."""
        files = request.attachments
        if len(files) > limits.attachments:
            raise NotAdmitted(f"attachments: {len(files)} files, and limits.attachments is {limits.attachments}.")
        if (size := sum(one.bytes for one in files)) > limits.attachment_bytes:
            raise NotAdmitted(
                f"attachments: {size} bytes together, and limits.attachment_bytes is {limits.attachment_bytes}."
            )
        for model in self._models(request) if files else ():
            try:
                why = why_not_taken(files, self.playbook.models.card(model))
            except ModelRefused:
                continue  # the model is wrong: the run reports it
            if why:
                raise NotAdmitted(
                    f"attachments: the model {model} {why}. Send the content as text, or name a model in agent.yaml "
                    "that takes it (`ballast prices MODEL` says what a model takes)."
                )

    def check_affordable(
        self, request: RunRequest, limits: Limits, files: Sequence[Kept], *, on: date, cheaper: bool
    ) -> None:
        """Raise ``NotAdmitted`` if the request allows no attempt: the run could only ask a person.

        That is if its own limits or its ``files`` forbid it. A script needs no model, but it sees no files: an agent
        that cannot be asked with them would leave them unread. ``cheaper``: whether the spend breaker lets agents ask
        their cheaper model.
        """
        agent = self.agent(request)
        if not files and (not request.limits or request.intent in self.playbook.fallbacks):
            return
        first = self.model_id or agent.model_at(request.intent, 1)
        models = {first}
        if files:  # they stay in the conversation, so each later model must hold them too
            models.update(self._models(request))
        for usual in (first, *sorted(models - {first})):
            model = usual
            if cheaper and agent.cheaper_model and not agent.cheaper_model.startswith(FOLLOWS_REGION):
                model = agent.cheaper_model  # else nothing serves it in the stack's region
            try:
                if why_not_taken(files, self.playbook.models.card(model)) or self._why_no_attempt(
                    agent, request, limits, model, files, on
                ):
                    model = usual  # it stays where the cheaper one cannot be asked
                why = self._why_no_attempt(agent, request, limits, model, files, on)
            except ModelRefused:
                continue  # the model is wrong: the run reports it
            if why:
                raise NotAdmitted(why)

    def check(self, request: RunRequest, account: WindowLimits, tenant: WindowLimits, *, at: datetime) -> None:
        """Raise what Admit raises for the request in a stack that is new, with these limits. Nothing is recorded.

        Files are refused: their content is not there.
        """
        limits = self.limits(request)
        self.check_files(request, limits)
        if request.attachments:
            raise NotAdmitted("attachments: their content is not there. Write it into the request's text.")
        self.check_affordable(request, limits, (), on=at.date(), cheaper=False)
        claims = claims_of_run(at, limits.cost_microusd, account, tenant, request.tenant)
        if over := tuple(one for one in claims if one.room < 0):
            raise WindowFull(described(full(over)))

    def _models(self, request: RunRequest) -> list[str]:
        return [self.model_id] if self.model_id else list(self.agent(request).models_for(request.intent))

    def _why_no_attempt(
        self, agent: AgentConfig, request: RunRequest, limits: Limits, model: str, files: Sequence[Kept], on: date
    ) -> str | None:
        card = self.playbook.models.card(model)
        price = self.playbook.models.price(model, on=on).worst(agent.service_tier)
        return why_no_attempt(self.playbook.as_agent(agent), request, limits, price, card, files)
