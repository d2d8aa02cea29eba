"""A scan for what looks like a secret, in texts that are about to be kept. Pure.

::

    readings   plain readings of a text: decoded, look-alikes as Latin letters, markup out
    words      words and forms of secrets
    scan       the search in texts and in fields with telling names

``ballast capture`` scans a test before it is written, and a feedback's note is scanned before the log has it. Imports
``ballast.masking`` and ``ballast.errors`` only. It compiles many expressions: functions import it where they need it.
"""

from ballast.errors import InvalidInput
from ballast.secret_scan.scan import secrets_in

__all__ = ["check_note", "secrets_in"]


def check_note(note: str, field: str) -> None:
    """Raise ``InvalidInput`` for a note with what looks like a secret. ``field``: how its author names it."""
    if found := next(secrets_in(note), None):
        raise InvalidInput(
            f"{field}: looks as if it held a secret, {found[1]}. The run's log keeps the note: say it without."
        )
