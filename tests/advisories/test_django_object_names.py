"""Advisory: Django's class-based views read document 7 for a decision about `document/007`.

The hole: only `GuardPermission` parsed the parameter like the model. With a decorator, or a row of a route map, the
text of the URL was decided, and the database converted it to a number. Now every view gets the canonical text, and an
object that is found by another text than the decided one is answered with 404.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest

from tests.integrations.contract import needed

needed("django", "rest_framework", "waitress", "iam_guard_django")

from tests.integrations.django_project import project  # noqa: E402  REST framework reads settings as it is imported

# isort: split

from asgiref.sync import sync_to_async  # noqa: E402
from django.contrib.admin import AdminSite, ModelAdmin  # noqa: E402
from django.contrib.admin.utils import unquote  # noqa: E402
from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.db import connection, connections, models  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.test import AsyncClient, Client, override_settings  # noqa: E402
from django.urls import include, path, re_path, register_converter  # noqa: E402
from django.utils.decorators import method_decorator  # noqa: E402
from django.views import generic  # noqa: E402
from django.views.generic.detail import SingleObjectMixin  # noqa: E402
from iam_guard_django.lookups import key_converter  # noqa: E402
from rest_framework.decorators import action  # noqa: E402
from rest_framework.generics import DestroyAPIView, RetrieveAPIView  # noqa: E402
from rest_framework.permissions import AllowAny  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.routers import SimpleRouter  # noqa: E402
from rest_framework.viewsets import GenericViewSet  # noqa: E402

from iam_guard import Guard, Service, read_route_map  # noqa: E402
from tests.advisories.denial_guard import KEY, open_guard_denying  # noqa: E402
from tests.wsgi_serving import by_waitress  # noqa: E402

docs = Service("docs")
UUID = "0a0a0a0a-0000-4000-8000-000000000007"
OTHER_UUID = "0a0a0a0a-0000-4000-8000-000000000008"
NUMBERS = ("7", "007", "+7", "%207", "7%20", "%D9%A7", "0_7", "7%0A")
UUIDS = (UUID, UUID.upper(), UUID.replace("-", ""), f"%7B{UUID}%7D", f"urn:uuid:{UUID}")
DECIMALS = ("7.00", "7", "7.0", "7e0", "07.00", "700E-2", "7.000", "+7.00", "%D9%A7.00")
NAMES = ("plan", "PLAN", "Plan")
read = docs.requires("GetDocument", resource="document/{pk}")


class Model(models.Model):  # type: ignore[misc]  # Django has no types
    class Meta:
        app_label = "advisories"
        abstract = True


class Author(Model):
    number = models.IntegerField(unique=True)


class Article(Model):
    slug = models.SlugField()
    author = models.ForeignKey(Author, models.CASCADE)
    co_author = models.ForeignKey(Author, models.CASCADE, to_field="number", related_name="+")
    day = models.DateField(default="2026-01-02")


class Comment(Article):
    """A child model whose primary key is the link to its parent."""


class Draft(Model):
    pass


class OfUuid(Model):
    key = models.UUIDField(primary_key=True)


class OfDecimal(Model):
    key = models.DecimalField(primary_key=True, max_digits=9, decimal_places=2)


class OfMoment(Model):
    key = models.DateTimeField(primary_key=True)


class OfName(Model):
    key = models.CharField(primary_key=True, max_length=9, db_collation="NOCASE")


class Folded(models.CharField):  # type: ignore[misc]
    """A case-insensitive field, which shows only in its queries."""

    def get_prep_value(self, value: Any) -> Any:
        return super().get_prep_value(value).strip().lower()


class OfFolded(Model):
    key = Folded(primary_key=True, max_length=9)


class OfBoth(Model):
    pk = models.CompositePrimaryKey("tenant", "number")
    tenant = models.IntegerField()
    number = models.IntegerField()


MODELS = (Author, Article, Comment, Draft, OfUuid, OfDecimal, OfMoment, OfName, OfFolded, OfBoth)


class Shown:
    """Answers with the primary key of the object."""

    def render_to_response(self, context: dict[str, Any], **more: Any) -> HttpResponse:
        return HttpResponse(str(context["object"].pk))


class Untouched(Shown, generic.DetailView):  # type: ignore[misc]
    model = Article


class Decorated(Untouched):
    @docs.requires("GetDocument", resource="document/{pk}")
    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return super().get(request, *args, **kwargs)


@method_decorator(read, name="dispatch")
class Dispatched(Untouched):
    pass


class AtRuntime(Decorated):
    """Its model is known only when it runs."""

    model = None

    def get_queryset(self) -> Any:
        return self.request.found.objects.all()

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        request.found = Article
        super().setup(request, *args, **kwargs)


class OwnLookup(Decorated):
    """Reads the parameter itself."""

    def get_object(self, queryset: Any = None) -> Any:
        return Article.objects.get(pk=self.kwargs["pk"])


class OfADay(Shown, generic.DateDetailView):  # type: ignore[misc]
    model = Article
    date_field = "day"
    get = read(generic.DateDetailView.get)


class OfMonth(generic.MonthArchiveView):  # type: ignore[misc]
    model = Article
    date_field = "day"
    get = docs.requires("GetDocument", resource="document/{year}/{month}")(generic.MonthArchiveView.get)

    def render_to_response(self, context: dict[str, Any], **more: Any) -> HttpResponse:
        return HttpResponse(str(len(context["object_list"])))


class OfWeek(generic.WeekArchiveView):  # type: ignore[misc]
    model = Article
    date_field = "day"
    week_format = "%W"
    get = docs.requires("GetDocument", resource="document/{year}/week/{week}")(generic.WeekArchiveView.get)
    render_to_response = OfMonth.render_to_response


class Form(SingleObjectMixin, generic.FormView):  # type: ignore[misc]
    model = Article

    @read
    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return HttpResponse(str(self.get_object().pk))


class Update(Shown, generic.UpdateView):  # type: ignore[misc]
    model = Article
    fields: ClassVar = ["slug"]
    get = read(generic.UpdateView.get)


class Delete(generic.DeleteView):  # type: ignore[misc]
    model = Draft
    success_url = "/"
    post = docs.requires("DeleteDocument", resource="document/{pk}")(generic.DeleteView.post)


class Slugged(Decorated):
    """Its second parameter is decided, but not used for the lookup."""

    get = docs.requires("GetDocument", resource="document/{slug}")(generic.DetailView.get)


class Loaded(AtRuntime):
    get = docs.requires("GetDocument", resource=lambda pk: f"arn:aws:docs:us-east-1:111122223333:document/{int(pk)}")(
        generic.DetailView.get
    )


class Retrieved(RetrieveAPIView):  # type: ignore[misc]
    queryset = Article.objects.all()
    permission_classes: ClassVar = [AllowAny]

    def retrieve(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        return Response(self.get_object().pk)


class RetrievedDecorated(Retrieved):
    get = read(RetrieveAPIView.get)


class RetrievedAtRuntime(RetrievedDecorated):
    queryset = None

    def get_queryset(self) -> Any:
        return Article.objects.filter() if self.request.method == "GET" else None


class Destroyed(DestroyAPIView):  # type: ignore[misc]
    queryset = Draft.objects.all()
    delete = docs.requires("DeleteDocument", resource="document/{pk}")(DestroyAPIView.delete)


class Articles(GenericViewSet):  # type: ignore[misc]
    queryset = Article.objects.all()

    @action(detail=True)
    @read
    def summary(self, request: Any, pk: str) -> Response:
        return Response(self.get_object().pk)


class Nested(RetrievedDecorated):
    """A view with the attributes of a multi-field mixin and of nested routers, which the model does not define."""

    lookup_fields: ClassVar = ["id"]
    parent_lookup_kwargs: ClassVar = {"pk": "author__number"}

    def get_object(self) -> Any:
        return Article.objects.get(pk=self.kwargs["id"], author__number=self.kwargs["pk"])


class Site(AdminSite):  # type: ignore[misc]
    def has_permission(self, request: HttpRequest) -> bool:
        return True


class OfAdmin(ModelAdmin):  # type: ignore[misc]
    def change_view(self, request: HttpRequest, object_id: str, *args: Any) -> HttpResponse:
        return HttpResponse(self.get_object(request, unquote(object_id)).pk)


@docs.requires("GetDocument", resource="document/{key}")
def function(request: HttpRequest, key: str) -> HttpResponse:
    return HttpResponse(str(Article.objects.get(pk=key).pk))


@docs.requires("GetDocument", resource="document/{key}")
def function_of_decimal(request: HttpRequest, key: str) -> HttpResponse:
    return HttpResponse(str(OfDecimal.objects.get(pk=key).pk))


def untouched(request: HttpRequest, key: str) -> HttpResponse:
    return HttpResponse(str(Article.objects.get(pk=key).pk))


register_converter(key_converter(Article), "article")
register_converter(key_converter(OfDecimal), "of_decimal")
router = SimpleRouter()
router.register("router", Articles)
retrieved = RetrievedDecorated.as_view
urlpatterns = [
    path("decorated/<pk>", Decorated.as_view()),
    path("dispatched/<pk>", Dispatched.as_view()),
    path("around/<pk>", read(Untouched.as_view())),
    path("mapped/<pk>", Untouched.as_view()),
    path("yaml/<pk>", Untouched.as_view()),
    path("rest-mapped/<pk>", Retrieved.as_view()),
    path("runtime/<pk>", AtRuntime.as_view()),
    path("own-lookup/<pk>", OwnLookup.as_view()),
    path("day/2026/jan/2/<pk>", OfADay.as_view(), {"year": 2026, "month": "jan", "day": 2}),
    path("month/<year>/<month>", OfMonth.as_view()),
    path("month-number/<int:year>/<int:month>", OfMonth.as_view(month_format="%m")),
    path("week/<int:year>/<week>", OfWeek.as_view()),
    path("form/<pk>", Form.as_view()),
    path("update/<pk>", Update.as_view()),
    path("child/<pk>", Decorated.as_view(model=Comment)),
    path("rest/<pk>", RetrievedDecorated.as_view()),
    path("rest-runtime/<pk>", RetrievedAtRuntime.as_view()),
    path("author/<pk>", retrieved(lookup_field="author_id", lookup_url_kwarg="pk")),
    path("author-object/<pk>", retrieved(lookup_field="author", lookup_url_kwarg="pk")),
    path("author-number/<pk>", retrieved(lookup_field="author__number", lookup_url_kwarg="pk")),
    path("co-author/<pk>", retrieved(lookup_field="co_author", lookup_url_kwarg="pk")),
    path("by-slug-url/<pk>", Decorated.as_view(pk_url_kwarg="no", slug_url_kwarg="pk", slug_field="author_id")),
    re_path(r"^expression/(?P<pk>.+)$", Decorated.as_view()),
    path("function/<article:key>", function),
    path("function-mapped/<article:key>", untouched),
    path("nested/<pk>/<id>", Nested.as_view()),
    path("admin/", include(OfAdmin(Article, Site()).get_urls())),
    *router.urls,
    path("uuid/<pk>", Decorated.as_view(model=OfUuid)),
    path("uuid-rest/<pk>", retrieved(queryset=OfUuid.objects.all())),
    path("decimal/<pk>", Decorated.as_view(model=OfDecimal)),
    path("decimal-rest/<pk>", retrieved(queryset=OfDecimal.objects.all())),
    path("decimal-function/<of_decimal:key>", function_of_decimal),
    path("moment/<pk>", Decorated.as_view(model=OfMoment)),
    path("name/<pk>", Decorated.as_view(model=OfName)),
    path("name-rest/<pk>", retrieved(queryset=OfName.objects.all())),
    path(
        "name-like/<pk>", retrieved(queryset=Article.objects.all(), lookup_field="slug__iexact", lookup_url_kwarg="pk")
    ),
    path("folded/<pk>", Decorated.as_view(model=OfFolded)),
    path("both/<pk>", Decorated.as_view(model=OfBoth)),
    path("slugged/<pk>/<slug>", Slugged.as_view()),
    path("slugged-both/<pk>/<slug>", Slugged.as_view(query_pk_and_slug=True)),
    path("loaded/<pk>", Loaded.as_view()),
    path("delete/<pk>", Delete.as_view()),
    path("destroy/<pk>", Destroyed.as_view()),
]
BY_NUMBER = (
    *("decorated", "dispatched", "around", "mapped", "yaml", "rest-mapped", "runtime", "own-lookup", "day/2026/jan/2"),
    *("form", "update", "child", "rest", "rest-runtime", "author", "author-object", "author-number", "co-author"),
    *("by-slug-url", "expression", "function", "function-mapped"),
)


@pytest.fixture(scope="module", autouse=True)
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Create rows 7 and 8 of each model; the policy denies 7."""
    chosen = connections.settings["default"]
    before, chosen["NAME"] = chosen["NAME"], str(tmp_path_factory.mktemp("django") / "db.sqlite3")
    with connection.schema_editor() as editor:
        for model in MODELS:
            editor.create_model(model)
    for number in (7, 8):
        author = Author.objects.create(pk=number, number=number)
        Draft.objects.create(pk=number)
        Comment.objects.create(pk=number, slug="Plan" if number == 7 else "other", author=author, co_author=author)
    for model, keys in (
        (OfUuid, (UUID, OTHER_UUID)),
        (OfDecimal, ("7", "8")),
        (OfMoment, ("2026-01-01T07:00:00Z", "2026-01-01T08:00:00Z")),
        (OfName, ("Plan", "Other")),
        (OfFolded, ("plan", "other")),
    ):
        for key in keys:
            model.objects.create(pk=key)
    OfBoth.objects.create(tenant=1, number=7)
    yield
    connections.close_all()
    chosen["NAME"] = before


