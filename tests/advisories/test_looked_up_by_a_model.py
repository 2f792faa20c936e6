"""Advisory: with Django REST framework, a decision about `document/007` gave access to document 7.

The hole: a view set finds its object by a text of the URL, which the database converts to a number or a UUID. A
document denied by name was accessible by another spelling. Now the parameter is parsed as the view's model does.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.integrations.contract import needed

needed("django", "rest_framework", "iam_guard_django")

from tests.integrations.django_project import project  # noqa: E402  REST framework reads settings as it is imported

# isort: split

from django.db import models  # noqa: E402
from django.test import Client, override_settings  # noqa: E402
from django.urls import path  # noqa: E402
from iam_guard_django.rest_framework import GuardAuthentication, GuardPermission  # noqa: E402
from rest_framework.request import Request  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.viewsets import GenericViewSet  # noqa: E402

from iam_guard import Guard, Service  # noqa: E402
from tests.advisories.denial_guard import KEY, open_guard_denying  # noqa: E402

docs = Service("docs")
UUID = "0a0a0a0a-0000-4000-8000-000000000007"


NAMED = "arn:aws:docs:us-east-1:111122223333:document/"
DOCUMENTS = {7: "7", 8: "8"}


class Owner(models.Model):  # type: ignore[misc]  # Django has no types
    number = models.IntegerField()

    class Meta:
        app_label = "advisories"


class Document(models.Model):  # type: ignore[misc]
    uuid = models.UUIDField()
    slug = models.SlugField()
    owner = models.ForeignKey(Owner, models.CASCADE)

    class Meta:
        app_label = "advisories"


class Documents(GenericViewSet):  # type: ignore[misc]
    authentication_classes: ClassVar = [GuardAuthentication]
    permission_classes: ClassVar = [GuardPermission]
    iam_requires: ClassVar = {"retrieve": docs.requires("GetDocument", resource="document/{pk}")}
    lookup_url_kwarg = "pk"
    queryset = Document.objects.all()

    def retrieve(self, request: Request, pk: str) -> Response:
        """Return the value in the database query."""
        (condition,) = self.get_queryset().filter(**{self.lookup_field: self.kwargs["pk"]}).query.where.children
        return Response(str(condition.rhs))

    @docs.requires("GetDocument", resource="document/{pk}")
    def decorated(self, request: Request, pk: str) -> Response:
        return self.retrieve(request, pk)


class OfACaller(Documents):
    queryset = None

    def get_queryset(self) -> Any:
        return Document.objects.filter() if self.request.user else None


def view(by: str, kind: Any = Documents, action: str = "retrieve") -> Any:
    return kind.as_view({"get": action}, lookup_field=by)


class Loaded(Documents):
    iam_requires: ClassVar = {"retrieve": docs.requires("GetDocument", resource=lambda pk: f"{NAMED}{DOCUMENTS[pk]}")}


urlpatterns = [
    path("pk/<pk>", view("pk")),
    path("number/<int:pk>", view("pk")),
    path("number-decorated/<int:pk>", view("pk", action="decorated")),
    path("number-loaded/<int:pk>", view("pk", Loaded)),
    path("uuid/<pk>", view("uuid")),
    path("slug/<pk>", view("slug")),
    path("owner/<pk>", view("owner")),
    path("owner-number/<pk>", view("owner__number")),
    path("of-a-caller/<pk>", view("pk", OfACaller)),
    path("decorated/<pk>", view("pk", action="decorated")),
    path("unknown/<pk>", view("no_such_field")),
]


@pytest.fixture
def denying(tmp_path: Path) -> Iterator[Guard]:
    """Return a guard that denies document 7."""
    guard = open_guard_denying(tmp_path, "7", UUID)
    with project(guard), override_settings(ROOT_URLCONF=__name__):
        yield guard
    guard.close()


@pytest.mark.parametrize("spelled", ["7", "007", "+7", "%207", "7%20", "%D9%A7", "0_7"])
@pytest.mark.parametrize("by", ["pk", "owner", "owner-number", "of-a-caller", "decorated"])
def test_denied_document_is_denied_in_every_spelling(denying: Guard, by: str, spelled: str) -> None:
    client = Client(headers=KEY)
    assert client.get(f"/{by}/8").json() == "8"
    answer = client.get(f"/{by}/{spelled}")
    assert answer.status_code in ((400, 403) if by == "decorated" else (403,))


@pytest.mark.parametrize("spelled", [UUID, UUID.upper(), UUID.replace("-", ""), f"{{{UUID}}}", f"urn:uuid:{UUID}"])
def test_denied_uuid_is_denied_in_every_spelling(denying: Guard, spelled: str) -> None:
    assert Client(headers=KEY).get(f"/uuid/{spelled}").status_code == 403


def test_text_key_is_unchanged(denying: Guard) -> None:
    """Also if it looks like a number."""
    client = Client(headers=KEY)
    assert client.get("/slug/007").json() == "007"
    assert client.get("/slug/7").status_code == 403


@pytest.mark.parametrize("by", ["number", "number-decorated", "number-loaded"])
def test_converted_parameter_is_unchanged(denying: Guard, by: str) -> None:
    """A loader still gets the number."""
    client = Client(headers=KEY)
    assert (client.get(f"/{by}/008").json(), client.get(f"/{by}/007").status_code) == ("8", 403)


def test_invalid_parameter_finds_nothing(denying: Guard) -> None:
    """It is decided unchanged, and the view fails."""
    client = Client(headers=KEY, raise_request_exception=False)
    assert client.get("/pk/seven").status_code == 500  # of the view's own; one that gets its object answers 404
    assert client.get("/unknown/8").status_code == 500
