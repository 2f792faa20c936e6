"""The project of the contract with views as they came, and the route map that guards them."""

from __future__ import annotations

import inspect
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path, re_path
from django.views import View

from iam_guard import RouteMap
from tests.integrations import django_project as decorated
from tests.integrations.application import ARN, answer, docs, load_document


def health(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


def by_hand(request: HttpRequest, document_id: str) -> HttpResponse:
    docs.authorize("PutDocument", ARN + document_id)
    return JsonResponse(answer(document_id))


class Documents(View):
    def get(self, request: HttpRequest, document_id: str) -> HttpResponse:
        return JsonResponse(answer(document_id))

    def put(self, request: HttpRequest, document_id: str) -> HttpResponse:
        return JsonResponse(answer(document_id))

    def delete(self, request: HttpRequest, document_id: str) -> HttpResponse:
        return HttpResponse(status=204)


class AsyncDocuments(View):
    async def get(self, request: HttpRequest, document_id: str) -> HttpResponse:
        return JsonResponse(answer(document_id))

    async def put(self, request: HttpRequest, document_id: str) -> HttpResponse:
        return JsonResponse(answer(document_id))


def bare(view: Any) -> Any:
    """Give a view without its decorators."""
    return inspect.unwrap(view)


mounted = [path("documents/<document_id>", bare(decorated.get_document)), path("forgotten", decorated.forgotten)]

urlpatterns = [
    path("health", health),
    path("forgotten", decorated.forgotten),
    path("documents/<document_id>", Documents.as_view()),
    path("files/<path:path>", bare(decorated.get_file)),
    re_path(r"^shared/(?P<document_id>[^/]{1,40})$", bare(decorated.get_shared)),
    path("by-hand/<document_id>", by_hand),
    path("raising/<document_id>", bare(decorated.raising)),
    path("class/<document_id>", AsyncDocuments.as_view()),
    path("uploads/<document_id>", bare(decorated.upload)),
    path("streams/<document_id>", bare(decorated.stream)),
    path("who/<document_id>", bare(decorated.who)),
    path("who-sync/<document_id>", bare(decorated.who_sync)),
    re_path("^mounted/", include((mounted, "mounted"))),
]


def the_map() -> RouteMap:
    """Say of each pattern what the decorators of `django_project` say; both spellings of a parameter count."""
    routes = RouteMap(services=[docs])
    document = {"resource": decorated.DOCUMENT}
    for name in ("documents", "raising", "streams", "who", "who-sync", "class", "^mounted/documents"):
        routes.requires("GET", f"/{name}/{{document_id}}", "docs:GetDocument", **document)
    routes.requires("PUT", "/documents/{document_id}", "docs:PutDocument", **document)
    routes.requires("PUT", "/class/<document_id>", "docs:PutDocument", **document)
    routes.requires("POST", "/uploads/<str:document_id>", "docs:PutDocument", **document)
    routes.requires("DELETE", "/documents/{document_id}", "docs:DeleteDocument", conceal=True, **document)
    routes.requires("GET", "/files/<path:path>", "docs:GetDocument", resource="file/{path}")
    routes.requires("GET", r"/^shared/(?P<document_id>[^/]{1,40})$", "docs:GetDocument", resource=load_document)
    routes.public("GET", "/health")
    routes.public("GET", "/by-hand/{document_id}")
    return routes
