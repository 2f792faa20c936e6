"""Add authentication and authorization to an OpenAPI document.

Completes the document of any framework from the inventory of its endpoints; existing members are not overwritten.
`x-iam-action` and `x-iam-resource` are extensions of OpenAPI.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any, Final

from iam_guard.authn.tokens.session_cookie import COOKIE
from iam_guard.web.endpoints import Endpoint
from iam_guard.web.requirement import PUBLIC, Requirement

PROBLEM: Final = "IamGuardProblem"
"""The name of the schema of error responses."""

_CONVERTOR: Final = re.compile(r"\{([^{}:]+):[^{}]*\}")  # `{path:path}` of a route is `{path}` of the document

SECURITY_SCHEMES: Final[Mapping[str, Mapping[str, str]]] = {
    "sigv4": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "x-amazon-apigateway-authtype": "awsSigv4",
        "description": "AWS Signature Version 4, as created by every AWS SDK, in a header or a presigned URL",
    },
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key, or an identity provider's token",
    },
    "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "An API key"},
}
"""The alternative ways to authenticate."""

SESSION_SCHEME: Final[Mapping[str, Mapping[str, str]]] = {
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": "The session of a person who has signed in; changes are accepted from this site's own pages, "
        "and with the session's token in the header x-csrf-token",
    },
}
"""A further way, where people sign in with a browser."""

_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Refusal",
    "description": "Why a request was refused (RFC 9457)",
    "type": "object",
    "required": ["type", "title", "status", "code", "detail", "requestId"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string", "description": "The reason phrase of the status"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "AWS's error code", "examples": ["AccessDenied"]},
        "detail": {"type": "string", "description": "AWS's error message"},
        "requestId": {"type": "string", "description": "The id of the request in the audit trail"},
        "encodedMessage": {"type": "string", "description": "The reason, for STS DecodeAuthorizationMessage"},
    },
}

_REFUSALS: Final[Mapping[str, str]] = {
    "401": "Missing or invalid credentials",
    "403": "The caller is authenticated, but not authorized",
    "404": "The resource does not exist, or is concealed from the caller",
    "503": "No decision is possible at the moment",
}


def describe_openapi(
    document: Mapping[str, Any], endpoints: Iterable[Endpoint], *, sign_in: bool = False
) -> dict[str, Any]:
    """Return the document with `security`, error responses, `x-iam-action` and `x-iam-resource` of its operations.

    `endpoints` is the inventory of the application; operations that are not in it stay unchanged. `sign_in` says that
    people sign in with a browser (the setting `sign_in_url`): then the session cookie is a security scheme, too.
    """
    own_schemes = {**SECURITY_SCHEMES, **SESSION_SCHEME} if sign_in else SECURITY_SCHEMES
    described: dict[str, Any] = deepcopy(dict(document))
    paths = described.get("paths") or {}
    is_guarded = False
    for endpoint in endpoints:
        path = paths.get(_CONVERTOR.sub(r"{\1}", endpoint.path))
        for method in endpoint.methods:
            operation = None if path is None else path.get(method.lower())
            if operation is None:
                continue
            if endpoint.requirements:
                is_guarded = True
                _describe(operation, endpoint.requirements, own_schemes)
            elif PUBLIC in endpoint.guards:
                operation.setdefault("security", [])
    if is_guarded:
        components = described.setdefault("components", {})
        schemes = components.setdefault("securitySchemes", {})
        components["securitySchemes"] = {**{name: dict(scheme) for name, scheme in own_schemes.items()}, **schemes}
        components.setdefault("schemas", {}).setdefault(PROBLEM, deepcopy(dict(_SCHEMA)))
    return described


def _describe(operation: dict[str, Any], requirements: tuple[Requirement, ...], schemes: Iterable[str]) -> None:
    operation.setdefault("security", [{name: []} for name in schemes])
    actions = [requirement.action for requirement in requirements]
    resources = [requirement.template.text for requirement in requirements if requirement.template is not None]
    operation.setdefault("x-iam-action", actions[0] if len(actions) == 1 else actions)
    if resources:
        operation.setdefault("x-iam-resource", resources[0] if len(actions) == 1 else resources)
    may_be_missing = any(requirement.conceal or requirement.loader is not None for requirement in requirements)
    responses = operation.setdefault("responses", {})
    for status, description in _REFUSALS.items():
        if status != "404" or may_be_missing:
            responses.setdefault(status, _response(status, description))


def _response(status: str, description: str) -> dict[str, Any]:
    text = {"schema": {"type": "string"}}
    headers = {"x-amzn-requestid": text, **({"www-authenticate": text} if status == "401" else {})}
    content = {"application/problem+json": {"schema": {"$ref": f"#/components/schemas/{PROBLEM}"}}}
    return {"description": description, "headers": headers, "content": content}
