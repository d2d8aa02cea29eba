"""Follow a clock's value through the source of a function: into a result or a change, or only into an error. Pure.

::

    if value < now(): raise …        the clock only decides whether a value is returned: accepted
    problems.append(…); log.info(…)  it only reaches objects of the function's own: accepted
    return value or now()            the clock is in the value: refused
    if now() > noon: return None     the clock chooses between two values: refused
    value.append(now())              the clock is put into an argument: refused

Calls of the author's functions are followed with their arguments. Statements are evaluated in order, repeatedly, until
nothing changes. A name that once held a clock's value keeps that mark.
"""

import ast
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field, replace
from types import FunctionType, ModuleType
from typing import Any

from ballast.playbook.arguments.function_source import (
    CHANGES,
    always_raises,
    any_leaves_early,
    captured_names,
    changes_something,
    is_from_stdlib,
    leaves_early,
    source_lines,
    syntax_of,
)
from ballast.values import dataclass

Sources = Callable[[str, Any, set[str]], bool]


@dataclass(frozen=True)
class Value:
    """The known properties of a value.

    from_clock    whether it contains a clock's value
    roots  the parameters that it is, is a part of, or contains
    exact  its identity if known: an unchanged parameter or a constant; else ""
    """

    from_clock: bool = False
    roots: frozenset[str] = frozenset()
    exact: str = ""


NONE = Value(exact="None")
NO_RETURN = "never"


def merged(values: Iterable[Value]) -> Value:
    some = list(values)
    exact = {one.exact for one in some}
    roots: frozenset[str] = frozenset().union(*(one.roots for one in some))
    return Value(any(one.from_clock for one in some), roots, exact.pop() if len(exact) == 1 else "")


@dataclass(frozen=True)
class Names:
    """What ``determinism`` knows of a function's names, and ``clock_flow`` does not.

    named       the globals and outer names of a function
    from_clock         whether a named value is a clock, given the attributes that are read
    attributes  attribute names that a function may read
    followed    the author's functions by which a value is used, given the attributes
    """

    named: Callable[[FunctionType], Iterator[tuple[str, Any]]]
    from_clock: Sources
    attributes: Callable[[FunctionType], set[str]]
    followed: Callable[[Any, set[str]], Iterator[FunctionType]]


#: Calls are followed this deep, and a function is evaluated this often.
_DEEP, _ROUNDS = 6, 12
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_LOOPS = (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)


