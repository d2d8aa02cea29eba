"""The ledger's playbook with another ``agent.yaml``, for settings that one test needs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import yaml

from tests.functions.cloud import LEDGER


def ledger_with(folder: Path, **fields: Any) -> str:
    """Copy the ledger into ``folder``, set ``fields`` in its agent.yaml and return where it is.

    ``limits`` are added to those that are there.
    """
    copy = folder / "ledger"
    shutil.copytree(LEDGER, copy, ignore=shutil.ignore_patterns("__pycache__"))
    agent = yaml.safe_load((copy / "agent.yaml").read_text(encoding="utf-8"))
    limits = agent["limits"] | fields.pop("limits", {})
    (copy / "agent.yaml").write_text(yaml.safe_dump(agent | fields | {"limits": limits}), encoding="utf-8")
    return str(copy)


def with_models(playbook: str, models: dict[str, Any]) -> str:
    """Write the ``models.yaml`` of the playbook and return where the playbook is."""
    (Path(playbook) / "models.yaml").write_text(yaml.safe_dump(models), encoding="utf-8")
    return playbook


def own_card(*prices: dict[str, Any], **facts: Any) -> dict[str, Any]:
    """Return the facts of a card, with a price of 1 and 2 dollars per million tokens unless there are others."""
    price = {"version": "1", "input": 1_000_000, "output": 2_000_000}
    known = {"vendor": "Acme", "as_of": "2026-01-01", "context_window": 100_000, "max_output": 8_000}
    return known | {"prices": list(prices or (price,))} | facts
