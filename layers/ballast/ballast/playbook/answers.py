"""Whether a planner's answer may be sent: the playbook's demands on it, held against the run. Pure."""

from ballast.contracts import Answer
from ballast.playbook.load import Playbook
from ballast.run import Run
from ballast.validation import in_form, opening_sources, run_sources, too_long, unknown_in
from ballast.validation.answer import Read
from ballast.validation.sources import not_let_happen


def judged(run: Run, playbook: Playbook, turn: int, answer: Answer) -> Read:
    """Return the answer of that turn in the form that its intent asks for, and what is against sending it."""
    request, agent = run.opening.request, playbook.agent
    large = too_long(answer)
    if large is not None:
        return Read(answer, (large,))
    read = in_form(answer, agent.answer_schema(request.intent))
    if read.complaints or not agent.ground_answers:
        return read
    sources = (*opening_sources(request), *run_sources(run, playbook.tools, before_turn=turn))
    sources = (*sources, *not_let_happen(run, before_turn=turn))
    own_words = [agent.instructions, *(made.summary for made in playbook.tools.values())]
    unknown = unknown_in(read.answer, sources, own_words, agent.answer_ids)
    return Read(read.answer, tuple(f"{what} occurs in no request, fact or result" for what in unknown))
