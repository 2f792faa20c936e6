"""Route maps in Django, with what only Django has: patterns, middlewares, functions for all methods."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.integrations.contract import needed

needed("django", "rest_framework", "iam_guard_django")

import tests.integrations.django_project as urls  # noqa: E402  before what needs Django's settings

# isort: split

from django.conf.urls.i18n import i18n_patterns  # noqa: E402
from django.core.checks import run_checks  # noqa: E402
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse  # noqa: E402
from django.test import AsyncClient, Client, override_settings  # noqa: E402
from django.urls import clear_url_caches, include, path, re_path, resolve  # noqa: E402
from django.utils import translation  # noqa: E402
from django.utils.translation import gettext_lazy  # noqa: E402
from django.views import View  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402
from iam_guard_django.rest_framework import GuardPermission  # noqa: E402
from iam_guard_django.views import inventory  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.routers import SimpleRouter  # noqa: E402
from rest_framework.viewsets import ViewSet  # noqa: E402

from iam_guard import Guard, RouteMap, current_principal, public, requires  # noqa: E402
from iam_guard.audit.consumer.reader import read_records  # noqa: E402
from iam_guard.errors import ConfigurationError  # noqa: E402
from tests.conftest import ADA, RITA, Sign  # noqa: E402
from tests.integrations.application import ARN, SECRET, ran  # noqa: E402
from tests.integrations.django_project import DOCUMENT, GUARDED, USUAL, project  # noqa: E402
from tests.integrations.test_routes_command import routes as routes_of  # noqa: E402

CSRF = "django.middleware.csrf.CsrfViewMiddleware"


def seen(request: HttpRequest, **parameters: Any) -> HttpResponse:
    ran.append(str(parameters))
    return HttpResponse("seen")


def other(request: HttpRequest, **parameters: Any) -> HttpResponse:
    return seen(request, **parameters)


@requires("docs:PutDocument")
def decorated(request: HttpRequest) -> HttpResponse:
    return seen(request)


@public
def opened(request: HttpRequest) -> HttpResponse:
    return seen(request)


def streaming(request: HttpRequest) -> HttpResponse:
    return StreamingHttpResponse(f"{current_principal().name} {part} " for part in (1, 2))


async def waiting(request: HttpRequest, **parameters: Any) -> HttpResponse:
    return seen(request, **parameters)


def renamed(request: HttpRequest, **parameters: Any) -> HttpResponse:
    request.method = "DELETE"
    return seen(request, **parameters)


class Half(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return seen(request)

    def delete(self, request: HttpRequest) -> HttpResponse:
        return seen(request)


class Documents(ViewSet):
    iam_requires: ClassVar = {"destroy": requires("docs:PutDocument")}

    def get_permissions(self) -> list[Any]:
        return [GuardPermission()] if self.action == "destroy" else []

    def list(self, request: Any) -> Response:
        return Response(["seen"])

    def retrieve(self, request: Any, pk: str) -> Response:
        ran.append(pk)
        return Response(pk)

    def destroy(self, request: Any, pk: str) -> Response:
        ran.append("deleted")
        return Response(status=204)

    def update(self, request: Any, pk: str) -> Response:
        ran.append("updated")
        return Response(pk)


class UnguardedSet(ViewSet):
    """Has permissions that depend on the request."""

    iam_requires: ClassVar = {"destroy": requires("docs:PutDocument")}

    def get_permissions(self) -> list[Any]:
        return [GuardPermission()] if self.request.META["REQUEST_METHOD"] == "DELETE" else []

    def list(self, request: Any) -> Response:
        return Response(["seen"])

    def destroy(self, request: Any) -> Response:
        return Response(status=204)


router = SimpleRouter(use_regex_path=False)
router.register("sets", Documents, basename="set")
nested = [re_path(r"^deep/(?P<document_id>\d{1,3})/$", seen), path("flat", seen)]
urlpatterns = [
    path("files/open", seen),
    path("files/<name>", other),
    path("again/<name>", other),
    path("numbers/<int:document_id>", seen),
    path("first", seen, {"document_id": 1}),
    path("many", seen),
    path("half", Half.as_view()),
    path("decorated", decorated),
    path("opened", opened),
    path("page", seen, name="page"),
    path("slashed/", seen),
    path("streaming", streaming),
    path("waiting/<document_id>", waiting),
    path("renamed/<document_id>", renamed),
    path("loaded/<document_id>", seen),
    path("one/", include((nested, "nested"), namespace="one")),
    re_path("^two/", include((nested, "nested"), namespace="two")),
    path("", include([re_path("^bare/(.*)$", other)])),
    path("unguarded", UnguardedSet.as_view({"get": "list", "delete": "destroy"})),
    path("", include(router.urls)),
]
translated = [*i18n_patterns(path("home", seen)), path(gettext_lazy("Monday"), seen)]
elsewhere = [path("page", other)]

# --- middlewares of the project, all inside of the guard ------------------------------------------------------------


class Noting:
    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> Any:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        ran.append("middleware")


class Changing(Noting):
    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        kwargs["document_id"] = 99


class Popping(Noting):
    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        kwargs["document"] = kwargs.pop("document_id")


class Renaming(Noting):
    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        request.method = "DELETE"


class Rerouting(Noting):
    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        request.resolver_match = resolve("/opened")


class Answering(Noting):
    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        return HttpResponse(SECRET)


class Overriding(Noting):
    def __call__(self, request: HttpRequest) -> Any:
        request.method = request.headers.get("x-http-method-override", request.method)
        return self.get_response(request)


class Elsewhere(Noting):
    def __call__(self, request: HttpRequest) -> Any:
        request.urlconf = "tests.integrations.test_django_map_elsewhere"
        return self.get_response(request)


class German(Noting):
    def __call__(self, request: HttpRequest) -> Any:
        with translation.override("de"):
            return self.get_response(request)


def within(kind: type) -> str:
    return f"{__name__}.{kind.__name__}"


# --- asking ----------------------------------------------------------------------------------------------------------

Ask = Callable[..., int]
Mapped = Callable[..., None]


@pytest.fixture
def mapped(guard: Guard) -> Iterator[Mapped]:
    """Apply settings with a map, and with inner middlewares."""
    chosen = []
    ran.clear()

    def choose(routes: RouteMap | str, *middleware: str, **more: Any) -> None:
        settings = project(guard, routes=routes, middleware=[*USUAL, *middleware], **{"ROOT_URLCONF": __name__, **more})
        settings.__enter__()
        chosen.append(settings)

    yield choose
    for context in reversed(chosen):
        context.__exit__(None, None, None)


@pytest.fixture(params=["wsgi", "asgi"])
def ask(request: pytest.FixtureRequest, sign: Sign) -> Ask:
    def send(target: str, key: tuple[str, str] | None = None, method: str = "GET", **headers: str) -> int:
        sent = {**headers, **({} if key is None else sign(key, method, target))}
        if request.param == "wsgi":
            client = Client(raise_request_exception=False)
            return int(client.generic(method, target, headers=sent).status_code)
        client = AsyncClient(raise_request_exception=False)
        return int(asyncio.run(client.generic(method, target, headers=sent)).status_code)

    return send


def writing(*paths: str, method: str = "GET", resource: Any = "*") -> RouteMap:
    routes = RouteMap()
    for url in paths:
        routes.requires(method, url, "docs:PutDocument", resource=resource)
    return routes


# --- what is decided -------------------------------------------------------------------------------------------------


def test_row_decides_before_the_view_and_inner_middlewares(mapped: Mapped, ask: Ask) -> None:
    mapped(writing("/many", method="ANY"), within(Noting), CSRF)
    assert (ask("/many"), ask("/many", RITA), ask("/many", RITA, "POST"), ran) == (401, 403, 403, [])
    assert (ask("/many", ADA), ran) == (200, ["middleware", "{}"])


def test_decision_uses_the_parameters_of_the_view(mapped: Mapped, ask: Ask, audit_file: Path) -> None:
    """Converted values, and those added by the pattern."""
    mapped(writing("/numbers/<int:document_id>", "/first", resource=DOCUMENT))
    assert [ask(each, ADA) for each in ("/numbers/007", "/first")] == [200, 200]
    assert [each["resources"][0]["ARN"].rpartition("/")[2] for each in read_records(audit_file)] == ["7", "1"]
    assert ran == ["{'document_id': 7}", "{'document_id': 1}"]


def test_patterns_with_the_same_path_are_kept_apart(mapped: Mapped, ask: Ask) -> None:
    """The matched pattern is decided, whichever others match; one view may have two patterns."""
    routes = writing("/files/{name}", method="ANY")
    routes.public("GET", "/files/open")
    routes.public("GET", "/again/{name}")
    mapped(routes)
    assert [ask(f"/files/{each}") for each in ("open", "%6Fpen", "Open", "open%2F")] == [200, 200, 401, 404]
    assert [ask(f"/files/{each}", RITA) for each in ("other", "open.")] == [403, 403]
    assert ask("/again/other") == 200


def test_included_patterns_have_their_prefix(mapped: Mapped, ask: Ask) -> None:
    """One list of patterns in two places, as paths and regular expressions; rows use Django's joined route."""
    routes = writing(r"/^two/deep/(?P<document_id>\d{1,3})/$", "/^two/flat", resource="*")
    routes.public("GET", r"/one/deep/(?P<document_id>\d{1,3})/$")
    routes.public("GET", "/one/flat")
    mapped(routes)
    for url in ("/deep/7/", "/flat"):
        assert [ask(f"/one{url}"), *(ask(f"/two{url}", who) for who in (None, RITA, ADA))] == [200, 401, 403, 200]


