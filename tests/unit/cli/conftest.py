"""Unit tests of the command keep in a temporary folder what it keeps for the next process."""

import pytest


@pytest.fixture(autouse=True)
def _kept_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("BALLAST_CACHE", str(tmp_path_factory.getbasetemp() / "kept"))
