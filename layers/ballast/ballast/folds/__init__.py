"""Pure functions of a run: the prompt, the money, the calls, the next planner, the progress.

Each takes a ``Run``, which may be any prefix of a log, and keeps no state; ``ballast.run`` computes each once. They
read each other's results from the run. Imports ``ballast.contracts``, ``ballast.errors``, ``ballast.log.events`` and
``ballast.money.amounts`` only.
"""
