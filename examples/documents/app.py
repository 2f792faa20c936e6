"""A multi-tenant document service, guarded by iam_guard.

A tenant is an account. A document belongs to its creator's account, has tags, and may have a
resource-based policy with which its owner shares it, also across accounts. Run it with `make demo SERVE=1`, or:

    uvicorn --factory app:create --no-proxy-headers       (in this folder)
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import AsyncIterator
from typing import Any

from documents import Document, Documents
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from iam_guard import Guard, GuardMiddleware, Resource, Service, aws_api, current_principal, open_guard, public
from iam_guard.console import sign_in_pages
from iam_guard.policy import PolicyType, validate_for_write

docs = Service("docs", title="Documents")

# --- declarations for the service authorization reference: what the decorators below leave to functions ---

docs.declare_resource_type("document", "document/{document_id}", condition_keys=["aws:ResourceTag/${TagKey}"])
for action in ("GetDocument", "UpdateDocument", "DeleteDocument", "TagDocument", "PutDocumentPolicy"):
    docs.declare_action(action, resource_types=["document"])
for action in ("CreateDocument", "TagDocument"):
    docs.declare_action(action, condition_keys=["aws:RequestTag/${TagKey}", "aws:TagKeys"])


# --- loaders: a document's owner, tags and policy for the guard ---


def arn_of(account: str, document_id: str) -> str:
    return f"arn:aws:docs:us-east-1:{account}:document/{document_id}"


def load_document(request: Request, document_id: str) -> Resource | None:
    """Return the document as a resource, None if there is none; the loader of the decorators."""
    document = documents_of(request).find(document_id)
    if document is None:
        return None
    request.state.document = document
    return Resource(arn_of(document.account, document.id), document.account, document.tags, document.policy)


async def tags_in_request(request: Request) -> dict[str, Any]:
    """Return the condition keys for the tags that a request sets: `aws:RequestTag/…` and `aws:TagKeys`."""
    tags = tags_from(await body_of(request))
    return {"aws:TagKeys": list(tags), **{f"aws:RequestTag/{key}": value for key, value in tags.items()}}


# --- handlers, without access control; the first line of a docstring is the action's description ---


@docs.requires("ListDocuments")
async def list_documents(request: Request) -> Response:
    """List the documents of the caller's account."""
    account = current_principal().account or ""
    return JSONResponse([{"id": each.id, "tags": each.tags} for each in documents_of(request).of_account(account)])


@docs.requires("CreateDocument", resource="document/{document_id}", context=tags_in_request)
async def create_document(request: Request) -> Response:
    """Create a document, with the tags of the request."""
    body = await body_of(request)
    account = current_principal().account or ""
    created = Document(request.path_params["document_id"], account, text_from(body), tags_from(body))
    if not documents_of(request).create(created):
        raise HTTPException(409, "a document with this id exists already")
    return JSONResponse(shown(created), 201)


@docs.requires("GetDocument", resource=load_document)
async def get_document(request: Request) -> Response:
    """Return a document with its tags."""
    return JSONResponse(shown(request.state.document))


@docs.requires("UpdateDocument", resource=load_document)
async def update_document(request: Request) -> Response:
    """Replace the text of a document."""
    body = await body_of(request)
    documents_of(request).update(request.state.document.id, text=text_from(body))
    return Response(status_code=204)


@docs.requires("DeleteDocument", resource=load_document)
async def delete_document(request: Request) -> Response:
    """Delete a document."""
    documents_of(request).delete(request.state.document.id)
    return Response(status_code=204)


@docs.requires("TagDocument", resource=load_document, context=tags_in_request)
async def tag_document(request: Request) -> Response:
    """Replace the tags of a document."""
    documents_of(request).update(request.state.document.id, tags=tags_from(await body_of(request)))
    return Response(status_code=204)


@docs.requires("PutDocumentPolicy", resource=load_document)
async def share_document(request: Request) -> Response:
    """Share a document with a resource-based policy; an invalid one is answered 400 with the reason."""
    policy = (await request.body()).decode("utf-8", errors="replace")
    validate_for_write(policy, PolicyType.RESOURCE)
    documents_of(request).update(request.state.document.id, policy=policy)
    return Response(status_code=204)


@docs.requires("ExportDocuments")
def export_documents(request: Request) -> Response:
    """Return all documents of the caller's account; `iam.yaml` limits the caller's address."""
    account = current_principal().account or ""
    return JSONResponse([shown(each) for each in documents_of(request).of_account(account)])


@public
async def health(request: Request) -> Response:
    return JSONResponse({"status": "ok"})


# --- the application ---


def create(guard: Guard | None = None, database: str | None = None) -> Starlette:
    """Return the application; environment variables locate the policies and the documents."""
    here = os.path.dirname(os.path.abspath(__file__))
    guarding = guard or open_guard(os.environ.get("DOCUMENTS_IAM", os.path.join(here, "iam.yaml")), services=[docs])

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        """Close the database, and the guard if it was opened here."""
        yield
        app.state.documents.close()
        if guard is None:
            guarding.close()

    app = Starlette(
        lifespan=lifespan,
        routes=[
            Route("/health", health),
            Route("/documents", list_documents),
            Route("/exports", export_documents, methods=["POST"]),
            Route("/documents/{document_id}", get_document),
            Route("/documents/{document_id}", create_document, methods=["POST"]),
            Route("/documents/{document_id}", update_document, methods=["PUT"]),
            Route("/documents/{document_id}", delete_document, methods=["DELETE"]),
            Route("/documents/{document_id}/tags", tag_document, methods=["PUT"]),
            Route("/documents/{document_id}/policy", share_document, methods=["PUT"]),
            Mount("/iam", aws_api(guarding)),  # IAM and STS, for AWS's tools
            Mount("/signin", sign_in_pages(guarding)),  # for people with a browser
        ],
        middleware=[Middleware(GuardMiddleware, guard=guarding)],
    )
    app.state.documents = Documents(database or os.environ.get("DOCUMENTS_DB", ":memory:"))
    return app


def documents_of(request: Request) -> Documents:
    documents: Documents = request.app.state.documents
    return documents


async def body_of(request: Request) -> dict[str, Any]:
    try:
        body = await request.json()
        json.dumps(body, ensure_ascii=False).encode()  # a lone surrogate can be parsed, but neither stored nor sent
    except (ValueError, RecursionError):
        raise HTTPException(400, "expected a body in JSON") from None
    if not isinstance(body, dict):
        raise HTTPException(400, "expected a JSON object")
    return body


def text_from(body: dict[str, Any]) -> str:
    text = body.get("text", "")
    if not isinstance(text, str):
        raise HTTPException(400, "expected text as a string")
    return text


def tags_from(body: dict[str, Any]) -> dict[str, str]:
    tags = body.get("tags", {})
    if not isinstance(tags, dict) or not all(isinstance(value, str) for value in tags.values()):
        raise HTTPException(400, "expected tags as an object of strings")
    if len({key.lower() for key in tags}) != len(tags):
        raise HTTPException(400, "expected tags that differ by more than letter case")
    return tags


def shown(document: Document) -> dict[str, Any]:
    return {"id": document.id, "account": document.account, "text": document.text, "tags": document.tags}
