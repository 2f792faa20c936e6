"""Features that only Django has: its clients and factories, CSRF, settings, the system check, middlewares."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.integrations.contract import needed

needed("django", "iam_guard_django")

from django.conf.urls.i18n import i18n_patterns  # noqa: E402
from django.core.checks import run_checks  # noqa: E402
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse  # noqa: E402
from django.test import AsyncClient, Client, RequestFactory  # noqa: E402
from django.urls import include, path  # noqa: E402
from django.utils.decorators import method_decorator  # noqa: E402
from django.views import View  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402
from django.views.generic import RedirectView  # noqa: E402
from iam_guard_django import GuardMiddleware  # noqa: E402
from iam_guard_django.options import load_options  # noqa: E402
from iam_guard_django.views import inventory  # noqa: E402

import tests.integrations.django_project as urls  # noqa: E402  before what needs Django's settings
from iam_guard import Guard, current_principal, open_guard, requires  # noqa: E402
from iam_guard.audit.consumer.reader import read_records  # noqa: E402
from iam_guard.authn.signatures.chunked import MIN_CHUNK_SIZE  # noqa: E402
from iam_guard.errors import ConfigurationError  # noqa: E402
from tests.conftest import ADA, RITA, SEED, Sign  # noqa: E402
from tests.integrations.application import SECRET, docs, received  # noqa: E402
from tests.integrations.django_project import DOCUMENT, GUARDED, USUAL, project  # noqa: E402
from tests.web.asgi.test_streaming_body import CONTENT, UNSIGNED_TRAILER, chunked, headers_of  # noqa: E402

CSRF = "django.middleware.csrf.CsrfViewMiddleware"


@docs.requires("PutDocument", resource=DOCUMENT, unsigned_payload=True)
def unsigned(request: HttpRequest, document_id: str) -> HttpResponse:
    return HttpResponse(json.dumps(received(request.body)))


@docs.requires("PutDocument", resource=DOCUMENT)
def form(request: HttpRequest, document_id: str) -> HttpResponse:
    return HttpResponse(request.POST["title"])


@docs.requires("GetDocument", resource=DOCUMENT)
def named(request: HttpRequest, document_id: str) -> HttpResponse:
    principal: Any = getattr(request, "principal", None)
    return HttpResponse(principal.name)


@docs.requires("GetDocument", resource=DOCUMENT)
def streaming(request: HttpRequest, document_id: str) -> HttpResponse:
    return StreamingHttpResponse(f"{current_principal().name} {part} " for part in (1, 2))


@docs.requires("GetDocument", resource=DOCUMENT)
async def streaming_async(request: HttpRequest, document_id: str) -> HttpResponse:
    async def parts() -> Any:
        for part in (1, 2):
            yield f"{current_principal().name} {part} "

    return StreamingHttpResponse(parts())


@docs.requires("GetDocument", resource=DOCUMENT)
def file(request: HttpRequest, document_id: str) -> HttpResponse:
    return FileResponse(Path(__file__).open("rb"))


def forgotten_file(request: HttpRequest) -> HttpResponse:
    return FileResponse(Path(__file__).open("rb"))


@method_decorator(docs.requires("PutDocument", resource=DOCUMENT), name="dispatch")
class Dispatched(View):
    def get(self, request: HttpRequest, document_id: str) -> HttpResponse:
        return HttpResponse("dispatched")


class Half(View):
    @docs.requires("GetDocument", resource=DOCUMENT)
    def get(self, request: HttpRequest, document_id: str) -> HttpResponse:
        return HttpResponse("got")

    def delete(self, request: HttpRequest, document_id: str) -> HttpResponse:
        return HttpResponse(SECRET)


def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse("a page of another app")


others = [path("", page, name="index"), path("deep/", include(([path("", page, name="leaf")], "deep")))]
urlpatterns = [
    *urls.urlpatterns,
    path("unsigned/<document_id>", csrf_exempt(unsigned)),
    path("forms/<document_id>", form),
    path("named/<document_id>", named),
    path("streaming/<document_id>", streaming),
    path("streaming-async/<document_id>", streaming_async),
    path("file/<document_id>", file),
    path("forgotten-file", forgotten_file),
    path("dispatched/<document_id>", Dispatched.as_view()),
    path("half/<document_id>", Half.as_view()),
    path("slashed/<document_id>/", named),
    path("others/", include((others, "others"))),
    path("page", page, name="page"),
]
guarded = [
    urlpattern
    for urlpattern in urls.urlpatterns
    if "forgotten" not in str(urlpattern.pattern) and "mounted" not in str(urlpattern.pattern)
]


def reading(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """A middleware that reads the body before the guard."""

    def read_first(request: HttpRequest) -> HttpResponse:
        assert request.body is not None
        return get_response(request)

    return read_first


def parsing(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """A middleware that parses a form before the guard."""

    def parse_first(request: HttpRequest) -> HttpResponse:
        assert request.POST is not None
        return get_response(request)

    return parse_first


def answering_middleware(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """A middleware that answers in place of the view."""

    def answer(request: HttpRequest) -> HttpResponse:
        return HttpResponse(SECRET, status=int(request.GET["status"]))

    return answer


@pytest.fixture
def chosen(guard: Guard) -> Iterator[None]:
    with project(guard, ROOT_URLCONF=__name__):
        yield


@pytest.fixture
def small(tmp_path: Path, audit_file: Path) -> Iterator[Guard]:
    """A guard that holds little of a body."""
    seed = tmp_path / "iam.yaml"
    seed.write_text(SEED)
    opened = open_guard(str(seed), audit=str(audit_file), max_body=MIN_CHUNK_SIZE, max_stream=8 * MIN_CHUNK_SIZE)
    yield opened
    opened.close()


# --- Django's own clients ---


@pytest.mark.usefixtures("chosen")
def test_asynchronous_client(sign: Sign) -> None:
    """Asynchronous and synchronous views, functions and classes."""

    async def ask() -> None:
        client = AsyncClient(raise_request_exception=False)
        for target in ("/class/7", "/documents/7", "/named/7"):
            assert (await client.get(target, headers=sign(RITA, "GET", target))).status_code == 200
            assert (await client.get(target)).status_code == 401
        queried = "/documents/7?version=2"
        assert (await client.get(queried, headers=sign(RITA, "GET", queried))).status_code == 200
        assert (await client.get("/forgotten", headers=sign(ADA, "GET", "/forgotten"))).status_code == 500
        body = b"x=1"
        posted = await client.generic("POST", "/uploads/7", body, headers=sign(ADA, "POST", "/uploads/7", body=body))
        assert (posted.status_code, posted.json()["size"]) == (200, 3)
        changed = await client.generic("POST", "/uploads/7", b"x=2", headers=sign(ADA, "POST", "/uploads/7", body=body))
        assert changed.status_code == 401

    asyncio.run(ask())


def test_request_of_the_factory(guard: Guard, sign: Sign) -> None:
    """The middleware may be called directly, around a single view."""
    with project(guard, ROOT_URLCONF=__name__):
        from django.urls import resolve

        def answer(request: HttpRequest) -> HttpResponse:
            request.resolver_match = resolve(request.path_info)
            try:
                return request.resolver_match.func(request, **request.resolver_match.kwargs)
            except Exception as error:  # noqa: BLE001  what Django does with it
                answered = middleware.process_exception(request, error)
                assert answered is not None
                return answered

        middleware = GuardMiddleware(answer)
        factory = RequestFactory()
        for key, status in ((RITA, 200), (ADA, 200)):
            request = factory.get("/named/7", headers=sign(key, "GET", "/named/7"))
            assert middleware(request).status_code == status
        assert middleware(factory.get("/named/7")).status_code == 401


@pytest.mark.usefixtures("chosen")
def test_caller_is_on_the_request(sign: Sign) -> None:
    """For views and templates."""
    assert Client().get("/named/7", headers=sign(RITA, "GET", "/named/7")).content == b"rita"


@pytest.mark.usefixtures("chosen")
def test_streams_have_their_caller(sign: Sign) -> None:
    """Synchronous and asynchronous ones, and files."""
    client = Client()
    assert b"".join(client.get("/streaming/7", headers=sign(RITA, "GET", "/streaming/7"))) == b"rita 1 rita 2 "
    sent = client.get("/file/7", headers=sign(RITA, "GET", "/file/7"))
    assert b"".join(sent).startswith(b'"""Features that only Django has')

    async def ask() -> bytes:
        answer = await AsyncClient().get("/streaming-async/7", headers=sign(RITA, "GET", "/streaming-async/7"))
        return b"".join([part async for part in answer])

    assert asyncio.run(ask()) == b"rita 1 rita 2 "


