"""iam_guard for Django REST framework: `request.user` is the caller, and `iam_requires` declares a view's requirements.

    class DocumentViewSet(ViewSet):
        authentication_classes = [GuardAuthentication]
        permission_classes = [GuardPermission]
        iam_requires = {
            "list": docs.requires("ListDocuments"),
            "retrieve": docs.requires("GetDocument", resource="document/{pk}"),
        }

Keys are the actions of a view set, or the methods of other views (`get`, `post`). Methods may be decorated instead; a
method with neither is rejected before it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission

from iam_guard import Decision, Guard, IamGuardError, Principal, Resource, current_call, current_principal
from iam_guard.adapters import REALM, PrincipalType, guards_of, name_of, serving
from iam_guard.errors import ConfigurationError, UndecidedEndpoint
from iam_guard_django.lookups import canonicalize_view
from iam_guard_django.mapped import has_row_decision
from iam_guard_django.options import load_options
from iam_guard_django.permissions import ASKED
from iam_guard_django.views import class_of, is_of_framework

if TYPE_CHECKING:  # REST framework imports this file for its settings, before `views` can be imported
    from rest_framework.request import Request
    from rest_framework.views import APIView

__all__ = ["GuardAuthentication", "GuardPermission", "PrincipalUser"]


@dataclass(frozen=True, slots=True)
class PrincipalUser:
    """A caller as a REST framework user, without Django's permission methods."""

    principal: Principal

    is_authenticated = True
    is_anonymous = False
    is_active = True

    @property
    def username(self) -> str:
        return self.principal.name

    @property
    def pk(self) -> str:
        """The key of the caller for throttles."""
        return self.principal.arn

    def __str__(self) -> str:
        return self.principal.arn


class GuardAuthentication(BaseAuthentication):  # type: ignore[misc]  # REST framework has no types
    """Use the caller that the middleware has authenticated."""

    def authenticate(self, request: Request) -> tuple[PrincipalUser, Principal] | None:
        """Return the user and the principal; None for an anonymous caller."""
        principal = current_principal()
        if principal.type is PrincipalType.ANONYMOUS:
            return None
        return PrincipalUser(principal), principal

    def authenticate_header(self, request: Request) -> str:
        """Return the schemes, so that REST framework answers 401 instead of 403 for a missing user."""
        return REALM


class GuardPermission(BasePermission):  # type: ignore[misc]  # REST framework has no types
    """Enforce the view's requirement for the action; a denial is raised, and the middleware answers it."""

    @staticmethod
    def iam_guard_of(view_class: type[APIView], name: str) -> Callable[..., None] | None:
        """Return the requirement of an action or method in `iam_requires`; None without one.

        Raises `ConfigurationError` for a value that is not a decorator.
        """
        requires = getattr(view_class, "iam_requires", {}).get(name)
        if requires is not None and not callable(requires):
            message = f"expected `requires(…)` or `public`, got `{type(requires).__name__}`"
            raise ConfigurationError(message, place="iam_requires")
        return None if requires is None else _bound_requirement(requires)

    def has_permission(self, request: Request, view: APIView) -> bool:
        canonicalize_view(view)
        method = request.method.lower()
        if method not in view.http_method_names or not hasattr(view, method):
            return True  # REST framework answers 405 with the list of methods
        is_options = method == "options"
        if is_options and is_of_framework(view.options):
            return True  # REST framework answers with the list of methods
        is_get = method == "head" and not hasattr(type(view), method)
        action = None if is_options else getattr(view, "action", None)  # `metadata` for OPTIONS
        name = action or ("get" if is_get else method)
        check = self.iam_guard_of(type(view), name)
        if request.method != request._request.method:  # a check of which forms to show; the method is not called
            return bool(guards_of(getattr(view, name, None))) if check is None else _would_allow(check, view.kwargs)
        if check is not None:
            current_call().scope[ASKED] = check
            check(**view.kwargs)
        elif not guards_of(getattr(view, name, None)) and not _is_guarded_elsewhere(request._request, view):
            raise UndecidedEndpoint(f"expected `{name_of(type(view))}.{name}` to be guarded or public, got neither")
        return True


def _is_guarded_elsewhere(request: HttpRequest, view: APIView) -> bool:
    """Return whether the view is public, guarded as a whole, or guarded by a route map."""
    match = request.resolver_match
    if match is None or class_of(match.func) is not type(view):
        return False  # called by another view
    is_open = load_options().is_public(match.view_name)
    return is_open or bool(guards_of(match.func)) or has_row_decision(request)


def _would_allow(check: Callable[..., None], parameters: Mapping[str, Any]) -> bool:
    """Return whether a method would be allowed, without recording an attempt in the current call."""
    call = current_call()
    query_call = copy(call)
    query_call.guard, query_call.decisions, query_call.refusal = cast("Guard", _QueryGuard(call.guard)), [], None
    with serving(query_call):
        try:
            check(**parameters)
        except IamGuardError:
            return False
    return True


class _QueryGuard:
    """A guard whose decisions are recorded as permission queries instead of attempts."""

    def __init__(self, guard: Guard) -> None:
        self.settings = guard.settings
        self.signing_names = guard.signing_names
        self._guard = guard

    def decide(self, caller: Principal, action: str, resource: str | Resource, *context: Any, call: Any) -> Decision:
        return self._guard.ask(caller, [(action, resource)], *context, call=call)[0]


@lru_cache(maxsize=1024)  # views are declared once and used with every request
def _bound_requirement(requires: Callable[[Callable[..., None]], Callable[..., None]]) -> Callable[..., None]:
    def allowed(**parameters: Any) -> None: ...

    return requires(allowed)
