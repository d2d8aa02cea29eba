"""The places at which a fault of a case may happen. The kinds are in ``tests.faults.kinds``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.awsrequest import AWSPreparedRequest, AWSResponse

from localcloud.converse.source import Reply
from tests.faults.wire import Invocation, Perform, Request

if TYPE_CHECKING:
    from tests.faults.world import World


class Plan:
    """Nothing goes wrong. A kind of fault overrides what it needs.

    happened  whether its moment came: a case whose fault never happened proves nothing, and fails
    goes_on   whether the case has not begun yet, when all is quiet
    """

    happened, goes_on = True, False

    def asking(self, request: dict[str, Any]) -> dict[str, Any]:
        """Somebody sends a request."""
        return request

    def invoking(self, world: World, invocation: Invocation, run: Callable[[], Any]) -> Any:
        """Somebody invokes a function; ``run`` runs it."""
        return run()

    def requesting(
        self, world: World, invocation: Invocation, request: Request, prepared: AWSPreparedRequest, perform: Perform
    ) -> AWSResponse:
        """A function sends a request; ``perform`` carries it out."""
        return perform()

    def jitter(self) -> float:
        """The workflow waits before it tries again; return what its longest wait is multiplied by."""
        return 1.0

    def replying(self, world: World, turn: int, reply: Reply) -> Reply:
        """The model says something, in its turn (from 1) of the conversation."""
        return reply

    def entered(self, world: World, state: str) -> None:
        """The workflow enters a state."""

    def delivering(self, world: World, number: int, what: str, deliver: Callable[[], None]) -> None:
        """A queue or a rule delivers its event number so (from 1)."""
        deliver()

    def answering(self, world: World, number: int, answer: Callable[..., None]) -> None:
        """A person gives the answer number so (from 1); ``answer(instead)`` gives another one instead."""
        answer()

    def ending(self, world: World) -> None:
        """All is quiet."""
