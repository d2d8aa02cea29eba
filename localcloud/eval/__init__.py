"""Evaluation: a set of cases, played several times against one model or several, and compared with an earlier time.

::

    cases     what is played: a scenario, or a recorded run with what is expected of its ending
    judge     what a model says of an answer that passed every other check
    rates     pass rates, their intervals, and whether one is worse than another. Pure
    results   what came out, as it is saved, and the comparison with a baseline. Pure
"""
