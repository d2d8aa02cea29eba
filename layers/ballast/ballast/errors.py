"""Every error that Ballast raises on purpose, named by its consequence.

::

    BallastError
    ├── RetryLater                 retry   nothing was done; the same task may be tried again
    │   ├── NotYetResumed                  an answer is on record; whether the run goes on with it shows later
    │   ├── AttemptInProgress              another attempt holds the call; wait for its outcome
    │   └── AtCapacity                     no room for the run's money now, and its request waits
    ├── CallRefused                repair  goes back to the model as a tool result
    │   ├── UnknownTool
    │   ├── MalformedArguments             not JSON, or not an object
    │   ├── SchemaViolation
    │   ├── TooLarge                       more bytes or levels than the tool takes
    │   ├── RuleViolation                  well formed, but not allowed here
    │   ├── Unaffordable                   it may cost more than the run has left
    │   ├── MoveRefused                    a window of the business's own money has no room for it
    │   ├── Ungrounded                     a value that nobody named
    │   ├── Tainted                        a value that only untrusted text names
    │   ├── ToolForbidden                  the agent repeats itself with this tool
    │   ├── RepeatRefused                  the same call may have happened already; nobody knows
    │   ├── NotSigned                      a person is said to have decided or approved it, and did not sign that
    │   └── NotVouched                     said to be the rollback's or the script's, and nothing shows that
    ├── AskPerson                  ask     somebody has to decide
    │   ├── ApprovalRequired
    │   ├── ApprovalParked                 nobody answered; ask again, with a long time to answer
    │   └── EffectUnknown                  it may have happened; never blindly repeated
    └── Stop                       stop    trying again cannot help
        ├── NotAdmitted                    the run does not start
        │   ├── ExecutionMisnamed          the execution does not have the run's name
        │   ├── RequestConflict            the same request id with another body
        │   ├── BreakerStopped             the spend breaker lets no run start
        │   ├── WindowFull                 an hour or a day has no room for the run's ceiling
        │   └── TooManyRuns                as many runs at once as may be
        ├── RunEnded                       the run has an ending; nothing may be spent for it any more
        ├── InvalidInput                   a field of a contract is wrong
        ├── PlaybookInvalid
        ├── SettingInvalid
        ├── ModelRefused                   no price, no such model, no access
        ├── EscalationClosed               answered already, or too late
        ├── MayNotAnswer                   who asked for the run does not approve its calls
        └── LogCorrupt                     a digest does not match: somebody touched the log
            └── AnswerUnsigned             what claims to be a person's answer is not signed

Amazon States Language matches error *names*, never base classes, so every name that
``statemachine/agent.asl.yaml`` mentions is a class here (a test holds them together).
Imports nothing of Ballast.
"""

from collections.abc import Iterable
from typing import Any


class BallastError(Exception):
    """The root. Its text says what is wrong and what to do next."""


class RetryLater(BallastError):
    """Nothing was done; the same task may be tried again."""


class NotYetResumed(RetryLater):
    """A person's answer is on record, and nobody can say yet whether its run goes on with it."""


class AttemptInProgress(RetryLater):
    """Another attempt at the same call has not ended yet."""


class AtCapacity(RetryLater):
    """A window or the number of runs at once has no room for the run, and its request chose to wait."""


