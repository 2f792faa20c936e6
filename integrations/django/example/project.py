"""A guarded Django project with two tenants, in one file. `python project.py` sends some requests to it.

`python project.py runserver` serves it, `python project.py check` reports unguarded views.
"""

from __future__ import annotations

import sys
from pathlib import Path

import django
from django.conf import settings

from iam_guard import Guard, Service, current_principal, open_guard, public
from iam_guard.authn import format_api_key

docs = Service("docs")
DOCUMENTS: dict[tuple[str, str], str] = {}


def guard() -> Guard:
    """Open the guard; called with the first request."""
    return open_guard(Path(__file__).with_name("iam.yaml"), services=[docs])


settings.configure(
    ALLOWED_HOSTS=["*"],
    DEBUG=True,
    IAM_GUARD={"guard": guard},
    INSTALLED_APPS=["iam_guard_django"],
    MIDDLEWARE=[
        "iam_guard_django.GuardMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
    ],
    ROOT_URLCONF=__name__,
    SECRET_KEY="example",  # noqa: S106  not used for signing
)
django.setup()

from django.core.management import execute_from_command_line  # noqa: E402
from django.http import HttpRequest, HttpResponse, JsonResponse  # noqa: E402
from django.test import Client  # noqa: E402
from django.urls import path  # noqa: E402
from django.views import View  # noqa: E402
from iam_guard_django.views import inventory  # noqa: E402


class Documents(View):  # type: ignore[misc]  # Django has no types
    """Documents of the caller's own account."""

    @docs.requires("GetDocument", resource="document/{document_id}")
    async def get(self, request: HttpRequest, document_id: str) -> HttpResponse:
        """Return a document."""
        account = current_principal().account or ""
        return JsonResponse({"account": account, "text": DOCUMENTS.get((account, document_id), "")})

    @docs.requires("PutDocument", resource="document/{document_id}")
    async def put(self, request: HttpRequest, document_id: str) -> HttpResponse:
        """Write a document."""
        account = current_principal().account or ""
        DOCUMENTS[account, document_id] = request.body.decode()
        return JsonResponse({"account": account, "text": request.body.decode()})


@public
def health(request: HttpRequest) -> HttpResponse:
    """Answer without authentication."""
    return HttpResponse("ok")


urlpatterns = [path("documents/<document_id>", Documents.as_view()), path("health", health)]

CALLERS = {
    "ada of acme": format_api_key("ADAS", "adasecret00123456789abcdefghijklmnopqrst"),
    "rita of acme": format_api_key("RITA", "ritasecret0123456789abcdefghijklmnopqrst"),
    "gus of globex": format_api_key("GUSS", "gussecret00123456789abcdefghijklmnopqrst"),
}


def main() -> None:
    """Print the guards of the views, and the results of some requests."""
    for endpoint in inventory():
        print(f"{endpoint!s:55} {', '.join(endpoint.guards)}")
    client = Client()
    for caller, key in CALLERS.items():
        headers = {"authorization": f"Bearer {key}"}
        for method, body in (("PUT", b"draft"), ("GET", b"")):
            answer = client.generic(method, "/documents/7", body, headers=headers)
            print(f"{caller:15} {method:4} {answer.status_code} {answer.content.decode()}")
    print(f"{'anonymous':15} GET  {client.get('/documents/7').status_code}")


if __name__ == "__main__":
    main() if len(sys.argv) == 1 else execute_from_command_line(sys.argv)
