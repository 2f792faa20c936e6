"""Advisory: with Django REST framework, a decision about `document/007` let a caller at document 7.

A view set finds its object by a parameter of the URL, which is a text there, and which the database makes a number or a
UUID of. What a policy denied by name could so be had under another spelling of the name. The parameter is now read as
the model of the view reads it.
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
from tests.advisories.denying import KEY, guard_denying  # noqa: E402

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
        """Return what the database is asked for."""
        (asked,) = self.get_queryset().filter(**{self.lookup_field: self.kwargs["pk"]}).query.where.children
        return Response(str(asked.rhs))

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
    """All but document 7."""
    guard = guard_denying(tmp_path, "7", UUID)
    with project(guard), override_settings(ROOT_URLCONF=__name__):
        yield guard
    guard.close()


@pytest.mark.parametrize("spelled", ["7", "007", "+7", "%207", "7%20", "%D9%A7", "0_7"])
@pytest.mark.parametrize("by", ["pk", "owner", "owner-number", "of-a-caller", "decorated"])
def test_a_document_that_is_denied_is_denied_under_every_spelling(denying: Guard, by: str, spelled: str) -> None:
    client = Client(headers=KEY)
    assert client.get(f"/{by}/8").json() == "8"
    answer = client.get(f"/{by}/{spelled}")
    assert answer.status_code in ((400, 403) if by == "decorated" else (403,))


@pytest.mark.parametrize("spelled", [UUID, UUID.upper(), UUID.replace("-", ""), f"{{{UUID}}}", f"urn:uuid:{UUID}"])
def test_a_uuid_has_many(denying: Guard, spelled: str) -> None:
    assert Client(headers=KEY).get(f"/uuid/{spelled}").status_code == 403


def test_a_text_means_itself(denying: Guard) -> None:
    """Also where it looks like a number."""
    client = Client(headers=KEY)
    assert client.get("/slug/007").json() == "007"
    assert client.get("/slug/7").status_code == 403


@pytest.mark.parametrize("by", ["number", "number-decorated", "number-loaded"])
def test_what_the_url_has_read_already_stays_what_it_is(denying: Guard, by: str) -> None:
    """A loader is given the number that it has been given before."""
    client = Client(headers=KEY)
    assert (client.get(f"/{by}/008").json(), client.get(f"/{by}/007").status_code) == ("8", 403)


def test_what_the_model_cannot_read_finds_nothing(denying: Guard) -> None:
    """It is decided about as it came, and the view fails."""
    client = Client(headers=KEY, raise_request_exception=False)
    assert client.get("/pk/seven").status_code == 500  # of the view's own; one that gets its object answers 404
    assert client.get("/unknown/8").status_code == 500
