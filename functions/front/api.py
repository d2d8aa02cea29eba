"""Lambda: the HTTP API of runs: start, show and stop them; serve the console."""

import base64
import binascii
import re
import time
import uuid
from collections.abc import Callable
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Header, Path, Query
from pydantic import AwareDatetime, ValidationError

from ballast.attachments.files import WrongContent, measured
from ballast.attachments.store import Attachments, named
from ballast.contracts import RunRequest
from ballast.contracts.attachment import Attachment
from ballast.contracts.request import RequestId
from ballast.contracts.task import LAST_TURN
from ballast.contracts.why import Why
from ballast.contracts.wire import Name, canonical
from ballast.edge import guarded
from ballast.folds.feedback import Verdict
from ballast.http.api import HttpApi
from ballast.http.describe import responses
from ballast.http.identity import Callers, CallerSettings
from ballast.http.problem import Problem, conflict, invalid, invalid_fields, not_found
from ballast.on_behalf import HEADER, Token, subjects
from ballast.runtime import Runtime, lambda_runtime, made_at_init
from functions.front.contract import (
    ENDED,
    MAX_WAIT_S,
    SEQ,
    Activity,
    AttachmentLink,
    EventPage,
    Me,
    NewAttachment,
    NewRun,
    Run,
    RunPage,
    Status,
    TimelinePage,
    preference,
)
from functions.front.files import SAFELY, console_file, document
from functions.front.listing import Listing, RunFilter
from functions.front.mcp_door import BODY, DESCRIBED, Routes, door
from functions.front.on_behalf import Door, OnBehalfOf, OnBehalfSettings
from functions.front.runs import RunExpired, Runs, pending, timeline_page
from functions.front.start import Executions, StartSettings, check

_RUN_ID = re.compile(r"run-[a-z2-7]{24}")
_JSON = "application/json"
_FRESH = {"Cache-Control": "no-store"}


class ApiSettings(StartSettings, CallerSettings, OnBehalfSettings):
    """The environment of Api.

    run_log_table, payload_bucket  the log (``LogSettings`` without ``retention_days``: Api does not write)
    state_machine_arn  the workflow (``StartSettings``)
    requester_tokens_table, sensitive_key_arn, playbook_dir  tokens that callers bring (``OnBehalfSettings``)
    tenant_claim, reviewer_claim, operator_claim, group_claim  identities of AuthMode JWT (``CallerSettings``)
    iam_tenant_pattern, iam_reviewer_pattern, iam_operator_pattern, iam_person_pattern  identities of AuthMode IAM
    """

    run_log_table: str
    payload_bucket: str


#: Paths that need no identity.
PUBLIC = frozenset({"/console", "/console/<name>", "/openapi.json"})
app = HttpApi(public=PUBLIC, large=frozenset({"/runs"}), bodies={"/mcp": BODY})

ARunId = Annotated[str, Path(json_schema_extra={"pattern": f"^{_RUN_ID.pattern}$"})]


