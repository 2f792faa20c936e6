"""Views of REST framework that choose their permissions in `get_permissions()`: the inventory and the requests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from tests.integrations.contract import needed

needed("django", "rest_framework", "iam_guard_django")

from tests.integrations.django_project import project  # noqa: E402  REST framework reads settings as it is imported

# isort: split

from django.core.checks import run_checks  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.test import Client, override_settings  # noqa: E402
from django.urls import path  # noqa: E402
from django.utils.decorators import method_decorator  # noqa: E402
from django.views.decorators.cache import never_cache  # noqa: E402
from iam_guard_django.rest_framework import GuardAuthentication, GuardPermission  # noqa: E402
from iam_guard_django.views import inventory  # noqa: E402
from rest_framework.decorators import action  # noqa: E402
from rest_framework.exceptions import NotFound  # noqa: E402
from rest_framework.permissions import AllowAny, IsAuthenticated  # noqa: E402
from rest_framework.request import Request  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.routers import SimpleRouter  # noqa: E402
from rest_framework.views import APIView  # noqa: E402
from rest_framework.viewsets import ViewSet  # noqa: E402

from iam_guard import Guard, IamGuardError, Resource, public  # noqa: E402
from tests.conftest import ADA, RITA, Sign  # noqa: E402
from tests.integrations.application import SECRET, docs  # noqa: E402

GET = "docs:GetDocument on load()"


def load(pk: str) -> Resource | None:
    return None if pk == "missing" else Resource(f"arn:aws:docs:us-east-1:111122223333:document/{pk}")


class ByAction(ViewSet):
    """Guards each action but `destroy`; `list` is public by `iam_requires`, `count` has its own permissions."""

    authentication_classes: ClassVar = [GuardAuthentication]
    permission_classes: ClassVar = [IsAuthenticated]
    iam_requires: ClassVar = {
        "list": public,
        "retrieve": docs.requires("GetDocument", resource=load),
        "destroy": docs.requires("DeleteDocument", resource=load),
        "count": docs.requires("GetDocuments"),
        "options": docs.requires("PutDocument"),
    }

    def get_permissions(self) -> list[Any]:
        if self.action == "destroy":
            return [AllowAny()]
        if self.action == "count":
            return super().get_permissions()  # type: ignore[no-any-return]
        return [GuardPermission()]

    def list(self, request: Request) -> Response:
        return Response("listed")

    def retrieve(self, request: Request, pk: str) -> Response:
        return Response({"document": pk})

    def destroy(self, request: Request, pk: str) -> Response:
        return Response(SECRET, status=410)

    @action(detail=False, permission_classes=[GuardPermission])
    def count(self, request: Request) -> Response:
        return Response(7)

    def options(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return Response("options")


class ByMethod(APIView):
    authentication_classes: ClassVar = [GuardAuthentication]
    iam_requires: ClassVar = {each: docs.requires("GetDocument", resource=load) for each in ("get", "put")}

    def get_permissions(self) -> list[Any]:
        if self.request and self.request.method in ("GET", "HEAD", "OPTIONS"):
            return [GuardPermission()]
        return []

    def get(self, request: Request, pk: str) -> Response:
        return Response({"document": pk})

    def put(self, request: Request, pk: str) -> Response:
        return Response(SECRET)


class ByCaller(APIView):
    """Guards only anonymous callers, which are known only with a request."""

    authentication_classes: ClassVar = [GuardAuthentication]
    iam_requires: ClassVar = {"get": docs.requires("GetDocument", resource=load)}

    def get_permissions(self) -> list[Any]:
        if getattr(self.request.user, "username", "") == "ada":
            return []
        return [IsAuthenticated(), GuardPermission()]

    def get(self, request: Request, pk: str) -> Response:
        return Response(SECRET, status=200 if pk == "7" else 410)

    def post(self, request: Request, pk: str) -> Response:
        return Response(SECRET)

    @docs.requires("GetDocument", resource=load)
    def put(self, request: Request, pk: str) -> Response:
        return Response({"document": pk})


class ByParameter(ByCaller):
    def get_permissions(self) -> list[Any]:
        return [GuardPermission()] if self.kwargs.get("pk") != "8" else []


class Raising(ByCaller):
    def get_permissions(self) -> list[Any]:
        raise KeyError(SECRET)


class Joined(APIView):
    authentication_classes: ClassVar = [GuardAuthentication]
    permission_classes: ClassVar = [AllowAny & (IsAuthenticated & GuardPermission)]
    iam_requires: ClassVar = {"get": docs.requires("GetDocument", resource=load)}

    def get(self, request: Request, pk: str) -> Response:
        return Response({"document": pk})


class JoinedLater(Joined):
    permission_classes: ClassVar = []

    def get_permissions(self) -> list[Any]:
        return [(AllowAny & GuardPermission)()]


class Either(Joined):
    permission_classes: ClassVar = [AllowAny | GuardPermission]

    def get(self, request: Request, pk: str) -> Response:
        return Response(SECRET)


class GuardedView(APIView):
    authentication_classes: ClassVar = [GuardAuthentication]
    permission_classes: ClassVar = [GuardPermission]
    iam_requires: ClassVar = {"get": docs.requires("GetDocument", resource=load)}

    def get(self, request: Request, pk: str) -> Response:
        return Response({"document": pk}, status=200 if pk == "7" else 410)


class UncheckedPermissions(GuardedView):
    def check_permissions(self, request: Request) -> None:
        """Check no permissions."""


class UncheckedInitial(GuardedView):
    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        self.format_kwarg = None
        request.accepted_renderer, request.accepted_media_type = self.perform_content_negotiation(request)


class UncheckedDispatch(GuardedView):
    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        return HttpResponse(SECRET, status=200 if kwargs["pk"] == "7" else 410)


class UncheckedSometimes(GuardedView):
    """The inventory shows its usual permissions; a request may differ."""

    def check_permissions(self, request: Request) -> None:
        if request.user.username != "ada":
            super().check_permissions(request)


class ExtendedCheck(GuardedView):
    """Extends the check, and calls `super()`."""

    @method_decorator(never_cache)
    def dispatch(self, *args: Any, **kwargs: Any) -> Any:
        return super().dispatch(*args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        if kwargs["pk"] == "away":
            raise NotFound
        super().initial(request, *args, **kwargs)

    def check_permissions(self, request: Request) -> None:
        for get_permission in self.get_permissions():
            if not get_permission.has_permission(request, self):
                self.permission_denied(request)


@method_decorator(never_cache, name="dispatch")
class WrappedCheck(GuardedView):
    pass


class OwnExceptionHandler(GuardedView):
    """Handles exceptions itself, without setting `exception` on the response."""

    permission_classes: ClassVar = [IsAuthenticated, GuardPermission]

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, IamGuardError):
            raise exc
        return Response("refused", status=401)


router = SimpleRouter()
router.register("by-action", ByAction, basename="by-action")
urlpatterns = [
    *router.urls,
    path("by-method/<pk>", ByMethod.as_view()),
    path("by-caller/<pk>", ByCaller.as_view()),
    path("by-parameter/<pk>", ByParameter.as_view()),
    path("raising/<pk>", Raising.as_view()),
    path("joined/<pk>", Joined.as_view()),
    path("later/<pk>", JoinedLater.as_view()),
    path("either/<pk>", Either.as_view()),
    path("unchecked-permissions/<pk>", UncheckedPermissions.as_view()),
    path("unchecked-initial/<pk>", UncheckedInitial.as_view()),
    path("unchecked-dispatch/<pk>", UncheckedDispatch.as_view()),
    path("unchecked-sometimes/<pk>", UncheckedSometimes.as_view()),
    path("besides/<pk>", ExtendedCheck.as_view()),
    path("around/<pk>", WrappedCheck.as_view()),
    path("refusing/<pk>", OwnExceptionHandler.as_view()),
]


@pytest.fixture
def client(guard: Guard) -> Iterator[Client]:
    with project(guard, ROOT_URLCONF=__name__), override_settings(REST_FRAMEWORK={"UNAUTHENTICATED_USER": None}):
        yield Client(raise_request_exception=False)


def ask(client: Client, sign: Sign, target: str, key: tuple[str, str] = RITA, method: str = "GET") -> Any:
    return client.generic(method, target, headers=sign(key, method, target))


def rows_of(name: str) -> dict[str, tuple[str, ...]]:
    """Return the guards of a view's methods."""
    found = {f"{each.methods[0]} {each.path}": each.guards for each in inventory() if name in each.path}
    return {row: guards for row, guards in found.items() if not row.startswith("HEAD")}


