"""A made-up store, the same for the same seed: what a demo or a test puts into the shop's tables.

Nothing here runs when deployed. A playbook without a ``store`` has nothing to seed.
The entities that a reader may rely on are listed in ``well_known``.
"""

from .generate import Store, generate
from .put import SeedIncomplete, put_store, seed_store

__all__ = ["TRACES", "SeedIncomplete", "Store", "generate", "put_store", "seed_store"]

#: What an undo may leave changed: each change of a customer has a version.
TRACES = ("version",)
