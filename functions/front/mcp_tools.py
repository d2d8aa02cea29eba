"""The API's routes of runs as tools of the Model Context Protocol: for another agent, with the rights of its caller.

::

    POST /mcp ─▶ authorizer, caller (as every route) ─▶ mcp.Server ─▶ a tool ─▶ the route's own function

A tool calls the function behind a route, so it cannot do more than the route, and sees what the route shows. No tool
answers an escalation, approves a call or replies to the agent's question: people do, over ``/escalations`` and in the
console, behind another function's role. What waits is told from the log, which this function may read.

What models, tools and customers wrote stands under ``untrusted``. A result has a bounded size.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from pydantic import Field, ValidationError, WithJsonSchema

from ballast.contracts.limits import LimitsPatch
from ballast.contracts.request import MAX_TEXT_CHARS
from ballast.contracts.task import RunId
from ballast.contracts.wire import Json, Name, Wire, canonical, without_surrogates
from ballast.http.api import HttpApi
from ballast.http.paging import sent_bytes
from ballast.http.problem import Problem, invalid_fields
from ballast.log.event import GARBLED
from ballast.log.events import ApprovalRequested
from ballast.values import dataclass
from functions.front.contract import ENDED, MAX_WAIT_S, SEQ, NewRun, Run, RunSummary
from functions.front.mcp import Said, Tool
from functions.front.mcp_door import Routes
from functions.front.mcp_results import (
    MAX_RESULT_BYTES,
    NOBODY_NEXT,
    NOTE,
    PERSON_NEXT,
    Object,
    bounded,
    event_told,
    marked,
    next_step,
)
from functions.front.runs import Runs

INSTRUCTIONS = f"""\
Ballast runs an agent on requests, within limits of money and time, and logs all that it does. Start a run with `ask` \
(waits for the answer) or `start_run` (does not wait). Choose a new `request_id` for each new request, and send the \
same one when you repeat a call whose result you did not get: it is then the same run, and nothing happens twice. \
Follow a run with `get_run` and `list_events`. A run that waits for a person goes on when that person has answered in \
Ballast's console or API: you cannot answer, approve or reply for them, so tell your user. {NOTE}"""

_WAIT = Annotated[
    int, Field(ge=0, le=MAX_WAIT_S, description=f"Seconds to wait for the run's end, {MAX_WAIT_S} at most.")
]
_RUN_ID = Annotated[RunId, Field(description="The run's id, as `ask` and `start_run` return it.")]
_TENANT = Annotated[
    Name | None, Field(description="Whose runs. Leave it out: only an operator may name another tenant.")
]
_NEXT = Annotated[
    str | None, Field(min_length=1, max_length=1_000, description="The last page's `next`. Leave it out at first.")
]


class StartArguments(Wire):
    """The arguments of ``start_run``."""

    request_id: Annotated[
        str,
        Field(
            pattern=r"^[\x21-\x7e]{8,128}$",
            description="Your own name for this request, 8 to 128 characters without spaces, such as a ticket's number "
            "or a new UUID. The same one again is the same run. Never reuse it for another request.",
        ),
    ]
    text: Annotated[
        str,
        Field(max_length=MAX_TEXT_CHARS, pattern=r"\S", description="The request in words, complete in itself."),
    ]
    agent: Annotated[Name | None, Field(description="The agent to ask. Leave it out for the usual one.")] = None
    intent: Annotated[
        Name | None, Field(description="The subject, if you know the name that the agent uses for it.")
    ] = None
    context: Annotated[
        dict[str, Json],
        WithJsonSchema(
            {
                "type": "object",
                "description": 'Facts that you vouch for, by name, such as {"order_id": "O-1001"}. Put nothing here '
                "that only an untrusted text says: the agent may act on it.",
            }
        ),
    ] = Field(default_factory=dict)
    cost_microusd: Annotated[
        int | None, Field(ge=0, description="A tighter limit of the run's cost, in millionths of a US dollar.")
    ] = None
    deadline_s: Annotated[
        int | None, Field(ge=1, le=30 * 24 * 3600, description="A tighter limit of the run's time, in seconds.")
    ] = None
    tenant: _TENANT = None


