"""Load a playbook from its folder: the same way in Lambda, in tests and in the local cloud."""

import hashlib
import importlib
import importlib.util
import pkgutil
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from ballast.errors import PlaybookInvalid
from ballast.playbook.agent import AgentConfig, read_agent
from ballast.playbook.fallback import Fallback
from ballast.playbook.tool import Effect, Tool

_LOCK = threading.Lock()


@dataclass(frozen=True)
class Playbook:
    """An agent, its tools by name and its fallbacks by intent."""

    folder: Path
    agent: AgentConfig
    tools: Mapping[str, Tool]
    fallbacks: Mapping[str, Fallback]

    def reads_only(self, tools: Iterator[str]) -> bool:
        """Say whether none of the named tools writes; an unknown one will be refused and does nothing."""
        return all(name not in self.tools or self.tools[name].effect is Effect.READ for name in tools)


def load_playbook(folder: str | Path) -> Playbook:
    """Import ``folder`` (``agent.yaml``, ``tools/``, ``fallbacks/``) and check that it fits together.

    The folder is a package; inside it, import relatively. Raises ``PlaybookInvalid``.
    """
    path = Path(folder).resolve()
    if not path.is_dir():
        raise PlaybookInvalid(f"{path}: no such folder. Point at a folder that holds agent.yaml, tools/ and fallbacks/.")
    agent = read_agent(path / "agent.yaml")
    with _LOCK:
        package = _import_package(path)
        modules = [*_import_all(package, "tools"), *_import_all(package, "fallbacks")]
    tools: dict[str, Tool] = {}
    fallbacks: dict[str, Fallback] = {}
    for module in modules:
        for value in vars(module).values():
            if isinstance(value, Tool):
                if tools.setdefault(value.name, value) is not value:
                    raise PlaybookInvalid(f"{path}: two tools are named {value.name}; rename one.")
            elif isinstance(value, Fallback) and fallbacks.setdefault(value.intent, value) is not value:
                raise PlaybookInvalid(f"{path}: two fallbacks serve the intent {value.intent}; keep one.")
    _check(path, agent, tools, fallbacks)
    return Playbook(path, agent, dict(sorted(tools.items())), fallbacks)


def _check(path: Path, agent: AgentConfig, tools: Mapping[str, Tool], fallbacks: Mapping[str, Fallback]) -> None:
    if not tools:
        raise PlaybookInvalid(f"{path / 'tools'}: holds no tool. Write one function decorated with @tool.")
    for made in tools.values():
        if made.undo is not None and made.undo not in tools:
            raise PlaybookInvalid(f"{path}: {made.name} names {made.undo} as its undo, but there is no such tool.")
    for intent in fallbacks:
        if intent not in agent.intents:
            raise PlaybookInvalid(
                f"{path}: a fallback serves the intent {intent}, which agent.yaml does not list. Add it under `intents:`."
            )


def _import_package(path: Path) -> ModuleType:
    """Import the folder as a package: under its own name, or under an alias where that name is taken."""
    name = path.name if path.name.isidentifier() else "playbook"
    taken = sys.modules.get(name)
    if taken is not None and str(path) not in [str(Path(p).resolve()) for p in getattr(taken, "__path__", [])]:
        name = f"{name}_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    init = path / "__init__.py"
    spec = importlib.util.spec_from_file_location(
        name, init if init.exists() else None, submodule_search_locations=[str(path)]
    )
    if spec is None:
        raise PlaybookInvalid(f"{path}: cannot be imported as a package. Add an __init__.py.")
    package = importlib.util.module_from_spec(spec)
    sys.modules[name] = package
    if spec.loader is not None:
        try:
            spec.loader.exec_module(package)
        except BaseException:
            del sys.modules[name]
            raise
    return package


def _import_all(package: ModuleType, part: str) -> Iterator[ModuleType]:
    folder = Path(next(iter(package.__path__))) / part
    if not folder.is_dir():
        return
    for info in sorted(pkgutil.iter_modules([str(folder)]), key=lambda found: found.name):
        module = f"{package.__name__}.{part}.{info.name}"
        try:
            yield importlib.import_module(module)
        except PlaybookInvalid:
            raise
        except Exception as problem:
            raise PlaybookInvalid(
                f"{folder / info.name}.py: cannot be imported: {type(problem).__name__}: {problem}"
            ) from problem
