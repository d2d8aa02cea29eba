"""Make a regression test of a recorded run: a scenario that fails on its defect.

::

    recorded run ─ case ─▶ request, replies, people's answers, outcomes of tools
                   stand_ins ─▶ the same, without personal values
                   invariant ─▶ what is right: the scenario's `expect`
                   reduce ─▶ the fewest turns that still show the defect
                   secrets ─▶ refuses what looks like a secret

All of it is pure: `ballast capture` plays the cases and writes the files.
"""