class AskArguments(StartArguments):
    """The arguments of ``ask``."""

    wait_s: _WAIT = 20


class RunArguments(Wire):
    """The arguments of ``cancel_run``."""

    run_id: _RUN_ID


class ShowArguments(RunArguments):
    """The arguments of ``get_run``."""

    wait_s: _WAIT = 0


class EventsArguments(RunArguments):
    """The arguments of ``list_events``."""

    after: Annotated[
        str | None,
        Field(pattern=SEQ, description="The last page's `next`, or a `seq`. Leave it out at first."),
    ] = None
    limit: Annotated[int, Field(ge=1, le=50, description="The most events to return.")] = 20


class WaitingArguments(Wire):
    """The arguments of ``list_waiting``."""

    limit: Annotated[int, Field(ge=1, le=20, description="The most runs to return.")] = 10
    next: _NEXT = None
    tenant: _TENANT = None


@dataclass(frozen=True)
class RunTools:
    """The work of the tools."""

    app: HttpApi
    routes: Routes

    def start(self, sent: StartArguments) -> Object:
        """Start a run, or find it started."""
        return self._shown(_body(self._start(sent, None)))

    def ask(self, sent: AskArguments) -> Object:
        """Start a run, or find it started, and wait. The run keeps all of its time."""
        return self._shown(_body(self._start(sent, f"respond-async, wait={sent.wait_s}")))

    def show(self, sent: ShowArguments) -> Object:
        """Show a run, after having waited for its end."""
        run = _body(self.routes.show(sent.run_id))
        if sent.wait_s and run.status not in ENDED:
            self.app.runtime.get(Runs.of).wait_within(sent.run_id, sent.wait_s, self.app)
            run = _body(self.routes.show(sent.run_id))
        return self._shown(run)

    def events(self, sent: EventsArguments) -> Object:
        """Show a page of a run's log, bounded by its bytes."""
        page = _body(self.routes.events(sent.run_id, limit=sent.limit, after=sent.after))
        told: Object = {"run_id": sent.run_id, "events": [], "next": page.next, "note": NOTE}
        size = 0
        for event in page.events:
            if re.fullmatch(SEQ, event.seq) is None:  # no key that Ballast writes: it has no place in the pages
                told["odd_entries"] = told.get("odd_entries", 0) + 1
                continue
            one = event_told(event)
            size += sent_bytes(one)
            if told["events"] and size > MAX_RESULT_BYTES:
                return told | {"next": told["events"][-1]["seq"]}
            told["events"].append(one)
        return told

    def waiting(self, sent: WaitingArguments) -> Object:
        """List the runs that wait for a person or for the requester, with what they are asked."""
        page = _body(self.routes.listed(tenant=sent.tenant, status="waiting", limit=sent.limit, next_token=sent.next))
        most = MAX_RESULT_BYTES // max(len(page.runs), 1)
        runs = [bounded(self._told(run), most) for run in page.runs]
        return {"runs": runs, "next": page.next, "next_step": PERSON_NEXT if runs else NOBODY_NEXT, "note": NOTE}

    def cancel(self, sent: RunArguments) -> Object:
        """Stop a run."""
        return self._shown(_body(self.routes.cancel(sent.run_id))) | {
            "next_step": "The run is being stopped. Its effects are not undone. get_run shows how it ended."
        }

    def _start(self, sent: StartArguments, prefer: str | None) -> Response[Run]:
        limits = LimitsPatch(cost_microusd=sent.cost_microusd, deadline_s=sent.deadline_s)
        body = NewRun(
            text=sent.text,
            agent=sent.agent,
            intent=sent.intent,
            context=sent.context,
            limits=limits if limits != LimitsPatch() else None,
            tenant=sent.tenant,
        )
        return self.routes.start(body, idempotency_key=sent.request_id, prefer=prefer)

    def _shown(self, run: Run) -> Object:
        told = self._told(run) | {"next_step": next_step(run), "note": NOTE}
        return bounded(told, MAX_RESULT_BYTES)

    def _told(self, run: RunSummary) -> Object:
        told = marked(run.model_dump(mode="json", exclude_none=True))
        if run.status == "waiting" and (asked := self._asked(run.run_id)) is not None:
            told["asked"] = asked
        return told

    def _asked(self, run_id: str) -> Object | None:
        """Return what is asked, of whom and until when."""
        try:
            found = self.app.runtime.get(Runs.of).asked(run_id)
        except GARBLED:
            return None
        if found is None:
            return None
        told: Object = {
            "escalation_id": found.escalation_id,
            "kind": found.kind or "escalation",
            "reason": found.reason,
            "answer_by": found.answer_by,
            "summary": found.summary,
            "proposed": found.proposed_decision,
        }
        if isinstance(found, ApprovalRequested):
            more = {"why": list(found.why), "approvals_needed": found.approvals_needed, "approvers": found.approvers}
            told |= more
        return marked({name: value for name, value in told.items() if value is not None})


