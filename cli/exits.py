"""How the command ends: one number for each kind of ending, the same for every subcommand."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes. ``HELP`` below is what ``--help`` prints of them."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    REFUSED = 3
    UNANSWERED = 4
    NOBODY_WAITS = 5
    UNFIT = 6
    NOT_COVERED = 7
    MAY_NOT = 8
    INTERRUPTED = 130
    PIPE_CLOSED = 141


HELP = """\
exit codes:
  0    answered (run), ended as expected (demo), accepted (answer), stopped (up), fits (verify)
  1    a scenario ended otherwise than expected, or a defect in the command
  2    wrong usage or invalid input; the message names the field and the remedy
  3    the run was refused: not admitted, nothing was spent
  4    the run ended without an answer: failed, unanswered, aborted, timed out; or it asks a
       person, who is not waited for (--no-wait)
  5    nobody waits for that escalation, or the answer was not confirmed
  6    a log is not as it was written (verify)
  7    no log is known to be changed, but some cannot be vouched for (verify)
  8    somebody else has to answer: the message says who may (answer)
  130  interrupted (Ctrl-C, SIGTERM)
"""


def exit_of(status: str) -> Exit:
    """Return the exit code for a run that ended with ``status``."""
    return {"answered": Exit.OK, "refused": Exit.REFUSED}.get(status, Exit.UNANSWERED)
