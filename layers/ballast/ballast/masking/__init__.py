"""Find sensitive values in JSON and texts, and replace each by a mask or by a token that can be resolved. Pure.

::

    event of an invocation ─▶ decoded ─▶ values ─┐
    the playbook's marks ────────────────────────┴─▶ Secret ─▶ Finder ─▶ the body of an event   masked, or sealed
                                                                       └▶ a text of a function   masked

    decoded      the event of an invocation, with the JSON, base64 and envelopes nested in its texts
    secret       values, and their replacement: which of an event is data, and which is Ballast's own
    plain        a text as a reader sees it: without escapes, in ordinary characters
    spellings    the search for a value in a text: escaped, regrouped, abbreviated
    equivalents  its numbers, dates and times, by what they mean
    texts        an error's text, and any text that leaves a function

A secret is found by its value, so it is also found where no mark reaches: in a prompt, a message, a traceback::

    finder = Finder.of({Secret("4111 1111 1111 1111", field="card", tool="pay")})
    masked({"text": "card 4111-1111-1111-1111"}, finder)  # {"text": "card *****"}

Which values are sensitive is said by the caller: ``ballast.playbook.sensitive`` reads the marks of a playbook, and
``masked_context`` takes all that a request sends. ``ballast.log.seal`` encrypts the values behind the tokens, and
``ballast.edge`` masks the errors of a function. Imports ``ballast.contracts`` and ``ballast.errors`` only.
"""

from ballast.masking.decoded import is_name, read_text, sent, values_in
from ballast.masking.equivalents import python_texts
from ballast.masking.plain import UNSEEN, dashes, decoded
from ballast.masking.secret import MASK, SEALED, Finder, Secret, as_text, masked, sealed, unsealed, without_tokens
from ballast.masking.texts import error_text, in_utf8, masked_context, without_inputs

__all__ = [
    "MASK",
    "SEALED",
    "UNSEEN",
    "Finder",
    "Secret",
    "as_text",
    "dashes",
    "decoded",
    "error_text",
    "in_utf8",
    "is_name",
    "masked",
    "masked_context",
    "python_texts",
    "read_text",
    "sealed",
    "sent",
    "unsealed",
    "values_in",
    "without_inputs",
    "without_tokens",
]