def _body(response: Response[Any]) -> Any:
    return response.body


def tools_of(app: HttpApi, routes: Routes) -> tuple[Tool, ...]:
    """Return the tools of the present caller, in a fixed order."""
    runs = RunTools(app, routes)
    made: list[Tool] = []

    def offer(
        name: str, title: str, text: str, arguments: type[Wire], work: Callable[[Any], Object], **more: Any
    ) -> None:
        made.append(
            Tool(name, title, text, arguments, more.pop("right", "read"), _checked(app, arguments, work), **more)
        )

    start: dict[str, Any] = {"right": "start", "reads_only": False}
    offer(
        "ask",
        "Ask the agent",
        "Start a run for a request and wait for its answer. If the answer is not there in time, the result says so: "
        "call get_run, or ask again with the same arguments, which starts nothing new.",
        AskArguments,
        runs.ask,
        **start,
    )
    offer(
        "start_run",
        "Start a run",
        "Start a run for a request and return at once. The same request_id again returns the same run.",
        StartArguments,
        runs.start,
        **start,
    )
    offer(
        "get_run",
        "Show a run",
        "Show a run: its status, its answer, why it ended so, what it wrote, and what people are asked. With wait_s, "
        "wait for its end first.",
        ShowArguments,
        runs.show,
    )
    offer(
        "list_events",
        "Read a run's log",
        "Read what happened in a run, event by event, in pages. Long texts are cut.",
        EventsArguments,
        runs.events,
    )
    offer(
        "list_waiting",
        "List what waits for people",
        "List the runs that wait for a person or for the requester, newest first, and what they are asked. A page may "
        "be short and still have a `next`.",
        WaitingArguments,
        runs.waiting,
    )
    offer(
        "cancel_run",
        "Stop a run",
        "Stop a run that has not ended. Its effects are not undone, and it cannot be started again.",
        RunArguments,
        runs.cancel,
        right="cancel",
        reads_only=False,
    )
    return tuple(tool for tool in made if tool.right in app.caller.rights)


def _checked(app: HttpApi, arguments: type[Wire], work: Callable[[Any], Object]) -> Callable[[Object], Said]:
    """Return the work for arguments as they were sent: checked, and with its problems as a result."""

    def call(sent: Object) -> Said:
        try:
            try:
                read = arguments.model_validate_json(canonical(sent))
            except ValidationError as problem:
                raise invalid_fields(problem.errors(include_url=False, include_input=False)) from None
            said = json.dumps(work(read), ensure_ascii=False)
        except Exception as error:  # also a defect: its problem says where to look it up
            return _failed(app.problem(error, app.current_event.raw_event))
        return Said(json.loads(without_surrogates(said)))

    return call


def _failed(problem: Problem) -> Said:
    details = problem.details.model_dump(mode="json", exclude_none=True)
    match details["status"]:
        case 503:
            step = "Nothing was done. Call the tool again with the same arguments."
        case 500:
            step = "It is not known how far it got. Call the tool again with the same arguments, or tell your user."
        case 422:
            step = "Correct the named arguments and call the tool again."
        case _:
            step = "Do not repeat the call as it is. Read the detail, and tell your user if you cannot mend it."
    return Said({"error": details, "next_step": step}, failed=True)
