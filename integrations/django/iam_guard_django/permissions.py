"""The permissions that a view of REST framework asks for a method: those of its class, or of `get_permissions()`.

Strategy. A view class that has its own `get_permissions()` is asked on an instance, made and routed as REST framework
does it, once for each method: so each action has the permissions that it will have. Before there is a request, nothing
is known of one but its method. What looks at more (the caller, a parameter of the URL) raises `PermissionsUntold`, so
that nothing is guessed; what answers a request has been served by a view that knows all of it. The same is raised for a
class that has its own of what leads there (`check_permissions`, say), whose code names neither that nor what REST
framework asks next: it may ask in other ways, or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from inspect import unwrap
from itertools import pairwise
from typing import Any, Final, NoReturn

ASKED: Final = "iam_guard.asked"
"""Where the scope of a call has what a permission has asked for."""
_FRAMEWORK: Final = "rest_framework.views"
_LEADING: Final = ("dispatch", "initial", "check_permissions", "get_permissions")
"""How REST framework comes to the permissions of a view: each of these asks the next."""
_AND: Final = ("rest_framework.permissions", "AND")


class PermissionsUntold(Exception):
    """Nobody can tell before a request which permissions a method has; says what that depends on."""


def permissions_of(view: Any, view_class: Any, method: str, served: Any = None) -> Iterable[Any]:
    """Return the permissions, classes or instances; none for a view that is not REST framework's.

    `served` is the view that has answered a request, where there is one. Raises `PermissionsUntold`.
    """
    leaving_out = next((each for each, leads in own_leading(view_class) if not leads), None)
    if leaving_out is not None:
        raise PermissionsUntold(f"{leaving_out} does not ask the permissions")
    chosen = getattr(view, "initkwargs", {})  # those of an `@action` replace the class's
    if getattr(getattr(view_class, "get_permissions", None), "__module__", _FRAMEWORK) == _FRAMEWORK:
        found: Iterable[Any] = chosen.get("permission_classes", getattr(view_class, "permission_classes", ()))
        return found
    try:
        asked = served if isinstance(served, view_class) else _routed(view, view_class, method)
        return list(asked.get_permissions())
    except PermissionsUntold:
        raise
    except Exception as error:  # whatever the project's code does without a request, it tells nothing
        raise PermissionsUntold(f"`get_permissions` raises {type(error).__name__}") from error


def all_needed(permissions: Iterable[Any]) -> Iterator[Any]:
    """Return the permissions, classes or instances, that have to allow one by one: of `A & B` both."""
    for permission in permissions:
        kind = getattr(permission, "operator_class", type(permission))
        if (kind.__module__, kind.__qualname__) == _AND:
            one, other = ("op1_class", "op2_class") if hasattr(permission, "operator_class") else ("op1", "op2")
            yield from all_needed((getattr(permission, one), getattr(permission, other)))
        else:
            yield permission


@lru_cache(maxsize=1024)  # a class is declared once and asked with every request
def own_leading(view_class: Any) -> tuple[tuple[str, bool], ...]:
    """Return the attributes of a REST framework view that lead to permissions, and whether its code sets them."""
    kinds = getattr(view_class, "__mro__", ())
    if not any(kind.__module__ == _FRAMEWORK for kind in kinds):
        return ()
    found = []
    for name, following in pairwise(_LEADING):
        for kind in kinds:
            method = unwrap(vars(kind).get(name))
            if getattr(method, "__module__", None) == _FRAMEWORK:
                break
            named = getattr(getattr(method, "__code__", None), "co_names", ())
            if method is not None:
                found.append((f"`{name}` of `{kind.__qualname__}`", name in named or following in named))
    return tuple(found)


def _routed(view: Any, view_class: Any, method: str) -> Any:
    """Make the instance that will serve a method, as far as that is known before a request."""
    made = view_class(**getattr(view, "initkwargs", {}))
    actions = getattr(view, "actions", None)
    if actions is not None:
        made.action_map = actions
        made.action = "metadata" if method == "options" else actions.get(method)
        for name, action in actions.items():
            setattr(made, name, getattr(made, action))
    made.request = _RequestOf(method.upper())
    made.args, made.kwargs, made.format_kwarg = _Untold("args"), _Untold("kwargs"), _Untold("format_kwarg")
    return made


class _Untold:
    """Stands for what only a request brings: whatever is asked of it cannot be told."""

    def __init__(self, name: str) -> None:
        self.__dict__["_name"] = name

    def _refuse(self, *_: object) -> NoReturn:
        raise PermissionsUntold(f"`get_permissions` looks at `{self._name}`")

    def __getattr__(self, name: str) -> NoReturn:
        self._refuse()

    __getitem__ = __contains__ = __iter__ = __len__ = __bool__ = __str__ = _refuse
    __eq__ = __ne__ = _refuse
    __hash__ = None  # type: ignore[assignment]


class _RequestOf(_Untold):
    """Stands for any request with a method."""

    def __init__(self, method: str) -> None:
        super().__init__("request")
        self.__dict__["method"] = method

    def __getattr__(self, name: str) -> NoReturn:
        raise PermissionsUntold(f"`get_permissions` looks at `request.{name}`")

    def __bool__(self) -> bool:  # type: ignore[override]
        return True
