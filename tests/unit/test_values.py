"""A frozen dataclass of Ballast's behaves as one of the standard library's, and compiles nothing."""

import ast
import copy
import dataclasses
import inspect
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, asdict, field, replace
from pathlib import Path
from typing import Any

import pytest

from ballast import values

ROOT = Path(__file__).resolve().parents[2]
#: A class made with each decorator, and what is done with both.
Decorator = Callable[..., Any]


def pair(make: Callable[[Decorator], Any]) -> tuple[Any, Any]:
    """Return what ``make`` makes with Ballast's decorator, and with the standard library's."""
    return make(values.dataclass), make(dataclasses.dataclass)


def some(dataclass: Decorator) -> Any:
    @dataclass(frozen=True)
    class Some:
        name: str
        size: int = 3
        parts: list[str] = field(default_factory=list, compare=False)
        hidden: str = field(default="h", repr=False)
        cached: dict[str, int] = field(default_factory=dict, init=False, repr=False, compare=False)

        def __post_init__(self) -> None:
            object.__setattr__(self, "doubled", self.size * 2)

    return Some


def only_names(dataclass: Decorator) -> Any:
    @dataclass(frozen=True, kw_only=True)
    class Some:
        name: str = "n"
        size: int

    return Some


def sub(dataclass: Decorator) -> Any:
    @dataclass(frozen=True)
    class Some(some(dataclass)):  # type: ignore[misc]
        size: int = 4
        more: int = 5

    return Some


def empty(dataclass: Decorator) -> Any:
    @dataclass(frozen=True)
    class Some:
        """Nothing."""

    return Some


def plain_sub(dataclass: Decorator) -> Any:
    class Other(some(dataclass)):  # type: ignore[misc]
        def __init__(self, name: str) -> None:
            super().__init__(name, size=7)
            self.own = 1

    return Other


def with_own_methods(dataclass: Decorator) -> Any:
    @dataclass(frozen=True)
    class Some:  # noqa: PLW1641  the decorator adds the hash
        name: str

        def __eq__(self, other: object) -> bool:
            return True

        def __repr__(self) -> str:
            return "own"

    return Some


def with_own_hash(dataclass: Decorator) -> Any:
    @dataclass(frozen=True)
    class Some:
        name: str

        def __hash__(self) -> int:
            return 7

    return Some


def without_hash(dataclass: Decorator) -> Any:
    @dataclass(frozen=True)
    class Some:
        name: str
        __hash__ = None  # type: ignore[assignment]

    return Some


def ordered(dataclass: Decorator) -> Any:
    @dataclass(frozen=True, order=True)
    class Some:
        name: str

    return Some


def changing(dataclass: Decorator) -> Any:
    @dataclass
    class Some:
        name: str

    return Some


def slotted(dataclass: Decorator) -> Any:
    @dataclass(frozen=True, slots=True)
    class Some:
        name: str

    return Some


def seen(act: Callable[[], Any]) -> Any:
    """Return what ``act`` returns, or the kind of its error."""
    try:
        return act()
    except (TypeError, AttributeError) as problem:
        return type(problem)


ALL = [some, only_names, sub, empty, plain_sub, with_own_methods, with_own_hash, without_hash]
ARGUMENTS: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((), {}),
    (("a",), {}),
    (("a", 2), {}),
    (("a", 2, ["p"]), {}),
    (("a", 2, ["p"], "x"), {}),
    (("a", 2, ["p"], "x", 5), {}),
    (("a", 2, ["p"], "x", 5, 6), {}),
    (("a",), {"size": 9}),
    (("a",), {"name": "b"}),
    (("a",), {"other": 1}),
    (("a",), {"cached": {}}),
    (("a",), {"hidden": "b"}),
    ((), {"name": "a", "size": 1}),
    ((), {"size": 1}),
    ((), {"size": 1, "name": "a", "parts": ["q"], "hidden": "z"}),
    ((), {"size": 1, "name": "a", "parts": ["q"], "hidden": "z", "more": 1}),
]