def test_inventory_has_the_routes_of_matches(mapped: Mapped) -> None:
    """So that a row is written as `iam-guard routes` prints it."""
    mapped(writing("/many"))
    named = {each.path for each in inventory()}
    for target in ("/one/deep/7/", "/two/deep/7/", "/two/flat", "/bare/x", "/sets/", "/sets/7/", "/files/x", "/half"):
        assert f"/{resolve(target).route}" in named


def test_function_accepts_the_methods_of_its_rows(mapped: Mapped, ask: Ask) -> None:
    """`HEAD` uses the row of `GET`, `ANY` is for the rest; other methods are answered with 405."""
    routes = writing("/many", method="PUT")
    routes.public("GET", "/many")
    routes.public("GET", "/slashed/")
    routes.requires("ANY", "/slashed/", "docs:PutDocument")
    mapped(routes, within(Noting))
    answers = [ask("/many", None, each) for each in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "BREW")]
    assert answers == [200, 200, 401, 405, 405, 405]
    assert [ask("/slashed/", None, each) for each in ("GET", "HEAD", "DELETE", "OPTIONS")] == [200, 200, 401, 401]
    assert ran == ["middleware", "{}"] * 4
    assert ask("/slashed") == 301
    assert [(each.methods, each.guards) for each in inventory() if each.path == "/many"] == [
        (("GET", "HEAD"), ("public, by the map",)),
        (("PUT",), ("docs:PutDocument on *, by the map",)),
    ]


