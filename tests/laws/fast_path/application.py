"""The guarded application of the law of the fast path, ASGI and WSGI, and what is seen of each request."""

from __future__ import annotations

import io
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

from opentelemetry.metrics import NoOpMeter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from iam_guard import Service, current_decision, current_principal, public
from iam_guard.errors import IamGuardError
from iam_guard.model.decision import Decision
from iam_guard.model.principal import Principal
from iam_guard.model.request import Resource
from iam_guard.web.call_context import current_call
from iam_guard.web.refusal import Refusal, problem
from tests.laws.fast_path.documents import HERE, THERE
from tests.laws.fast_path.wires import Wire, decoded_path

Facts = tuple[Any, ...]
ID: Final = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_VOLATILE: Final = re.compile(rb'"(eventTime|eventID|requestID|sharedEventID|durationMicros)": ?(?:"[^"]*"|[0-9]+)')


@dataclass
class Seen:
    """What one request did, besides its response: decisions, errors, lines of the audit log, metrics."""

    decisions: list[Decision] = field(default_factory=list)
    errors: list[Facts] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)
    metrics: list[Facts] = field(default_factory=list)
    request_id: str | None = None

    def facts(self) -> Facts:
        decisions = tuple(map(decision_facts, self.decisions))
        return decisions, tuple(self.errors), tuple(map(without_ids, self.lines)), tuple(sorted(self.metrics))


seen: ContextVar[Seen | None] = ContextVar("seen", default=None)


def without_ids(line: bytes) -> bytes:
    """Return a record without its ids, times and durations."""
    return _VOLATILE.sub(rb'"\1":0', line).rstrip(b"\n")


def decision_facts(decision: Decision) -> Facts:
    request = decision.request
    facts = (decision.outcome, decision.reasons, decision.epoch, decision.stale, decision.error, decision.policy_set)
    about = (request.action, request.resource, request.owner, tuple(request.read.items()))
    return *facts, *about, principal_facts(request.principal), decision.message()


def principal_facts(principal: Principal) -> Facts:
    return principal, principal.credential, tuple(sorted(map(str, principal.session.items())))


class SeenLines:
    """A sink that adds each line to what is seen of its request."""

    def write(self, lines: bytes) -> None:
        now = seen.get()
        if now is not None:
            now.lines.append(lines)

    def close(self) -> None:
        """Keep nothing."""


class SeenMeter(NoOpMeter):
    """A meter that adds each measurement, without durations, to what is seen of its request."""

    def create_counter(self, name: str, *_: Any, **__: Any) -> Any:
        return _Instrument(name)

    def create_histogram(self, name: str, *_: Any, **__: Any) -> Any:
        return _Instrument(name)

    def create_observable_gauge(self, name: str, *_: Any, **__: Any) -> Any:
        return None

    create_observable_counter = create_observable_gauge


class _Instrument:
    def __init__(self, name: str) -> None:
        self._name = name

    def add(self, amount: float, attributes: Mapping[str, object] | None = None, *_: object) -> None:
        now = seen.get()
        if now is not None:
            now.metrics.append((self._name, amount, *sorted((attributes or {}).items())))

    def record(self, _: float, attributes: Mapping[str, object] | None = None, *__: object) -> None:
        self.add(0, attributes)


def refusal(error: IamGuardError, request_id: str) -> Refusal:
    """Format a refusal, and see its error and its decision."""
    now = seen.get()
    if now is not None:
        see_error(now, error)
        now.request_id = request_id
    return problem(error, request_id)


def see_error(now: Seen, error: IamGuardError) -> None:
    now.errors.append((type(error).__name__, error.code, error.status, error.fault, error.message, error.place))
    decision = getattr(error, "decision", None)
    if isinstance(decision, Decision):
        now.decisions.append(decision)


def note() -> None:
    """See the decision of the current call; called by every guarded handler."""
    now, decision = seen.get(), current_decision()
    if now is not None and decision is not None:
        now.decisions.append(decision)
        now.request_id = current_call().facts.request_id


# --- handlers ----------------------------------------------------------------------------------------------------

docs = Service("docs", signing_names=("docs", "s3"))
LOADED: Final[dict[str, Resource | str | None]] = {}
"""What the loaders of the application return, by name; changes alter it."""


