"""The fault matrix: every way in which a run can be hurt from outside, tried one by one, with the real handlers.

How a case is made::

    scenarios.py   some runs of the bundled support desk: every state of the workflow has its part in one
        │ played once without a fault (replay.Recording)
        ▼
    invocations, and the AWS requests that each handler was seen to make; deliveries, answers, the model's turns
        │ matrix.derive: each kind of fault (kinds.py, oversize.py) at each of them
        ▼
    cases ── judge ── play the scenario again with one fault ── invariants.py: what must hold whatever happened

Nothing is listed by hand but the scenarios and the kinds, so a new request of a handler has its cases by itself. A new
function or a new state of the workflow needs a scenario (``test_matrix`` says so), a new write of the desk an entry in
``shop.py``.

The world (world.py) is ``template.yaml`` on moto, the handlers in this process, and virtual time. Executions are run
by the local cloud's interpreter (``localcloud/stepfunctions/states.py``), one at a time and without threads;
``test_interpreter`` plays the same runs in a local cloud.

    make faults                                   all cases: a table, and fault-report.json
    python -m tests.faults --case "NAME"          one case alone, with its log
    python -m tests.faults --every 0 --random 500   seeded runs of the desk under a random mix of all faults (desk.py)
    python -m tests.faults --seed 7               one of them alone

``docs/faults.md`` says how to read what comes of it.
"""
