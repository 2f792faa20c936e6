"""The application of the contract as a Django project: settings, views, URL patterns. `project(guard)` selects them.

Django's settings are process-wide, so every test that needs Django uses this module.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import django
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.test import override_settings
from django.urls import include, path
from django.views import View
from django.views.decorators.http import require_http_methods

from iam_guard import Guard, RouteMap, public
from tests.integrations.application import (
    ARN,
    SECRET,
    STREAMED,
    answer,
    barrier,
    docs,
    load_document,
    received,
)

DOCUMENT = "document/{document_id}"
GUARDED: Final = ("iam_guard_django.GuardMiddleware",)
USUAL: Final = ("django.middleware.common.CommonMiddleware",)

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        APPEND_SLASH=True,
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        INSTALLED_APPS=["iam_guard_django", "rest_framework"],
        LOGGING_CONFIG=None,
        MIDDLEWARE=[*GUARDED, *USUAL],
        REST_FRAMEWORK={"UNAUTHENTICATED_USER": None},
        ROOT_URLCONF=__name__,
        SECRET_KEY="of the tests",
        USE_TZ=True,
    )
    django.setup()


@contextmanager
def project(
    guard: Guard | None, *, middleware: Sequence[str] = USUAL, routes: RouteMap | str | None = None, **more: Any
) -> Iterator[None]:
    """Apply the settings, with the guard as outermost middleware, or without one."""
    setting: Mapping[str, Any] = {} if guard is None else {"guard": guard, "routes": routes}
    options = {"IAM_GUARD": setting, "MIDDLEWARE": [*(GUARDED if guard else ()), *middleware], **more}
    with override_settings(**options):
        yield


@public
def health(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


def forgotten(request: HttpRequest) -> HttpResponse:
    return HttpResponse(SECRET)


@docs.requires("GetDocument", resource=DOCUMENT)
async def get_document(request: HttpRequest, document_id: str) -> HttpResponse:
    return JsonResponse(answer(document_id))


@docs.requires("PutDocument", resource=DOCUMENT)
def put_document(request: HttpRequest, document_id: str) -> HttpResponse:
    return JsonResponse(answer(document_id))


@docs.requires("DeleteDocument", resource=DOCUMENT, conceal=True)
def delete_document(request: HttpRequest, document_id: str) -> HttpResponse:
    return HttpResponse(status=204)


class Documents(View):
    """Serve all methods of a path, which share one view in Django."""

    @docs.requires("GetDocument", resource=DOCUMENT)
    def get(self, request: HttpRequest, document_id: str) -> HttpResponse:
        return JsonResponse(answer(document_id))

    @docs.requires("PutDocument", resource=DOCUMENT)
    def put(self, request: HttpRequest, document_id: str) -> HttpResponse:
        return JsonResponse(answer(document_id))

    @docs.requires("DeleteDocument", resource=DOCUMENT, conceal=True)
    def delete(self, request: HttpRequest, document_id: str) -> HttpResponse:
        return HttpResponse(status=204)


class AsyncDocuments(View):
    @docs.requires("GetDocument", resource=DOCUMENT)
    async def get(self, request: HttpRequest, document_id: str) -> HttpResponse:
        return JsonResponse(answer(document_id))

    @docs.requires("PutDocument", resource=DOCUMENT)
    async def put(self, request: HttpRequest, document_id: str) -> HttpResponse:
        return JsonResponse(answer(document_id))


@docs.requires("GetDocument", resource="file/{path}")
def get_file(request: HttpRequest, path: str) -> HttpResponse:
    return JsonResponse(answer(path))


@docs.requires("GetDocument", resource=load_document)
def get_shared(request: HttpRequest, document_id: str) -> HttpResponse:
    return JsonResponse(answer(document_id))


@public
def by_hand(request: HttpRequest, document_id: str) -> HttpResponse:
    docs.authorize("PutDocument", ARN + document_id)
    return JsonResponse(answer(document_id))


@docs.requires("GetDocument", resource=DOCUMENT)
def raising(request: HttpRequest, document_id: str) -> HttpResponse:
    raise RuntimeError(SECRET)


@require_http_methods(["POST"])
@docs.requires("PutDocument", resource=DOCUMENT)
def upload(request: HttpRequest, document_id: str) -> HttpResponse:
    return JsonResponse(received(b"".join(iter(lambda: request.read(1000), b""))))


@docs.requires("GetDocument", resource=DOCUMENT)
def stream(request: HttpRequest, document_id: str) -> HttpResponse:
    async def parts() -> AsyncIterator[bytes]:
        for part in STREAMED:
            yield part

    return StreamingHttpResponse(parts() if hasattr(request, "scope") else (part for part in STREAMED))


@docs.requires("GetDocument", resource=DOCUMENT)
async def who(request: HttpRequest, document_id: str) -> HttpResponse:
    await barrier.wait_async()
    return JsonResponse(answer(document_id))


@docs.requires("GetDocument", resource=DOCUMENT)
def who_sync(request: HttpRequest, document_id: str) -> HttpResponse:
    barrier.wait()
    return JsonResponse(answer(document_id))


mounted = [path("documents/<document_id>", get_document), path("forgotten", forgotten)]

urlpatterns = [
    path("health", health),
    path("forgotten", forgotten),
    path("documents/<document_id>", Documents.as_view()),
    path("files/<path:path>", get_file),
    path("shared/<document_id>", get_shared),
    path("by-hand/<document_id>", by_hand),
    path("raising/<document_id>", raising),
    path("class/<document_id>", AsyncDocuments.as_view()),
    path("uploads/<document_id>", upload),
    path("streams/<document_id>", stream),
    path("who/<document_id>", who),
    path("who-sync/<document_id>", who_sync),
    path("mounted/", include((mounted, "mounted"))),
]
