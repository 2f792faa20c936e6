"""The contract for the Django adapter: WSGI and ASGI, decorators and a route map."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

from tests.integrations.contract import Adapter, Answer, Contract, Send, Sent, needed, through_starlette

needed("django", "rest_framework", "waitress", "iam_guard_django")

from django.core.handlers.asgi import ASGIHandler  # noqa: E402
from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.test import Client  # noqa: E402

from iam_guard import Guard, RouteMap  # noqa: E402
from tests.integrations import django_project, django_untouched  # noqa: E402
from tests.integrations.django_project import project  # noqa: E402
from tests.serving import serving  # noqa: E402
from tests.wsgi_serving import by_waitress  # noqa: E402


class Project(NamedTuple):
    """A project of Django is its settings; an application made of it lives while they are chosen."""

    guard: Guard | None
    urls: str = django_project.__name__
    routes: RouteMap | None = None

    def chosen(self) -> AbstractContextManager[None]:
        return project(self.guard, routes=self.routes, ROOT_URLCONF=self.urls)


def by_map(guard: Guard | None) -> Project:
    return Project(guard, django_untouched.__name__, django_untouched.the_map())


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
    """Call the project with Django's test client."""
    client = Client(raise_request_exception=False)

    def send(sent: Sent) -> Answer:
        extra = {"REQUEST_URI": sent.target, "headers": dict(sent.headers), "content_type": None}
        return _answer(client.generic(sent.method, sent.target, sent.body, **extra))

    with app.chosen():
        yield send


@contextmanager
def call_asgi(app: Project) -> Iterator[Send]:
    """Call the project with Starlette's test client, as Django's asynchronous one sends no raw path."""
    with app.chosen(), through_starlette(ASGIHandler()) as send:
        yield send


@contextmanager
def serve(app: Project) -> Iterator[str]:
    with app.chosen(), by_waitress(WSGIHandler()) as address:
        yield address


@contextmanager
def serve_asgi(app: Project) -> Iterator[str]:
    with app.chosen(), serving(ASGIHandler()) as address:
        yield address


class TestDjango(Contract):
    adapter = Adapter(Project, call, serve, LACKS)


class TestDjangoOverAsgi(Contract):
    adapter = Adapter(Project, call_asgi, serve_asgi, LACKS)


class ByMap(Contract):
    """The same with views as they came."""

    def test_missing_middleware_denies_every_caller(self) -> None:
        """Not with a map: the middleware enforces it, and the views are undecorated."""
        with self.adapter.call(self.adapter.build(None)) as send:
            assert send(Sent("GET", "/health", {}, b"")).status == 200


class TestDjangoByMap(ByMap):
    adapter = Adapter(by_map, call, serve, LACKS)


class TestDjangoByMapOverAsgi(ByMap):
    adapter = Adapter(by_map, call_asgi, serve_asgi, LACKS)