@app.post(
    "/runs",
    summary="Start a run",
    tags=["runs"],
    operation_id="startRun",
    responses=responses(
        409,
        takes_a_body=True,
        ok="The run has ended within the time of `Prefer: wait`.",
        ok_headers={
            "Location": "The run.",
            "Idempotency-Key": "Its key.",
            "Preference-Applied": "The longest wait that was applied.",
        },
        accepted="The run is started, or was started before.",
        accepted_headers={"Location": "The run.", "Idempotency-Key": "Its key."},
    ),
)
def start_run(
    body: NewRun,
    idempotency_key: Annotated[
        RequestId | None,
        Header(
            alias="Idempotency-Key",
            description="Your name for the request. The same key starts one run; while the expired record of that run "
            "is being removed it starts none (409).",
        ),
    ] = None,
    prefer: Annotated[
        str | None,
        Header(
            alias="Prefer",
            description=f"`wait=N`: respond within N seconds, {MAX_WAIT_S} at most. If the intent has a fallback and "
            "`limits.deadline_s` is not given, the fallback answers by then if the agent has not. "
            "`respond-async, wait=N`: wait as long, but leave the run all of its time.",
        ),
    ] = None,
    on_behalf_of: OnBehalfOf = None,
) -> Response[Run]:
    """Start the run, once for a key; wait for its end if the caller prefers that."""
    came = app.extras["monotonic"]()
    tokens: tuple[Token, ...] = ()
    if on_behalf_of is not None:  # Powertools splits a value at its commas
        header = app.current_event["headers"][HEADER.lower()]
        tokens = app.runtime.get(Door.of).read(header, app.runtime.clock())
    key = idempotency_key or app.extras["new_id"]()
    sent = body.model_dump(mode="json", exclude={"attachments"})
    sent |= {"request_id": key, "tenant": app.caller.tenant_for(body.tenant)}
    files = [_attached(at, one) for at, one in enumerate(body.attachments)]
    try:
        request = RunRequest.model_validate_json(canonical(sent))
    except ValidationError as problem:
        raise invalid_fields(problem.errors(include_url=False, include_input=False)) from None
    request = request.model_copy(update={"attachments": tuple(one for one, _ in files)})
    wanted = preference(prefer)
    runs = app.runtime.get(Runs.of)
    if runs.has_expired(request.run_id):  # Step Functions may have forgotten it, and would start it anew
        raise _expired(request)
    for attachment, content in files:  # before the run: admission reads them
        app.runtime.get(Attachments.of).put(request.tenant, request.run_id, attachment, content)
    executions = app.runtime.get(Executions.of)
    if tokens:  # before the run: a call may come at once
        check(request)
        app.runtime.get(Door.of).keep(executions, request, app.caller.principal, tokens)
    started = executions.start(
        request,
        requested_by=app.caller.principal,
        answer_within_s=wanted.wait_s if wanted and wanted.hurries else None,
        on_behalf=subjects(tokens),
    )["started"]
    if tokens and not started:  # somebody may have started it since
        app.runtime.get(Door.of).keep(executions, request, app.caller.principal, tokens)
    # Step Functions says "started" to the same sender again, as long as the run goes on: only its log knows.
    run = _repeated(request)
    headers = {**_FRESH, "Location": f"/runs/{request.run_id}", "Idempotency-Key": key}
    if wanted is not None:
        headers["Preference-Applied"] = f"wait={wanted.wait_s}"
        seconds = wanted.wait_s - (app.extras["monotonic"]() - came)
        ended = runs.wait_within(request.run_id, seconds, app)
        return Response(200 if ended else 202, _JSON, runs.get(request.run_id) or run, headers)
    return Response(202, _JSON, run, headers)


@app.get(
    "/me", summary="Show who you are", tags=["callers"], operation_id="getMe", responses=responses(ok="Your rights.")
)
def get_me(
    tenant: Annotated[Name | None, Query(description="A tenant to act for: refused (403) if it is not yours.")] = None,
) -> Response[Me]:
    """Return the caller's identity and rights."""
    who = app.caller
    who.tenant_for(tenant)
    me = Me(
        principal=who.principal,
        role=who.role,
        tenant=who.tenant,
        groups=tuple(sorted(who.groups)),
        you_may=who.rights,
    )
    return Response(200, _JSON, me, dict(_FRESH))


@app.get(
    "/runs", summary="List runs", tags=["runs"], operation_id="listRuns", responses=responses(ok="A page of runs.")
)
def list_runs(
    tenant: Annotated[Name | None, Query(description="Whose runs; only an operator may name another tenant.")] = None,
    status: Annotated[Status | None, Query()] = None,
    feedback: Annotated[
        Verdict | None, Query(description="Of which people say so: wrong if anybody does. Not with `status`.")
    ] = None,
    since: Annotated[
        AwareDatetime | None,
        Query(
            description="Opened at or after this time; or ended, if `status` is an ending; or said, if `feedback` is "
            "given."
        ),
    ] = None,
    until: Annotated[AwareDatetime | None, Query(description="The same: at or before this time.")] = None,
    limit: Annotated[int, Query(ge=1, le=50, description="The most to return.")] = 20,
    next_token: Annotated[
        str | None, Query(alias="next", max_length=1_000, description="The last page's `next`.")
    ] = None,
) -> Response[RunPage]:
    """Return a page of the tenant's runs, newest first."""
    wanted = RunFilter(app.caller.tenant_for(tenant), status, feedback, since, until)
    return Response(200, _JSON, app.runtime.get(Listing.of).page(wanted, limit, next_token), dict(_FRESH))