class CallRefused(BallastError):
    """A proposed tool call that is not executed; the text tells the planner what to mend.

    ``arguments``: the paths of the arguments that it is about, if it is about some.
    """

    def __init__(self, message: str = "", *, arguments: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.arguments = tuple(arguments)


class UnknownTool(CallRefused):
    """No tool of that name is in the playbook."""


class MalformedArguments(CallRefused):
    """The arguments are not a JSON object."""


class SchemaViolation(CallRefused):
    """The arguments do not fit the tool's model."""


class RuleViolation(CallRefused):
    """The arguments fit the model, but one of the tool's own rules forbids them."""


class TooLarge(CallRefused):
    """The arguments have more bytes or levels than the tool takes."""


class Unaffordable(CallRefused):
    """The call may cost more than what is left of the run's ceiling."""


class MoveRefused(CallRefused):
    """The call would move more of the business's own money than a window of the run, customer, tenant or all has."""


class Ungrounded(CallRefused):
    """A value that must occur in what the run knows occurs nowhere: it was invented."""


class Tainted(CallRefused):
    """A value occurs only in text that nobody vouches for, and the tool does not act on such values."""


class ToolForbidden(CallRefused):
    """The agent repeated itself with this tool after a notice: no further call until something changes."""


class RepeatRefused(CallRefused):
    """The same call came before in this run, and whether it happened is unknown."""


class NotSigned(CallRefused):
    """The call claims a person's decision or approval, and has no valid signature of one."""


class NotVouched(CallRefused):
    """The rollback or the fallback's script is said to propose the call, and what nobody can forge does not show it."""


class AskPerson(BallastError):
    """A person has to decide before anything else happens."""


class ApprovalRequired(AskPerson):
    """The tool's rule asks for an approval that is not in the log yet."""


class ApprovalParked(AskPerson):
    """Nobody answered in time, and the playbook lets the call wait on: people are asked anew, with a long time."""


class EffectUnknown(AskPerson):
    """An effect may or may not have happened; a person must look."""


class Stop(BallastError):
    """Trying again cannot help."""


class NotAdmitted(Stop):
    """The run does not start. ``opens_at`` (ISO 8601): when a window has room again, if known."""

    def __init__(self, message: str = "", *, opens_at: str | None = None) -> None:
        super().__init__(message)
        self.opens_at = opens_at


class ExecutionMisnamed(NotAdmitted):
    """Somebody started an execution whose name is not the run's id, by which everything else finds it."""


class RequestConflict(NotAdmitted):
    """The same request id came before with another body."""


class BreakerStopped(NotAdmitted):
    """The spend breaker lets no run start."""


class WindowFull(NotAdmitted):
    """A window of the tenant's or the account's has no room for the run's ceiling."""


class TooManyRuns(NotAdmitted):
    """As many runs hold a lease as may at once; nobody knows when one ends."""


class RunEnded(Stop):
    """The run has an ending on the record, or has gone on without this turn."""


class InvalidInput(Stop):
    """A field of a contract is missing or wrong; the text names it."""


class PlaybookInvalid(Stop):
    """The playbook's folder cannot be used; the text names the file and the remedy."""


class SettingInvalid(Stop):
    """An environment variable of a function is missing or wrong."""


class ModelRefused(Stop):
    """The model cannot be called at all: no price, no such model, no access."""


class EscalationClosed(Stop):
    """The escalation was answered already, or its run no longer waits."""


class MayNotAnswer(Stop):
    """This person may not answer this escalation; somebody else may."""


class LogCorrupt(Stop):
    """A recorded digest does not match the content."""


class AnswerUnsigned(LogCorrupt):
    """What claims to be a person's answer has no valid signature. ``event`` is what is in the log, where known."""

    def __init__(self, message: str = "", *, event: Any = None) -> None:
        super().__init__(message)
        self.event = event


class ProcessEnds(BaseException):
    """This process, or the thread of a tool, is at its end: nobody takes it for an error of the code that ran.

    Whatever else a tool or a rule raises is an error of theirs, whether or not it is an ``Exception``. What plays the
    death of a process derives from this.
    """


def ends_the_process(problem: BaseException) -> bool:
    """Say whether an error is the end of this process, and no error of the code that ran.

    ``sys.exit``, a cancelled event loop, the panic of a client in Rust and the timeout of a green thread are errors of
    that code: they are no ``Exception``, and no list of them would be whole.
    """
    return isinstance(problem, KeyboardInterrupt | ProcessEnds)


class whatever_it_raises:  # noqa: N801  it is written as ``contextlib.suppress`` is
    """Leave the block where code of the playbook's author raises in it, whatever that is; others say what follows."""

    def __enter__(self) -> None:
        """Begin the block."""

    def __exit__(self, _kind: object, problem: BaseException | None, _trace: object) -> bool:
        """Say whether the block is left as if nothing had been raised."""
        return problem is not None and not ends_the_process(problem)


def _named(error: type[BallastError]) -> set[str]:
    return {error.__name__}.union(*map(_named, error.__subclasses__()))


#: The names of all of them, by which the log and the workflow say what went wrong.
NAMES = frozenset(_named(BallastError))