@dataclass
class Flow:
    """The evaluation of one function.

    from_clock      names that hold a clock's value
    changed  the first line in which a clock does more than raise, for people; "" if there is none
    """

    function: FunctionType
    node: Any
    known: Names
    owner: type | None
    deep: int
    from_clock: set[str] = field(default_factory=set)
    roots: dict[str, frozenset[str]] = field(default_factory=dict)
    assigned: set[str] = field(default_factory=set)
    returned: list[tuple[bool, Value, int]] = field(default_factory=list)
    lines: set[int] = field(default_factory=set)
    control: bool = False
    reads: int = 0
    checks: int = 0

    @classmethod
    def of(
        cls,
        function: FunctionType,
        known: Names,
        owner: type | None = None,
        from_clock: Iterable[str] = (),
        deep: int = _DEEP,
    ) -> "Flow | None":
        """Return what was found; None for a function without source. ``from_clock``: parameters that hold a clock."""
        node = syntax_of(function)
        if node is None:
            return None
        flow = cls(function, node, known, owner, deep, set(from_clock))
        flow._named = dict(known.named(function))
        flow._attributes = known.attributes(function)
        flow._run()
        return flow

    _named: Mapping[str, Any] = field(default_factory=dict)
    _attributes: set[str] = field(default_factory=set)

    @property
    def parameters(self) -> list[str]:
        """The names of its parameters, in order."""
        given = self.node.args
        some = [*given.posonlyargs, *given.args, given.vararg, *given.kwonlyargs, given.kwarg]
        return [one.arg for one in some if one is not None]

    @property
    def result(self) -> Value:
        """Its return value; from_clock if a clock is in it or chose it."""
        made = merged(value for _, value, _ in self.returned) if self.returned else NONE
        return replace(made, from_clock=made.from_clock or self._chosen is not None)

    @property
    def _chosen(self) -> int | None:
        """The line of a return value that a clock chose among several."""
        chosen = [(value, line) for control, value, line in self.returned if control]
        same = {value.exact for value, _ in chosen}
        return chosen[0][1] if chosen and (len(same) > 1 or "" in same) else None

    @property
    def changed(self) -> str:
        """The first line, with its number, in which a clock does more than raise; "" if there is none."""
        lines = self.lines | {line for _, value, line in self.returned if value.from_clock}
        lines |= {self._chosen} if self._chosen is not None else set()
        if not lines:
            return ""
        first = min(lines)
        return f"line {first} ({source_lines(self.function.__code__.co_filename)[first - 1].strip()})"

    def _run(self) -> None:
        self.roots = {name: frozenset({name}) for name in self.parameters}
        for _ in range(_ROUNDS):
            before = (len(self.from_clock), len(self.assigned), sum(map(len, self.roots.values())))
            self.returned, self.control = [], False
            if isinstance(self.node, ast.Lambda):
                self.returned.append((False, self._eval(self.node.body), self.node.body.lineno))
            elif self._all(self.node.body):
                self.returned.append((self.control, NONE, self.node.body[-1].lineno))
            if before == (len(self.from_clock), len(self.assigned), sum(map(len, self.roots.values()))):
                return

    # Statements. Each returns whether the next one is reached.

    def _all(self, body: list[ast.stmt]) -> bool:
        reached = [self._do(one) for one in body]  # evaluate all, even after a return
        return all(reached)

    def _do(self, node: ast.stmt) -> bool:
        if isinstance(node, ast.Return):
            value = self._eval(node.value) if node.value is not None else NONE
            self.returned.append((self.control, value, node.lineno))
            return False
        if isinstance(node, ast.Raise | ast.Break | ast.Continue):
            self._evals(node)
            return False
        if isinstance(node, ast.If):
            return self._if(node)
        if isinstance(node, ast.While):
            self._under(self._eval(node.test).from_clock, node.body)
            return self._all(node.orelse) or True
        if isinstance(node, ast.For | ast.AsyncFor):
            each = self._eval(node.iter)
            self._put(node.target, replace(each, exact=""))
            self._under(each.from_clock, node.body)
            return self._all(node.orelse) or True
        if isinstance(node, ast.Try) or type(node).__name__ == "TryStar":
            return self._try(node)
        if isinstance(node, ast.With | ast.AsyncWith):
            for item in node.items:
                value = self._eval(item.context_expr)
                if item.optional_vars is not None:
                    self._put(item.optional_vars, replace(value, exact=""))
            return self._with(node.body)
        if isinstance(node, ast.Match):
            from_clock = self._eval(node.subject).from_clock
            ends = []
            for case in node.cases:
                for name in captured_names(case.pattern):
                    self._name(name, merged([self._eval(node.subject)]))
                from_clock = from_clock or (case.guard is not None and self._eval(case.guard).from_clock)
                ends.append(self._under(from_clock, case.body))
            return True
        if isinstance(node, ast.Assign):
            value = self._eval(node.value)
            for target in node.targets:
                self._put(target, value)
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            self._put(node.target, self._eval(node.value))
        elif isinstance(node, ast.AugAssign):
            held = self._eval(node.target)
            value = merged([held, self._eval(node.value)])
            if (value.from_clock or self.control) and held.roots:
                self.lines.add(node.lineno)
            self._put(node.target, replace(value, exact=""))
        elif isinstance(node, ast.Delete):
            for target in node.targets:
                if not isinstance(target, ast.Name):
                    self._change(target, from_clock=self.control)
        elif isinstance(node, _SCOPES):
            self._name(node.name, self._inside(node))
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                self._imported(alias)
        else:
            self._evals(node)
        return True

    def _if(self, node: ast.If) -> bool:
        from_clock = self._eval(node.test).from_clock
        if not from_clock or always_raises(node.body) or always_raises(node.orelse):
            # If one branch only raises, the clock decides whether there is a value, not which one.
            ends = [self._all(node.body), self._all(node.orelse)]
            return any(ends)
        ends = [self._under(True, node.body), self._under(True, node.orelse)]
        if leaves_early(node):
            self.control = True
        return any(ends)

    def _under(self, from_clock: bool, body: list[ast.stmt]) -> bool:
        before, self.control = self.control, self.control or from_clock
        ends = self._all(body)
        # If the clock may leave a loop or the function, it decides whether the rest runs.
        self.control = before or (self.control and any_leaves_early(body))
        return ends

    def _try(self, node: Any) -> bool:
        before = self.reads
        ends = self._all(node.body)
        by_clock = self.reads > before and not all(always_raises(handler.body) for handler in node.handlers)
        for handler in node.handlers:
            ends = self._under(by_clock, handler.body) or ends
        ends = self._under(by_clock, node.orelse) and ends
        if by_clock:  # the body's names depend on where it was left
            self._under(True, node.body)
        return self._all(node.finalbody) and ends

    def _with(self, body: list[ast.stmt]) -> bool:
        before, checks = self.reads, self.checks
        ends = self._all(body)
        raises = self.checks > checks or any(
            isinstance(inner, ast.Raise | ast.Assert) for one in body for inner in ast.walk(one)
        )
        if raises and self.reads > before:  # the context manager may suppress the error
            self._under(True, body)
        return ends

    def _imported(self, alias: ast.alias) -> None:
        name = alias.asname or alias.name.partition(".")[0]
        source = self._named.get(alias.name, self._named.get(name))
        if source is not None and self.known.from_clock(name, source, self._attributes):
            self.from_clock.add(name)

    def _put(self, target: ast.expr, value: Value) -> None:
        if isinstance(target, ast.Name):
            self._name(target.id, value)
        elif isinstance(target, ast.Tuple | ast.List):
            for one in target.elts:
                self._put(one, replace(value, exact=""))
        elif isinstance(target, ast.Starred):
            self._put(target.value, replace(value, exact=""))
        else:
            index = isinstance(target, ast.Subscript) and self._eval(target.slice).from_clock
            self._change(target, from_clock=value.from_clock or self.control or index)

    def _name(self, name: str, value: Value) -> None:
        self.assigned.add(name)
        self.roots[name] = self.roots.get(name, frozenset()) | value.roots
        if value.from_clock or self.control:
            self.from_clock.add(name)

    def _change(self, target: ast.expr, *, from_clock: bool) -> None:
        """Note a change of the object that ``target`` belongs to."""
        if not from_clock:
            return
        if self._eval(getattr(target, "value", target)).roots:
            self.lines.add(target.lineno)
        self._mark_from_clock(target)

    def _mark_from_clock(self, node: ast.expr) -> None:
        while isinstance(node, ast.Attribute | ast.Subscript | ast.Starred):
            node = node.value
        if isinstance(node, ast.Name):
            self.from_clock.add(node.id)

    # Expressions.

    def _evals(self, node: ast.AST) -> Value:
        return merged([self._eval(one) for one in ast.iter_child_nodes(node) if isinstance(one, ast.expr)])

    def _eval(self, node: ast.expr) -> Value:
        value = self._value(node)
        self.reads += value.from_clock
        return value

    def _value(self, node: ast.expr) -> Value:
        if isinstance(node, ast.Constant):
            return NONE if node.value is None else Value(exact=repr(node.value))
        if isinstance(node, ast.Name):
            return self._of_name(node.id)
        if isinstance(node, ast.Attribute):
            return self._of_attribute(node)
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, ast.NamedExpr):
            value = self._eval(node.value)
            self._put(node.target, value)
            return value
        if isinstance(node, ast.IfExp):
            test, before = self._eval(node.test), self.control
            self.control = before or test.from_clock
            ways = [self._eval(node.body), self._eval(node.orelse)]
            self.control = before
            made = merged([one for one in ways if one.exact != NO_RETURN] or ways)
            return replace(made, from_clock=made.from_clock or (test.from_clock and not made.exact))
        if isinstance(node, ast.Lambda):
            return self._inside(node)
        if isinstance(node, _LOOPS):
            for one in node.generators:
                self._put(one.target, replace(self._eval(one.iter), exact=""))
            parts = [self._eval(one) for loop in node.generators for one in (loop.iter, *loop.ifs)]
            items = (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,)
            return replace(merged([*parts, *map(self._eval, items)]), exact="")
        return replace(self._evals(node), exact="")

    def _of_name(self, name: str) -> Value:
        if name in self.roots or name in self.assigned:
            untouched = name in self.parameters and name not in self.assigned
            return Value(
                name in self.from_clock, self.roots.get(name, frozenset()), f"parameter {name}" if untouched else ""
            )
        from_clock = name in self.from_clock or (
            name in self._named and self.known.from_clock(name, self._named[name], self._attributes)
        )
        return Value(from_clock)

    def _of_attribute(self, node: ast.Attribute) -> Value:
        found, base = self._object(node.value)
        if found:
            read = {node.attr, *(self._attributes if self._names_texts else ())}
            return Value(self._is_from_clock(node.value) or self.known.from_clock(ast.unparse(node.value), base, read))
        value = self._eval(node.value)
        from_clock = value.from_clock or any(self._is_clock(one) for one in self._methods(node))
        return Value(from_clock, value.roots)

    @property
    def _names_texts(self) -> bool:
        return any(known is getattr for known in self._named.values())

    def _is_from_clock(self, node: ast.expr) -> bool:
        while isinstance(node, ast.Attribute):
            node = node.value
        return isinstance(node, ast.Name) and node.id in self.from_clock

    def _is_clock(self, function: FunctionType) -> bool:
        return self.known.from_clock(function.__name__, function, set())

    def _object(self, node: ast.expr) -> tuple[bool, Any]:
        """Return whether a node names a global or a module's attribute, and its value."""
        if isinstance(node, ast.Name) and node.id not in self.roots and node.id not in self.assigned:
            return node.id in self._named, self._named.get(node.id)
        if isinstance(node, ast.Attribute):
            found, base = self._object(node.value)
            if found and isinstance(base, ModuleType) and node.attr in vars(base):
                return True, vars(base)[node.attr]
        return False, None

    def _methods(self, node: ast.Attribute) -> list[FunctionType]:
        """Return the method that is named, of the model itself or of a global."""
        found, base = self._object(node.value)
        first = self.parameters[:1]
        if not found and self.owner is not None and isinstance(node.value, ast.Name) and [node.value.id] == first:
            found, base = True, self.owner
        return list(self.known.followed(base, {node.attr})) if found and not isinstance(base, ModuleType) else []

    def _callee(self, node: ast.Call) -> tuple[FunctionType | None, list[Value]]:
        """Return the author's function that is called, and the value of its ``self``."""
        found, known = self._object(node.func)
        if found:
            known = inspect.unwrap(known) if isinstance(known, FunctionType) else known
            own = isinstance(known, FunctionType) and not is_from_stdlib(known)
            return (known if own else None), []
        if isinstance(node.func, ast.Attribute):
            for one in self._methods(node.func):
                _, base = self._object(node.func.value)
                static = isinstance(inspect.getattr_static(base or self.owner, one.__name__, None), staticmethod)
                of_class = isinstance(base, type) and one.__code__.co_varnames[:1] not in (("cls",), ("mcs",))
                return one, [] if static or of_class else [self._eval(node.func.value)]
        return None, []

    def _call(self, node: ast.Call) -> Value:
        given = [self._eval(one.value if isinstance(one, ast.Starred) else one) for one in node.args]
        named = {one.arg: self._eval(one.value) for one in node.keywords}
        everything = [*given, *named.values()]
        function, first = self._callee(node)
        plain = None not in named and not any(isinstance(one, ast.Starred) for one in node.args)
        if function is not None and plain and self.deep:
            made = self._followed(function, [*first, *given], named, node.lineno)
            if made is not None:
                return made
        receiver = Value()
        if isinstance(node.func, ast.Attribute) and not self._object(node.func.value)[0]:
            receiver = self._eval(node.func.value)
        called = getattr(node.func, "attr", getattr(node.func, "id", ""))
        from_clock = self.control or any(one.from_clock for one in everything)
        if called in CHANGES and from_clock:
            target = node.func.value if isinstance(node.func, ast.Attribute) else None
            if (
                receiver.roots
                or self._is_type(target)
                or target is None
                or isinstance(self._object(target)[1], ModuleType)
            ):
                self._spoil(node, receiver, given)
            if target is not None:
                self._mark_from_clock(target)
        callee = self._eval(node.func)
        if callee.from_clock and callee.roots and isinstance(node.func, ast.Name) and node.func.id in self._changing:
            self.lines.add(node.lineno)
        return replace(merged([callee, receiver, *everything]), exact="")

    def _spoil(self, node: ast.Call, receiver: Value, given: list[Value]) -> None:
        if receiver.roots or any(one.roots for one in given[:1]):
            self.lines.add(node.lineno)
        for one in node.args[:1]:
            self._mark_from_clock(one)

    def _is_type(self, node: ast.expr | None) -> bool:
        return node is not None and isinstance(self._object(node)[1], type)

    @property
    def _changing(self) -> set[str]:
        """Names of inner functions that change something."""
        return {
            one.name
            for one in ast.walk(self.node)
            if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)
            and one is not self.node
            and changes_something(one)
        }

    def _followed(
        self, function: FunctionType, given: list[Value], named: Mapping[str | None, Value], line: int
    ) -> Value | None:
        """Return the value of a call of the author's function; None if it has no source."""
        code = function.__code__
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        if len(given) > code.co_argcount or function is self.function or not set(named) <= set(names):
            return None
        by_name: dict[str, Value] = {**dict(zip(names, given, strict=False)), **{str(k): v for k, v in named.items()}}
        from_clock = {name for name, value in by_name.items() if value.from_clock}
        clock = self._is_clock(function)
        if not from_clock and not clock and not self.control:
            return replace(merged(by_name.values()), from_clock=False, exact="")
        made = Flow.of(function, self.known, None, from_clock, self.deep - 1)
        if made is None:
            return None
        self.reads += clock
        self.checks += clock
        if made.lines and any(value.roots for value in by_name.values()):
            self.lines.add(line)
        if self.control and any(value.roots for value in by_name.values()) and changes_something(made.node):
            self.lines.add(line)
        if not made.returned:
            return Value(exact=NO_RETURN)
        result = made.result
        same = by_name.get(result.exact.removeprefix("parameter "))
        return replace(same or merged(by_name.values()), from_clock=result.from_clock, exact=same.exact if same else "")

    def _inside(self, node: Any) -> Value:
        """Return the value of an inner function or class; from_clock if it names such a value."""
        names = [one for one in ast.walk(node) if isinstance(one, ast.Name | ast.Attribute)]
        own = {one.arg for one in ast.walk(node) if isinstance(one, ast.arg)}
        held = [self._value(one) for one in names if not (isinstance(one, ast.Name) and one.id in own)]
        return replace(merged(held), exact="")
