"""An MCP server with several tenants. Each tenant is an account, and its callers see only its documents.

    pip install '/path/to/clone[server]' /path/to/clone/integrations/fastmcp
    uvicorn --factory fastmcp_service:create        (in this folder)
    fastmcp list http://localhost:8000/mcp --auth igk_RITA_ritasecret0123456789abcdefghijklmnopqrst_2VtVkd

`python fastmcp_service.py` serves the same tools over STDIO; their caller is Rita.
"""

from __future__ import annotations

from pathlib import Path

from fastmcp import FastMCP
from fastmcp.server.http import StarletteWithLifespan
from iam_guard_fastmcp import GuardTools, guarded_http_app

from iam_guard import Guard, Resource, Service, current_principal, open_guard, public

HERE = Path(__file__).resolve().parent
RITA = "arn:aws:iam::111122223333:user/rita"
docs = Service("docs")

DOCUMENTS: dict[int, tuple[str, str]] = {7: ("the plan", "111122223333")}
"""The text and the account of each document."""


def load_document(number: int) -> Resource | None:
    """Return the document with its owner for the guard; None if it doesn't exist."""
    if number not in DOCUMENTS:
        return None
    account = DOCUMENTS[number][1]
    return Resource(f"arn:aws:docs:us-east-1:{account}:document/{number}", account)


def load_or_new(number: int) -> Resource:
    """Return the document, or a new one in the caller's account."""
    account = current_principal().account or ""
    return load_document(number) or Resource(f"arn:aws:docs:us-east-1:{account}:document/{number}", account)


def documents_server(guard: Guard) -> FastMCP:
    """Return the server with its tools; without HTTP, their caller is Rita."""
    server: FastMCP = FastMCP("documents", middleware=[GuardTools(guard, service=docs, principal=RITA)])

    @server.tool
    @docs.requires("GetDocument", resource=load_document, conceal=True)
    def get_document(number: int) -> str:
        """Return the text of a document."""
        return DOCUMENTS[number][0]

    @server.tool
    @docs.requires("PutDocument", resource=load_or_new)
    def put_document(number: int, text: str) -> str:
        """Write the text of a document."""
        owner = DOCUMENTS[number][1] if number in DOCUMENTS else current_principal().account
        DOCUMENTS[number] = (text, owner or "")
        return text

    @server.tool
    async def search(text: str) -> list[int]:
        """Return the numbers of the documents with a text."""
        account = current_principal().account
        return [number for number, (found, owner) in DOCUMENTS.items() if owner == account and text in found]

    @server.tool
    @public
    async def about() -> str:
        """Describe the server."""
        return "documents of several tenants"

    return server


def create(guard: Guard | None = None) -> StarletteWithLifespan:
    """Return the application; without a guard, with the seed `iam.yaml` of this folder."""
    opened = guard or open_guard(HERE / "iam.yaml", services=[docs])
    return guarded_http_app(documents_server(opened), opened, stateless_http=True)


if __name__ == "__main__":
    documents_server(open_guard(HERE / "iam.yaml", services=[docs])).run()
