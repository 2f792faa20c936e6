"""Django holds the whole contract by its adapter, over WSGI and over ASGI."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from tests.integrations.contract import Adapter, Answer, Contract, Send, Sent, needed, through_starlette

needed("django", "rest_framework", "waitress", "iam_guard_django")

from django.core.handlers.asgi import ASGIHandler  # noqa: E402
from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.test import Client  # noqa: E402

from iam_guard import Guard  # noqa: E402
from tests.integrations.django_project import project  # noqa: E402
from tests.serving import serving  # noqa: E402
from tests.wsgi_serving import by_waitress  # noqa: E402


class Project(NamedTuple):
    """A project of Django is its settings; an application made of it lives while they are chosen."""

    guard: Guard | None


LACKS = {
    "websocket": "Django has no WebSockets",
    "cors": "Django has no CORS of its own",
    "background": "Django's tasks run in other processes",
}


def _answer(response: Any) -> Answer:
    content = b"".join(response) if response.streaming else response.content
    return Answer(response.status_code, {name.lower(): value for name, value in response.items()}, content)


@contextmanager
def call(app: Project) -> Iterator[Send]:
    """Call the project by Django's test client."""
    client = Client(raise_request_exception=False)

    def send(sent: Sent) -> Answer:
        given = {"REQUEST_URI": sent.target, "headers": dict(sent.headers), "content_type": None}
        return _answer(client.generic(sent.method, sent.target, sent.body, **given))

    with project(app.guard):
        yield send


@contextmanager
def call_asgi(app: Project) -> Iterator[Send]:
    """Call the project by Starlette's test client, since Django's asynchronous one sends no path as it was written."""
    with project(app.guard), through_starlette(ASGIHandler()) as send:
        yield send


@contextmanager
def serve(app: Project) -> Iterator[str]:
    with project(app.guard), by_waitress(WSGIHandler()) as address:
        yield address


@contextmanager
def serve_asgi(app: Project) -> Iterator[str]:
    with project(app.guard), serving(ASGIHandler()) as address:
        yield address


class TestDjango(Contract):
    adapter = Adapter(Project, call, serve, LACKS)


class TestDjangoOverAsgi(Contract):
    adapter = Adapter(Project, call_asgi, serve_asgi, LACKS)