@app.get(
    "/activity",
    summary="Count the last day's runs",
    description="By hour: runs that were started, runs that were answered, and the share of answers not by the agent.",
    tags=["runs"],
    operation_id="getActivity",
    responses=responses(ok="The last 24 hours."),
)
def get_activity(
    tenant: Annotated[Name | None, Query(description="Whose runs; only an operator may name another tenant.")] = None,
) -> Response[Activity]:
    """Return the last 24 hours of the tenant's runs."""
    return Response(200, _JSON, app.runtime.get(Listing.of).activity(app.caller.tenant_for(tenant)), dict(_FRESH))


@app.get(
    "/runs/<run_id>",
    summary="Show a run",
    tags=["runs"],
    operation_id="getRun",
    responses=responses(404, ok="The run."),
)
def get_run(run_id: ARunId) -> Response[Run]:
    """Return the run."""
    return Response(200, _JSON, _run(run_id), dict(_FRESH))


@app.get(
    "/runs/<run_id>/events",
    summary="Read a run's log",
    description="In the order of the work. While the run goes on, events of its newest turn may still be inserted.",
    tags=["runs"],
    operation_id="listEvents",
    responses=responses(404, ok="A page of events."),
)
def list_events(
    run_id: ARunId,
    limit: Annotated[int, Query(ge=1, le=200, description="The most to return.")] = 100,
    after: Annotated[
        str | None,
        Query(pattern=SEQ, description="A `seq`: return the events that follow it."),
    ] = None,
) -> Response[EventPage]:
    """Return a page of the run's log."""
    runs = app.runtime.get(Runs.of)
    _seen(runs, run_id)
    return Response(200, _JSON, runs.events(run_id, after, limit), dict(_FRESH))


@app.get(
    "/runs/<run_id>/timeline",
    summary="Read a run's timeline",
    description="Every page has the whole header. While the run goes on, its newest turn and the one before it may "
    "still change.",
    tags=["runs"],
    operation_id="getTimeline",
    responses=responses(404, ok="The timeline, with a page of its turns."),
)
def get_timeline(
    run_id: ARunId,
    limit: Annotated[int, Query(ge=1, le=200, description="The most turns to return.")] = 100,
    after: Annotated[int, Query(ge=0, lt=LAST_TURN, description="A turn's number: return those that follow it.")] = 0,
) -> Response[TimelinePage]:
    """Return what happened in the run, turn by turn."""
    runs = app.runtime.get(Runs.of)
    _seen(runs, run_id)
    made = runs.timeline(run_id)
    if made is None:
        raise not_found("run of that id")
    return Response(200, _JSON, timeline_page(made, after, limit), dict(_FRESH))


@app.get(
    "/runs/<run_id>/why",
    summary="Say why a run ended so",
    description="Or what it waits for: the cause, what nobody knows now, what to type, where its money and time went. "
    "Computed from the run's log alone.",
    tags=["runs"],
    operation_id="getWhy",
    responses=responses(404, ok="The report."),
)
def get_why(run_id: ARunId) -> Response[Why]:
    """Return why the run ended so, or what it waits for."""
    runs = app.runtime.get(Runs.of)
    _seen(runs, run_id)
    report = runs.why(run_id)
    if report is None:
        raise not_found("run of that id")
    return Response(200, _JSON, report, dict(_FRESH))


@app.get(
    "/runs/<run_id>/attachments/<number>",
    summary="Get a file of a run",
    description="A link that works for five minutes, without an identity, and loads the file as a download.",
    tags=["runs"],
    operation_id="getAttachment",
    responses=responses(404, ok="The file and its link."),
)
def get_attachment(
    run_id: ARunId,
    number: Annotated[int, Path(ge=1, le=999, description="The file's place in the run, from 1 on.")],
) -> Response[AttachmentLink]:
    """Return a short-lived link to the file."""
    runs = app.runtime.get(Runs.of)
    _seen(runs, run_id)
    found = runs.attachment(run_id, number)
    if found is None:
        raise not_found("file of that number")
    return Response(200, _JSON, found, dict(_FRESH))


