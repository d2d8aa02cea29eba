"""A local stack: a playbook's store is found and seeded, whatever its folder's name; a store is optional."""

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ballast.errors import PlaybookInvalid
from ballast.playbook import load_playbook
from localcloud.project import package_of, seed_store

TOOL = '''
from ballast.playbook import Read, ToolContext, tool
from pydantic import BaseModel, ConfigDict

class Nothing(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

@tool(effect=Read())
def greet(args: Nothing, ctx: ToolContext) -> str:
    """Say hello."""
    return "hello"
'''
STORE = """
seeded = []

def seed_store(client, environ, **options):
    seeded.append((client, environ, options))
"""

# A local cloud, as far as a store needs one.
CLOUD: Any = SimpleNamespace(
    session=SimpleNamespace(client=lambda service: f"client of {service}"),
    environ=lambda function: {"FUNCTION": function},
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "other-desk"
    (made / "tools").mkdir(parents=True)
    (made / "__init__.py").write_text("")
    (made / "agent.yaml").write_text("name: other\nmodel: amazon.nova-lite-v1:0\ninstructions: Greet.\n")
    (made / "tools" / "greet.py").write_text(TOOL)
    return made


def test_a_store_is_seeded_through_the_executors_environment(folder: Path) -> None:
    (folder / "store.py").write_text(STORE)
    playbook = load_playbook(folder)

    seed_store(CLOUD, playbook, 7, {"orders": 3})

    [(client, environ, options)] = importlib.import_module(f"{package_of(playbook)}.store").seeded
    assert (client, environ) == ("client of dynamodb", {"FUNCTION": "ExecutorFunction"})
    assert (options["seed"], options["orders"]) == (7, 3)


def test_a_playbook_without_a_store_has_nothing_to_seed(folder: Path) -> None:
    playbook = load_playbook(folder)

    seed_store(CLOUD, playbook, 1, {})

    assert f"{package_of(playbook)}.store" not in sys.modules


@pytest.mark.parametrize("content", ["import no_such_module_anywhere", "1 / 0"])
def test_a_store_that_cannot_be_imported_is_named(folder: Path, content: str) -> None:
    (folder / "store.py").write_text(content)

    with pytest.raises(PlaybookInvalid, match=r"other-desk/store\.py, line 1: the store cannot be imported"):
        seed_store(CLOUD, load_playbook(folder), 1, {})


def test_a_store_that_fails_says_where_and_why(folder: Path) -> None:
    (folder / "store.py").write_text("def seed_store(client, environ, **_):\n    environ['ACCOUNTS_TABLE']\n")
    playbook = load_playbook(folder)

    with pytest.raises(PlaybookInvalid, match=r"store\.py, line 2: seed_store.*failed: KeyError.*ACCOUNTS_TABLE"):
        seed_store(CLOUD, playbook, 7, {})
