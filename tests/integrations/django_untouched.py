"""The project of the contract with undecorated views, and its route map."""

from __future__ import annotations

import inspect
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path, re_path
from django.views import View

from iam_guard import RouteMap
from tests.integrations import django_project as decorated
from tests.integrations.application import ARN, answer, docs, scenario_map


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
    """Return a view without its decorators."""
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
    """Return the route map that replaces the decorators of `django_project`."""
    names = ("documents", "raising", "streams", "who", "who-sync", "class", "^mounted/documents")
    shared = r"/^shared/(?P<document_id>[^/]{1,40})$"
    return scenario_map(*names, document="<str:document_id>", shared=shared)
