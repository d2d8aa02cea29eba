"""One script that must start clean and one that goes on from what was done."""

from ballast.contracts import RunRequest
from ballast.playbook import fallback
from ballast.playbook.fallback import Script

from ..tools.counting import keyed_add


@fallback(intent="clean")
def clean(request: RunRequest) -> Script:
    yield keyed_add.call(note_id="n-1")
    return "Counted anew."


@fallback(intent="goes_on")
def goes_on(request: RunRequest) -> Script:
    yield keyed_add.call(note_id="n-1")
    return "Counted on."
