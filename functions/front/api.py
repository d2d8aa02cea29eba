"""Lambda: the HTTP API of runs, behind API Gateway. Starts, shows and stops them; serves the console."""

import re
import time
import uuid
from collections.abc import Callable
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Header, Path, Query
from pydantic import AwareDatetime, ValidationError

from ballast.aws_errors import consequences
from ballast.contracts import RunRequest
from ballast.contracts.request import RequestId
from ballast.contracts.task import LAST_TURN
from ballast.contracts.wire import Name, canonical
from ballast.edge import guarded
from ballast.http.describe import responses
from ballast.http.front import Front
from ballast.http.problem import Problem, conflict, invalid_fields, not_found
from ballast.runtime import Runtime, lambda_runtime
from functions.front.contract import ENDED, Activity, EventPage, Me, NewRun, Run, RunPage, Status, TimelinePage
from functions.front.listing import Listing, Wanted
from functions.front.preference import MAX_WAIT_S, preference
from functions.front.reading import RunExpired, Runs, pending
from functions.front.start import Intake
from functions.front.static import SAFELY, console_file, document
from functions.front.timeline import page_of

#: What is kept for the answer, of the time that Lambda leaves.
_RESERVE_S = 3
_RUN_ID = re.compile(r"run-[a-z2-7]{24}")
_SEQ = r"^[0-9]{4}\.[a-z_]{1,32}(\.[0-9]{1,4})?\.([a-z_.]{1,32}|approval_[a-z]{1,16}(\.[0-9]{1,4}){1,2})$"
_JSON = "application/json"
_FRESH = {"Cache-Control": "no-store"}

PUBLIC = frozenset({"/console", "/console/<name>", "/openapi.json"})
app = Front(public=PUBLIC)

ARunId = Annotated[str, Path(json_schema_extra={"pattern": f"^{_RUN_ID.pattern}$"})]


@app.post(
    "/runs",
    summary="Start a run",
    tags=["runs"],
    operation_id="startRun",
    responses=responses(
        409,
        takes_a_body=True,
        ok="The run has ended in the time of `Prefer: wait`.",
        ok_headers={"Location": "The run.", "Idempotency-Key": "Its key.", "Preference-Applied": "How long at most."},
        accepted="The run is started, or was before.",
        accepted_headers={"Location": "The run.", "Idempotency-Key": "Its key."},
    ),
)
def start_run(
    body: NewRun,
    idempotency_key: Annotated[
        RequestId | None,
        Header(
            alias="Idempotency-Key",
            description="Your name for the request: the same key starts one run, and none (409) while its expired "
            "record is not gone.",
        ),
    ] = None,
    prefer: Annotated[
        str | None,
        Header(
            alias="Prefer",
            description=f"`wait=N`: answer within N seconds, {MAX_WAIT_S} at most; where the intent has a fallback and "
            "`limits.deadline_s` is not given, the fallback answers by then if the agent has not. "
            "`respond-async, wait=N`: wait as long, and leave the run all of its time.",
        ),
    ] = None,
) -> Response[Run]:
    """Start the run, once a key; wait for its end where that is preferred."""
    came = app.extras["monotonic"]()
    key = idempotency_key or app.extras["new_id"]()
    sent = body.model_dump(mode="json") | {"request_id": key, "tenant": app.caller.tenant_for(body.tenant)}
    try:
        request = RunRequest.model_validate_json(canonical(sent))
    except ValidationError as problem:
        raise invalid_fields(problem.errors(include_url=False, include_input=False)) from None
    wanted = preference(prefer)
    runs = app.runtime.get(Runs.of)
    if runs.has_expired(request.run_id):  # Step Functions may know nothing of it any more, and would start it anew
        raise _expired(request)
    started = app.runtime.get(Intake.of).start(
        request,
        requested_by=app.caller.principal,
        answer_within_s=wanted.wait_s if wanted and wanted.hurries else None,
    )["started"]
    # Of a run that was started just now there is nothing to read.
    run = pending(request) if started else _repeated(request)
    headers = {**_FRESH, "Location": f"/runs/{request.run_id}", "Idempotency-Key": key}
    if wanted is not None:
        headers["Preference-Applied"] = f"wait={wanted.wait_s}"
        left = app.lambda_context.get_remaining_time_in_millis() / 1000 - _RESERVE_S
        seconds = min(wanted.wait_s - (app.extras["monotonic"]() - came), left)
        ended = runs.wait(request.run_id, seconds, app.extras["sleep"], app.extras["monotonic"])
        return Response(200 if ended else 202, _JSON, runs.get(request.run_id) or run, headers)
    return Response(202, _JSON, run, headers)


@app.get(
    "/me", summary="Show who you are", tags=["callers"], operation_id="getMe", responses=responses(ok="Your rights.")
)
def get_me(
    tenant: Annotated[Name | None, Query(description="Whether you act for it: refused where it is not yours.")] = None,
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
    tenant: Annotated[Name | None, Query(description="Whose; only an operator may name another's.")] = None,
    status: Annotated[Status | None, Query()] = None,
    since: Annotated[
        AwareDatetime | None, Query(description="Opened since then; or ended, where `status` is an ending.")
    ] = None,
    until: Annotated[AwareDatetime | None, Query(description="The same, until then.")] = None,
    limit: Annotated[int, Query(ge=1, le=50, description="At most so many.")] = 20,
    next_token: Annotated[
        str | None, Query(alias="next", max_length=1_000, description="The last page's `next`.")
    ] = None,
) -> Response[RunPage]:
    """Return a page of the tenant's runs, newest first."""
    wanted = Wanted(app.caller.tenant_for(tenant), status, since, until)
    return Response(200, _JSON, app.runtime.get(Listing.of).page(wanted, limit, next_token), dict(_FRESH))