def set_loaded(rng: Any) -> str:
    """Change what the loaders return."""
    arn = f"arn:aws:docs:us-east-1:{HERE}:document/"
    allows = {"Effect": "Allow", "Principal": {"AWS": THERE}, "Action": "docs:*", "Resource": "*"}
    LOADED.update(
        {
            "1": Resource(f"{arn}1", tags={"team": rng.choice(("red", "blue"))}),
            "2": Resource(f"{arn}2", account=rng.choice((HERE, THERE))),
            "plan": Resource(f"{arn}plan", policy={"Version": "2012-10-17", "Statement": [allows]}),
            "ann": Resource(f"{arn}ann", policy_required=rng.random() < 0.5),
            "bob": rng.choice((f"{arn}bob", "nonsense", f"{arn}a/../b")),
            "red": None,
        }
    )
    return "loaded"


def _loaded(name: str) -> Any:
    return LOADED.get(name)


async def _loaded_later(name: str) -> Any:
    return LOADED.get(name)


def _labels(request: Request | None = None, name: str = "") -> dict[str, Any]:
    return {"docs:Labels": [name, "x"], "docs:Label": name, "docs:Size": len(name)}


def _text(request: Any = None, **more: Any) -> str:
    note()
    return f"{current_principal().arn} {sorted(more.items())}"


@docs.requires("GetDocument", resource="document/{name}")
async def get_document(request: Request) -> Response:
    return PlainTextResponse(_text(name=request.path_params["name"]))


@docs.requires("PutDocument", resource="document/{name}")
async def put_document(request: Request) -> Response:
    return PlainTextResponse(_text(body=await request.body()))


@docs.requires("PutDocument", resource="document/{name}")
def post_document(request: Request) -> Response:
    return PlainTextResponse(_text())


@docs.requires("ListDocuments")
async def search(request: Request) -> Response:
    return PlainTextResponse(_text(query=request.url.query))


@docs.requires("GetFolder", resource="folder/{path}", raw=["path"])
async def get_folder(request: Request) -> Response:
    return PlainTextResponse(_text(path=request.path_params["path"]))


@docs.requires("GetSecret", resource="secret/{name}", conceal=True)
async def get_secret(request: Request) -> Response:
    return PlainTextResponse(_text())


@docs.requires("UploadDocument", resource="document/{name}", unsigned_payload=True)
async def upload(request: Request) -> Response:
    return PlainTextResponse(_text(body=await request.body()))


@docs.requires("GetDocument", resource=_loaded_later)
async def get_loaded(request: Request) -> Response:
    return PlainTextResponse(_text())


@docs.requires("GetDocument", resource=_loaded, conceal=True)
async def get_linked(request: Request) -> Response:
    return PlainTextResponse(_text())


@docs.requires("GetDocument", resource="document/{name}", context=_labels)
async def get_tagged(request: Request) -> Response:
    return PlainTextResponse(_text())


@docs.requires("ShareDocument", resource="document/{name}")
async def share(request: Request) -> Response:
    """Decide further actions, of which one may be denied."""
    _text()
    for action in ("GetDocument", "ListDocuments", "ShareDocument"):
        await docs.decide_async(action, f"arn:aws:docs:us-east-1:{HERE}:document/{request.path_params['name']}")
        note()
    return PlainTextResponse("shared")


@docs.requires("GetDocument", resource="arn:aws:docs:us-east-1:{account}:document/{name}")
async def get_elsewhere(request: Request) -> Response:
    return PlainTextResponse(_text())


@docs.requires("GetNumber", resource="number/{number}")
async def get_number(request: Request) -> Response:
    return PlainTextResponse(_text(number=request.path_params["number"]))


@public
async def get_public(request: Request) -> Response:
    return PlainTextResponse("public")


async def get_open(request: Request) -> Response:
    return PlainTextResponse("open")


ROUTES: Final = [
    Route("/documents/{name}", get_document),
    Route("/documents/{name}", put_document, methods=["PUT"]),
    Route("/documents/{name}", post_document, methods=["POST"]),
    Route("/search", search),
    Route("/folders/{path:path}", get_folder),
    Route("/secrets/{name}", get_secret),
    Route("/uploads/{name}", upload, methods=["PUT"]),
    Route("/loaded/{name}", get_loaded),
    Route("/linked/{name}", get_linked),
    Route("/tagged/{name}", get_tagged),
    Route("/shared/{name}", share),
    Route("/accounts/{account}/documents/{name}", get_elsewhere),
    Route("/numbers/{number:int}", get_number),
    Route("/public", get_public),
    Route("/open", get_open),
]


# --- WSGI --------------------------------------------------------------------------------------------------------


@docs.requires("GetDocument", resource="document/{name}")
def wsgi_get(environ: Any, name: str) -> Iterable[bytes]:
    return [_text(name=name).encode()]