def test_class_methods_without_row_are_reported(mapped: Mapped, ask: Ask) -> None:
    """The check reports a method without a row, and it does not run."""
    mapped(writing("/half"))
    answers = [ask("/half", RITA, each) for each in ("GET", "HEAD", "DELETE", "PUT", "OPTIONS")]
    assert (answers, ran) == ([403, 403, 405, 405, 200], [])
    assert "DELETE /half" in " ".join(run_check.msg for run_check in run_checks() if run_check.id == "iam_guard.E003")


def test_decision_uses_the_method_of_the_view(mapped: Mapped, ask: Ask) -> None:
    routes = writing("/many", method="DELETE")
    routes.public("POST", "/many")
    mapped(routes, within(Overriding))
    override = "x-http-method-override"
    assert ask("/many", None, "POST") == 200
    assert ask("/many", None, "POST", **{override: "DELETE"}) == 401
    assert ask("/many", None, "POST", **{override: "delete"}) == 405
    assert ran == ["middleware", "{}"]


@pytest.mark.parametrize("path", ["/numbers/7", "/waiting/7"])
@pytest.mark.parametrize("kind", [Changing, Renaming, Rerouting])
def test_view_changed_after_the_decision_does_not_run(mapped: Mapped, ask: Ask, kind: type, path: str) -> None:
    """By any `process_view`, for views of both kinds."""
    mapped(writing("/numbers/{document_id}", "/waiting/{document_id}", resource=DOCUMENT), within(kind))
    assert (ask(path, RITA), ask(path, ADA), ran) == (403, 500, [])