@pytest.mark.usefixtures("chosen")
def test_resources_of_a_blocked_response_are_closed() -> None:
    """A file that is not sent must not leak."""
    assert Client(raise_request_exception=False).get("/forgotten-file").status_code == 500


# --- views ---


@pytest.mark.usefixtures("chosen")
def test_decorated_dispatch_guards_all_methods(sign: Sign) -> None:
    """With Django's `method_decorator`."""
    client = Client()
    assert client.get("/dispatched/7", headers=sign(ADA, "GET", "/dispatched/7")).content == b"dispatched"
    assert client.get("/dispatched/7", headers=sign(RITA, "GET", "/dispatched/7")).status_code == 403


@pytest.mark.usefixtures("chosen")
def test_unguarded_method_is_blocked(sign: Sign) -> None:
    """Next to a guarded one; a missing method stays a 405."""
    client = Client(raise_request_exception=False)
    assert client.delete("/half/7", headers=sign(ADA, "DELETE", "/half/7")).status_code == 500
    assert client.put("/half/7", headers=sign(ADA, "PUT", "/half/7")).status_code == 405
    assert set(client.options("/half/7").headers["allow"].split(", ")) == {"GET", "HEAD", "DELETE", "OPTIONS"}


@pytest.mark.usefixtures("chosen")
def test_django_redirects_a_missing_slash(sign: Sign) -> None:
    """The redirect needs no decision."""
    assert Client().get("/slashed/7", headers=sign(RITA, "GET", "/slashed/7")).status_code == 301


