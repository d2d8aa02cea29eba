"""Play many cases of one playbook quickly: each in a copy of one local cloud, which a process of its own forks off.

The cloud is deployed and its store is seeded once. A copy begins as that cloud was, so no case meets the traces of
another one. A run without a tool is played before, and its items are taken out of the tables: what a first run builds
(clients, validators) would otherwise be built in each copy. A system without ``fork``, and a process with other
threads, deploys a cloud for each case.
"""

import os
import pickle
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ballast.contracts import RunRequest
from ballast.contracts.timeline import Timeline
from ballast.errors import BallastError
from ballast.playbook import load_playbook
from ballast.run import Run
from cli.follow import abort_all
from cli.local_stack import shortened
from cli.responders import ScriptedResponder, SentMessages
from cli.scenario_runs import stored_item, unmet_of
from localcloud.capture.case import Case
from localcloud.capture.invariant import NOTHING
from localcloud.clock import WallClock
from localcloud.converse import Reply, ScriptModel
from localcloud.functions import FunctionError
from localcloud.gc_paused import gc_paused
from localcloud.project import seed_store
from localcloud.scenarios.doubles import doubled
from localcloud.scenarios.scenario import ENDS_WITHIN_S

if TYPE_CHECKING:
    from localcloud.cloud import LocalCloud

_TOO_LONG = f"it did not end within {ENDS_WITHIN_S:.0f} s"
#: Seconds between two looks at a run's execution.
_POLL_S = 0.02
#: Calls no tool and leaves nothing to another request.
_WARM_UP = Case({"request_id": "warm-up", "tenant": "warm-up", "text": "Hello."}, ({"say": "Hello."},))


@dataclass(frozen=True)
class Trial:
    """What became of a case: its timeline and what was not as expected, or why it could not be played."""

    timeline: Timeline | None
    wrong: tuple[str, ...] = ()
    problem: str = ""


class _AnyScript:
    """The model of the cloud: the script of the case that is played."""

    script: ScriptModel

    def reply(self, request: Mapping[str, Any], model_id: str, /) -> Reply:
        return self.script.reply(request, model_id)


class Trials:
    """Plays cases. Make one with ``trials``."""

    def __init__(self, cloud: "LocalCloud", model: _AnyScript, playbook: Path) -> None:
        self._cloud, self._model, self._playbook = cloud, model, playbook

    def check(self, expect: Mapping[str, Any]) -> None:
        """Raise ``InvalidInput`` for an expected item of a table or a key that the stack has not."""
        for item in expect.get("store", ()):
            stored_item(self._cloud, item["table"], item["key"], "--expect store")

    def play(self, case: Case, expect: Mapping[str, Any]) -> Trial:
        """Play a case in a copy of the cloud."""
        reads, writes = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child == 0:
            os.close(reads)
            self._play_and_exit(case, expect, writes)
        os.close(writes)
        try:
            return _received(reads)
        finally:
            os.close(reads)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)

    def _play_and_exit(self, case: Case, expect: Mapping[str, Any], writes: int) -> None:
        try:
            silent = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silent, 1)
            os.dup2(silent, 2)
            with os.fdopen(writes, "wb") as pipe:
                pickle.dump(self.here(case, expect), pipe)
        finally:
            os._exit(0)  # nothing of the parent's is closed or printed twice

    def here(self, case: Case, expect: Mapping[str, Any]) -> Trial:
        """Play a case in this process's cloud."""
        try:
            scenario = case.scenario(expect)
            self._model.script = case.model()
            with doubled(self._cloud, scenario.tools):
                responder = ScriptedResponder(self._cloud, scenario.answers, SentMessages(self._cloud))
                made = _ended(self._cloud, scenario.request, responder, scenario.by).timeline()
                return Trial(made, (*unmet_of(scenario, made, self._cloud, self._playbook, responder.people),))
        except (BallastError, FunctionError, TimeoutError) as problem:
            return Trial(None, problem=str(problem))


def _ended(cloud: "LocalCloud", request: RunRequest, responder: ScriptedResponder, by: str | None) -> Run:
    """Start a run and return its log when it has ended. Reading the log meanwhile would take longer than the run.

    Raises ``TimeoutError``.
    """
    until = time.monotonic() + ENDS_WITHIN_S
    run_id = cloud.start(request, by)
    while cloud.status(run_id) == "RUNNING":
        responder.poll()
        if time.monotonic() > until:
            raise TimeoutError(_TOO_LONG)
        time.sleep(_POLL_S)
    return cloud.events(run_id)


def _received(reads: int) -> Trial:
    """Return what a copy sends before it ends."""
    until, got = time.monotonic() + ENDS_WITHIN_S, b""
    while True:
        ready, _, _ = select.select([reads], [], [], max(0.0, until - time.monotonic()))
        part = os.read(reads, 1 << 20) if ready else b""
        if not part:
            break
        got += part
    if not got:
        return Trial(None, problem=f"{_TOO_LONG}, or its process died")
    made: Trial = pickle.loads(got)  # noqa: S301  our own copy wrote it
    return made


class _FreshTrials(Trials):
    """Plays each case in a cloud of its own: for systems without ``fork``."""

    def __init__(self, parameters: Mapping[str, str], seed: int, playbook: Path) -> None:
        self._parameters, self._seed, self._of = parameters, seed, playbook

    def check(self, expect: Mapping[str, Any]) -> None:
        """Raise ``InvalidInput`` for an expected item of a table or a key that the stack has not."""
        if expect.get("store"):
            with deployed(self._of, self._parameters, self._seed) as (cloud, model):
                Trials(cloud, model, self._of).check(expect)

    def play(self, case: Case, expect: Mapping[str, Any]) -> Trial:
        """Play a case."""
        with deployed(self._of, self._parameters, self._seed) as (cloud, model):
            return Trials(cloud, model, self._of).here(case, expect)


@contextmanager
def trials(playbook: Path, *, parameters: Mapping[str, str], seed: int) -> Iterator[Trials]:
    """Yield what plays cases of ``playbook``. Raises ``PlaybookInvalid``."""
    # A copy of a process with other threads may wait for ever for what such a thread held.
    if hasattr(os, "fork") and threading.active_count() == 1:
        with deployed(playbook, parameters, seed) as (cloud, model):
            player = Trials(cloud, model, playbook)
            warm_up(player, cloud)
            if threading.active_count() == 1:
                yield player
                return
    yield _FreshTrials(parameters, seed, playbook)


def warm_up(player: Trials, cloud: "LocalCloud") -> None:
    """Play a run that calls no tool, and put the tables back: only what the process has built stays."""
    from localcloud.moto_seams import dynamodb
    from localcloud.sessions import ACCOUNT, REGION

    held = dynamodb.kept(REGION, *(table["TableName"] for table in dynamodb.deployed(ACCOUNT, REGION)))
    if player.here(_WARM_UP, NOTHING).timeline is None:
        abort_all(cloud, [_WARM_UP.scenario(NOTHING).request.run_id])
    dynamodb.put_back(REGION, held)


@contextmanager
def deployed(playbook: Path, parameters: Mapping[str, str], seed: int) -> "Iterator[tuple[LocalCloud, _AnyScript]]":
    """Yield a seeded cloud, and its model, which says the script of the case that is played."""
    from localcloud.cloud import LocalCloud

    model = _AnyScript()
    with gc_paused():
        made = LocalCloud(
            playbook, model=model, enforce_iam=False, clock=WallClock(sleep=shortened), parameters=parameters
        )
    with made as cloud:
        seed_store(cloud, load_playbook(playbook), seed, {})
        cloud.load()
        yield cloud, model