@pytest.fixture
def guard_without_row_7(tmp_path: Path) -> Iterator[Guard]:
    """Yield a guard that denies row 7 by each of its keys."""
    rows = tmp_path / "routes.yaml"
    rows.write_text(
        "version: 1\nroutes:\n"
        "  - {path: /yaml/<pk>, methods: [GET], action: 'docs:GetDocument', resource: 'document/{pk}'}\n"
        "  - {path: /rest-mapped/<pk>, methods: [GET], action: 'docs:GetDocument', resource: 'document/{pk}'}\n"
    )
    routes = read_route_map(rows)
    routes.requires("GET", "/mapped/<pk>", "docs:GetDocument", resource="document/{pk}")
    routes.requires("ANY", "/admin/<path:object_id>/change/", "docs:GetDocument", resource="document/{object_id}")
    routes.requires("GET", "/function-mapped/<article:key>", "docs:GetDocument", resource="document/{key}")
    denied = (
        "7",
        UUID,
        "7.00",
        "2026-01-01 07:00:00+00:00",
        "Plan",
        "plan",
        "(1, 7)",
        "2026/jan",
        "2026/1",
        "2026/week/00",
    )
    guard = open_guard_denying(tmp_path, *denied)
    with project(guard, routes=routes), override_settings(ROOT_URLCONF=__name__):
        yield guard
    guard.close()


