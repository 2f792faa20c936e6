"""iam_guard: AWS-style access management for any Python service.

The public names. Each is imported on first use, so that `import iam_guard` loads no driver and no framework.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from iam_guard.imports import public_names

_MODULES = {
    "api.async_client": "async_client current_async_client",
    "api.authzen.app": "authzen_api",
    "api.client": "client current_client",
    "api.protocol.app": "aws_api",
    "errors": "AccessDenied IamGuardError NotFilterable",
    "evaluation.authorizer": "Authorizer compile_policies",
    "factory": "guard_with_store open_guard",
    "filters.statement_filter": "filter_statement",
    "filters.tags": "TagRows",
    "guard.guard": "Guard",
    "model.decision": "Decision Outcome",
    "model.principal": "Principal",
    "model.request": "AccessRequest Resource",
    "web.asgi.csrf_token_endpoint": "csrf_token_endpoint",
    "web.asgi.middleware": "GuardMiddleware",
    "web.asgi.permissions_endpoint": "permissions_endpoint",
    "web.asgi.routes": "inventory unguarded",
    "web.browser.csrf_tokens": "csrf_token_headers current_csrf_token",
    "web.call_context": "current_call current_decision current_principal",
    "web.denial_explanations": "problem_explained",
    "web.endpoints": "Endpoint",
    "web.openapi": "describe_openapi",
    "web.refusal": "encoded_message problem_with_message",
    "web.requirement": "RequirementOptions",
    "web.route_maps.route_map": "RouteMap",
    "web.route_maps.route_map_files": "read_route_map",
    "web.service": "Service public requires",
    "web.wsgi.middleware": "GuardWsgiMiddleware",
}

_names, _import_name, _listed_names = public_names(__name__, _MODULES)
__all__ = [*_names, "__version__"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("iam-guard")
    return _import_name(name)


def __dir__() -> list[str]:
    return [*_listed_names(), "__version__"]
