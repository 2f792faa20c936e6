"""A document service with several tenants, in Litestar. Each tenant is an account and sees only its own documents.

    pip install '/path/to/clone[server]' /path/to/clone/integrations/litestar
    uvicorn --factory litestar_service:create        (in this folder)
    curl -H "authorization: Bearer igk_RITA_ritasecret0123456789abcdefghijklmnopqrst_2VtVkd" localhost:8000/documents

`http://localhost:8000/schema` shows the action that each operation requires.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from iam_guard_litestar import Caller, GuardPlugin, caller, guarded, public_access
from litestar import Controller, Litestar, Router, WebSocket, get, put, websocket
from litestar.config.cors import CORSConfig
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.params import FromPath, JSONBody

from iam_guard import Guard, Resource, Service, current_principal, open_guard, public

HERE = Path(__file__).resolve().parent
docs = Service("docs")


@dataclass(frozen=True)
class Document:
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


may_read = guarded("GetDocument", service=docs, resource=load_document, conceal=True)
may_write = guarded("PutDocument", service=docs, resource=load_or_new)


class Documents(Controller):
    path = "/documents"
    dependencies = {"caller": Provide(caller)}  # noqa: RUF012  so Litestar declares it

    @get()
    @docs.requires("ListDocuments")
    async def list_documents(self, caller: Caller) -> list[int]:
        return [number for number, document in DOCUMENTS.items() if document.account == caller.account]

    @get("/{document_id:int}", guards=[may_read])
    async def get_document(self, document_id: FromPath[int]) -> Document:
        return DOCUMENTS[document_id]

    @put("/{document_id:int}", guards=[may_write])
    async def put_document(self, document_id: FromPath[int], data: JSONBody[Document], caller: Caller) -> Document:
        stored = DOCUMENTS.get(document_id)  # writing does not change the owner
        DOCUMENTS[document_id] = replace(data, account=stored.account if stored else caller.account or "")
        return DOCUMENTS[document_id]

    @websocket("/{document_id:int}/watch", guards=[may_read])
    async def watch_document(self, socket: WebSocket[Any, Any, Any], document_id: FromPath[int]) -> None:
        await socket.accept()
        await socket.send_text(DOCUMENTS[document_id].text)
        await socket.close()


@get("/health", media_type="text/plain")
@public
async def health() -> str:
    return "ok"


def create(guard: Guard | None = None) -> Litestar:
    """Return the application; without a guard, with the seed `iam.yaml` of this folder."""
    opened = guard or open_guard(HERE / "iam.yaml", services=[docs])
    pages = Router("/schema", route_handlers=[], include_in_schema=False, guards=[public_access])
    return Litestar(
        [Documents, health],
        plugins=[GuardPlugin(opened)],
        openapi_config=OpenAPIConfig("Documents", "1", openapi_router=pages),
        cors_config=CORSConfig(allow_origins=["https://front.example"]),
        on_shutdown=[] if guard else [opened.close],
    )
