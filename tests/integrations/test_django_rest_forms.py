"""REST framework asks a view's permissions about methods that nobody calls, for its forms and its answer to OPTIONS."""

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
from iam_guard.audit.consumer.reader import read  # noqa: E402
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
    """Guards writing, and has forgotten reading."""

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


def test_a_page_has_the_forms_that_its_reader_may_send(client: Client, sign: Sign, audit_file: Path) -> None:
    """Who may read gets the page; what its forms would do was asked about, and not attempted."""
    page = ask(client, sign, "/documents/7", RITA)
    assert (page.status_code, FORM in page.text) == (200, False)
    assert FORM in ask(client, sign, "/documents/7", ADA).text
    names = [each["eventName"] for each in read(audit_file)]
    assert names.count("GetDocument") == 2
    assert "PutDocument" not in names


def test_options_tells_what_the_caller_may_send(client: Client, sign: Sign) -> None:
    """Without a refusal of what was not asked for."""
    told = ask(client, sign, "/documents/7", RITA, "OPTIONS")
    assert (told.status_code, FIELD in told.text) == (200, False)
    assert FIELD in ask(client, sign, "/documents/7", ADA, "OPTIONS").text


@pytest.mark.parametrize("key", [RITA, ADA], ids=["rita", "ada"])
def test_a_form_decides_nothing_about_its_page(client: Client, sign: Sign, key: tuple[str, str]) -> None:
    """Reading without a guard gives nothing away because writing has one."""
    page = ask(client, sign, "/half/7", key)
    assert (page.status_code, SECRET in page.text) == (500, False)
