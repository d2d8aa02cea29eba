"""``ballast eval``: what is chosen, how it is played, and what is shown.

::

    chosen    the cases and the models that were typed
    play      the schedule: samples in turn, in one process or several, within the budget
    report    tables, differences, JUnit and JSON, and the gate
"""
