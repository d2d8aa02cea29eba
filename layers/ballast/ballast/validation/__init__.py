"""Validation of proposals against the run's facts: grounding, taint, sizes, answers. Pure.

Imports ``ballast.folds``, ``ballast.contracts`` and ``ballast.errors`` only.
"""

from ballast.validation.answers import ANSWER_BYTES, answer_too_large, fit_schema, unknown_values
from ballast.validation.grounding import Grounding, Taint, WordsOnly, ground
from ballast.validation.marks import FreeText, Grounded, Sensitive, Untrusted, has_mark, ineffective_marks, leaves
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
    "WordsOnly",
    "answer_too_large",
    "fit_schema",
    "ground",
    "has_mark",
    "ineffective_marks",
    "leaves",
    "opening_sources",
    "run_sources",
    "schema_complaint",
    "too_large",
    "unknown_values",
    "why_no_object",
]
