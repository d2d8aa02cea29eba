"""Import moto's CloudFormation and Step Functions without the services that Ballast does not use.

``moto.cloudformation.parsing`` imports the models of some thirty services, and the interpreter's
Batch task imports ``moto.batch``; with them come ``moto.ec2`` (a second, 140 MB) and an OpenAPI
validator. While the two are imported here, those services are empty modules; afterwards
they are gone from ``sys.modules``, so that a later ``import moto.ec2`` gets the real one.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, ClassVar

#: Services that are slow to import and that the template does not use.
LEFT_OUT = frozenset(
    {
        "apigateway",
        "autoscaling",
        "batch",
        "datapipeline",
        "ec2",
        "ecs",
        "efs",
        "elb",
        "elbv2",
        "emr",
        "iot",
        "rds",
        "redshift",
        "route53",
        "sagemaker",
    }
)


class _Anything(type):
    """The class of objects imported from a skipped service; each attribute is its own name."""

    def __getattr__(cls, name: str) -> str:
        if name.startswith("__"):
            raise AttributeError(name)
        return name


class _LeftOut(ModuleType):
    __path__: ClassVar[list[str]] = []  # type: ignore[misc]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Anything(name, (), {})


class _Finder(MetaPathFinder, Loader):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, rest = fullname.partition(".")
        if package == "moto" and rest.partition(".")[0] in LEFT_OUT:
            return ModuleSpec(fullname, self, is_package=True)
        return None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _LeftOut(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: the module is empty."""


def import_moto() -> None:
    """Import moto's CloudFormation and its Step Functions interpreter, once per process.

    Relies on both using the services in ``LEFT_OUT`` only at import, or when
    a resource or a task of such a service is used.
    """
    import moto

    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        importlib.import_module("moto.cloudformation.parsing")
        importlib.import_module("moto.stepfunctions.parser.models")
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name, module in sys.modules.items() if isinstance(module, _LeftOut)]:
            del sys.modules[name]
            if name.count(".") == 1:
                vars(moto).pop(name.partition(".")[2], None)