def refused(client: Client, *paths: str) -> list[str]:
    """Return the requests that were not rejected although they should be."""
    answers = {path: client.get(path).status_code for path in paths}
    return [f"{path}: {status}" for path, status in answers.items() if status not in (400, 403, 404)]


def test_number_of_a_denied_row_is_denied_in_every_spelling(guard_without_row_7: Guard, subtests: Any) -> None:
    client = Client(headers=KEY)
    ends = {"router": "/summary/", "admin": "/change/", "nested": "/8"}
    for by in (*BY_NUMBER, *ends):
        with subtests.test(by):
            end = ends.get(by, "")
            assert client.get(f"/{by}/8{end}").content == b"8"
            assert client.get(f"/{by}/7{end}").status_code == 403
            end = "/7" if by == "nested" else end
            assert refused(client, *(f"/{by}/{spelled}{end}" for spelled in NUMBERS)) == []


def test_other_spelling_is_decided_as_the_canonical_one(guard_without_row_7: Guard) -> None:
    """Clients may still send other spellings of a number or a UUID."""
    client = Client(headers=KEY)
    for by in ("decorated", "dispatched", "around", "mapped", "rest", "own-lookup", "function"):
        assert client.get(f"/{by}/008").content == b"8", by
        assert client.get(f"/{by}/007").status_code == 403, by
    assert client.get(f"/uuid/{OTHER_UUID.upper()}").content.decode() == OTHER_UUID


