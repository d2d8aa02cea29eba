"""Planted defects of an artifact are found."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from localcloud.clock import WallClock
from localcloud.sandbox import Context
from tests.artifacts.build import ROOT, Build
from tests.artifacts.bytecode import wrong_in
from tests.artifacts.lambdas import HandlerFailed, Lambda, Seen
from tests.artifacts.test_files import AARCH64, SUFFIX, contents, differences, foreign
from tests.artifacts.test_played import clients_without_rights

# The first run on a machine installs the SAM CLI and builds.
pytestmark = pytest.mark.timeout(1800)

NOWHERE = "http://127.0.0.1:1"
X86 = (62).to_bytes(2, "little")


def context() -> Context:
    return Context(
        "function", "arn:aws:lambda:eu-west-1:123456789012:function:function", 512, 30, "1", WallClock().monotonic
    )


@pytest.fixture
def with_line(build: Build, tmp_path: Path) -> Callable[[str, str], Lambda]:
    """Return the function of that name, with a line more at the end of its handler's module."""

    def made(name: str, line: str) -> Lambda:
        artifact = replace(build.functions[name], code=tmp_path / name)
        shutil.copytree(build.functions[name].code, artifact.code, ignore=shutil.ignore_patterns("__pycache__"))
        module = artifact.code / (artifact.handler.rpartition(".")[0].replace(".", "/") + ".py")
        module.write_text(f"{module.read_text(encoding='utf-8')}\n{line}\n", encoding="utf-8")
        return Lambda(build, artifact, {}, NOWHERE)

    return made


def seen_by(function: Lambda, event: Any) -> Seen:
    """Return what the function saw; that it refuses the event is no matter."""
    with function:
        with pytest.raises(HandlerFailed):
            function.imported().handler(event, context())
        return function.end()


def test_a_module_that_is_not_in_the_artifact_cannot_be_imported(with_line: Callable[[str, str], Lambda]) -> None:
    function = with_line("RollbackFunction", "import functions.agent.handler")

    with function, pytest.raises(HandlerFailed, match=r"No module named 'functions\.agent'"):
        function.imported()


def test_what_comes_from_outside_is_seen_and_so_is_a_model_client(
    build: Build, with_line: Callable[[str, str], Lambda]
) -> None:
    outside = f"import sys; sys.path.append({str(ROOT)!r}); import localcloud; open('/etc/hostname').close()"
    outside += "; open('left', 'w')"
    model = "import boto3; boto3.client('bedrock-runtime')"

    seen = seen_by(with_line("ExecutorFunction", f"{outside}\n{model}"), {})

    found = " ".join(seen.outside)
    assert f"imported localcloud from {ROOT}/localcloud/__init__.py" in found
    assert "opened /etc/hostname" in found
    assert f"wrote {seen.modules['functions.executor.handler'].split('/functions/')[0]}/left" in found
    assert clients_without_rights(build, {"ExecutorFunction": seen}) == {"ExecutorFunction": {"bedrock-runtime"}}


def test_a_file_that_was_left_out_or_came_along_or_was_changed_is_named(build: Build) -> None:
    source = contents(build.layers["PlaybookLayer"] / "python" / "playbook")
    article, stray = "knowledge/returns.md", {"notes.txt": b"stray"}
    assert article in source

    left_out = {name: content for name, content in source.items() if name != article}

    assert differences(left_out, source) == {article: "is missing"}
    assert differences(source | stray, source) == {"notes.txt": "comes from nowhere"}
    assert differences(source | {article: b""}, source) == {article: "differs"}


def test_bytecode_that_is_stale_or_missing_or_left_over_or_checked_is_named(build: Build, tmp_path: Path) -> None:
    code = tmp_path / "code"
    shutil.copytree(build.functions["AgentFunction"].code, code)
    agent, cached = code / "functions/agent", code / "functions/agent/__pycache__"
    assert wrong_in(build.python, (code, "/var/task")) == [{}]

    with (agent / "ask.py").open("a") as stale:
        stale.write("#")
    (cached / "text.cpython-313.pyc").unlink()
    (agent / "usage.py").unlink()
    checked = [build.python, "-I", "-m", "compileall", "-q", "-f", "--invalidation-mode", "checked-hash"]
    subprocess.run([*checked, agent / "reply.py"], check=True)
    somewhere = [*checked[:-1], "unchecked-hash", agent / "loops.py"]
    subprocess.run(somewhere, check=True)

    (wrong,) = wrong_in(build.python, (code, "/var/task"))
    assert wrong == {
        "functions/agent/ask.py": "has bytecode of another source",
        "functions/agent/text.py": "has no bytecode",
        "functions/agent/__pycache__/usage.cpython-313.pyc": "has no source",
        "functions/agent/reply.py": "has bytecode that is not taken as it is",
        "functions/agent/loops.py": f"has bytecode of {agent / 'loops.py'}",
    }


def test_a_module_that_is_compiled_at_the_start_is_seen(build: Build, tmp_path: Path) -> None:
    artifact = replace(build.functions["StartFunction"], code=tmp_path / "code")
    shutil.copytree(build.functions["StartFunction"].code, artifact.code)
    (artifact.code / "functions/front/__pycache__/start.cpython-313.pyc").unlink()

    with Lambda(build, artifact, {}, NOWHERE) as function:
        seen = function.imported().end()

    assert seen.compiled == (str(artifact.code / "functions/front/start.py"),)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("_pydantic_core" + SUFFIX, b"\x7fELF".ljust(18, b"\0") + X86),
        ("_pydantic_core.cpython-313-x86_64-linux-gnu.so", b"\x7fELF".ljust(18, b"\0") + AARCH64),
        ("_pydantic_core.cpython-313-darwin.so", b"\xcf\xfa\xed\xfe"),
        ("a_program", b"\x7fELF".ljust(18, b"\0") + X86),
    ],
)
def test_native_code_for_another_machine_or_python_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / ("_yaml" + SUFFIX)).write_bytes(b"\x7fELF".ljust(18, b"\0") + AARCH64)
    (tmp_path / name).write_bytes(content)

    assert foreign(tmp_path) == [name]
