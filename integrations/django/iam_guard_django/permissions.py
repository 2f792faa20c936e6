"""The permission classes that a REST framework view checks for a method, including those of `get_permissions()`.

An own `get_permissions()` is called on an instance that is created and routed as REST framework does it, once per
method. Only the method of the request is known then: code that reads anything else (the caller, a URL parameter) raises
`PermissionsUnknown`, so that nothing is guessed. For a request that was already answered, the view that served it is
used. `PermissionsUnknown` is also raised for a class that overrides a method of `_PERMISSION_CHAIN`, such as
`check_permissions`, with code that calls neither the overridden method nor the next one of the chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from inspect import unwrap
from itertools import pairwise
from typing import Any, Final, NoReturn

ASKED: Final = "iam_guard.asked"
"""The key of a scope for the requirement that a permission class has enforced."""
_FRAMEWORK: Final = "rest_framework.views"
_PERMISSION_CHAIN: Final = ("dispatch", "initial", "check_permissions", "get_permissions")
"""The methods by which REST framework checks permissions: each calls the next."""
_AND: Final = ("rest_framework.permissions", "AND")


class PermissionsUnknown(Exception):
    """The permissions of a method depend on the request; the message contains on what."""


def permissions_of(view: Any, view_class: Any, method: str, served: Any = None) -> Iterable[Any]:
    """Return the permission classes or instances; empty for a view that is not REST framework's.

    `served` is the view that answered the request, if there is one. Raises `PermissionsUnknown`.
    """
    broken = next((name for name, calls_next in chain_overrides(view_class) if not calls_next), None)
    if broken is not None:
        raise PermissionsUnknown(f"{broken} does not check the permissions")
    initkwargs = getattr(view, "initkwargs", {})  # an `@action` may replace those of the class
    if getattr(getattr(view_class, "get_permissions", None), "__module__", _FRAMEWORK) == _FRAMEWORK:
        found: Iterable[Any] = initkwargs.get("permission_classes", getattr(view_class, "permission_classes", ()))
        return found
    try:
        instance = served if isinstance(served, view_class) else _routed(view, view_class, method)
        return list(instance.get_permissions())
    except PermissionsUnknown:
        raise
    except Exception as error:  # the project's code may fail in any way without a request
        raise PermissionsUnknown(f"`get_permissions` raises {type(error).__name__}") from error


def all_needed(permissions: Iterable[Any]) -> Iterator[Any]:
    """Yield the permissions, classes or instances, that must all allow: for `A & B`, both."""
    for permission in permissions:
        kind = getattr(permission, "operator_class", type(permission))
        if (kind.__module__, kind.__qualname__) == _AND:
            left, right = ("op1_class", "op2_class") if hasattr(permission, "operator_class") else ("op1", "op2")
            yield from all_needed((getattr(permission, left), getattr(permission, right)))
        else:
            yield permission


@lru_cache(maxsize=1024)  # classes are declared once and used with every request
def chain_overrides(view_class: Any) -> tuple[tuple[str, bool], ...]:
    """Return the overridden methods of `_PERMISSION_CHAIN`, and whether each calls its base or the next method."""
    kinds = getattr(view_class, "__mro__", ())
    if not any(kind.__module__ == _FRAMEWORK for kind in kinds):
        return ()
    found = []
    for name, following in pairwise(_PERMISSION_CHAIN):
        for kind in kinds:
            method = unwrap(vars(kind).get(name))
            if getattr(method, "__module__", None) == _FRAMEWORK:
                break
            named = getattr(getattr(method, "__code__", None), "co_names", ())
            if method is not None:
                found.append((f"`{name}` of `{kind.__qualname__}`", name in named or following in named))
    return tuple(found)


def _routed(view: Any, view_class: Any, method: str) -> Any:
    """Return an instance like the one that will serve a method, as far as it is known before a request."""
    instance = view_class(**getattr(view, "initkwargs", {}))
    actions = getattr(view, "actions", None)
    if actions is not None:
        instance.action_map = actions
        instance.action = "metadata" if method == "options" else actions.get(method)
        for name, action in actions.items():
            setattr(instance, name, getattr(instance, action))
    instance.request = _UnknownRequest(method.upper())
    for name in ("args", "kwargs", "format_kwarg"):
        setattr(instance, name, _Unknown(name))
    return instance


class _Unknown:
    """Stands for a value that is known only with a request: every access raises `PermissionsUnknown`."""

    def __init__(self, name: str) -> None:
        self.__dict__["_name"] = name

    def _refuse(self, *_: object) -> NoReturn:
        raise PermissionsUnknown(f"`get_permissions` reads `{self._name}`")

    def __getattr__(self, name: str) -> NoReturn:
        self._refuse()

    __getitem__ = __contains__ = __iter__ = __len__ = __bool__ = __str__ = _refuse
    __eq__ = __ne__ = _refuse
    __hash__ = None  # type: ignore[assignment]


class _UnknownRequest(_Unknown):
    """Stands for a request of which only the method is known."""

    def __init__(self, method: str) -> None:
        super().__init__("request")
        self.__dict__["method"] = method

    def __getattr__(self, name: str) -> NoReturn:
        raise PermissionsUnknown(f"`get_permissions` reads `request.{name}`")

    def __bool__(self) -> bool:  # type: ignore[override]
        return True
