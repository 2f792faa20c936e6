"""What an OpenAPI document says about access: how callers sign in, what each operation asks for, how it refuses.

Works on the document as a framework made it and on the inventory of its endpoints, so that every framework's document
says it in the same words; nothing that the document says already is overwritten. `x-iam-action` and `x-iam-resource`
are extensions of OpenAPI.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any, Final

from iam_guard.web.endpoints import Endpoint
from iam_guard.web.requirement import PUBLIC, Requirement

PROBLEM: Final = "IamGuardProblem"
"""The name of the schema of refusals."""

_CONVERTOR: Final = re.compile(r"\{([^{}:]+):[^{}]*\}")  # `{path:path}` of a route is `{path}` of the document

SECURITY_SCHEMES: Final[Mapping[str, Mapping[str, str]]] = {
    "sigv4": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "x-amazon-apigateway-authtype": "awsSigv4",
        "description": "AWS Signature Version 4, as every AWS SDK makes it; a presigned URL is one too",
    },
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key, or a token of an identity provider",
    },
    "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "An API key"},
}
"""The ways to sign in; a request has one of them."""

_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Refusal",
    "description": "Why a request was refused (RFC 9457)",
    "type": "object",
    "required": ["type", "title", "status", "code", "detail", "requestId"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string", "description": "The phrase of the status"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "The error code of AWS", "examples": ["AccessDenied"]},
        "detail": {"type": "string", "description": "What was not allowed, in the words of AWS"},
        "requestId": {"type": "string", "description": "The id of the request in the audit trail"},
        "encodedMessage": {"type": "string", "description": "Why, for those who may decode it with STS"},
    },
}

_REFUSALS: Final[Mapping[str, str]] = {
    "401": "The request carries no credentials, or bad ones",
    "403": "The caller is known, and not allowed to do this",
    "404": "There is no such resource, or the caller may not know of it",
    "503": "No decision can be made at the moment",
}


def describe_openapi(document: Mapping[str, Any], endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """Return the document with what guards its operations: `security`, refusals, `x-iam-action` and `x-iam-resource`.

    `endpoints` is the inventory of the application; an operation that is in none of its rows stays as it is.
    """
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
                _describe(operation, endpoint.requirements)
            elif PUBLIC in endpoint.guards:
                operation.setdefault("security", [])
    if is_guarded:
        components = described.setdefault("components", {})
        schemes = components.setdefault("securitySchemes", {})
        components["securitySchemes"] = {**{name: dict(each) for name, each in SECURITY_SCHEMES.items()}, **schemes}
        components.setdefault("schemas", {}).setdefault(PROBLEM, deepcopy(dict(_SCHEMA)))
    return described


def _describe(operation: dict[str, Any], requirements: tuple[Requirement, ...]) -> None:
    operation.setdefault("security", [{name: []} for name in SECURITY_SCHEMES])
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
