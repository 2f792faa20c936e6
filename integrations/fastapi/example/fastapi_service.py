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
from fastapi.concurrency import run_in_threadpool
from fastapi.middleware.cors import CORSMiddleware
from iam_guard_fastapi import Caller, describe, guarded, permitted, public_docs
from pydantic import BaseModel
from sqlalchemy import Select, String, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from iam_guard import Guard, GuardMiddleware, Principal, Resource, Service, current_principal, open_guard, public

HERE = Path(__file__).resolve().parent
docs = Service("docs")
engine = create_engine(f"sqlite:///{HERE / 'documents.db'}")


class Base(DeclarativeBase):
    """The declarative base of the models."""


class StoredDocument(Base):
    __tablename__ = "documents"
    id: Mapped[int] = mapped_column(primary_key=True)
    account: Mapped[str] = mapped_column(String(12))
    text: Mapped[str]


class Document(BaseModel):
    text: str
    account: str = ""


# What a document is, for decisions and for lists.
document_type = docs.resource_type("document", "document/{id}", model=StoredDocument, account=StoredDocument.account)


def load_document(document_id: int) -> Resource | None:
    """Return the document for the guard; None if it doesn't exist."""
    with Session(engine) as session:
        stored = session.get(StoredDocument, document_id)
        return None if stored is None else document_type.resource_of(stored)


def load_or_new(document_id: int) -> Resource:
    """Return the document, or a new one in the caller's account."""
    new = StoredDocument(id=document_id, account=current_principal().account, text="")
    return load_document(document_id) or document_type.resource_of(new)


def read(document_id: int) -> Document:
    with Session(engine) as session:
        stored = session.get_one(StoredDocument, document_id)
        return Document(text=stored.text, account=stored.account)


# One decision in three forms: a parameter that is the caller, the dependency of a router, and a decorator.
may_read = guarded("GetDocument", service=docs, resource=load_document, conceal=True)
may_write = guarded("PutDocument", service=docs, resource=load_or_new)
Reader = Annotated[Principal, Depends(may_read)]
# The query of the documents that the caller may get.
Permitted = Annotated[Select[StoredDocument], Depends(permitted(select(StoredDocument), "docs:GetDocument"))]

documents = APIRouter(prefix="/documents", tags=["documents"])
writing = APIRouter(dependencies=[Depends(may_write)])


@documents.get("")
@docs.requires("ListDocuments")
def list_documents(statement: Permitted) -> list[int]:
    with Session(engine) as session:
        return [stored.id for stored in session.scalars(statement.order_by(StoredDocument.id).limit(50))]


@documents.get("/{document_id}")
def get_document(document_id: int, reader: Reader) -> Document:
    return read(document_id)


@documents.websocket("/{document_id}/watch")
async def watch_document(websocket: WebSocket, document_id: int, reader: Reader) -> None:
    await websocket.accept()
    await websocket.send_text((await run_in_threadpool(read, document_id)).text)
    await websocket.close()


@writing.put("/{document_id}")
def put_document(document_id: int, document: Document, caller: Caller) -> Document:
    with Session(engine) as session:
        stored = session.get(StoredDocument, document_id)  # writing does not change the owner
        stored = stored or StoredDocument(id=document_id, account=caller.account)
        stored.text = document.text
        session.add(stored)
        session.commit()
    return read(document_id)


documents.include_router(writing)


def create(guard: Guard | None = None) -> FastAPI:
    """Return the application; without a guard, with the seed `iam.yaml` of this folder."""
    opened = guard or open_guard(HERE / "iam.yaml", services=[docs])
    Base.metadata.drop_all(engine)  # each start begins with one document
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(StoredDocument(id=7, account="111122223333", text="the plan"))
        session.commit()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        engine.dispose()
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
