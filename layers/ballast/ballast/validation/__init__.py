"""What a proposal must hold true against what the run knows: grounding, taint, sizes, answers. Pure.

Imports ``ballast.folds``, ``ballast.contracts`` and ``ballast.errors`` only.
"""

from ballast.validation.answers import ANSWER_BYTES, in_form, too_long, unknown_in
from ballast.validation.grounding import Grounding, Taint, Worded, ground
from ballast.validation.marks import FreeText, Grounded, Sensitive, Untrusted, has_mark, leaves, lost_marks
from ballast.validation.schema import ARGUMENT_BYTES, DEPTH, RESULT_BYTES, schema_complaint, too_large, why_no_object
from ballast.validation.sources import Source, opening_sources, run_sources
from ballast.validation.values import Kind

__all__ = [
    "ANSWER_BYTES",
    "ARGUMENT_BYTES",
    "DEPTH",
    "RESULT_BYTES",
    "FreeText",
    "Grounded",
    "Grounding",
    "Kind",
    "Sensitive",
    "Source",
    "Taint",
    "Untrusted",
    "Worded",
    "ground",
    "has_mark",
    "in_form",
    "leaves",
    "lost_marks",
    "opening_sources",
    "run_sources",
    "schema_complaint",
    "too_large",
    "too_long",
    "unknown_in",
    "why_no_object",
]
