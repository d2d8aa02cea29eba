"""The test kit for playbooks, by the name that their authors import; ``pytest -p ballast.testing`` has its fixtures.

The kit is ``localcloud.testing``. This module is not part of a deployed layer.
"""

from typing import TYPE_CHECKING, Any

#: A plugin's own plugins, which pytest imports itself: only so does it explain their failed assertions.
pytest_plugins = ["localcloud.testing"]

if TYPE_CHECKING:
    from localcloud.testing import FallbackDriver as FallbackDriver
    from localcloud.testing import FallbackRun as FallbackRun
    from localcloud.testing import Gate as Gate
    from localcloud.testing import LocalDesk as LocalDesk
    from localcloud.testing import MayNotAnswer as MayNotAnswer
    from localcloud.testing import ScriptedModel as ScriptedModel
    from localcloud.testing import Verdict as Verdict
else:

    def __getattr__(name: str) -> Any:
        """Return a class of the kit."""
        import localcloud.testing

        if name in ("FallbackDriver", "FallbackRun", "Gate", "LocalDesk", "MayNotAnswer", "ScriptedModel", "Verdict"):
            return getattr(localcloud.testing, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
