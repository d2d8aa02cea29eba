"""The test kit for playbooks, by the name that their authors import; ``pytest -p ballast.testing`` has its fixtures.

The kit is ``localcloud.testing``. This module is not part of a deployed layer.
"""

from localcloud.testing import FallbackDriver, FallbackRun, Gate, LocalDesk, ScriptedModel, Verdict

__all__ = ["FallbackDriver", "FallbackRun", "Gate", "LocalDesk", "ScriptedModel", "Verdict"]

pytest_plugins = ["localcloud.testing"]
