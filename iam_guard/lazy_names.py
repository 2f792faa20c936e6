"""Public names of a package that are imported on first use, so that importing the package loads none of its modules.

Type checkers read the stub beside the package, which `make docs` generates from its table.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, TypeAlias

PublicNames: TypeAlias = tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]


def public_names(package: str, names: Mapping[str, str]) -> PublicNames:
    """Return the `__all__`, `__getattr__` and `__dir__` of a package.

    `names` has the names of each module, with spaces between them; a module is named as seen from `iam_guard`.
    """
    modules = {name: module for module, listed in names.items() for name in listed.split()}

    def import_name(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module `{package}` has no attribute `{name}`")
        value = getattr(import_module(f"iam_guard.{modules[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    def listed_names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *modules})

    return sorted(modules), import_name, listed_names