def test_locale_middleware_must_be_outside(guard: Guard, sign: Sign) -> None:
    """`LocaleMiddleware` turns a 404 into a redirect; inside of the guard it is an undecided response."""
    module: Any = ModuleType("spoken")
    module.urlpatterns = i18n_patterns(path("spoken/<document_id>", named))
    locale = "django.middleware.locale.LocaleMiddleware"
    with project(guard, ROOT_URLCONF=module, MIDDLEWARE=[locale, *GUARDED, *USUAL], USE_I18N=True):
        client = Client(raise_request_exception=False)
        answer = client.get("/spoken/7")
        assert (answer.status_code, answer.headers["location"]) == (302, "/en/spoken/7")
        assert client.get("/en/spoken/7").status_code == 401
        assert client.get("/en/spoken/7", headers=sign(RITA, "GET", "/en/spoken/7")).content == b"rita"


# --- CSRF ---


def _posted(client: Client, headers: dict[str, str], target: str = "/uploads/7", **more: Any) -> int:
    return client.generic("POST", target, b"", headers=headers, **more).status_code


def test_credential_in_a_header_needs_no_csrf_token(guard: Guard, sign: Sign) -> None:
    """Browsers never add one to cross-site requests; anonymous requests need the token."""
    with project(guard, middleware=[*USUAL, CSRF]):
        client = Client(enforce_csrf_checks=True)
        assert _posted(client, sign(ADA, "POST", "/uploads/7")) == 200
        assert _posted(client, {}) == 403


def test_presigned_url_needs_the_csrf_token(guard: Guard) -> None:
    """Another site can post to a URL that its author has signed, and the browser adds the victim's cookies."""
    from botocore.auth import SigV4QueryAuth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    request = AWSRequest("POST", "http://testserver/uploads/7")
    SigV4QueryAuth(Credentials(*ADA), "docs", "us-east-1").add_auth(request)
    target = request.url.removeprefix("http://testserver")
    with project(guard, middleware=[*USUAL, CSRF]):
        assert _posted(Client(enforce_csrf_checks=True), {}, target) == 403
        assert _posted(Client(), {}, target) == 200


# --- bodies ---


