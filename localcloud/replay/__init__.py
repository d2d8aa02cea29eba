"""Play recorded runs again, through the deployed handlers and state machine, on a clock and ids from the record.

::

    a run's log ─▶ RecordedRun ─▶ Machine(lane) ─▶ Replayed: its events, the first difference, how it ended
                                    │ interpreter of agent.asl.yaml, the handlers, tables in memory
                                    └ Oracle: what came from outside the run

    recorded   a run's log as it was exported or saved, and what it can be asked
    lane       what is the same and what is changed in a replay; the result of one run
    oracle     the model's replies, tools' outcomes, people's answers, modes, ids and failures, from the record
    playing    the log of the run that is played: its clock, and the comparison of each event
    integrity  what is wrong with a record itself: an event that does not fit its type, or was changed
    compare    one event against the recorded one: readings of the clock, the first difference and its cause
    tables     DynamoDB tables in plain Python values
    sealed     calls with masked arguments
    machine    the handlers and the state machine
    seams      the names that are replaced, so that handlers meet the oracle
    many       many runs in several processes
    candidate  the same in a candidate lane: its playing, ``candidate_oracle`` and ``candidate_machine``
    rules      thresholds that a candidate changes
    what_if    each run in both lanes, and what that says
    sooner     what would have stopped one run sooner, for ``ballast why``

The machine is part of the local cloud. It is never deployed, and no tool's code runs in it except pure rules.
"""
