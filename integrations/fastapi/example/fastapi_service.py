"""A document service with several tenants, in FastAPI. Each tenant is an account and sees only its own documents.

    pip install '/path/to/clone[server]' /path/to/clone/integrations/fastapi
    uvicorn --factory fastapi_service:create        (in this folder)
    curl -H "authorization: Bearer igk_RITA_ritasecret0123456789abcdefghijklmnopqrst_2VtVkd" localhost:8000/documents

`http://localhost:8000/docs` shows the action that each operation requires.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, WebSocket
from fastapi.middleware.cors import CORSMiddleware
from iam_guard_fastapi import Caller, describe, guarded, public_docs
from pydantic import BaseModel

from iam_guard import Guard, GuardMiddleware, Principal, Resource, Service, current_principal, open_guard, public

HERE = Path(__file__).resolve().parent
docs = Service("docs")


class Document(BaseModel):
    text: str
    account: str = ""


DOCUMENTS: dict[int, Document] = {7: Document(text="the plan", account="111122223333")}


def resource_of(document_id: int, account: str) -> Resource:
    return Resource(f"arn:aws:docs:us-east-1:{account}:document/{document_id}", account)


def load_document(document_id: int) -> Resource | None:
    """Return the document with its owner for the guard; None if it doesn't exist."""
    document = DOCUMENTS.get(document_id)
    return None if document is None else resource_of(document_id, document.account)


def load_or_new(document_id: int) -> Resource:
    """Return the document, or a new one in the caller's account."""
    return load_document(document_id) or resource_of(document_id, current_principal().account or "")


# One decision in three forms: a parameter that is the caller, the dependency of a router, and a decorator.
may_read = guarded("GetDocument", service=docs, resource=load_document, conceal=True)
may_write = guarded("PutDocument", service=docs, resource=load_or_new)
Reader = Annotated[Principal, Depends(may_read)]

documents = APIRouter(prefix="/documents", tags=["documents"])
writing = APIRouter(dependencies=[Depends(may_write)])


@documents.get("")
@docs.requires("ListDocuments")
async def list_documents(caller: Caller) -> list[int]:
    return [number for number, document in DOCUMENTS.items() if document.account == caller.account]


@documents.get("/{document_id}")
async def get_document(document_id: int, reader: Reader) -> Document:
    return DOCUMENTS[document_id]


@documents.websocket("/{document_id}/watch")
async def watch_document(websocket: WebSocket, document_id: int, reader: Reader) -> None:
    await websocket.accept()
    await websocket.send_text(DOCUMENTS[document_id].text)
    await websocket.close()


@writing.put("/{document_id}")
async def put_document(document_id: int, document: Document, caller: Caller) -> Document:
    stored = DOCUMENTS.get(document_id)  # writing does not change the owner
    DOCUMENTS[document_id] = document.model_copy(update={"account": stored.account if stored else caller.account})
    return DOCUMENTS[document_id]


documents.include_router(writing)


def create(guard: Guard | None = None) -> FastAPI:
    """Return the application; without a guard, with the seed `iam.yaml` of this folder."""
    opened = guard or open_guard(HERE / "iam.yaml", services=[docs])

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        if guard is None:
            opened.close()

    app = FastAPI(title="Documents", lifespan=lifespan)

    @app.get("/health")
    @public
    async def health() -> str:
        return "ok"

    app.include_router(documents)
    describe(app)
    public_docs(app)
    app.add_middleware(GuardMiddleware, guard=opened)
    app.add_middleware(CORSMiddleware, allow_origins=["https://front.example"])  # added last: outermost
    return app