def test_response_to_a_changed_request_is_blocked(mapped: Mapped, ask: Ask) -> None:
    """A decorator may change it when no check can run before the view: the response is checked."""
    mapped(writing("/renamed/{document_id}", resource=DOCUMENT))
    assert (ask("/renamed/7", RITA), ask("/renamed/7", ADA)) == (403, 500)


def test_project_without_guard_is_served_unchanged(mapped: Mapped, ask: Ask) -> None:
    """In a process where another project has a map."""
    mapped(writing("/many"), MIDDLEWARE=[within(Changing)])
    assert (ask("/numbers/7"), ran) == (200, ["{'document_id': 99}"])


def test_removed_parameter_was_decided(mapped: Mapped, ask: Ask) -> None:
    mapped(writing("/numbers/{document_id}", resource=DOCUMENT), within(Popping))
    assert (ask("/numbers/7", RITA), ask("/numbers/7", ADA), ran) == (403, 200, ["{'document': 7}"])


def test_outer_middleware_may_change_the_request(mapped: Mapped, ask: Ask, audit_file: Path) -> None:
    """The changed request is decided."""
    before = [within(Changing), "iam_guard_django.GuardMiddleware"]
    mapped(writing("/numbers/{document_id}", resource=DOCUMENT), MIDDLEWARE=before)
    assert ask("/numbers/7", ADA) == 200
    assert [each["resources"][0]["ARN"] for each in read_records(audit_file)] == [f"{ARN}99"]


def test_decorator_and_row_both_decide(mapped: Mapped, ask: Ask, guard: Guard) -> None:
    """Also if one of them or the setting declares the view public."""
    routes = writing("/opened", "/page")
    routes.public("ANY", "/decorated")
    mapped(routes, IAM_GUARD={"guard": guard, "routes": routes, "public_views": ["page"]})
    for url in ("/decorated", "/opened", "/page"):
        assert [ask(url, who) for who in (None, RITA, ADA)] == [401, 403, 200]


def test_response_replacing_a_decorated_view_is_undecided(mapped: Mapped, ask: Ask) -> None:
    routes = RouteMap()
    routes.public("GET", "/decorated")
    mapped(routes, within(Answering))
    assert ask("/decorated") == 500


