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
