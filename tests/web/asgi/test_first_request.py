"""Without a lifespan, the first request checks what the start-up would have checked."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from iam_guard import Guard, GuardMiddleware, Service, public
from iam_guard.errors import ConfigurationError


@public
async def health(request: Request) -> Response:
    return PlainTextResponse("ok")


async def forgotten(request: Request) -> Response:
    return PlainTextResponse("secret")


@Service("unknown").requires("Get")
async def of_no_service(request: Request) -> Response:
    return PlainTextResponse("secret")


@Service("docs").requires("Get", resource="document/{document_id}")
async def without_its_parameter(request: Request) -> Response:
    return PlainTextResponse("secret")


def guarded(guard: Guard, *routes: Route, check_routes: bool = True) -> Starlette:
    middleware = Middleware(GuardMiddleware, guard=guard, check_routes=check_routes)
    return Starlette(routes=[Route("/health", health), *routes], middleware=[middleware])


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [(forgotten, "neither guarded nor public"), (without_its_parameter, "expected the parameter `document_id`")],
)
def test_first_request_refuses_what_the_start_up_refuses(guard: Guard, endpoint: Any, message: str) -> None:
    """Every request, until the application is right, not only those of the wrong endpoint."""
    client = TestClient(guarded(guard, Route("/wrong", endpoint)))
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=message):
            client.get("/health")
    with pytest.raises(ConfigurationError, match=message), client:
        pass


def test_missing_service_is_logged_with_the_first_request(guard: Guard, caplog: pytest.LogCaptureFixture) -> None:
    """Once; the start-up refuses it."""
    client = TestClient(guarded(guard, Route("/wrong", of_no_service)))
    with caplog.at_level(logging.ERROR, "iam_guard.web"):
        assert [client.get("/health").text for _ in range(2)] == ["ok", "ok"]
    [record] = caplog.records
    assert "served without start-up checks: expected the service `unknown`" in record.getMessage()
    with pytest.raises(ConfigurationError, match="the service `unknown`"), client:
        pass


def test_checked_application_is_checked_once(guard: Guard, caplog: pytest.LogCaptureFixture) -> None:
    """At start-up or with the first request; with `check_routes=False` it is a warning."""
    app = guarded(guard, Route("/wrong", forgotten), check_routes=False)
    with caplog.at_level(logging.WARNING, "iam_guard.web"), TestClient(app) as client:
        assert [client.get("/health").text for _ in range(2)] == ["ok", "ok"]
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "endpoints that are neither guarded nor public"
    ]


def test_mounted_application_is_checked_alone(guard: Guard) -> None:
    """The other routes of the application around it are not behind its guard; mounts get no lifespan."""
    outer = Starlette(routes=[Route("/wrong", forgotten), Mount("/docs", guarded(guard))])
    assert TestClient(outer).get("/docs/health").text == "ok"
    around = Starlette(
        routes=[Route("/wrong", forgotten), Mount("/docs", GuardMiddleware(guarded(guard), guard=guard))]
    )
    assert TestClient(around).get("/docs/health").text == "ok"
    wrong = Starlette(routes=[Mount("/docs", guarded(guard, Route("/wrong", forgotten)))])
    with pytest.raises(ConfigurationError, match=r"GET,HEAD /wrong \(forgotten\)"):
        TestClient(wrong).get("/docs/health")
