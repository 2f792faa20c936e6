"""Errors of the pages are pages, too; and a crowd that signs in does not take the threads of the application."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from iam_guard import GuardMiddleware, aws_api, public
from iam_guard.authn.people.passwords import passwords
from iam_guard.authn.people.passwords.passwords import PasswordHasher
from iam_guard.authn.tokens.session_cookie import csrf_token
from iam_guard.console import password_queue
from iam_guard.console.sign_in_app import beside_api, sign_in_pages
from iam_guard.console.visit import HEADERS
from iam_guard.errors import StoreUnavailable
from tests.console.site import PASSWORD, Site

FORM_COOKIE = "A" * 43
CROWD = 200
FORM = {"csrf_token": csrf_token(FORM_COOKIE), "account": "acme", "username": "eve", "password": PASSWORD}
COOKIE = {"cookie": f"iam-guard-dev-form={FORM_COOKIE}"}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.guard.close()


@pytest.fixture
def hashing(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Let hashes wait until the event is set."""
    may_go_on, derive = threading.Event(), passwords._derive

    def waiting(*arguments: Any) -> str:
        assert may_go_on.wait(60)
        return derive(*arguments)

    monkeypatch.setattr(passwords, "_derive", waiting)
    yield may_go_on
    may_go_on.set()


@public
def plain(request: Request) -> Response:
    """Answer in a thread, as handlers that are no coroutines do."""
    return PlainTextResponse("plain")


def behind_guard(site: Site) -> ASGIApp:
    return site.app


def beside_the_api(site: Site) -> ASGIApp:
    return beside_api(site.guard, aws_api(site.guard))


def alone(site: Site) -> ASGIApp:
    return Starlette(routes=[Mount("/signin", sign_in_pages(site.guard))])


APPLICATIONS = [behind_guard, beside_the_api, alone]
Application = Callable[[Site], ASGIApp]


def assert_is_page(answer: Any) -> None:
    assert {name: answer.headers[name] for name in HEADERS} == dict(HEADERS)
    assert "<main>" in answer.text


@pytest.mark.parametrize("application", APPLICATIONS)
def test_busy_sign_in_answers_503_with_retry_after(
    application: Application, site: Site, hashing: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a hash waits too long for the others."""
    client = TestClient(application(site), base_url="http://localhost")
    first = site.guard.people.sign_in._steps.hasher._threads.submit(hashing.wait, 60)
    monkeypatch.setattr(passwords, "MAX_WAIT", 0.0)
    answer = client.post("/signin/", data=FORM, headers=COOKIE)
    hashing.set()
    assert first.result()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert_is_page(answer)


@asynccontextmanager
async def crowd(site: Site) -> AsyncIterator[tuple[httpx.AsyncClient, list[asyncio.Task[Any]]]]:
    """Let many people sign in, more than all threads of the pages, and wait until no further one gets a thread."""
    started: list[str] = []
    matches = PasswordHasher.matches

    def counting(hasher: PasswordHasher, password: str, digest: str | None) -> bool:
        started.append(password)
        return matches(hasher, password, digest)

    app = Starlette(routes=[Mount("/signin", sign_in_pages(site.guard)), Route("/plain", plain)])
    transport = httpx.ASGITransport(GuardMiddleware(app, guard=site.guard), client=("192.0.2.7", 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PasswordHasher, "matches", counting)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=60) as client:
            posts = [asyncio.ensure_future(client.post("/signin/", data=FORM, headers=COOKIE)) for _ in range(CROWD)]
            before = -1
            while before < len(started) or not started:
                before = len(started)
                await asyncio.sleep(0.3)
            yield client, posts


def test_crowd_leaves_threads_to_other_handlers(
    site: Site, hashing: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And to the pages that hash nothing; all people are answered in the end."""
    monkeypatch.setattr(passwords, "MAX_WAIT", 300.0)
    monkeypatch.setattr(password_queue, "MAX_WAIT", 300.0)

    async def run() -> set[int]:
        async with crowd(site) as (client, posts):
            try:
                assert (await asyncio.wait_for(client.get("/plain"), 30)).text == "plain"
                for path in ("/signin/", "/signin/password", "/signin/style.css"):
                    assert (await asyncio.wait_for(client.get(path), 30)).status_code in (200, 303)
            finally:
                hashing.set()
            return {answer.status_code for answer in await asyncio.gather(*posts)}

    assert asyncio.run(run()) == {400}


def test_people_who_wait_too_long_get_503(
    site: Site, hashing: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are answered once there are hashes again."""
    monkeypatch.setattr(password_queue, "MAX_WAIT", 300.0)

    async def run() -> tuple[int, set[int]]:
        async with crowd(site) as (client, posts):
            monkeypatch.setattr(password_queue, "MAX_WAIT", 0.0)
            late = await client.post("/signin/", data=FORM, headers=COOKIE)
            hashing.set()
            return late.status_code, {answer.status_code for answer in await asyncio.gather(*posts)}

    assert asyncio.run(run()) == (503, {400})


@pytest.mark.parametrize("application", APPLICATIONS)
def test_errors_are_pages(application: Application, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the headers of all pages, so that no site can show them in a frame; a guard answers 404 itself."""
    client = TestClient(application(site), base_url="http://localhost", raise_server_exceptions=False)
    for method, path, status in (("GET", "/signin/nothing", 404), ("PUT", "/signin/", 405)):
        answer = client.request(method, path)
        assert answer.status_code == status
        if application is not behind_guard or status != 404:
            assert_is_page(answer)
    for error, status in ((StoreUnavailable("secret reason"), 503), (RuntimeError("secret reason"), 500)):

        def fail(*_: Any, error: Exception = error, **__: Any) -> None:
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(site.guard.people.sign_in, "with_password", fail)
            answer = client.post("/signin/", data=FORM, headers=COOKIE)
        assert (answer.status_code, "secret" in answer.text) == (status, False)
        assert_is_page(answer)
