"""Django REST framework: the caller is `request.user`, and a view's requirement is enforced before its action."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from tests.integrations.contract import needed

needed("django", "rest_framework", "iam_guard_django")

from tests.integrations.django_project import project  # noqa: E402  REST framework reads settings as it is imported

# isort: split

from django.test import Client, override_settings  # noqa: E402
from django.urls import path  # noqa: E402
from iam_guard_django.rest_framework import GuardAuthentication, GuardPermission  # noqa: E402
from iam_guard_django.views import inventory  # noqa: E402
from rest_framework.decorators import action, api_view  # noqa: E402
from rest_framework.permissions import IsAuthenticated  # noqa: E402
from rest_framework.request import Request  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.routers import SimpleRouter  # noqa: E402
from rest_framework.throttling import UserRateThrottle  # noqa: E402
from rest_framework.views import APIView  # noqa: E402
from rest_framework.viewsets import ViewSet  # noqa: E402

from iam_guard import Guard, Resource  # noqa: E402
from iam_guard.audit.consumer.reader import read_records  # noqa: E402
from tests.conftest import ADA, RITA, Sign  # noqa: E402
from tests.integrations.application import SECRET, docs  # noqa: E402

ran: list[str] = []


def load(pk: str) -> Resource | None:
    return None if pk == "missing" else Resource(f"arn:aws:docs:us-east-1:111122223333:document/{pk}")


class Documents(ViewSet):
    authentication_classes: ClassVar = [GuardAuthentication]
    permission_classes: ClassVar = [GuardPermission]
    throttle_classes: ClassVar = [UserRateThrottle]
    iam_requires: ClassVar = {
        "list": docs.requires("GetDocuments"),
        "retrieve": docs.requires("GetDocument", resource=load, conceal=True),
        "update": docs.requires("PutDocument", resource="document/{pk}"),
    }

    def list(self, request: Request) -> Response:
        return Response({"caller": str(request.user), "name": request.user.username, "arn": request.auth.arn})

    def retrieve(self, request: Request, pk: str) -> Response:
        return Response({"document": pk})

    def update(self, request: Request, pk: str) -> Response:
        return Response({"document": pk})

    @docs.requires("PutDocument", resource="document/{pk}")
    def partial_update(self, request: Request, pk: str) -> Response:
        return Response({"document": pk})

    def destroy(self, request: Request, pk: str) -> Response:
        ran.append(pk)
        return Response(SECRET)


class Plain(APIView):
    authentication_classes: ClassVar = [GuardAuthentication]
    permission_classes: ClassVar = [GuardPermission, IsAuthenticated]
    iam_requires: ClassVar = {"get": docs.requires("GetDocument", resource="document/{document_id}")}

    def get(self, request: Request, document_id: str) -> Response:
        return Response({"document": document_id})


class Chosen(ViewSet):
    """Has actions with their own permissions, and its own `options`."""

    authentication_classes: ClassVar = [GuardAuthentication]
    permission_classes: ClassVar = [GuardPermission]
    iam_requires: ClassVar = {
        "open": docs.requires("GetDocuments"),
        "custom": docs.requires("GetDocuments"),
        "options": docs.requires("PutDocument"),
    }

    @action(detail=False, permission_classes=[IsAuthenticated])
    def open(self, request: Request) -> Response:
        return Response(SECRET)

    @action(detail=False, permission_classes=[IsAuthenticated, GuardPermission])
    def custom(self, request: Request) -> Response:
        return Response("custom")

    def options(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        ran.append("options")
        return Response("options")


class Unenforced(APIView):
    """Declares requirements, without `GuardPermission`."""

    authentication_classes: ClassVar = [GuardAuthentication]
    permission_classes: ClassVar = [IsAuthenticated]
    iam_requires: ClassVar = {"get": docs.requires("GetDocument")}

    def get(self, request: Request) -> Response:
        return Response(SECRET)


@docs.requires("GetDocument", resource="document/{document_id}")
@api_view(["GET"])
def function(request: Request, document_id: str) -> Response:
    return Response({"document": document_id})


router = SimpleRouter()
router.register("documents", Documents, basename="document")
router.register("chosen", Chosen, basename="chosen")
urlpatterns = [
    *router.urls,
    path("plain/<document_id>", Plain.as_view()),
    path("unenforced", Unenforced.as_view()),
    path("function/<document_id>", function),
]


@pytest.fixture
def client(guard: Guard) -> Iterator[Client]:
    rates = {"DEFAULT_THROTTLE_RATES": {"user": "1000/day"}, "UNAUTHENTICATED_USER": None}
    with project(guard, ROOT_URLCONF=__name__), override_settings(REST_FRAMEWORK=rates):
        UserRateThrottle.THROTTLE_RATES = rates["DEFAULT_THROTTLE_RATES"]
        yield Client(raise_request_exception=False)


def ask(client: Client, sign: Sign, target: str, key: tuple[str, str] = RITA, method: str = "GET") -> Any:
    return client.generic(method, target, headers=sign(key, method, target))


def test_caller_is_the_user(client: Client, sign: Sign) -> None:
    """With its principal, by which throttles distinguish callers."""
    arn = "arn:aws:iam::111122223333:user/rita"
    assert ask(client, sign, "/documents/").json() == {"caller": arn, "name": "rita", "arn": arn}


def test_each_action_has_its_requirement(client: Client, sign: Sign) -> None:
    """By `iam_requires`, or by a decorator on the method."""
    assert ask(client, sign, "/documents/7/").json() == {"document": "7"}
    for method in ("PUT", "PATCH"):
        assert ask(client, sign, "/documents/7/", ADA, method).status_code == 200
        refused = ask(client, sign, "/documents/7/", RITA, method)
        assert (refused.status_code, refused.json()["code"]) == (403, "AccessDenied")


def test_errors_are_those_of_the_guard(client: Client, sign: Sign, audit_file: Any) -> None:
    """Problem documents with the request id, also if a loader returns None."""
    anonymous = client.get("/plain/7")
    assert (anonymous.status_code, anonymous.json()["code"]) == (401, "MissingAuthenticationToken")
    missing = ask(client, sign, "/documents/missing/")
    assert (missing.status_code, missing.json()["code"]) == (404, "NoSuchEntity")
    records = list(read_records(audit_file))
    assert [record["requestID"] for record in records] == [
        each.headers["x-amzn-requestid"] for each in (anonymous, missing)
    ]


def test_unguarded_action_does_not_run(client: Client, sign: Sign, audit_file: Any) -> None:
    """It is rejected before, and logged."""
    ran.clear()
    refused = ask(client, sign, "/documents/7/", ADA, "DELETE")
    assert (refused.status_code, ran) == (500, [])
    (record,) = read_records(audit_file)
    assert record["eventName"] == "UndecidedEndpoint"


def test_requirement_without_permission_class_is_blocked(client: Client, sign: Sign) -> None:
    """Without `GuardPermission` the response of the view is not sent."""
    assert ask(client, sign, "/unenforced", ADA).status_code == 500
    assert client.get("/unenforced").status_code == 500


def test_missing_methods_are_answered_by_the_framework(client: Client, sign: Sign) -> None:
    """A 405, and the answer to OPTIONS, come from REST framework."""
    assert ask(client, sign, "/plain/7", ADA, "DELETE").status_code == 405
    assert ask(client, sign, "/documents/", ADA, "DELETE").status_code == 405
    assert client.options("/documents/7/").status_code == 200
    assert ask(client, sign, "/plain/7", RITA, "HEAD").status_code == 200


def test_function_view_is_decorated_above_api_view(client: Client, sign: Sign) -> None:
    """So that Django has the guarded view."""
    assert ask(client, sign, "/function/7").json() == {"document": "7"}
    assert client.get("/function/7").status_code == 401


def test_inventory_has_the_requirements_of_actions(client: Client) -> None:
    """Of the class and of decorators; none without `GuardPermission`."""
    rows = {(each.path, each.methods): each.guards for each in inventory()}
    detail = next(path for path, _ in rows if "pk" in path)
    assert rows[detail, ("GET",)] == ("docs:GetDocument on load()",)
    assert rows[detail, ("PUT",)] == ("docs:PutDocument on document/{pk}",)
    assert rows[detail, ("PATCH",)] == ("docs:PutDocument on document/{pk}",)
    assert rows[detail, ("DELETE",)] == ()
    assert rows["/plain/<document_id>", ("GET",)] == ("docs:GetDocument on document/{document_id}",)
    assert rows["/unenforced", ("GET",)] == ()
    assert rows["/function/<document_id>", ()] == ("docs:GetDocument on document/{document_id}",)
    assert "Documents.destroy" in {each.name for each in inventory() if not each.is_guarded}, (
        "as `iam_requires` calls it"
    )


def test_permissions_of_an_action_replace_the_class(client: Client, sign: Sign) -> None:
    """If an `@action` replaces the permissions of its class, the requirement of the class is not enforced."""
    assert ask(client, sign, "/chosen/custom/").status_code == 200
    assert ask(client, sign, "/chosen/open/").status_code == 500
    found = {(each.path, *each.methods): each.is_guarded for each in inventory() if "chosen" in each.path}
    assert found[("/^chosen/custom/$", "GET")]
    assert not found[("/^chosen/open/$", "GET")]


def test_own_options_method_is_guarded(client: Client, sign: Sign) -> None:
    ran.clear()
    assert ask(client, sign, "/chosen/custom/", RITA, "OPTIONS").status_code == 403
    assert ran == []
    assert ask(client, sign, "/chosen/custom/", ADA, "OPTIONS").status_code == 200
    assert ask(client, sign, "/documents/", RITA, "OPTIONS").status_code == 200


AS_DEFAULTS = """
from django.conf import settings

name = "iam_guard_django.rest_framework."
settings.configure(
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [name + "GuardAuthentication"],
        "DEFAULT_PERMISSION_CLASSES": [name + "GuardPermission"],
    }
)
from rest_framework.viewsets import ViewSet

print(*(each.__name__ for each in (*ViewSet.authentication_classes, *ViewSet.permission_classes)))
"""


def test_classes_may_be_defaults_in_the_settings() -> None:
    """REST framework imports them while it is imported itself, before its views exist."""
    run = subprocess.run([sys.executable, "-c", AS_DEFAULTS], capture_output=True, text=True, check=False)
    assert run.stdout.split() == ["GuardAuthentication", "GuardPermission"], run.stderr
