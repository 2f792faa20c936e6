"""Views guarded as a whole, with `GuardPermission` as the default permission of all views."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from tests.integrations.contract import needed

needed("django", "rest_framework", "iam_guard_django")

from tests.integrations.django_project import project  # noqa: E402  REST framework reads settings as it is imported

# isort: split

from django.test import Client  # noqa: E402
from django.urls import path  # noqa: E402
from django.utils.decorators import method_decorator  # noqa: E402
from iam_guard_django.rest_framework import GuardAuthentication, GuardPermission  # noqa: E402
from rest_framework.decorators import api_view, authentication_classes, permission_classes  # noqa: E402
from rest_framework.request import Request  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402

from iam_guard import Guard, RouteMap, public  # noqa: E402
from iam_guard.errors import ConfigurationError  # noqa: E402
from tests.conftest import ADA, RITA, Sign  # noqa: E402
from tests.integrations.application import docs  # noqa: E402

PUT = docs.requires("PutDocument", resource="document/{number}")


def by_default(view: Any) -> Any:
    """Return a function view with the classes of the settings."""
    return api_view(["GET"])(authentication_classes([GuardAuthentication])(permission_classes([GuardPermission])(view)))


@by_default
def answer(request: Request, number: str) -> Response:
    return Response(number)


class Answer(APIView):
    authentication_classes: ClassVar = [GuardAuthentication]
    permission_classes: ClassVar = [GuardPermission]

    def get(self, request: Request, number: str) -> Response:
        return Response(number)


@method_decorator(PUT, name="dispatch")
class Dispatched(Answer):
    pass


def other(request: Any, number: str) -> Any:
    return Answer.as_view()(request, number=number)


again = by_default(lambda request, number: Response(number))
urlpatterns = [
    path("function/<number>", PUT(answer)),
    path("class/<number>", PUT(Answer.as_view())),
    path("dispatched/<number>", Dispatched.as_view()),
    path("public/<number>", public(by_default(lambda request, number: Response(number)))),
    path("named/<number>", again, name="named"),
    path("mapped/<number>", Answer.as_view()),
    path("open/<number>", Answer.as_view()),
    path("unguarded/<number>", Answer.as_view()),
    path("inside/<number>", PUT(other)),
]
ROUTES = RouteMap(services=[docs])
ROUTES.requires("GET", "/mapped/{number}", "docs:PutDocument", resource="document/{number}")
ROUTES.public("GET", "/open/{number}")


def status(guard: Guard, sign: Sign, target: str, key: tuple[str, str]) -> int:
    setting = {"guard": guard, "routes": ROUTES, "public_views": ["named"]}
    with project(guard, ROOT_URLCONF=__name__, IAM_GUARD=setting):
        answered = Client(raise_request_exception=False).get(target, headers=sign(key, "GET", target))
    return int(answered.status_code)


@pytest.mark.parametrize("kind", ["function", "class", "dispatched", "mapped"])
def test_view_guarded_as_a_whole_needs_no_requirement(guard: Guard, sign: Sign, kind: str) -> None:
    """By a decorator above `@api_view`, on `as_view()` or on `dispatch`, or by a row of the map."""
    assert status(guard, sign, f"/{kind}/7", ADA) == 200
    assert status(guard, sign, f"/{kind}/7", RITA) == 403


@pytest.mark.parametrize("kind", ["public", "named", "open"])
def test_view_public_as_a_whole_needs_no_requirement(guard: Guard, sign: Sign, kind: str) -> None:
    """By `public`, by `public_views`, or by a row of the map."""
    assert status(guard, sign, f"/{kind}/7", RITA) == 200


@pytest.mark.parametrize("kind", ["unguarded", "inside"])
def test_unguarded_view_does_not_run(guard: Guard, sign: Sign, kind: str) -> None:
    """Also if another view calls it: the guard of that one does not count."""
    assert status(guard, sign, f"/{kind}/7", ADA) == 500


def test_requirement_of_an_action_must_be_a_decorator() -> None:
    """An action name alone is an error, in the check and in a request."""

    class Named(Answer):
        iam_requires: ClassVar = {"get": "docs:GetDocument"}

    with pytest.raises(ConfigurationError, match=r"expected `requires\(…\)` or `public`, got `str`"):
        GuardPermission.iam_guard_of(Named, "get")