@docs.requires("PutDocument", resource="document/{name}")
def wsgi_put(environ: Any, name: str) -> Iterable[bytes]:
    return [_text(body=environ["wsgi.input"].read()).encode()]


@docs.requires("GetSecret", resource="secret/{name}", conceal=True)
def wsgi_secret(environ: Any, name: str) -> Iterable[bytes]:
    return [_text().encode()]


@docs.requires("UploadDocument", resource="document/{name}", unsigned_payload=True)
def wsgi_upload(environ: Any, name: str) -> Iterable[bytes]:
    return [_text(body=environ["wsgi.input"].read()).encode()]


@docs.requires("GetDocument", resource=_loaded, context=_labels)
def wsgi_loaded(environ: Any, name: str) -> Iterable[bytes]:
    return [_text().encode()]


@public
def wsgi_public(environ: Any, name: str) -> Iterable[bytes]:
    return [b"public"]


_WSGI: Final = {
    "/documents/": {"GET": wsgi_get, "PUT": wsgi_put},
    "/secrets/": {"GET": wsgi_secret},
    "/uploads/": {"PUT": wsgi_upload},
    "/loaded/": {"GET": wsgi_loaded},
    "/public": {"GET": wsgi_public},
}


def wsgi_app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Route by the beginning of the path, and report the endpoint to the guard."""
    path = environ["PATH_INFO"]
    start, handlers = next((row for row in _WSGI.items() if path.startswith(row[0])), ("", {}))
    handler = handlers.get(environ["REQUEST_METHOD"])
    if handler is None:
        current_call().matched(None, {})
        start_response("404 Not Found", [("content-type", "text/plain")])
        return [b"nothing here"]
    parameters = {"name": path[len(start) :]}
    current_call().matched(handler, parameters)
    content = handler(environ, **parameters)
    start_response("200 OK", [("content-type", "text/plain")])
    return content


# --- calling -----------------------------------------------------------------------------------------------------

App = Callable[[Any, Any, Any], Awaitable[None]]
asgi_app: App = Starlette(routes=ROUTES)


async def call_asgi(app: App, wire: Wire) -> Facts:
    """Send a request to an application, and return the response without ids."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": wire.method,
        "scheme": wire.scheme,
        "path": decoded_path(wire),
        "raw_path": wire.path,
        "query_string": wire.query,
        "root_path": "",
        "headers": list(wire.headers),
        "client": (wire.client, 50_000),
        "server": ("docs.example", 80),
        "state": {},
    }
    parts = [wire.body[:5], wire.body[5:]] if len(wire.body) > 5 else [wire.body]
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        part = parts.pop(0) if parts else b""
        return {"type": "http.request", "body": part, "more_body": bool(parts)}

    async def send(message: Any) -> None:
        sent.append(message)

    try:
        await app(scope, receive, send)
    except Exception as error:  # noqa: BLE001  what a server would log
        return "raised", type(error).__name__, len(sent)
    start, *rest = sent
    headers = tuple((name, ID.sub(b"id", value)) for name, value in start["headers"])
    return start["status"], headers, ID.sub(b"id", b"".join(message.get("body", b"") for message in rest))


def call_wsgi(app: Any, wire: Wire) -> Facts:
    """Send a request to a WSGI application, and return the response without ids."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": wire.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": decoded_path(wire).encode("utf-8").decode("latin-1"),
        "REQUEST_URI": wire.path.decode("latin-1"),
        "QUERY_STRING": wire.query.decode("latin-1"),
        "REMOTE_ADDR": wire.client,
        "wsgi.url_scheme": wire.scheme,
        "wsgi.input": io.BytesIO(wire.body),
        "SERVER_NAME": "docs.example",
        "SERVER_PORT": "80",
    }
    for name, value in wire.headers:
        key = name.decode("latin-1").upper().replace("-", "_")
        key = key if key in ("CONTENT_LENGTH", "CONTENT_TYPE") else f"HTTP_{key}"
        text = value.decode("latin-1")
        environ[key] = f"{environ[key]},{text}" if key in environ else text
    started: list[Facts] = []
    try:
        parts = app(environ, lambda status, headers, exc_info=None: started.append((status, headers)) or len)
        body = b"".join(parts)
        getattr(parts, "close", int)()
    except Exception as error:  # noqa: BLE001  what a server would log
        return "raised", type(error).__name__, len(started)
    headers = tuple((name, ID.sub(b"id", value.encode("latin-1"))) for name, value in started[-1][1])
    return started[-1][0], headers, ID.sub(b"id", body)
