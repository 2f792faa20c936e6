"""iam_guard in Django REST framework: `request.user` is the caller, and a view says what its actions require.

    class DocumentViewSet(ViewSet):
        authentication_classes = [GuardAuthentication]
        permission_classes = [GuardPermission]
        iam_requires = {
            "list": docs.requires("ListDocuments"),
            "retrieve": docs.requires("GetDocument", resource="document/{pk}"),
        }

Keys are the actions of a view set, or the methods of another view (`get`, `post`). The decorators stand on methods as
well; what neither has is refused before it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission

from iam_guard import Decision, Guard, IamGuardError, Principal, Resource, current_principal
from iam_guard.errors import ConfigurationError, UndecidedEndpoint
from iam_guard.model.principal import PrincipalType
from iam_guard.web.call_context import current_call, serving
from iam_guard.web.endpoints import guards_of, name_of
from iam_guard.web.refusal import REALM
from iam_guard_django.lookups import canonicalize_of
from iam_guard_django.mapped import is_decided_by_row
from iam_guard_django.options import options
from iam_guard_django.permissions import ASKED
from iam_guard_django.views import class_of, is_of_framework

if TYPE_CHECKING:  # REST framework imports this file before it has views, where its settings name these classes
    from rest_framework.request import Request
    from rest_framework.views import APIView

__all__ = ["GuardAuthentication", "GuardPermission", "PrincipalUser"]


@dataclass(frozen=True, slots=True)
class PrincipalUser:
    """A caller as REST framework expects a user. It answers no question about permissions: those are decided."""

    principal: Principal

    is_authenticated = True
    is_anonymous = False
    is_active = True

    @property
    def username(self) -> str:
        return self.principal.name

    @property
    def pk(self) -> str:
        """What throttles tell callers apart by."""
        return self.principal.arn

    def __str__(self) -> str:
        return self.principal.arn


class GuardAuthentication(BaseAuthentication):  # type: ignore[misc]  # REST framework has no types
    """Take the caller whom the middleware has signed in."""

    def authenticate(self, request: Request) -> tuple[PrincipalUser, Principal] | None:
        """Return the user and the principal; None for an anonymous caller."""
        principal = current_principal()
        if principal.type is PrincipalType.ANONYMOUS:
            return None
        return PrincipalUser(principal), principal

    def authenticate_header(self, request: Request) -> str:
        """Name the schemes, so that REST framework answers 401 where it asks for a user itself."""
        return REALM


class GuardPermission(BasePermission):  # type: ignore[misc]  # REST framework has no types
    """Ask for what the view requires for the action; a refusal is raised, and answered by the middleware."""

    @staticmethod
    def iam_guard_of(view_class: type[APIView], name: str) -> Callable[..., None] | None:
        """Return what guards an action or method of a view by `iam_requires`; None where that says nothing.

        Raises `ConfigurationError` for what decorates nothing.
        """
        requires = getattr(view_class, "iam_requires", {}).get(name)
        if requires is not None and not callable(requires):
            message = f"expected `requires(…)` or `public`, got `{type(requires).__name__}`"
            raise ConfigurationError(message, place="iam_requires")
        return None if requires is None else _asking(requires)

    def has_permission(self, request: Request, view: APIView) -> bool:
        canonicalize_of(view)
        method = request.method.lower()
        if method not in view.http_method_names or not hasattr(view, method):
            return True  # REST framework answers with the methods that there are
        is_options = method == "options"
        if is_options and is_of_framework(view.options):
            return True  # the same
        is_get = method == "head" and not hasattr(type(view), method)
        action = None if is_options else getattr(view, "action", None)  # which REST framework calls `metadata` there
        name = action or ("get" if is_get else method)
        ask = self.iam_guard_of(type(view), name)
        if request.method != request._request.method:  # for a form of a page say: nobody has called that method
            return bool(guards_of(getattr(view, name, None))) if ask is None else _would_let(ask, view.kwargs)
        if ask is not None:
            current_call().scope[ASKED] = ask
            ask(**view.kwargs)
        elif not guards_of(getattr(view, name, None)) and not _is_guarded_whole(request._request, view):
            raise UndecidedEndpoint(f"nothing says what `{name_of(type(view))}.{name}` requires, and it is not public")
        return True


def _is_guarded_whole(request: HttpRequest, view: APIView) -> bool:
    """Return whether what stands before a view guards it, or opens it, whichever of its methods is called."""
    match = request.resolver_match
    if match is None or class_of(match.func) is not type(view):
        return False  # another view has called this one
    is_open = options().is_public(match.view_name)
    return is_open or bool(guards_of(match.func)) or is_decided_by_row(request)


def _would_let(ask: Callable[..., None], parameters: Mapping[str, Any]) -> bool:
    """Ask whether a method would be allowed, aside of the call that is being handled and without an attempt."""
    call = current_call()
    aside = replace(call, guard=cast("Guard", _Questions(call.guard)), decisions=[], refusal=None)
    with serving(aside):
        try:
            ask(**parameters)
        except IamGuardError:
            return False
    return True


class _Questions:
    """A guard whose decisions are answers: noted as asked about, and as no attempt."""

    def __init__(self, guard: Guard) -> None:
        self.settings = guard.settings
        self.signing_names = guard.signing_names
        self._guard = guard

    def decide(self, caller: Principal, action: str, resource: str | Resource, *context: Any, call: Any) -> Decision:
        return self._guard.ask(caller, [(action, resource)], *context, call=call)[0]


@lru_cache(maxsize=1024)  # a view is declared once and asks with every request
def _asking(requires: Callable[[Callable[..., None]], Callable[..., None]]) -> Callable[..., None]:
    def asked(**parameters: Any) -> None:
        """Run where the caller may."""

    return requires(asked)