@pytest.mark.sampled
@pytest.mark.parametrize(("args", "given"), ARGUMENTS)
@pytest.mark.parametrize("make", [*ALL, ordered, changing, slotted])
def test_it_takes_compares_hashes_and_shows_as_the_standard_librarys(
    make: Callable[[Decorator], Any], args: tuple[Any, ...], given: dict[str, Any]
) -> None:
    def of(cls: Any) -> list[Any]:
        one = seen(lambda: cls(*args, **given))
        if one is TypeError:
            return [one]
        twin, other = cls(*args, **given), seen(lambda: replace(one, name="another"))
        return [
            repr(one),
            getattr(one, "__dict__", None),
            asdict(one),
            seen(lambda: hash(one)),
            (one == twin, one == other, one != twin, one == 1, one == args),
            seen(lambda: hash(one) == hash(twin)),
            repr(other),
            seen(lambda: one < twin),
            (copy.copy(one) == one, copy.deepcopy(one) == one),
            getattr(one, "parts", None) is not getattr(twin, "parts", ()) or "parts" in given or len(args) > 2,
            seen(lambda: setattr(one, "name", "x")),
            seen(lambda: setattr(one, "unknown", "x")),
            seen(lambda: delattr(one, "name")),
            seen(lambda: delattr(one, "unknown")),
            cls.__match_args__,
            [(each.name, each.default, each.kw_only, each.init) for each in dataclasses.fields(one)],
            [each.name for each in inspect.signature(cls).parameters.values()],
        ]

    ours, theirs = pair(make)

    assert of(ours) == of(theirs)


@pytest.mark.parametrize(
    ("args", "given", "says"),
    [
        ((), {}, r"^some\.<locals>\.Some\.__init__\(\) missing a required argument: 'name'$"),
        (("a",), {"nane": 1}, "got an unexpected keyword argument 'nane'"),
        (("a",), {"name": "b"}, "multiple values for argument 'name'"),
        (("a", 1, [], "h", 5), {}, "too many positional arguments"),
        (("a",), {"cached": {}}, "got an unexpected keyword argument 'cached'"),
    ],
)
def test_what_it_does_not_take_is_named(args: tuple[Any, ...], given: dict[str, Any], says: str) -> None:
    with pytest.raises(TypeError, match=says):
        some(values.dataclass)(*args, **given)


def test_a_change_is_refused_in_the_standard_librarys_words() -> None:
    one = some(values.dataclass)("a")

    with pytest.raises(FrozenInstanceError, match=r"^cannot assign to field 'name'$"):
        one.name = "b"
    with pytest.raises(FrozenInstanceError, match=r"^cannot delete field 'name'$"):
        del one.name
    assert one.name == "a"


def test_a_value_inside_itself_is_shown() -> None:
    ours, theirs = pair(some)
    for cls in (ours, theirs):
        parts: list[Any] = []
        parts.append(cls("a", parts=parts))
        assert repr(parts[0]) == "some.<locals>.Some(name='a', size=3, parts=[...])"


@values.dataclass(frozen=True)
class Kept:
    """A value of a module, which pickle can name."""

    name: str
    parts: tuple[int, ...] = ()


def test_it_can_be_pickled() -> None:
    one = Kept("a", (1,))

    assert pickle.loads(pickle.dumps(one)) == one


def test_no_method_of_it_is_compiled() -> None:
    methods = ("__init__", "__repr__", "__eq__", "__hash__", "__setattr__", "__delattr__")

    ours, theirs = ([getattr(cls, name).__code__.co_filename for name in methods] for cls in pair(some))

    assert "<string>" not in ours
    assert theirs.count("<string>") >= 5  # what this test would see


def test_every_frozen_dataclass_of_what_is_deployed_is_made_so() -> None:
    folders = (ROOT / "layers" / "ballast", ROOT / "functions")
    frozen = [file for folder in folders for file in folder.rglob("*.py") if "frozen=True)" in file.read_text()]
    compiled = [
        str(file)
        for file in frozen
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == "dataclasses" and file.name != "values.py"
        for name in node.names
        if name.name == "dataclass" and "@dataclass(frozen=True)" in file.read_text()
    ]

    assert len(frozen) > 50
    assert compiled == []
