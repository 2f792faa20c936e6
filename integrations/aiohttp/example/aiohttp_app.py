"""A guarded aiohttp application with two tenants. `python aiohttp_app.py` sends some requests to it.

`python -m aiohttp.web aiohttp_app:create` serves it.
"""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

from aiohttp import ClientSession, web
from iam_guard_aiohttp import inventory, setup

from iam_guard import Guard, Service, current_principal, open_guard, public
from iam_guard.authn import format_api_key

docs = Service("docs")
routes = web.RouteTableDef()
SEED = Path(__file__).with_name("iam.yaml")
DOCUMENTS: dict[tuple[str, str], str] = {}


@routes.view("/documents/{document_id}")
class Document(web.View):
    """A document of the caller's own account."""

    @docs.requires("GetDocument", resource="document/{document_id}")
    async def get(self) -> web.Response:
        """Return a document."""
        account = current_principal().account or ""
        text = DOCUMENTS.get((account, self.request.match_info["document_id"]), "")
        return web.json_response({"account": account, "text": text})

    @docs.requires("PutDocument", resource="document/{document_id}")
    async def put(self) -> web.Response:
        """Write a document."""
        account, text = current_principal().account or "", await self.request.text()
        DOCUMENTS[account, self.request.match_info["document_id"]] = text
        return web.json_response({"account": account, "text": text})


@routes.get("/documents/{document_id}/watch")
@docs.requires("GetDocument", resource="document/{document_id}")
async def watch(request: web.Request) -> web.WebSocketResponse:
    """Send the document once; denied callers get no WebSocket."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    account = current_principal().account or ""
    await socket.send_str(DOCUMENTS.get((account, request.match_info["document_id"]), ""))
    await socket.close()
    return socket


@routes.get("/health")
@public
async def health(request: web.Request) -> web.Response:
    """Answer without authentication."""
    return web.Response(text="ok")


def create(arguments: list[str] | None = None, guard: Guard | None = None) -> web.Application:
    """Return the application; its start-up checks that every endpoint is guarded or public."""
    app = web.Application()
    app.add_routes(routes)
    setup(app, guard=guard or open_guard(SEED, services=[docs]))
    return app


CALLERS = {
    "ada of acme": format_api_key("ADAS", "adasecret00123456789abcdefghijklmnopqrst"),
    "rita of acme": format_api_key("RITA", "ritasecret0123456789abcdefghijklmnopqrst"),
    "gus of globex": format_api_key("GUSS", "gussecret00123456789abcdefghijklmnopqrst"),
}


async def main(app: web.Application) -> None:
    """Print the guards of the handlers, and the results of some requests."""
    for endpoint in inventory(app):
        print(f"{endpoint!s:55} {', '.join(endpoint.guards)}")
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    async with ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}") as client:
        for caller, key in CALLERS.items():
            headers = {"authorization": f"Bearer {key}"}
            for method, text in (("PUT", "draft"), ("GET", None)):
                async with client.request(method, "/documents/7", headers=headers, data=text) as answer:
                    print(f"{caller:15} {method:4} /documents/7 {answer.status} {await answer.text()}")
        async with client.get("/documents/7") as answer:
            print(f"{'anonymous':15} GET  /documents/7 {answer.status}")
    await runner.cleanup()


if __name__ == "__main__":
    with closing(open_guard(SEED, services=[docs])) as opened:
        asyncio.run(main(create(guard=opened)))