@pytest.mark.usefixtures("chosen")
def test_signed_form_is_parsed(sign: Sign) -> None:
    """After it was read for its hash."""
    body, kind = b"title=annual", {"content-type": "application/x-www-form-urlencoded"}
    headers = sign(ADA, "POST", "/forms/7", body=body, headers=kind)
    client = Client()
    answer = client.generic("POST", "/forms/7", body, headers=headers, content_type=kind["content-type"])
    assert answer.content == b"annual"


def test_chunks_are_decoded_for_the_view(small: Guard) -> None:
    """With the headers of the content; `unsigned_payload` as elsewhere."""
    headers, parts = chunked("/unsigned/7", UNSIGNED_TRAILER)
    body = b"".join(parts)
    del headers["Transfer-Encoding"]
    with project(small, ROOT_URLCONF=__name__):
        answer = Client().generic("PUT", "/unsigned/7", body, headers=headers)
        assert json.loads(answer.content)["size"] == len(b"".join(CONTENT))
        refused = Client().generic("PUT", "/forms/7", b"x", headers=headers_of("/forms/7", "UNSIGNED-PAYLOAD"))
        assert (refused.status_code, refused.json()["code"]) == (401, "IncompleteSignature")


def test_outer_middleware_may_read_the_body(guard: Guard, sign: Sign) -> None:
    """Completely; after parsing multipart data, there is nothing left to verify."""
    parts = b'--b\r\ncontent-disposition: form-data; name="title"\r\n\r\nannual\r\n--b--\r\n'
    for before, kind, body, status in (
        (reading, "application/x-www-form-urlencoded", b"title=annual", 200),
        (parsing, "multipart/form-data; boundary=b", parts, 500),
    ):
        chosen = [f"{__name__}.{before.__name__}", *urls.GUARDED]
        with project(None, middleware=chosen, IAM_GUARD={"guard": guard}, ROOT_URLCONF=__name__):
            headers = sign(ADA, "POST", "/forms/7", body=body, headers={"content-type": kind})
            client = Client(raise_request_exception=False)
            answer = client.generic("POST", "/forms/7", body, headers=headers, content_type=kind)
            assert answer.status_code == status


# --- around the guard ---


@pytest.mark.parametrize(("status", "answered"), [(200, 500), (403, 403), (503, 503), (302, 500)])
def test_response_replacing_the_view_is_undecided(guard: Guard, status: int, answered: int) -> None:
    """Errors may come from any middleware."""
    with project(guard, middleware=[f"{__name__}.answering_middleware"]):
        assert Client().get(f"/documents/7?status={status}").status_code == answered


def test_debug_mode_has_the_same_errors(guard: Guard, audit_file: Path) -> None:
    """Django's debug page is for errors of the project."""
    with project(guard, DEBUG=True):
        client = Client()
        assert client.get("/documents/7").json()["code"] == "MissingAuthenticationToken"
        missing = client.get("/shared/missing")
        assert missing.status_code == 401
    records = list(read_records(audit_file))
    assert records[-1]["requestID"] == missing.headers["x-amzn-requestid"]


# --- settings ---


def test_public_views_are_set_by_name(guard: Guard) -> None:
    """By view name or by namespace."""
    with project(guard, ROOT_URLCONF=__name__, IAM_GUARD={"guard": guard, "public_views": ["page", "others:*"]}):
        client = Client()
        assert [client.get(each).status_code for each in ("/page", "/others/", "/others/deep/")] == [200, 200, 200]
    with project(guard, ROOT_URLCONF=__name__, IAM_GUARD={"guard": guard, "public_views": ["others:index"]}):
        client = Client(raise_request_exception=False)
        assert [client.get(each).status_code for each in ("/page", "/others/", "/others/deep/")] == [500, 200, 500]


def test_public_namespace_includes_unnamed_views(guard: Guard) -> None:
    """The admin site has some; Django and the check identify them by the function."""
    unnamed = [path("function", page), path("class", RedirectView.as_view(url="/"))]
    setting = {"guard": guard, "public_views": ["others:*"]}
    with project(guard, ROOT_URLCONF=(path("others/", include((unnamed, "others"))),), IAM_GUARD=setting):
        assert [Client().get(f"/others/{each}").status_code for each in ("function", "class")] == [200, 302]
        assert {each.guards for each in inventory()} == {("public",)}


