"""Imports on first use: of the public names of a package, and of libraries that only an extra of iam_guard has.

Importing a package loads none of its modules. Type checkers read the stub beside it, which `make docs` generates from
its table of names.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
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


@contextmanager
def requires_extra(extra: str, purpose: str) -> Iterator[None]:
    """Raise `ConfigurationError`, which names the extra and its purpose, if an import within fails for its absence.

    Each import of a library that only an extra has is within it, in the module that uses the library.
    """
    try:
        yield
    except ModuleNotFoundError as missing:
        message = f"{purpose} requires the extra `{extra}` of iam_guard: pip install 'iam-guard[{extra}]'"
        raise import_module("iam_guard.errors").ConfigurationError(message) from missing
