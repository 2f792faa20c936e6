"""Change one function of the translator for a while, as a mistake in its source would."""

from __future__ import annotations
import __future__

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import CodeType
from typing import Any

from iam_guard.filters.tags import _uppercase

SQLITE, POSTGRESQL = ("sqlite",), ("postgresql",)
PACKAGES = ("iam_guard.filters", "iam_guard.evaluation.partial")


@dataclass(frozen=True)
class Mutant:
    """A wrong translator: in the source of `function`, `before` is `after`.

    The law detects it in the cases from `seed` on, perhaps with the policies of each for several `callers`, or the
    operator table in the statements of `table`: an operator, a key, perhaps a modifier. For a database that is not in
    `dialects`, the mistake changes nothing.
    """

    name: str
    function: Callable[..., Any]
    before: str
    after: str
    seed: int = 1
    callers: int = 1
    table: tuple[str, ...] | None = None
    dialects: tuple[str, ...] = SQLITE + POSTGRESQL

    @property
    def original(self) -> Any:
        """The function without what caches its results."""
        return inspect.unwrap(self.function)

    @property
    def source(self) -> str:
        """The source of the function."""
        return textwrap.dedent(inspect.getsource(self.original))

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Apply the mutant wherever the function was imported."""
        code = self.original.__code__
        self.original.__code__ = self._mutated()
        forget()
        try:
            yield
        finally:
            self.original.__code__ = code
            forget()

    def _mutated(self) -> CodeType:
        [definition] = ast.parse(self.source.replace(self.before, self.after)).body
        assert isinstance(definition, ast.FunctionDef)
        definition.decorator_list = []
        [outer] = ast.parse("def outer(__class__): ...").body  # a method that calls `super` refers to its class
        assert isinstance(outer, ast.FunctionDef)
        if self.original.__code__.co_freevars:
            outer.body = [definition]
            definition = outer
        flags = __future__.annotations.compiler_flag
        tree = ast.Module([definition], [])
        compiled = compile(tree, inspect.getfile(self.original), "exec", flags, dont_inherit=True)
        return _find(compiled, self.original.__name__)


def _find(code: CodeType, name: str) -> CodeType:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            return constant if constant.co_name == name else _find(constant, name)
    raise LookupError(name)


def forget() -> None:
    """Clear the caches of the translator, but one that takes long to fill and that no mutant affects."""
    for name, module in list(sys.modules.items()):
        if name.startswith(PACKAGES):
            for value in list(vars(module).values()):
                if hasattr(value, "cache_clear") and value is not _uppercase:
                    value.cache_clear()
