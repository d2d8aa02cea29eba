"""``sam build`` with the pinned SAM CLI, and what its functions need around them to run on this machine.

``python -m tests.artifacts.build COMMAND …`` runs the pinned SAM CLI: ``make build`` does where there is no ``sam``.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from localcloud.template import load_template, to_cloudformation
from tests.artifacts.cache import Cache, cache_root

ROOT = Path(__file__).resolve().parents[2]
VERSION = "3.13"
#: What Lambda's runtime brings beside Python. Its versions are AWS's and published nowhere; the lock's stand in.
RUNTIME = ("boto3", "botocore", "jmespath", "python-dateutil", "s3transfer", "six", "urllib3")
#: What a handler brings that uses boto3, and Powertools with its parser and its tracer.
PLAIN = (
    *RUNTIME,
    "annotated-types",
    "aws-lambda-powertools",
    "aws-xray-sdk",
    "pydantic",
    "pydantic-core",
    "typing-extensions",
    "typing-inspection",
    "wrapt",
)
#: As in packaging/Makefile, for the packages that this machine has in place of Lambda's.
BYTECODE = ("-q", "--invalidation-mode", "unchecked-hash")
_A_YEAR_S = 365 * 24 * 3600
_PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input")
_INSTALL = (*_PIP, "install", "--no-deps", "--only-binary=:all:")


class Unavailable(Exception):
    """This machine cannot build; the text says what is missing and what to do."""


class BuildFailed(Exception):
    """``sam build`` refused; the text is what it printed."""


@dataclass(frozen=True)
class Artifact:
    """A built function.

    code     folder that becomes /var/task
    layers   folders that become /opt, in the function's order
    opt      the same merged, with this machine's native code in place of Lambda's
    handler  dotted path
    fixed    its environment variables that name a path in Lambda
    others   its other ones: what the template says, a parameter's default, or else the variable's own name
    """

    name: str
    code: Path
    layers: tuple[Path, ...]
    opt: Path
    handler: str
    fixed: Mapping[str, str]
    others: Mapping[str, str]


@dataclass(frozen=True)
class Build:
    """What ``sam build`` made.

    template   the built one
    functions  by logical id; ``layers`` likewise
    python     a Python of Lambda's version
    runtime    folder with boto3
    """

    template: Path
    functions: Mapping[str, Artifact]
    layers: Mapping[str, Path]
    python: Path
    runtime: Path


def find_python() -> Path:
    """Return a Python of Lambda's version: this one, from PATH, or pyenv's. Raises ``Unavailable``."""
    named = [getattr(sys, "_base_executable", sys.executable), shutil.which(f"python{VERSION}")]
    pyenv = sorted(Path("~/.pyenv/versions").expanduser().glob(f"{VERSION}*/bin/python{VERSION}"), reverse=True)
    for candidate in [*filter(None, named), *pyenv]:
        asked = "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2])"
        found = subprocess.run([candidate, "-I", "-c", asked], capture_output=True, text=True, check=False)
        if found.returncode == 0 and found.stdout.strip() == VERSION:
            return Path(candidate)
    raise Unavailable(f"there is no python{VERSION} that can make environments. Put one on PATH, or into pyenv.")


class Tools:
    """The SAM CLI in an environment of its own, and what is made with it. Everything is kept in ``cache``."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache

    @cached_property
    def python(self) -> Path:
        """A Python of Lambda's version with the SAM CLI and pip. Raises ``Unavailable``."""
        base, lock = find_python(), ROOT / "requirements" / "sam.lock"
        version = subprocess.run([base, "-VV"], capture_output=True, text=True, check=True).stdout

        def make(folder: Path) -> None:
            _run_or_unavailable([base, "-m", "venv", folder])
            pins: list[str | Path] = ["--require-hashes", "--no-compile", "--requirement", lock]
            _run_or_unavailable([folder / "bin" / "python", *_INSTALL, *pins])

        return self.cache.entry("sam", _digest(version, base, _bytes(lock)), make) / "bin" / "python"

    @cached_property
    def runtime(self) -> Path:
        """A folder with boto3 and what it needs, as the lock pins them. Raises ``Unavailable``."""
        return self._locked("runtime", RUNTIME)

    @cached_property
    def plain(self) -> Path:
        """A folder with what a plain handler imports, without bytecode; ``bench.cold_import`` compares with it."""
        return self._locked("plain", PLAIN, "--no-compile")

    def _locked(self, kind: str, packages: Collection[str], *options: str) -> Path:
        blocks = re.findall(r"^\w\S*==.*\n(?:^ .*\n)*", (ROOT / "requirements" / "dev.lock").read_text(), re.MULTILINE)
        pins = "".join(block for block in blocks if block.partition("==")[0] in packages)

        def make(folder: Path) -> None:
            (folder / "requirements.txt").write_text(pins)
            into = ["--target", str(folder), "--require-hashes", "--requirement", str(folder / "requirements.txt")]
            _run_or_unavailable([self.python, *_INSTALL, *options, *into])

        return self.cache.entry(kind, _digest(pins, *options, self._key), make)

    def build(self, root: Path = ROOT) -> Build:
        """Return what ``sam build`` makes of the tree at ``root``. Raises ``Unavailable`` and ``BuildFailed``."""
        sources = list(sources_of(root))
        content = [part for file in sources for part in (str(file.relative_to(root)), _bytes(file))]
        key = _digest(self._key, _bytes(Path(__file__)), *content)
        entry = self.cache.entry("build", key, lambda folder: self._make(root, sources, folder))
        template = entry / ".aws-sam" / "build" / "template.yaml"
        return Build(template, *_read(template, entry / "opt"), self.python, self.runtime)

    def sam(self, arguments: Iterable[str], folder: Path, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run the SAM CLI in ``folder``, with its own Python as the first on PATH. Raises ``Unavailable``."""
        path = f"{self.python.parent}{os.pathsep}{os.environ.get('PATH', '')}"
        environ = {**os.environ, **options.pop("env", {}), "PATH": path, "SAM_CLI_TELEMETRY": "0"}
        command = [str(self.python), "-m", "samcli", *arguments]
        return subprocess.run(command, cwd=folder, env=environ, text=True, check=False, **options)

    def make(self, target: str, into: Path, root: Path = ROOT) -> None:
        """Make one function or layer as SAM does, in ``into``. Raises ``Unavailable`` and ``BuildFailed``."""
        into.mkdir()
        environ = {**os.environ, "PATH": f"{self.python.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
        command: list[str | Path] = ["make", "--makefile", root / "packaging" / "Makefile", target]
        made = subprocess.run(
            command,
            cwd=root / "layers" / "playbook" if target == "build-PlaybookLayer" else root,
            env={**environ, "ARTIFACTS_DIR": str(into)},
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode != 0:
            raise BuildFailed(f"make {target} ended with {made.returncode}:\n{made.stdout}\n{made.stderr}")

    @property
    def _key(self) -> str:
        return f"{self.python.parent.parent.name} {sys.platform} {platform.machine()}"

    def _make(self, root: Path, sources: Iterable[Path], folder: Path) -> None:
        """Build in a work folder, where SAM's own cache spares the layers, and copy what was made.

        The caller holds the lock of builds. SAM's cache is only believed where its last build came to an end.
        """
        # SAM's cache does not know that the Makefile makes its layers.
        works, key = self.cache.root / "work", _digest(self._key, _bytes(root / "packaging" / "Makefile"))
        begun, work = works / "begun", next(iter(works.glob(f"{key}-*")), None)
        if work is None or begun.exists():
            shutil.rmtree(works, ignore_errors=True)  # those of other tools as well: one is enough
            work = works / f"{key}-{secrets.token_hex(4)}"  # a build whose process was killed may go on in the old one
            work.mkdir(parents=True)
        begun.touch()
        for old in work.iterdir():
            if old.name != ".aws-sam":
                shutil.rmtree(old) if old.is_dir() else old.unlink()
        for file in sources:
            for target in (work / file.relative_to(root), folder / file.relative_to(root)):
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)
        # It has no switch for its weekly look for a newer version, which this settings file says was done.
        (works / "metadata.json").write_text(json.dumps({"lastVersionCheck": time.time() + _A_YEAR_S}))
        settings = {"__SAM_CLI_APP_DIR": str(works)}
        built = self.sam(["build", "--cached", "--parallel"], work, env=settings, capture_output=True)
        if built.returncode != 0:
            raise BuildFailed(f"sam build ended with {built.returncode}:\n{built.stdout}\n{built.stderr}")
        shutil.copytree(work / ".aws-sam" / "build", folder / ".aws-sam" / "build")
        begun.unlink()
        functions, _ = _read(folder / ".aws-sam" / "build" / "template.yaml", folder / "opt")
        opts = {artifact.opt: artifact.layers for artifact in functions.values()}
        for opt, layers in opts.items():
            self._merge(layers, opt)

    def _merge(self, layers: Iterable[Path], opt: Path) -> None:
        """Lay ``layers`` over each other as Lambda does, with native packages as this machine has them."""
        for layer in layers:
            shutil.copytree(layer, opt, dirs_exist_ok=True)
        if (sys.platform, platform.machine()) != ("linux", "aarch64"):
            python = opt / "python"
            native = [one for one in python.glob("*.dist-info") if any(is_elf(file) for file in recorded(one))]
            for one in native:
                for file in recorded(one):
                    file.unlink()
            pins = sorted("==".join(one.name.removesuffix(".dist-info").rsplit("-", 1)) for one in native)
            shutil.copytree(self._for_this_machine(pins), python, dirs_exist_ok=True)

    def _for_this_machine(self, pins: list[str]) -> Path:
        def make(folder: Path) -> None:
            _run_or_unavailable([self.python, *_INSTALL, "--no-compile", "--target", folder, *pins])
            subprocess.run([self.python, "-I", "-m", "compileall", *BYTECODE, folder], check=True)

        return self.cache.entry("native", _digest(self._key, *BYTECODE, *pins), make)


def sources_of(root: Path) -> Iterator[Path]:
    """Yield every file that ``sam build`` reads: the template, its settings and rules, the folders that it names."""
    template = root / "template.yaml"
    named = {"template.yaml", "business.yaml", "samconfig.toml", "packaging"}
    for resource in load_template(template)["Resources"].values():
        for key in ("CodeUri", "ContentUri", "DefinitionUri"):
            where = resource.get("Properties", {}).get(key)
            if isinstance(where, str):
                named.add(Path(where).parts[0])  # SAM takes parent packages along
    for name in sorted(named):
        yield from files_of(root / name)


def files_of(path: Path) -> Iterator[Path]:
    """Yield a file, or all files of a folder in order, without bytecode."""
    if path.is_file():
        yield path
    for file in sorted(path.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts and file.suffix != ".pyc":
            yield file


def recorded(distribution: Path) -> list[Path]:
    """Return the files of a package in a layer that its ``dist-info`` lists and that are there."""
    record = (distribution / "RECORD").read_text(encoding="utf-8").splitlines()
    named = [distribution.parent / line.rsplit(",", 2)[0].strip('"') for line in record]
    return [file for file in named if file.is_file()]


def is_elf(file: Path) -> bool:
    """Say whether the file is a native one of Linux, whatever it is called."""
    with file.open("rb") as opened:
        return opened.read(4) == b"\x7fELF"


def _read(template: Path, opts: Path) -> tuple[dict[str, Artifact], dict[str, Path]]:
    """Return the functions and layers of a built template, as SAM translates it."""
    sam = load_template(template)
    resources: dict[str, Any] = to_cloudformation(sam, template.parent, {})["Resources"]
    layers = {
        name: (template.parent / one["Properties"]["ContentUri"]).resolve()
        for name, one in sam["Resources"].items()
        if one["Type"] == "AWS::Serverless::LayerVersion"
    }

    def layer_of(reference: Mapping[str, str]) -> str:
        found: str = next(name for name in layers if reference["Ref"].startswith(name))  # SAM adds a hash
        return found

    functions = {}
    for name, one in resources.items():
        if one["Type"] == "AWS::Lambda::Function":
            used = [layer_of(reference) for reference in one["Properties"].get("Layers", ())]
            variables = one["Properties"].get("Environment", {}).get("Variables", {})
            functions[name] = Artifact(
                name,
                (template.parent / sam["Resources"][name]["Properties"]["CodeUri"]).resolve(),
                tuple(layers[layer] for layer in used),
                opts / "-".join(used),
                one["Properties"]["Handler"],
                *_environment(variables, sam.get("Parameters", {})),
            )
    return functions, layers


def _environment(variables: Mapping[str, Any], parameters: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    fixed = {name: value for name, value in variables.items() if re.match(r"/(opt|var/task)\b", str(value))}

    def value_of(name: str, value: Any) -> str:
        default = (
            parameters.get(value["Ref"], {}).get("Default") if isinstance(value, dict) and "Ref" in value else None
        )
        return value if isinstance(value, str) else name.lower() if default is None else str(default)

    others = {name: value_of(name, value) for name, value in variables.items() if name not in fixed}
    return fixed, others


def _run_or_unavailable(command: Iterable[str | Path]) -> None:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        printed = "\n".join((done.stdout + done.stderr).strip().splitlines()[-5:])
        raise Unavailable(
            f"`{' '.join(map(str, command))}` failed; it needs the package index once. It said:\n{printed}"
        )


def _bytes(file: Path) -> bytes:
    return file.read_bytes()


def _digest(*parts: object) -> str:
    """Return a name for all the parts together."""
    each = [hashlib.sha256(part if isinstance(part, bytes) else str(part).encode()).hexdigest() for part in parts]
    return hashlib.sha256(json.dumps(each).encode()).hexdigest()[:32]


def _main(arguments: list[str]) -> int:
    try:
        return Tools(Cache(cache_root(os.environ))).sam(arguments, Path.cwd()).returncode
    except Unavailable as problem:
        sys.stderr.write(f"The SAM CLI cannot be had: {problem}\n")
        return 1


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