@app.get(
    "/activity",
    summary="Count the last day's runs",
    description="By hour: what came in, what was answered, and how much of it not by the agent.",
    tags=["runs"],
    operation_id="getActivity",
    responses=responses(ok="The last 24 hours."),
)
def get_activity(
    tenant: Annotated[Name | None, Query(description="Whose; only an operator may name another's.")] = None,
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
    description="In the order of the work. While the run goes on, events of its newest turn may still come in between.",
    tags=["runs"],
    operation_id="listEvents",
    responses=responses(404, ok="A page of events."),
)
def list_events(
    run_id: ARunId,
    limit: Annotated[int, Query(ge=1, le=200, description="At most so many.")] = 100,
    after: Annotated[
        str | None,
        Query(pattern=_SEQ, description="A `seq`."),
    ] = None,
) -> Response[EventPage]:
    """Return a page of the run's log."""
    runs = app.runtime.get(Runs.of)
    _seen(runs, run_id)
    return Response(200, _JSON, runs.events(run_id, after, limit), dict(_FRESH))


@app.get(
    "/runs/<run_id>/timeline",
    summary="Read a run's story",
    description="Its header is whole on every page. While the run goes on, its newest turn and the one before it may "
    "still change.",
    tags=["runs"],
    operation_id="getTimeline",
    responses=responses(404, ok="The story, with a page of its turns."),
)
def get_timeline(
    run_id: ARunId,
    limit: Annotated[int, Query(ge=1, le=200, description="At most so many turns.")] = 100,
    after: Annotated[int, Query(ge=0, lt=LAST_TURN, description="A turn's number: those that follow it.")] = 0,
) -> Response[TimelinePage]:
    """Return what happened in the run, told turn by turn."""
    runs = app.runtime.get(Runs.of)
    _seen(runs, run_id)
    made = runs.timeline(run_id)
    if made is None:
        raise not_found("run of that id")
    return Response(200, _JSON, page_of(made, after, limit), dict(_FRESH))


@app.post(
    "/runs/<run_id>/cancel",
    summary="Stop a run",
    description="It ends as `aborted` a moment later. What it did is not undone.",
    tags=["runs"],
    operation_id="cancelRun",
    responses=responses(404, 409, takes_a_body=True, accepted="It is told to stop."),
)
def cancel_run(run_id: ARunId) -> Response[Run]:
    """Stop the run's execution; its ending is recorded like every other."""
    run = _run(run_id)
    if run.status in ENDED:
        raise conflict("Run ended", f"{run_id} ended as {run.status} already.")
    runs = app.runtime.get(Runs.of)
    with consequences(f"State machine {runs.state_machine_arn} (STATE_MACHINE_ARN)"):
        runs.stepfunctions.stop_execution(
            executionArn=runs.execution_arn(run_id), error="Cancelled", cause=f"by {app.caller.principal}"
        )
    return Response(202, _JSON, run, {**_FRESH, "Location": f"/runs/{run_id}"})


@app.get("/console", include_in_schema=False)
def console() -> Response[str]:
    """Serve the console's page."""
    return _file("index.html")


@app.get("/console/<name>", include_in_schema=False)
def console_part(name: str) -> Response[str]:
    """Serve what the page loads."""
    return _file(name)


@app.get("/openapi.json", include_in_schema=False)
def openapi() -> Response[str]:
    """Serve the description of this API."""
    return Response(200, _JSON, document(), dict(SAFELY))


def _file(name: str) -> Response[str]:
    media_type, text = console_file(name)
    return Response(200, media_type, text, dict(SAFELY))


def _repeated(request: RunRequest) -> Run:
    """Return the run that was started for the request; a problem where its record has expired."""
    try:
        return app.runtime.get(Runs.of).look(request.run_id) or pending(request)
    except RunExpired:
        raise _expired(request) from None


def _expired(request: RunRequest) -> Problem:
    return conflict(
        "Run expired",
        f"The run of this Idempotency-Key ({request.run_id}) is over and its record has expired. Nothing was started. "
        "Send a new key for a new run.",
    )


def _seen(runs: Runs, run_id: str) -> None:
    """Raise ``Problem`` (404) where there is no such run, or none that the caller may see."""
    tenant = runs.tenant(run_id) if _RUN_ID.fullmatch(run_id) else None
    if tenant is None or not app.caller.sees(tenant):
        raise not_found("run of that id")


def _run(run_id: str) -> Run:
    """Return the run; for a caller who may not see it there is none."""
    run = app.runtime.get(Runs.of).get(run_id) if _RUN_ID.fullmatch(run_id) else None
    if run is None or not app.caller.sees(run.tenant):
        raise not_found("run of that id")
    return run


def _new_id() -> str:
    return str(uuid.uuid4())


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
