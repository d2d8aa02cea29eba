"""Playbooks written for one test; their modules are unloaded after it."""

import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _nothing_stays_imported() -> Iterator[None]:
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        # What a playbook imported from elsewhere may stay.
        if "_of_a_test" in name:
            del sys.modules[name]
