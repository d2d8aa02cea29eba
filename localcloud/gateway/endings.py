"""Which runs of a local cloud go on, and how those ended that did."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from threading import Lock
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ballast.contracts import RunRequest
from ballast.run import Run

if TYPE_CHECKING:
    from localcloud.cloud import LocalCloud


class Endings:
    """Takes note of each run when it is admitted, however it was started, and yields it once it has ended."""

    def __init__(self, cloud: LocalCloud) -> None:
        self._cloud = cloud
        self._going_on: dict[str, None] = {}
        self._ended: deque[str] = deque()
        self._one_at_a_time = Lock()
        cloud.before_invoke.append(self._invoked)
        cloud.run_ended.append(self._ended.append)

    def _invoked(self, function: str, payload: Mapping[str, Any]) -> None:
        if function != "AdmitFunction":
            return
        try:
            request = RunRequest.model_validate(payload.get("request"))
        except ValidationError:  # no run; the function says so
            return
        with self._one_at_a_time:
            self._going_on[request.run_id] = None

    def new(self) -> Iterator[tuple[str, Run]]:
        """Yield the id and the log of each run that ended since the last call."""
        while self._ended:
            run_id = self._ended.popleft()
            with self._one_at_a_time:
                admitted = run_id in self._going_on
                self._going_on.pop(run_id, None)
            if admitted:
                yield run_id, self._cloud.events(run_id)

    def going_on(self) -> list[str]:
        """Return the ids of the runs that have not ended, or whose end was not told yet."""
        with self._one_at_a_time:
            return list(self._going_on)