def named_guard() -> Guard:
    assert _named is not None
    return _named


_named: Guard | None = None


def test_guard_is_opened_with_the_first_request(guard: Guard, sign: Sign) -> None:
    """From a function or its name; so that servers may fork before."""
    global _named
    with project(guard, IAM_GUARD={"guard": f"{__name__}.named_guard"}):
        client = Client()
        _named = guard
        assert client.get("/documents/7", headers=sign(RITA, "GET", "/documents/7")).status_code == 200


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (None, "expected a setting"),
        ({}, "expected a setting"),
        ({"guard": "x.y", "guards": 1}, "unknown key `guards`, did you mean `guard`"),
        ({"guard": "x.y", "refusal": "no.such"}, "expected an importable name, got `no.such`"),
        ({"guard": "x.y", "public_views": "page"}, "expected a list of view names"),
        ({"guard": "x.y", "public_views": ["*"]}, "expected a list of view names"),
    ],
)
def test_invalid_setting_is_reported(guard: Guard, setting: Any, message: str) -> None:
    """When the middleware is loaded, and by the check."""
    with project(guard, IAM_GUARD=setting):
        with pytest.raises(ConfigurationError, match=message):
            load_options()
        found = [run_check.id for run_check in run_checks(tags=["security"])]
        assert [each for each in found if each.startswith("iam_guard")] == ["iam_guard.E001"]


@pytest.mark.parametrize("named", ["no.such.guard", f"{__name__}.page", object()])
def test_invalid_guard_denies_every_request(guard: Guard, named: Any) -> None:
    with project(guard, IAM_GUARD={"guard": named}), pytest.raises((ConfigurationError, TypeError)):
        Client().get("/health")


# --- finding views ---


def test_check_reports_unguarded_views(guard: Guard) -> None:
    """`manage.py check` fails; a guarded project passes."""

    def found() -> list[str]:
        return [f"{run_check.id} {run_check.msg}" for run_check in run_checks() if run_check.id.startswith("iam_guard")]

    with project(guard):
        assert found() == [
            "iam_guard.E003 the view ANY /forgotten (forgotten) is neither guarded nor public",
            "iam_guard.E003 the view ANY /mounted/forgotten (forgotten) is neither guarded nor public",
        ]
    with project(guard, ROOT_URLCONF=tuple(guarded)):
        assert found() == []
    with project(None, IAM_GUARD={"guard": guard}, ROOT_URLCONF=tuple(guarded)):
        assert found() == ["iam_guard.E002 the views have no guard middleware"]


def test_check_reports_misspelt_declarations(guard: Guard) -> None:
    """A parameter that the route and the view don't have, and a service that the guard doesn't have."""

    def view(request: Any) -> HttpResponse:
        return HttpResponse()

    for service, template, message in (
        ("docs", "document/{id}", "expected the parameter `id` of the route or the handler, got `document_id`"),
        ("dosc", "document/{document_id}", "expected the service `dosc` of the handlers among the guard's services"),
    ):
        patterns = (path("<int:document_id>", requires(f"{service}:GetDocument", resource=template)(view)),)
        with project(guard, ROOT_URLCONF=patterns):
            [error] = [found for found in run_checks() if found.id == "iam_guard.E001"]
        assert message in error.msg


def test_inventory_has_the_guards_of_views(guard: Guard) -> None:
    """A row for each function, and for each method of a class."""
    reads, writes = ("docs:GetDocument on document/{document_id}",), ("docs:PutDocument on document/{document_id}",)
    with project(guard, ROOT_URLCONF=__name__, IAM_GUARD={"guard": guard, "public_views": ["page"]}):
        rows = {(each.path, each.methods): each.guards for each in inventory()}
    assert rows["/documents/<document_id>", ("GET",)] == reads
    assert rows["/documents/<document_id>", ("PUT",)] == writes
    assert rows["/dispatched/<document_id>", ()] == writes
    assert rows["/half/<document_id>", ("DELETE",)] == ()
    assert rows["/mounted/documents/<document_id>", ()] == reads
    assert rows["/page", ()] == ("public",)
    assert rows["/others/", ()] == ()
    assert rows["/health", ()] == ("public",)
