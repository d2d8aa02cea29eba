"""The cost of runs: the charges of a run's log, added up by turn, tool, planner, model and tenant.

Reads logs and nothing else: every micro-dollar that counts against a ceiling is in one of its events.
"""
