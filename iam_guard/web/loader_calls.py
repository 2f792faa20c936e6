"""Call the loaders of an application with the arguments in their signatures."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from iam_guard.errors import ConfigurationError
from iam_guard.web.resource_template import describe_missing

_VARIADIC: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class LoaderSignature(NamedTuple):
    """The parameters of a loader: required ones, optional ones; and its name."""

    required: tuple[str, ...]
    optional: tuple[str, ...]
    name: str

    @property
    def names(self) -> tuple[str, ...]:
        return self.required + self.optional


@lru_cache(maxsize=1024)  # loaders are declared once and called with every request
def loader_signature(loader: Callable[..., Any]) -> LoaderSignature:
    """Return the parameters of a loader, without `*args` and `**kwargs`."""
    named = [
        parameter for parameter in inspect.signature(loader).parameters.values() if parameter.kind not in _VARIADIC
    ]
    return LoaderSignature(
        tuple(parameter.name for parameter in named if parameter.default is parameter.empty),
        tuple(parameter.name for parameter in named if parameter.default is not parameter.empty),
        getattr(loader, "__name__", "loader"),
    )


def call_loader(loader: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    signature = loader_signature(loader)
    try:
        passed = {name: arguments[name] for name in signature.required}
    except KeyError as absent:
        message = f"{describe_missing(absent.args[0], arguments)} for the loader"
        raise ConfigurationError(message, place=signature.name) from None
    for name in signature.optional:
        if name in arguments:
            passed[name] = arguments[name]
    return loader(**passed)