def test_each_action_has_its_own_permissions(client: Client) -> None:
    """As REST framework will check them, with the action of the method; including those of an `@action`."""
    assert rows_of("by-action") == {
        "GET /^by-action/$": ("public",),
        "OPTIONS /^by-action/$": ("docs:PutDocument on *",),
        "GET /^by-action/(?P<pk>[^/.]+)/$": (GET,),
        "DELETE /^by-action/(?P<pk>[^/.]+)/$": (),
        "OPTIONS /^by-action/(?P<pk>[^/.]+)/$": ("docs:PutDocument on *",),
        "GET /^by-action/count/$": ("docs:GetDocuments on *",),
        "OPTIONS /^by-action/count/$": ("docs:PutDocument on *",),
    }


def test_each_action_is_enforced(client: Client, sign: Sign) -> None:
    """Also without a decision: public actions, missing methods, errors before the guard."""
    assert client.get("/by-action/").json() == "listed"
    assert ask(client, sign, "/by-action/7/").json() == {"document": "7"}
    assert ask(client, sign, "/by-action/missing/").status_code == 404
    assert client.get("/by-action/missing/").status_code == 401
    assert client.get("/by-action/7/", headers={"accept": "image/png"}).status_code == 406
    assert ask(client, sign, "/by-action/count/").json() == 7
    assert ask(client, sign, "/by-action/7/", RITA, "OPTIONS").status_code == 403