@pytest.mark.parametrize(
    ("views", "allowed", "spellings"),
    [
        (("uuid", "uuid-rest"), OTHER_UUID, UUIDS),
        (("decimal", "decimal-rest", "decimal-function"), "8.00", DECIMALS),
        (("moment",), "2026-01-01 08:00:00+00:00", ("2026-01-01T07:00:00Z", "2026-01-01T09:00:00%2B02:00")),
        (("name", "name-rest"), "Other", NAMES),
        (("name-like",), "other", NAMES),
        (("folded",), "other", (*NAMES, "plan%20")),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_other_key_of_a_denied_row_is_denied(
    guard_without_row_7: Guard, views: tuple[str, ...], allowed: str, spellings: tuple[str, ...]
) -> None:
    client = Client(headers=KEY)
    for by in views:
        assert client.get(f"/{by}/{allowed}").status_code == 200
        assert refused(client, *(f"/{by}/{spelled}" for spelled in spellings)) == []


def test_delete_of_a_denied_row_is_denied(guard_without_row_7: Guard) -> None:
    client = Client(headers=KEY)
    for spelled in NUMBERS:
        assert client.post(f"/delete/{spelled}").status_code in (400, 403, 404)
        assert client.delete(f"/destroy/{spelled}").status_code in (400, 403, 404)
    assert Draft.objects.filter(pk=7).exists()


def test_second_parameter_of_another_row_is_not_found(guard_without_row_7: Guard) -> None:
    """Without `query_pk_and_slug` Django finds the row by its primary key alone."""
    client = Client(headers=KEY)
    for by in ("slugged", "slugged-both"):
        assert client.get(f"/{by}/8/other").content == b"8"
        assert refused(client, f"/{by}/7/other", f"/{by}/7/Plan", f"/{by}/007/other") == []


def test_admin_lookup_by_another_field_is_rejected(guard_without_row_7: Guard) -> None:
    """`_to_field` makes the admin site find an object by another field."""
    client = Client(headers=KEY)
    assert client.get("/admin/8/change/?_to_field=id").content == b"8"
    assert client.get("/admin/other/change/?_to_field=slug").status_code == 400
    assert client.post("/admin/other/change/", {"_to_field": "slug"}).status_code == 400


def test_denied_date_is_denied_in_every_spelling(guard_without_row_7: Guard) -> None:
    client = Client(headers=KEY)
    Article.objects.filter(pk=8).update(day="2026-02-02")
    Article.objects.filter(pk=7).update(day="2026-01-02")
    for allowed in ("month/2026/feb", "month-number/2026/02", "week/2026/05"):
        assert client.get(f"/{allowed}").content == b"1"
    months = ("jan", "JAN", "Jan", "%C5%BFan")
    assert refused(client, *(f"/month/2026/{month}" for month in months), "/month/%D9%A2%D9%A0%D9%A2%D9%A6/jan") == []
    assert refused(client, "/month-number/2026/1", "/month-number/2026/01", "/week/2026/00", "/week/2026/0") == []


def test_loader_accepts_every_spelling(guard_without_row_7: Guard) -> None:
    """Its ARN does not contain the text of the URL, so there is nothing to compare."""
    client = Client(headers=KEY)
    assert client.get("/loaded/008").content == b"8"
    assert client.get("/loaded/007").status_code == 403


def test_invalid_parameter_finds_no_row(guard_without_row_7: Guard) -> None:
    """The view answers as without a guard: Django's own with 500, REST framework with 404."""
    client = Client(headers=KEY, raise_request_exception=False)
    assert [client.get(f"/{by}/seven").status_code for by in ("decorated", "rest", "function")] == [500, 404, 404]
    assert client.get("/both/1,7").status_code == 500
    assert client.get("/both/(1, 7)").status_code == 403


def test_other_spellings_over_asgi_are_denied(guard_without_row_7: Guard) -> None:
    async def answers() -> list[int]:
        client = AsyncClient()
        paths = [f"/{by}/{end}" for by in ("decorated", "mapped", "rest", "runtime") for end in ("8", "007")]
        statuses = [(await client.get(path, headers=KEY)).status_code for path in paths]
        await sync_to_async(connections.close_all)()
        return statuses

    assert asyncio.run(answers()) == [200, 403, 200, 403, 200, 403, 200, 404]


def test_other_spellings_over_a_real_server_are_denied(guard_without_row_7: Guard) -> None:
    statuses = []
    with by_waitress(WSGIHandler()) as address:
        for by in ("decorated", "mapped", "rest", "runtime"):
            for spelled in ("8", "007", "%207"):
                connection = HTTPConnection(urlsplit(address).netloc)
                connection.request("GET", f"/{by}/{spelled}", headers=KEY)
                statuses.append(connection.getresponse().status)
                connection.close()
    assert statuses == [200, 403, 403] * 3 + [200, 404, 404]
