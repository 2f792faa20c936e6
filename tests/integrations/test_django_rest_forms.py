"""REST framework checks permissions of methods that are not called, for its forms and its answer to OPTIONS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.integrations.contract import needed

needed("django", "rest_framework", "iam_guard_django")

from tests.integrations.django_project import project  # noqa: E402  REST framework reads settings as it is imported

# isort: split

from django.test import Client, override_settings  # noqa: E402
from django.urls import path  # noqa: E402
from iam_guard_django.rest_framework import GuardAuthentication, GuardPermission  # noqa: E402
from rest_framework.generics import GenericAPIView  # noqa: E402
from rest_framework.renderers import BrowsableAPIRenderer, JSONRenderer  # noqa: E402
from rest_framework.request import Request  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.serializers import CharField, Serializer  # noqa: E402

from iam_guard import Guard  # noqa: E402
from iam_guard.audit.consumer.reader import read_records  # noqa: E402
from tests.conftest import ADA, RITA, Sign  # noqa: E402
from tests.integrations.application import SECRET, docs  # noqa: E402

TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
FORM, FIELD = 'name="title"', '"title"'


class Title(Serializer):  # type: ignore[misc]  # REST framework has no types
    title = CharField()


class Document(GenericAPIView):  # type: ignore[misc]
    authentication_classes: ClassVar = [GuardAuthentication]
    permission_classes: ClassVar = [GuardPermission]
    renderer_classes: ClassVar = [JSONRenderer, BrowsableAPIRenderer]
    serializer_class = Title
    queryset = ()
    iam_requires: ClassVar = {
        "get": docs.requires("GetDocument", resource="document/{pk}"),
        "put": docs.requires("PutDocument", resource="document/{pk}"),
    }

    def get_object(self) -> None:
        return None

    def get(self, request: Request, pk: str) -> Response:
        return Response({"document": pk})

    def put(self, request: Request, pk: str) -> Response:
        return Response({"document": pk})


class Half(Document):
    """Guards writing, but not reading."""

    def get_permissions(self) -> list[Any]:
        return [] if self.request.method == "GET" else [GuardPermission()]

    def get(self, request: Request, pk: str) -> Response:
        return Response(SECRET)


urlpatterns = [path("documents/<pk>", Document.as_view()), path("half/<pk>", Half.as_view())]


@pytest.fixture
def client(guard: Guard) -> Iterator[Client]:
    framework = {"UNAUTHENTICATED_USER": None}
    with (
        project(guard, ROOT_URLCONF=__name__, TEMPLATES=TEMPLATES, STATIC_URL="/static/"),
        override_settings(REST_FRAMEWORK=framework),
    ):
        yield Client(raise_request_exception=False)


def ask(client: Client, sign: Sign, target: str, key: tuple[str, str], method: str = "GET") -> Any:
    accept = "text/html" if method == "GET" else "application/json"
    return client.generic(method, target, headers=sign(key, method, target) | {"accept": accept})


def test_page_has_the_permitted_forms(client: Client, sign: Sign, audit_file: Path) -> None:
    """The page is sent to its reader; the permissions of the forms are queried, not attempted."""
    page = ask(client, sign, "/documents/7", RITA)
    assert (page.status_code, FORM in page.text) == (200, False)
    assert FORM in ask(client, sign, "/documents/7", ADA).text
    names = [each["eventName"] for each in read_records(audit_file)]
    assert names.count("GetDocument") == 2
    assert "PutDocument" not in names


def test_options_has_the_permitted_methods(client: Client, sign: Sign) -> None:
    """Without a recorded denial."""
    response = ask(client, sign, "/documents/7", RITA, "OPTIONS")
    assert (response.status_code, FIELD in response.text) == (200, False)
    assert FIELD in ask(client, sign, "/documents/7", ADA, "OPTIONS").text


@pytest.mark.parametrize("key", [RITA, ADA], ids=["rita", "ada"])
def test_form_permission_does_not_decide_about_the_page(client: Client, sign: Sign, key: tuple[str, str]) -> None:
    """An unguarded read is blocked although the write is guarded."""
    page = ask(client, sign, "/half/7", key)
    assert (page.status_code, SECRET in page.text) == (500, False)