def test_other_urlconf_has_no_rows(mapped: Mapped, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """A middleware may choose a `urlconf` for a request; its view for the same path is another one."""
    module = type(sys)("tests.integrations.test_django_map_elsewhere")
    module.urlpatterns = elsewhere  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    routes = RouteMap()
    routes.public("GET", "/page")
    mapped(routes, within(Elsewhere))
    assert ask("/page") == 500


def test_streams_have_their_caller(mapped: Mapped, sign: Sign) -> None:
    mapped(writing("/streaming"))
    answered = Client().get("/streaming", headers=sign(ADA, "GET", "/streaming"))
    assert b"".join(answered) == b"ada 1 ada 2 "


def test_view_sets_have_rows(mapped: Mapped, ask: Ask) -> None:
    """Their methods are those of the router. A method without a row needs a guarding permission."""
    routes = writing("/sets/<pk>/", resource="document/{pk}")
    mapped(routes)
    answers = [ask("/sets/7/", who, "GET") for who in (None, RITA, ADA)]
    assert (answers, ran) == ([401, 403, 200], ["7"])
    assert [ask("/sets/7/", RITA, each) for each in ("DELETE", "PATCH", "PUT")] == [403, 405, 405]
    assert (ask("/sets/7/", ADA, "DELETE"), ask("/sets/", ADA), ran) == (204, 500, ["7", "deleted"])
    routes = RouteMap()
    routes.public("GET", "/unguarded")
    mapped(routes)
    assert (ask("/unguarded"), [ask("/unguarded", who, "DELETE") for who in (RITA, ADA)]) == (200, [403, 204])


def test_asynchronous_views_and_loaders(mapped: Mapped, ask: Ask, request: pytest.FixtureRequest) -> None:
    """A synchronous loader runs in a thread; an asynchronous one needs ASGI."""

    async def awaited(document_id: str) -> str:
        await asyncio.sleep(0)
        return ARN + document_id

    def blocking(document_id: str) -> str:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        return ARN + document_id

    routes = writing("/waiting/{document_id}", resource=blocking)
    routes.requires("GET", "/loaded/{document_id}", "docs:PutDocument", resource=awaited)
    mapped(routes)
    assert [ask("/waiting/7", each) for each in (RITA, ADA)] == [403, 200]
    over_asgi = request.node.callspec.params["ask"] == "asgi"
    assert [ask("/loaded/7", each) for each in (RITA, ADA)] == ([403, 200] if over_asgi else [500, 500])


def test_failing_row_denies(mapped: Mapped, ask: Ask) -> None:
    """A loader that raises, one that returns None, a missing parameter."""

    def broken(document_id: str) -> str:
        raise LookupError(SECRET)

    routes = writing("/loaded/{document_id}", resource=broken)
    routes.requires("GET", "/waiting/{document_id}", "docs:PutDocument", resource=lambda document_id: None)
    routes.requires("GET", "/^bare/(.*)$", "docs:PutDocument", resource="document/{name}")
    mapped(routes)
    assert (ask("/loaded/7", ADA), ask("/waiting/7", ADA), ask("/bare/7", ADA), ran) == (500, 404, 500, [])


def test_unsigned_body_is_accepted_by_its_row(mapped: Mapped, ask: Ask, sign: Sign) -> None:
    routes = writing("/many", method="PUT")
    routes.requires("PUT", "/loaded/{document_id}", "docs:PutDocument", resource=DOCUMENT, unsigned_payload=True)
    mapped(routes)
    for target, status in (("/loaded/7", 200), ("/many", 401)):
        headers = sign(ADA, "PUT", target, headers={"x-amz-content-sha256": "UNSIGNED-PAYLOAD"})
        assert ask(target, None, "PUT", **headers) == status


# --- checks and reports ---------------------------------------------------------------------------------------------


def test_row_without_route_is_rejected(mapped: Mapped, ask: Ask) -> None:
    """By the check, and with each request if the check does not run."""
    mapped(writing("/many", "/gone"))
    assert [ask("/many", ADA), ask("/many", ADA), ran] == [500, 500, []]
    assert [run_check.msg for run_check in run_checks() if run_check.id == "iam_guard.E001"] == [
        "the application has no such route: GET /gone (at routes)"
    ]


def test_row_for_two_views_is_rejected(mapped: Mapped) -> None:
    """Compared by what runs, as Django names all class-based views alike; also for public views."""

    class Namesake(Half):
        get = other

    module = type(sys)("doubtful")
    for one, two, is_doubtful in (
        (seen, other, True),
        (Half.as_view(), Namesake.as_view(), True),
        (public(Half.as_view()), public(Namesake.as_view()), True),
        (Half.as_view(), Half.as_view(), False),
        (seen, seen, False),
        (seen, csrf_exempt(seen), True),
    ):
        patterns = [path("x/<int:name>", one, name="one"), path("x/<path:name>", two, name="two")]
        module.urlpatterns = patterns  # type: ignore[attr-defined]
        routes = writing("/x/{name}", method="GET")
        mapped(routes, ROOT_URLCONF=module)
        clear_url_caches()
        if is_doubtful:
            with pytest.raises(ConfigurationError, match=r"is for several routes \(/x/<int:name>, /x/<path:name>\)"):
                inventory()
        else:
            assert inventory()[0].is_guarded


@pytest.mark.parametrize("row", ["/(language)/home", "/(language)Monday", "/en-us/home", "/Monday"])
def test_translated_path_is_rejected_in_a_row(mapped: Mapped, row: str) -> None:
    """It differs for the next caller."""
    module = type(sys)("translated")
    module.urlpatterns = translated  # type: ignore[attr-defined]
    mapped(writing(row), ROOT_URLCONF=module)
    with (
        override_settings(USE_I18N=True),
        pytest.raises(ConfigurationError, match=r"without translations|no such route"),
    ):
        inventory()


def test_translated_path_does_not_use_another_views_row(mapped: Mapped, ask: Ask) -> None:
    """That view always has the path, this one only in one language."""
    module = type(sys)("colliding")
    module.urlpatterns = [path(gettext_lazy("Monday"), other), path("Montag", seen)]  # type: ignore[attr-defined]
    routes = RouteMap()
    routes.public("GET", "/Montag")
    mapped(routes, MIDDLEWARE=[within(German), *GUARDED], ROOT_URLCONF=module)
    assert ask("/Montag") == 500
    module.urlpatterns.reverse()
    mapped(routes, MIDDLEWARE=[within(German), *GUARDED], ROOT_URLCONF=module)
    assert ask("/Montag") == 200


def test_map_may_be_set_by_name(mapped: Mapped, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """It must be a route map."""
    monkeypatch.setattr(urls, "routes", writing("/many"), raising=False)
    mapped(f"{urls.__name__}.routes")
    assert [ask("/many", each) for each in (RITA, ADA)] == [403, 200]
    for wrong in (f"{urls.__name__}.health", f"{urls.__name__}.missing"):
        mapped(wrong)
        assert ask("/many", ADA) == 500
        assert [run_check.id for run_check in run_checks() if (run_check.id or "").startswith("iam_guard")] == [
            "iam_guard.E001"
        ]


PROGRAM = """
from django.conf import settings
settings.configure(
    ROOT_URLCONF=__name__, MIDDLEWARE=["iam_guard_django.GuardMiddleware"], INSTALLED_APPS=["iam_guard_django"],
    IAM_GUARD={"guard": "routed.guard", "routes": "routed.routes"}, SECRET_KEY="x", ALLOWED_HOSTS=["*"],
)
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path
from iam_guard import RouteMap, open_guard

routes = RouteMap()
routes.requires("GET", "/documents/{document_id}", "docs:GetDocument", resource="document/{document_id}")
guard = open_guard("iam.yaml", services=routes.services)

def document(request, document_id): return HttpResponse("seen")

urlpatterns = [path("documents/<int:document_id>", document)]
app = get_wsgi_application()
"""


@pytest.mark.slow
def test_routes_command_uses_the_map_or_another(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text('{version: 1, routes: [{path: "/documents/{document_id}", public: true}]}')
    for more, output in (
        ([], "GET,HEAD  /documents/<int:document_id>  docs:GetDocument on document/{document_id}, by the map\n"),
        (["--map", "other.yaml"], "ANY  /documents/<int:document_id>  public, by the map\n"),
    ):
        listed = routes_of(tmp_path, PROGRAM, *more)
        assert (listed.returncode, listed.stdout) == (0, output + "1 endpoints, 0 unguarded\n"), listed.stderr
