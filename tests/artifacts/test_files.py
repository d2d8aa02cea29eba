"""The built folders hold every file of the source tree, what the layers' pins bring, bytecode, and nothing besides."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import pytest

from ballast.playbook.file_digests import kept, of_platform, of_project
from ballast.yaml_files import as_built, parsed_path
from tests.artifacts.build import ROOT, Build, Tools, files_of, is_elf, recorded
from tests.artifacts.bytecode import wrong_in

# The first run on a machine installs the SAM CLI and builds.
pytestmark = pytest.mark.timeout(1800)

#: Of an ELF header: the machine, at byte 18, is AArch64.
AARCH64 = (183).to_bytes(2, "little")
#: How Lambda's Python finds a native module.
SUFFIX = ".cpython-313-aarch64-linux-gnu.so"
#: Bytes; two to four times what they are. Lambda refuses 250 MB unpacked, and 50 MB packed at a direct upload.
UNPACKED_LIMIT, LAYER_LIMIT, FUNCTION_LIMIT = 30_000_000, 9_000_000, 250_000


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file by its path, without bytecode."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in files_of(folder)}


def differences(made: dict[str, bytes], source: dict[str, bytes]) -> dict[str, str]:
    """Return what is wrong with each file that is not in both as it is in the source."""
    wrong = dict.fromkeys(source.keys() - made.keys(), "is missing")
    wrong |= dict.fromkeys(made.keys() - source.keys(), "comes from nowhere")
    return wrong | {name: "differs" for name in source.keys() & made.keys() if made[name] != source[name]}


def foreign(layer: Path) -> list[str]:
    """Return the native files of a layer that Lambda's Python on arm64 could not load."""

    def is_lambdas(file: Path) -> bool:
        return file.read_bytes()[18:20] == AARCH64 and file.name.endswith(SUFFIX)

    native = [file for file in files_of(layer) if is_elf(file) or file.suffix in (".so", ".pyd", ".dylib")]
    return [str(file.relative_to(layer)) for file in native if not (is_elf(file) and is_lambdas(file))]


def packages(layer: Path) -> dict[str, str]:
    """Return name and version of every package in a layer."""
    found = [file.name.removesuffix(".dist-info").rsplit("-", 1) for file in (layer / "python").glob("*.dist-info")]
    return {name.replace("_", "-").lower(): version for name, version in found}


def own_files(layer: Path) -> dict[str, bytes]:
    """Return the files of a layer that no package brought."""
    python = layer / "python"
    brought = {file.resolve() for one in python.glob("*.dist-info") for file in recorded(one)}
    for data in python.glob("*.data"):  # scripts, which pip would have put elsewhere
        brought |= {file.resolve() for file in files_of(data)}
    return {name: content for name, content in contents(python).items() if (python / name).resolve() not in brought}


def everything(folder: Path) -> dict[str, bytes]:
    """Return every file by its path, bytecode included."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def packed(folder: Path) -> int:
    """Return about how many bytes the folder's zip has."""
    return sum(len(zlib.compress(content)) + 2 * len(name) + 100 for name, content in everything(folder).items())


def unpacked(folder: Path) -> int:
    """Return how many bytes the folder's files have, bytecode included."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def uncompiled(build: Build) -> dict[str, dict[str, str]]:
    """Return by function or layer the sources without bytecode that Lambda takes as it is."""
    folders = [(one.name, one.code, "/var/task") for one in build.functions.values()]
    folders += [(name, layer, "/opt") for name, layer in build.layers.items()]
    found = wrong_in(build.python, *((folder, in_lambda) for _, folder, in_lambda in folders))
    return {name: wrong for (name, _, _), wrong in zip(folders, found, strict=True) if wrong}


def test_each_function_has_the_files_of_its_folder_and_no_other(build: Build) -> None:
    wrong: dict[str, str] = {}
    for artifact in build.functions.values():
        package = artifact.handler.rsplit(".", 2)[0].replace(".", "/")
        wrong |= {
            f"{artifact.name}: {name}": what
            for name, what in differences(
                contents(artifact.code),
                {f"{package}/{name}": content for name, content in contents(ROOT / package).items()},
            ).items()
        }

    assert wrong == {}
    assert len(build.functions) > 1


def test_each_layer_has_the_files_of_its_folder_and_the_packages_that_it_pins(build: Build) -> None:
    sources = {"BallastLayer": ROOT / "layers" / "ballast", "PlaybookLayer": ROOT / "layers" / "playbook"}
    pins = {
        name: dict(re.findall(r"^([\w-]+)==(\S+)", (source / "requirements.txt").read_text(), flags=re.MULTILINE))
        for name, source in sources.items()
    }

    shipped = {name: contents(source) for name, source in sources.items()}
    del shipped["BallastLayer"]["ballast/testing.py"]  # the test kit is for a developer's machine

    assert {name: differences(own_files(build.layers[name]), shipped[name]) for name in sources} == {
        name: {} for name in build.layers
    }
    assert {name: packages(layer) for name, layer in build.layers.items()} == pins


def test_native_code_in_the_layers_is_for_lambdas_arm64(build: Build) -> None:
    assert {name: foreign(layer) for name, layer in build.layers.items()} == {name: [] for name in build.layers}
    assert sum(is_elf(file) for layer in build.layers.values() for file in files_of(layer)) >= 2
    assert [file for artifact in build.functions.values() for file in files_of(artifact.code) if is_elf(file)] == []


def test_functions_and_layers_are_small(build: Build) -> None:
    layers = {name: packed(layer) for name, layer in build.layers.items()}
    functions = {name: packed(artifact.code) for name, artifact in build.functions.items()}
    sizes = {folder: unpacked(folder) for one in build.functions.values() for folder in (one.code, *one.layers)}
    whole = {name: sum(sizes[folder] for folder in (one.code, *one.layers)) for name, one in build.functions.items()}

    assert {name: size for name, size in layers.items() if size > LAYER_LIMIT} == {}
    assert {name: size for name, size in functions.items() if size > FUNCTION_LIMIT} == {}
    assert {name: size for name, size in whole.items() if size > UNPACKED_LIMIT} == {}


def test_every_module_has_bytecode_that_lambda_takes_without_a_look_at_the_source(build: Build) -> None:
    assert uncompiled(build) == {}


def test_every_yaml_file_of_the_layers_is_parsed_as_it_is_read(build: Build) -> None:
    sources = [file for layer in build.layers.values() for file in sorted(layer.rglob("*.yaml"))]

    assert [str(file) for file in sources if not parsed_path(file).is_file()] == []
    assert [str(file) for file in sources if parsed_path(file).read_text(encoding="utf-8") != as_built(file)] == []
    assert len(sources) > 15


def test_a_run_here_and_a_run_there_say_the_same_of_what_they_are_made_of(build: Build) -> None:
    layers = {name: layer / "python" for name, layer in build.layers.items()}

    assert kept(layers["BallastLayer"] / "ballast") == of_platform(ROOT)
    assert kept(layers["PlaybookLayer"] / "playbook") == of_project(ROOT / "layers" / "playbook")


@pytest.mark.deep
def test_what_is_built_twice_is_the_same(build: Build, tools: Tools, tmp_path: Path) -> None:
    tools.make("build-PlaybookLayer", tmp_path / "layer")
    tools.make("build-AgentFunction", tmp_path / "function")

    assert differences(everything(tmp_path / "layer"), everything(build.layers["PlaybookLayer"])) == {}
    assert differences(everything(tmp_path / "function"), everything(build.functions["AgentFunction"].code)) == {}
