"""The layers ship the versions that the tests ran against."""

import re
from pathlib import Path

import pytest

from tests.template.rendered import ROOT

LOCK = ROOT / "requirements" / "dev.lock"
SAM_LOCK = ROOT / "requirements" / "sam.lock"
LAYERS = ["layers/ballast/requirements.txt", "layers/playbook/requirements.txt"]


def pins(file: Path) -> dict[str, str]:
    """Return name and version of everything pinned in a requirements file."""
    return dict(re.findall(r"^([a-z0-9_.-]+)==([^\s;\\]+)", file.read_text(encoding="utf-8"), flags=re.MULTILINE))


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_ships_the_versions_that_the_tests_use(layer: str) -> None:
    shipped, tested = pins(ROOT / layer), pins(LOCK)

    assert shipped
    assert {name: tested.get(name) for name in shipped} == shipped


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_pins_everything_and_has_no_boto3(layer: str) -> None:
    lines = (ROOT / layer).read_text(encoding="utf-8").splitlines()
    required = [line for line in lines if line and not line.startswith("#")]

    assert len(required) == len(pins(ROOT / layer))
    assert not [line for line in required if line.startswith("boto")]


@pytest.mark.parametrize("lock", [LOCK, SAM_LOCK], ids=lambda lock: lock.name)
def test_a_lock_has_a_hash_for_everything_and_names_no_index(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")

    unhashed = [entry for entry in re.findall(r"^\w.*\n.*", text, flags=re.MULTILINE) if "--hash=sha256:" not in entry]
    assert unhashed == []
    assert "://" not in text
