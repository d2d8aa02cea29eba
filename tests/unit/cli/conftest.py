"""What `ballast check` keeps for the next process goes into a temporary folder."""

import pytest


@pytest.fixture(autouse=True)
def _kept_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("BALLAST_CACHE", str(tmp_path_factory.getbasetemp() / "kept"))