def test_action_without_guard_is_blocked(client: Client, sign: Sign) -> None:
    """The requirement of the class or of `iam_requires` is not enforced there."""
    answer = ask(client, sign, "/by-action/7/", ADA, "DELETE")
    assert (answer.status_code, SECRET in answer.text) == (500, False)


def test_permissions_may_depend_on_the_method(client: Client, sign: Sign) -> None:
    assert rows_of("by-method") == {"GET /by-method/<pk>": (GET,), "PUT /by-method/<pk>": ()}
    assert ask(client, sign, "/by-method/7", RITA, "HEAD").status_code == 200
    assert ask(client, sign, "/by-method/7", ADA, "PUT").status_code == 500


@pytest.mark.parametrize(
    ("name", "reads"),
    [
        ("by-caller", "`get_permissions` reads `request.user`"),
        ("by-parameter", "`get_permissions` reads `kwargs`"),
        ("raising", "`get_permissions` raises KeyError"),
    ],
)
def test_permissions_depending_on_the_request_are_marked(client: Client, name: str, reads: str) -> None:
    """Decorated methods, and those without a requirement, do not depend on it."""
    assert rows_of(name) == {
        f"GET /{name}/<pk>": (f"depends on the request: {reads}",),
        f"POST /{name}/<pk>": (),
        f"PUT /{name}/<pk>": (GET,),
    }


def test_check_warns_of_request_dependent_permissions(client: Client) -> None:
    found = {str(run_check.msg).partition(" (")[0]: run_check.id for run_check in run_checks()}
    assert found["the view GET /by-caller/<pk>"] == "iam_guard.W004"
    assert found["the view POST /by-caller/<pk>"] == "iam_guard.E003"
    assert "the view PUT /by-caller/<pk>" not in found


