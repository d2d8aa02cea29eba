"""A turn costs the same however long the run is: our own code runs as often at turn 100 as at turn 10."""

from bench.plan import Counted, counted
from tests.functions.endpoint import Endpoint, calls
from tests.functions.roomy import opened
from tests.functions.stack import Stack
from tests.support.sampling import examples

EARLY, LATE = 10, examples(60, 200)
#: A turn may cost so many times as much late in a run; lookups in persistent mappings grow with the logarithm.
MOST = 1.15


def played(stack: Stack, model: Endpoint) -> dict[int, tuple[Counted, Counted]]:
    """Play a run of one read a turn; return what Plan and Execute did in the two turns that are compared."""
    many = dict.fromkeys(("turns", "tool_calls", "calls_per_tool", "refused_calls"), 2 * LATE)
    money = dict.fromkeys(("cost_microusd", "tokens_per_run", "input_tokens_per_turn"), 10**9)
    run_id = opened(stack, **many, **money)
    found = {}
    for turn in range(1, LATE + 1):
        note = {"note_id": {"S": f"n-{turn}"}, "text": {"S": f"note {turn}"}, "owner": {"S": "x"}}
        stack.cloud.tables.put_item(TableName="notes", Item=note)
        reads = {"name": "read_note", "input": {"note_id": f"n-{turn}"}}
        model.will(calls(reads, usage={"inputTokens": 1_500 + turn * 100, "outputTokens": 20}))
        if turn in (EARLY, LATE):
            plan = counted(lambda turn=turn: stack.plan(run_id, turn))
            found[turn] = plan, counted(lambda turn=turn: stack.execute(run_id, turn))
        else:
            stack.plan(run_id, turn)
            stack.execute(run_id, turn)
    assert [state.status for state in stack.events(run_id).calls] == ["ok"] * LATE
    return found


def test_a_turn_late_in_a_run_costs_what_an_early_one_costs(stack: Stack, model: Endpoint) -> None:
    stack.environs["planner"]["MODEL_TIMEOUT_S"] = "30"  # 400 calls: on a busy machine one takes longer than a second
    found = played(stack, model)

    for early, late in zip(found[EARLY], found[LATE], strict=True):
        assert 0 < late.calls.total() <= MOST * early.calls.total()
        assert 0 < late.lines.total() <= MOST * early.lines.total()
    # Each fold runs once over what is new: as often as in a short run.
    plan, before = found[LATE][0], found[EARLY][0]
    assert plan.folds == before.folds
    assert {"opening", "usage", "counts", "grants", "to_undo", "answered_prompt"} <= plan.folds.keys()
