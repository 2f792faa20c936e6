"""Authorization in OpenAPI documents: what is added, and what stays unchanged."""

from __future__ import annotations

import json
from typing import Any

from iam_guard import Endpoint, Service, describe_openapi, public
from iam_guard.authn.tokens.session_cookie import COOKIE
from iam_guard.errors import AccessDenied
from iam_guard.web.endpoints import endpoint_row
from iam_guard.web.openapi import PROBLEM, SECURITY_SCHEMES
from iam_guard.web.refusal import problem

docs = Service("docs")


@docs.requires("GetDocument", resource="document/{document_id}")
def read() -> None: ...


@docs.requires("PutDocument")
def write() -> None: ...


@docs.requires("DeleteDocument", conceal=True)
def delete() -> None: ...


@public
def health() -> None: ...


def rows(*endpoints: Any, path: str = "/a") -> list[Endpoint]:
    return [endpoint_row(path, ("GET", "HEAD"), "a", *endpoints)]


def document(operation: dict[str, Any] | None = None, path: str = "/a", **more: Any) -> dict[str, Any]:
    return {"openapi": "3.1.0", "paths": {path: {"get": operation or {}}}, **more}


def test_guarded_operation_has_its_action() -> None:
    described = describe_openapi(document(), rows(read))
    operation = described["paths"]["/a"]["get"]
    assert (operation["x-iam-action"], operation["x-iam-resource"]) == ("docs:GetDocument", "document/{document_id}")
    assert operation["security"] == [{name: []} for name in SECURITY_SCHEMES]
    assert list(operation["responses"]) == ["401", "403", "503"]
    assert described["components"]["securitySchemes"].keys() == SECURITY_SCHEMES.keys()


def test_session_cookie_is_a_scheme_if_people_sign_in() -> None:
    described = describe_openapi(document(), rows(read), sign_in=True)
    schemes = described["components"]["securitySchemes"]
    assert list(schemes) == [*SECURITY_SCHEMES, "session"]
    assert described["paths"]["/a"]["get"]["security"] == [{name: []} for name in schemes]
    session = schemes["session"]
    assert (session["type"], session["in"], session["name"]) == ("apiKey", "cookie", COOKIE)
    assert describe_openapi(document(), rows(health), sign_in=True) == document({"security": []})


def test_operation_has_all_its_requirements() -> None:
    """A missing or concealed resource is a 404."""
    operation = describe_openapi(document(), rows(read, write, delete))["paths"]["/a"]["get"]
    assert operation["x-iam-action"] == ["docs:GetDocument", "docs:PutDocument", "docs:DeleteDocument"]
    assert operation["x-iam-resource"] == ["document/{document_id}"]
    assert list(operation["responses"]) == ["401", "403", "404", "503"]


def test_existing_members_are_kept() -> None:
    own = {"security": [{"mine": []}], "responses": {"403": {"description": "mine"}}, "x-iam-action": "mine"}
    components = {"securitySchemes": {"sigv4": {"type": "mine"}}, "schemas": {PROBLEM: {"type": "mine"}}}
    before = document(own, components=components)
    text = json.dumps(before)
    described = describe_openapi(before, rows(read))
    operation = described["paths"]["/a"]["get"]
    assert (operation["security"], operation["x-iam-action"]) == (own["security"], "mine")
    assert operation["responses"]["403"] == {"description": "mine"}
    assert described["components"]["securitySchemes"]["sigv4"] == {"type": "mine"}
    assert described["components"]["schemas"][PROBLEM] == {"type": "mine"}
    assert json.dumps(before) == text  # the input is not changed


def test_public_operations_need_no_credential() -> None:
    described = describe_openapi(document(), rows(health))
    assert described == document({"security": []})
    assert describe_openapi(document(), rows()) == document()
    assert describe_openapi(document(), rows(read, path="/b")) == document()
    assert describe_openapi({}, rows(read)) == {}


def test_convertors_are_removed_from_paths() -> None:
    """`/files/{path:path}` of a router is `/files/{path}` in the document."""
    described = describe_openapi(document(path="/f/{path}/{id}"), rows(read, path="/f/{path:path}/{id:int}"))
    assert "x-iam-action" in described["paths"]["/f/{path}/{id}"]["get"]


def test_schema_matches_the_error_response() -> None:
    """It describes every member of `problem`, including the required ones."""
    schema = describe_openapi(document(), rows(read))["components"]["schemas"][PROBLEM]
    body = json.loads(problem(AccessDenied("no"), "id").body)
    assert set(body) <= set(schema["properties"])
    assert set(schema["required"]) <= set(body)
