"""Which runs of a local cloud go on, and how those ended that did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from threading import Lock
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ballast.contracts import Event, RunRequest

if TYPE_CHECKING:
    from local.cloud import LocalCloud


class Endings:
    """Takes note of each run when it is admitted, however it was started, and yields it once it has ended."""

    def __init__(self, cloud: LocalCloud) -> None:
        self._cloud = cloud
        self._going_on: dict[str, None] = {}
        self._one_at_a_time = Lock()
        cloud.before_invoke.append(self._invoked)

    def _invoked(self, function: str, payload: Mapping[str, Any]) -> None:
        if function != "AdmitFunction":
            return
        try:
            request = RunRequest.model_validate(payload.get("request"))
        except ValidationError:  # no run; the function says so
            return
        with self._one_at_a_time:
            self._going_on[request.run_id] = None

    def new(self) -> Iterator[tuple[str, tuple[Event, ...]]]:
        """Yield the id and the log of each run that ended since the last call."""
        with self._one_at_a_time:
            going_on = list(self._going_on)
        for run_id in going_on:
            if self._cloud.status(run_id) != "RUNNING":
                with self._one_at_a_time:
                    self._going_on.pop(run_id, None)
                yield run_id, self._cloud.events(run_id)

    def going_on(self) -> Iterator[tuple[str, tuple[Event, ...]]]:
        """Yield the id and the log so far of each run that has not ended."""
        with self._one_at_a_time:
            going_on = list(self._going_on)
        for run_id in going_on:
            yield run_id, self._cloud.events(run_id)