def test_request_dependent_permissions_are_enforced(client: Client, sign: Sign) -> None:
    """With a guard it decides, also if another permission denies before; without one the response is blocked."""
    assert ask(client, sign, "/by-caller/7").status_code == 200
    assert client.get("/by-caller/7").status_code == 401
    for target in ("/by-caller/7", "/by-caller/8"):
        answer = ask(client, sign, target, ADA)
        assert (answer.status_code, SECRET in answer.text) == (500, False)
    assert ask(client, sign, "/by-parameter/missing").status_code == 404
    answer = ask(client, sign, "/by-parameter/8")
    assert (answer.status_code, SECRET in answer.text) == (500, False)


@pytest.mark.parametrize("name", ["joined", "later"])
def test_guard_permission_joined_by_and_counts(client: Client, sign: Sign, name: str) -> None:
    """`A & GuardPermission` allows only callers whom the guard allows."""
    assert rows_of(name) == {f"GET /{name}/<pk>": (GET,)}
    assert ask(client, sign, f"/{name}/7").json() == {"document": "7"}
    assert ask(client, sign, f"/{name}/missing").status_code == 404
    assert client.get(f"/{name}/7").status_code == 401


def test_guard_permission_joined_by_or_does_not_count(client: Client, sign: Sign) -> None:
    """`A | GuardPermission` also allows callers whom only the other one allows."""
    assert rows_of("either") == {"GET /either/<pk>": ()}
    answer = ask(client, sign, "/either/7", ADA)
    assert (answer.status_code, SECRET in answer.text) == (500, False)


# --- views that may skip the permission check ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "method"), [("permissions", "check_permissions"), ("initial", "initial"), ("dispatch", "dispatch")]
)
def test_view_without_permission_check_is_not_guarded(client: Client, sign: Sign, name: str, method: str) -> None:
    """It overrides a method of the permission chain without calling the next; its responses are blocked."""
    message = f"depends on the request: `{method}` of `Unchecked{name.title()}` does not check the permissions"
    assert rows_of(f"unchecked-{name}") == {f"GET /unchecked-{name}/<pk>": (message,)}
    (found,) = [run_check for run_check in run_checks() if f"GET /unchecked-{name}/" in run_check.msg]
    assert (found.id, message in found.msg) == ("iam_guard.W004", True)
    for pk in ("7", "8"):
        answer = ask(client, sign, f"/unchecked-{name}/{pk}", ADA)
        assert (answer.status_code, "document" in answer.text, SECRET in answer.text) == (500, False, False)


def test_view_skipping_the_check_for_some_is_blocked(client: Client, sign: Sign) -> None:
    """Responses and errors alike."""
    assert rows_of("unchecked-sometimes") == {"GET /unchecked-sometimes/<pk>": (GET,)}
    assert [ask(client, sign, f"/unchecked-sometimes/{pk}").status_code for pk in ("7", "8")] == [200, 410]
    for pk in ("7", "8"):
        answer = ask(client, sign, f"/unchecked-sometimes/{pk}", ADA)
        assert (answer.status_code, "document" in answer.text) == (500, False)


@pytest.mark.parametrize("name", ["besides", "around"])
def test_view_extending_the_check_is_guarded(client: Client, sign: Sign, name: str) -> None:
    """Its own rejections before the permission check are sent."""
    assert rows_of(name) == {f"GET /{name}/<pk>": (GET,)}
    assert ask(client, sign, f"/{name}/7").status_code == 200
    assert client.get(f"/{name}/7").status_code == 401
    assert [ask(client, sign, f"/{name}/{pk}").status_code for pk in ("missing", "away")] == (
        [404, 404] if name == "besides" else [404, 410]
    )
    assert client.get(f"/{name}/away").status_code == (404 if name == "besides" else 401)


def test_view_with_own_exception_handler_may_deny(client: Client, sign: Sign) -> None:
    answer = client.get("/refusing/7")
    assert (answer.status_code, answer.json()) == (401, "refused")
    assert [ask(client, sign, f"/refusing/{pk}").status_code for pk in ("7", "missing")] == [200, 404]
