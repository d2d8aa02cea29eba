"""Pure functions of a run: the prompt, the money, the calls, the next planner, the progress.

Each takes a ``Run``, whatever prefix of a log it has, and remembers nothing; ``ballast.run`` computes each once. They
ask the run for each other's results. Imports ``ballast.contracts``, ``ballast.errors``, ``ballast.log.events`` and
``ballast.money.amounts`` only.
"""