@app.post(
    "/runs/<run_id>/cancel",
    summary="Stop a run",
    description="It ends as `aborted` a moment later. Its effects are not undone.",
    tags=["runs"],
    operation_id="cancelRun",
    responses=responses(404, 409, takes_a_body=True, accepted="It is being stopped."),
)
def cancel_run(run_id: ARunId) -> Response[Run]:
    """Stop the run's execution; its ending is recorded like any other."""
    run = _run(run_id)
    if run.status in ENDED:
        raise conflict("Run ended", f"{run_id} ended as {run.status} already.")
    app.runtime.get(Executions.of).stop(run_id, by=app.caller.principal)
    return Response(202, _JSON, run, {**_FRESH, "Location": f"/runs/{run_id}"})


# Agents of others: the same routes as tools of the Model Context Protocol.
app.post("/mcp", **DESCRIBED)(door(app, Routes(start_run, get_run, list_events, list_runs, cancel_run)))


@app.get("/console", include_in_schema=False)
def console() -> Response[str]:
    """Serve the console's page."""
    return _file("index.html")


@app.get("/console/<name>", include_in_schema=False)
def console_part(name: str) -> Response[str]:
    """Serve a file that the page loads."""
    return _file(name)


@app.get("/openapi.json", include_in_schema=False)
def openapi() -> Response[str]:
    """Serve the description of this API."""
    return Response(200, _JSON, document(), dict(SAFELY))


def _file(name: str) -> Response[str]:
    media_type, text = console_file(name)
    return Response(200, media_type, text, dict(SAFELY))


def _attached(at: int, sent: NewAttachment) -> tuple[Attachment, bytes]:
    """Return a file and its content. Raises ``Problem`` (422) if the content is not of its format."""
    try:
        content = base64.b64decode(sent.data, validate=True)
        measured(sent.format, content)
    except (binascii.Error, WrongContent) as wrong:
        why = str(wrong) if isinstance(wrong, WrongContent) else "is not base64"
        raise invalid(f"attachments.{at}.data", why) from None
    return named(sent.name, sent.format, content), content


def _repeated(request: RunRequest) -> Run:
    """Return the run that was started for the request. Raises ``Problem`` (409) if its record has expired."""
    try:
        return app.runtime.get(Runs.of).find(request.run_id) or pending(request)
    except RunExpired:
        raise _expired(request) from None


def _expired(request: RunRequest) -> Problem:
    return conflict(
        "Run expired",
        f"The run of this Idempotency-Key ({request.run_id}) is over and its record has expired. Nothing was started. "
        "Send a new key for a new run.",
    )


def _seen(runs: Runs, run_id: str) -> None:
    """Raise ``Problem`` (404) if there is no such run, or the caller may not see it."""
    tenant = runs.tenant(run_id) if _RUN_ID.fullmatch(run_id) else None
    if tenant is None or not app.caller.sees(tenant):
        raise not_found("run of that id")


def _run(run_id: str) -> Run:
    """Return the run. Raises ``Problem`` (404), also if the caller may not see it."""
    run = app.runtime.get(Runs.of).get(run_id) if _RUN_ID.fullmatch(run_id) else None
    if run is None or not app.caller.sees(run.tenant):
        raise not_found("run of that id")
    return run


def _new_id() -> str:
    return str(uuid.uuid4())


@made_at_init(Callers.of, "dynamodb")
@guarded
def lambda_handler(
    event: dict[str, Any],
    context: Any,
    *,
    runtime: Runtime | None = None,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
    new_id: Callable[[], str] = _new_id,
) -> dict[str, Any]:
    """Answer API Gateway's ``event`` (HTTP API, payload 2.0)."""
    return app.answer(
        event, context, runtime or lambda_runtime(), {"sleep": sleep, "monotonic": monotonic, "new_id": new_id}
    )
