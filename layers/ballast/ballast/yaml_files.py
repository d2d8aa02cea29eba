"""YAML files of a deployment, as plain JSON: ``agent.yaml``, other agents' files, and model cards.

The build parses each one (``packaging/parse_yaml.py``), so that no function imports a parser. Imports nothing of
Ballast: the build runs this module on its own.
"""

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

#: The file of an agent, and the folder of other agents' files. Their booleans are those of YAML 1.1, where ``on`` and
#: ``yes`` are true as well.
AGENT_FILE, AGENTS_FOLDER = "agent.yaml", "agents"
#: Values of one file, with those that its aliases repeat.
MOST_VALUES = 1_000_000


class NotYaml(ValueError):
    """A text is not YAML; says where."""


class NotJson(ValueError):
    """YAML has a value that JSON does not have."""


def parsed_path(file: Path) -> Path:
    """Return where the build puts what it parsed. As bytecode, it is in no source tree."""
    return file.parent / "__pycache__" / f"{file.name}.json"


def as_built(file: Path) -> str:
    """Return what the build writes for a file: its content, and the hash of the text that it was parsed from."""
    return f'{{"sha256": "{_sha256(file)}", "content": {parse(file)}}}'


def read_yaml(file: Path) -> Any:
    """Return the file's content; a date is its text. Raises ``OSError``, ``UnicodeDecodeError``, ``NotYaml``,
    ``NotJson``.

    What the build parsed counts for the text that it was parsed from, and for no other.
    """
    try:
        built = json.loads(parsed_path(file).read_bytes())
        if built["sha256"] == _sha256(file):
            return built["content"]
    except (OSError, ValueError, TypeError, LookupError):
        pass  # no build wrote that
    return json.loads(parse(file))


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def parse(file: Path) -> str:
    """Return the file's content as JSON. Raises as ``read_yaml``."""
    return parse_text(file.read_text(encoding="utf-8"), words=_is_an_agents(file))


def parse_text(text: str, *, words: bool) -> str:
    """Return a text's content as JSON; ``words``: as in an agent's file. Raises ``NotYaml``, ``NotJson``."""
    import yaml

    try:
        data = load(text, _loader(words))
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise NotYaml(f"is not YAML{where}: {getattr(problem, 'problem', problem)}") from None
    except (ValueError, RecursionError) as problem:  # a date such as 2026-02-30, or brackets without end
        raise NotYaml(f"is not YAML: {problem}") from None
    try:
        return json.dumps(data, default=str)
    except (TypeError, ValueError, RecursionError) as problem:  # a date as a key, or an anchor inside itself
        raise NotJson(f"holds a value that JSON does not have: {problem}") from None


def load(text: str, loader: Any) -> Any:
    """Return a text's content as ``loader``, a class of PyYAML, reads it. Raises ``yaml.YAMLError`` and ``ValueError``.

    A few lines of aliases of aliases stand for more values than memory has: they are counted before any is made.
    """
    import yaml

    reader = loader(text)
    try:
        node = reader.get_single_node()
        if node is None:
            return None
        if _values(node, {}) > MOST_VALUES:
            told = f"it has more than {MOST_VALUES} values, with those that its aliases repeat"
            raise yaml.constructor.ConstructorError(None, None, told, node.start_mark)
        return reader.construct_document(node)
    finally:
        reader.dispose()


def _values(node: Any, known: dict[int, int]) -> int:
    """Return how many values a node of YAML stands for; an alias of itself, which is refused later, for one."""
    if not isinstance(node.value, list):
        return 1
    if id(node) not in known:
        known[id(node)] = 1
        inside = (one for entry in node.value for one in (entry if isinstance(entry, tuple) else (entry,)))
        known[id(node)] = 1 + sum(_values(one, known) for one in inside)
    return known[id(node)]


def _is_an_agents(file: Path) -> bool:
    folder = file.parent
    return file.name == AGENT_FILE or (folder.name == AGENTS_FOLDER and (folder.parent / AGENT_FILE).is_file())


@cache
def _loader(words: bool) -> Any:
    """Return a safe loader of YAML. Without ``words``, only ``true`` and ``false`` are booleans, as in YAML 1.2.

    ``off`` and ``yes`` are words of a card. libyaml's loader takes a fifteenth of the time of Python's.
    """
    import yaml

    safe: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    if words:
        return without_twice(safe)
    resolvers = {
        first: [one for one in known if first in "tTfF" or one[0] != "tag:yaml.org,2002:bool"]
        for first, known in safe.yaml_implicit_resolvers.items()
    }
    return type("CardLoader", (without_twice(safe),), {"yaml_implicit_resolvers": resolvers})


def without_twice(safe: Any) -> Any:
    """Return a safe loader that refuses a key that stands twice in one mapping: of two readers, each sees another."""
    import yaml

    def construct_mapping(loader: Any, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            name = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else None
            if name is not None and name in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {ascii(key.value)[:80]} stands twice. Keep one of them", key.start_mark
                )
            seen.add(name)
        return safe.construct_mapping(loader, node, deep)

    return type("OnceLoader", (safe,), {"construct_mapping": construct_mapping})
