"""iam_guard: AWS-style access management for any Python service.

The public names. Each is imported on first use, so that `import iam_guard` loads no driver and no framework.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from iam_guard.api.authzen.app import authzen_api as authzen_api
    from iam_guard.api.protocol.app import aws_api as aws_api
    from iam_guard.clients import async_client as async_client
    from iam_guard.clients import client as client
    from iam_guard.clients import current_async_client as current_async_client
    from iam_guard.clients import current_client as current_client
    from iam_guard.errors import AccessDenied as AccessDenied
    from iam_guard.errors import IamGuardError as IamGuardError
    from iam_guard.errors import NotFilterable as NotFilterable
    from iam_guard.evaluation.authorizer import Authorizer as Authorizer
    from iam_guard.evaluation.authorizer import compile_policies as compile_policies
    from iam_guard.factory import open_guard as open_guard
    from iam_guard.filters.statement_filter import filter_statement as filter_statement
    from iam_guard.filters.tags import TagRows as TagRows
    from iam_guard.guard.guard import Guard as Guard
    from iam_guard.model.decision import Decision as Decision
    from iam_guard.model.decision import Outcome as Outcome
    from iam_guard.model.principal import Principal as Principal
    from iam_guard.model.request import AccessRequest as AccessRequest
    from iam_guard.model.request import Resource as Resource
    from iam_guard.web.asgi.csrf_token_endpoint import csrf_token_endpoint as csrf_token_endpoint
    from iam_guard.web.asgi.middleware import GuardMiddleware as GuardMiddleware
    from iam_guard.web.asgi.permissions_endpoint import permissions_endpoint as permissions_endpoint
    from iam_guard.web.asgi.routes import inventory as inventory
    from iam_guard.web.browser.csrf_tokens import csrf_token_headers as csrf_token_headers
    from iam_guard.web.browser.csrf_tokens import current_csrf_token as current_csrf_token
    from iam_guard.web.call_context import current_decision as current_decision
    from iam_guard.web.call_context import current_principal as current_principal
    from iam_guard.web.endpoints import Endpoint as Endpoint
    from iam_guard.web.openapi import describe_openapi as describe_openapi
    from iam_guard.web.requirement import RequirementOptions as RequirementOptions
    from iam_guard.web.route_maps.route_map import RouteMap as RouteMap
    from iam_guard.web.route_maps.route_map_files import read_route_map as read_route_map
    from iam_guard.web.service import Service as Service
    from iam_guard.web.service import public as public
    from iam_guard.web.service import requires as requires
    from iam_guard.web.wsgi.middleware import GuardWsgiMiddleware as GuardWsgiMiddleware

_MODULES = {
    "AccessDenied": "errors",
    "AccessRequest": "model.request",
    "Authorizer": "evaluation.authorizer",
    "Decision": "model.decision",
    "Endpoint": "web.endpoints",
    "Guard": "guard.guard",
    "GuardMiddleware": "web.asgi.middleware",
    "GuardWsgiMiddleware": "web.wsgi.middleware",
    "IamGuardError": "errors",
    "NotFilterable": "errors",
    "Outcome": "model.decision",
    "Principal": "model.principal",
    "RequirementOptions": "web.requirement",
    "Resource": "model.request",
    "RouteMap": "web.route_maps.route_map",
    "Service": "web.service",
    "TagRows": "filters.tags",
    "async_client": "api.async_client",
    "authzen_api": "api.authzen.app",
    "aws_api": "api.protocol.app",
    "client": "api.client",
    "compile_policies": "evaluation.authorizer",
    "csrf_token_endpoint": "web.asgi.csrf_token_endpoint",
    "csrf_token_headers": "web.browser.csrf_tokens",
    "current_async_client": "api.async_client",
    "current_client": "api.client",
    "current_csrf_token": "web.browser.csrf_tokens",
    "current_decision": "web.call_context",
    "current_principal": "web.call_context",
    "describe_openapi": "web.openapi",
    "filter_statement": "filters.statement_filter",
    "inventory": "web.asgi.routes",
    "open_guard": "factory",
    "permissions_endpoint": "web.asgi.permissions_endpoint",
    "public": "web.service",
    "read_route_map": "web.route_maps.route_map_files",
    "requires": "web.service",
}

__all__ = [*sorted(_MODULES), "__version__"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("iam-guard")
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module `iam_guard` has no attribute `{name}`")
    value = getattr(import_module(f"iam_guard.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
