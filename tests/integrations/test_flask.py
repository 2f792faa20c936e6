"""The contract for the Flask adapter, and features that only Flask has: blueprints, hooks, error handlers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.integrations.contract import Adapter, Answer, Contract, Send, Sent, needed

needed("flask", "waitress", "iam_guard_flask")

from flask import Blueprint, Flask, Response, g, jsonify, request, stream_with_context  # noqa: E402
from flask.views import MethodView, View  # noqa: E402
from iam_guard_flask import IamGuard, inventory  # noqa: E402
from werkzeug.middleware.dispatcher import DispatcherMiddleware  # noqa: E402

from iam_guard import AccessDenied, Guard, current_principal, public  # noqa: E402
from iam_guard.audit.consumer.reader import read_records  # noqa: E402
from iam_guard.errors import ConfigurationError, NoSuchEntity  # noqa: E402
from tests.conftest import ADA, RITA, Sign  # noqa: E402
from tests.integrations.application import (  # noqa: E402
    ARN,
    SECRET,
    STREAMED,
    answer,
    barrier,
    docs,
    load_document,
    received,
    record_background_call,
)
from tests.wsgi_serving import by_waitress  # noqa: E402

DOCUMENT = "document/{document_id}"


@public
def health() -> str:
    return "ok"


def forgotten() -> str:
    return SECRET


@docs.requires("GetDocument", resource=DOCUMENT)
async def get_document(document_id: str) -> dict[str, str]:
    return answer(document_id)


@docs.requires("PutDocument", resource=DOCUMENT)
def put_document(document_id: str) -> dict[str, str]:
    return answer(document_id)


@docs.requires("DeleteDocument", resource=DOCUMENT, conceal=True)
def delete_document(document_id: str) -> tuple[str, int]:
    return "", 204


@docs.requires("GetDocument", resource="file/{path}")
def get_file(path: str) -> dict[str, str]:
    return answer(path)


@docs.requires("GetDocument", resource=load_document)
def get_shared(document_id: str) -> dict[str, str]:
    return answer(document_id)


@public
def by_hand(document_id: str) -> dict[str, str]:
    docs.authorize("PutDocument", ARN + document_id)
    return answer(document_id)


@docs.requires("GetDocument", resource=DOCUMENT)
def raising(document_id: str) -> str:
    raise RuntimeError(SECRET)


class Document(MethodView):
    @docs.requires("GetDocument", resource=DOCUMENT)
    def get(self, document_id: str) -> dict[str, str]:
        return answer(document_id)

    @docs.requires("PutDocument", resource=DOCUMENT)
    def put(self, document_id: str) -> dict[str, str]:
        return answer(document_id)


@docs.requires("PutDocument", resource=DOCUMENT)
def upload(document_id: str) -> dict[str, Any]:
    return received(b"".join(iter(lambda: request.stream.read(1000), b"")))


@docs.requires("GetDocument", resource=DOCUMENT)
def stream(document_id: str) -> Response:
    return Response(part for part in STREAMED)


@docs.requires("GetDocument", resource=DOCUMENT)
def background(document_id: str) -> Response:
    response = jsonify(answer(document_id))
    response.call_on_close(record_background_call)
    return response


@docs.requires("GetDocument", resource=DOCUMENT)
def who(document_id: str) -> dict[str, str]:
    barrier.wait()
    return answer(document_id)


def mounted() -> Flask:
    """Return a mounted application without a guard."""
    app = Flask("mounted", static_folder=None)
    app.add_url_rule("/documents/<document_id>", view_func=get_document)
    app.add_url_rule("/forgotten", view_func=forgotten)
    return app


def build(guard: Guard | None) -> Flask:
    app = Flask(__name__, static_folder=None)
    app.add_url_rule("/health", view_func=health)
    app.add_url_rule("/forgotten", view_func=forgotten)
    app.add_url_rule("/documents/<document_id>", view_func=get_document)
    app.add_url_rule("/documents/<document_id>", view_func=put_document, methods=["PUT"])
    app.add_url_rule("/documents/<document_id>", view_func=delete_document, methods=["DELETE"])
    app.add_url_rule("/files/<path:path>", view_func=get_file)
    app.add_url_rule("/shared/<document_id>", view_func=get_shared)
    app.add_url_rule("/by-hand/<document_id>", view_func=by_hand)
    app.add_url_rule("/raising/<document_id>", view_func=raising)
    app.add_url_rule("/class/<document_id>", view_func=Document.as_view("document"))
    app.add_url_rule("/uploads/<document_id>", view_func=upload, methods=["POST"])
    app.add_url_rule("/streams/<document_id>", view_func=stream)
    app.add_url_rule("/background/<document_id>", view_func=background)
    app.add_url_rule("/who/<document_id>", view_func=who)
    app.add_url_rule("/who-sync/<document_id>", endpoint="who-sync", view_func=who)
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/mounted": mounted()})  # type: ignore[method-assign]
    if guard is not None:
        IamGuard(app, guard=guard, check_routes=False)
    return app


@contextmanager
def call(app: Flask) -> Iterator[Send]:
    client = app.test_client()

    def send(sent: Sent) -> Answer:
        answered = client.open(
            sent.target, "http://testserver", method=sent.method, headers=dict(sent.headers), data=sent.body or None
        )
        with answered:
            return Answer(
                answered.status_code, {name.lower(): value for name, value in answered.headers}, answered.get_data()
            )

    yield send


class TestFlask(Contract):
    adapter = Adapter(
        build,
        call,
        by_waitress,
        lacks={
            "websocket": "WSGI has no WebSockets",
            "cors": "Flask has no CORS of its own",
        },
    )


# --- what only Flask has -------------------------------------------------------------------------------------------


@pytest.fixture
def app() -> Flask:
    return Flask(__name__, static_folder=None)


def get(app: Flask, path: str, sign: Sign, key: tuple[str, str] = RITA, method: str = "GET") -> Any:
    return app.test_client().open(path, "http://testserver", method=method, headers=sign(key, method, path))


def test_views_of_nested_blueprints_are_guarded(app: Flask, guard: Guard, sign: Sign) -> None:
    """By the matched rule."""
    inner, outer = Blueprint("inner", __name__), Blueprint("outer", __name__)
    inner.add_url_rule("/documents/<document_id>", view_func=put_document)
    inner.add_url_rule("/forgotten", view_func=forgotten)
    outer.register_blueprint(inner, url_prefix="/in")
    IamGuard(app, guard=guard, check_routes=False)
    app.register_blueprint(outer, url_prefix="/out")
    assert get(app, "/out/in/documents/7", sign, ADA).get_json()["document"] == "7"
    assert get(app, "/out/in/documents/7", sign).status_code == 403
    assert get(app, "/out/in/forgotten", sign).status_code == 500


def test_resource_has_the_converted_value(app: Flask, guard: Guard, sign: Sign) -> None:
    """The view and the decision get the number."""

    @app.get("/numbers/<int:number>")
    @docs.requires("GetDocument", resource="number/{number}")
    def numbered(number: int) -> dict[str, str]:
        return answer(str(number))

    IamGuard(app, guard=guard)
    assert get(app, "/numbers/007", sign).get_json()["resource"].endswith(":number/7")


def test_endpoints_are_checked_before_the_first_response(app: Flask, guard: Guard, sign: Sign) -> None:
    """An application with an unguarded view answers nothing; `check` reports it at start-up."""
    extension = IamGuard(app, guard=guard)
    app.add_url_rule("/health", view_func=health)
    app.add_url_rule("/forgotten", view_func=forgotten)
    with pytest.raises(ConfigurationError, match=r"GET,HEAD /forgotten \(forgotten\);"):
        extension.check(app)
    assert app.test_client().get("/health").status_code == 500


def test_undecorated_endpoints_may_be_public_by_name(guard: Guard, tmp_path: Path) -> None:
    """Such as Flask's own `static`."""
    (tmp_path / "style.css").write_text("body {}")
    app = Flask(__name__, static_url_path="/static", static_folder=str(tmp_path))
    IamGuard(app, guard=guard, public_endpoints=["static"])
    with app.test_client().get("/static/style.css") as found:
        assert found.data == b"body {}"
    other = Flask(__name__, static_url_path="/static", static_folder=str(tmp_path))
    IamGuard(other, guard=guard)
    assert other.test_client().get("/static/style.css").status_code == 500


def test_inventory_has_the_guards_of_views(app: Flask, guard: Guard) -> None:
    """A row for each rule, and for each method of a class; decorators and `dispatch_request` count."""

    class Decorated(MethodView):
        decorators: ClassVar = [docs.requires("GetDocument", resource=DOCUMENT)]

        def get(self, document_id: str) -> str:
            return ""

    class Plain(View):
        @docs.requires("GetDocument", resource=DOCUMENT)
        def dispatch_request(self, document_id: str) -> str:
            return ""

    class Half(MethodView):
        @docs.requires("GetDocument", resource=DOCUMENT)
        def get(self, document_id: str) -> str:
            return ""

        def delete(self, document_id: str) -> str:
            return ""

    app.add_url_rule("/health", view_func=health)
    app.add_url_rule("/forgotten", view_func=forgotten)
    app.add_url_rule("/decorated/<document_id>", view_func=Decorated.as_view("decorated"))
    app.add_url_rule("/plain/<document_id>", view_func=Plain.as_view("plain"))
    app.add_url_rule("/half/<document_id>", view_func=Half.as_view("half"))
    IamGuard(app, guard=guard)
    reads = ("docs:GetDocument on document/{document_id}",)
    assert [(each.path, each.methods, each.guards) for each in inventory(app)] == [
        ("/health", ("GET", "HEAD"), ("public",)),
        ("/forgotten", ("GET", "HEAD"), ()),
        ("/decorated/<document_id>", ("GET", "HEAD"), reads),
        ("/plain/<document_id>", ("GET", "HEAD"), reads),
        ("/half/<document_id>", ("DELETE",), ()),
        ("/half/<document_id>", ("GET",), reads),
        ("/half/<document_id>", ("HEAD",), reads),
    ]
    with pytest.raises(ConfigurationError):
        inventory(Flask("unguarded"))


def test_decorators_of_a_class_decide(app: Flask, guard: Guard, sign: Sign) -> None:
    """An unguarded method is blocked."""

    class Decorated(MethodView):
        decorators: ClassVar = [docs.requires("PutDocument", resource=DOCUMENT)]

        def get(self, document_id: str) -> dict[str, str]:
            return answer(document_id)

    class Half(MethodView):
        def get(self, document_id: str) -> str:
            return SECRET

    app.add_url_rule("/decorated/<document_id>", view_func=Decorated.as_view("decorated"))
    app.add_url_rule("/half/<document_id>", view_func=Half.as_view("half"))
    IamGuard(app, guard=guard, check_routes=False)
    assert get(app, "/decorated/7", sign, ADA).status_code == 200
    assert get(app, "/decorated/7", sign).status_code == 403
    assert get(app, "/half/7", sign, ADA).status_code == 500


def test_class_method_is_that_of_the_matched_rule(app: Flask, guard: Guard, sign: Sign) -> None:
    """Inner code may change the method: the mark of the first does not count for the second."""

    class Half(MethodView):
        @public
        def post(self) -> str:
            return "posted"

        def delete(self) -> str:
            return SECRET

        @public
        def get(self) -> str:
            return "got"

    app.add_url_rule("/half", view_func=Half.as_view("half"))
    inner = app.wsgi_app

    def overriding(environ: Any, start_response: Any) -> Any:
        environ["REQUEST_METHOD"] = environ.get("HTTP_X_HTTP_METHOD_OVERRIDE", environ["REQUEST_METHOD"])
        return inner(environ, start_response)

    app.wsgi_app = overriding  # type: ignore[method-assign]
    IamGuard(app, guard=guard, check_routes=False)
    client = app.test_client()
    assert client.post("/half").status_code == 200
    assert client.post("/half", headers={"x-http-method-override": "DELETE"}).status_code == 500
    assert client.delete("/half", headers={"x-http-method-override": "HEAD"}).status_code == 200


def test_caller_is_in_g(app: Flask, guard: Guard, sign: Sign) -> None:
    """For templates, and for functions that run before the view."""
    seen: list[str] = []
    IamGuard(app, guard=guard)
    app.before_request(lambda: seen.append(g.principal.name))
    app.add_url_rule("/health", view_func=health)
    assert get(app, "/health", sign).status_code == 200
    assert seen == ["rita"]


def test_response_before_the_view_is_undecided(app: Flask, guard: Guard) -> None:
    """Errors may come from anywhere; other responses instead of the view's are undecided."""
    app.add_url_rule("/documents/<document_id>", view_func=put_document)
    IamGuard(app, guard=guard)

    @app.before_request
    def first() -> Any:
        return ("busy", 503) if "busy" in request.args else SECRET

    client = app.test_client()
    assert client.get("/documents/7?busy").data == b"busy"
    assert client.get("/documents/7").status_code == 500
    assert client.get("/nothing?busy").status_code == 503


def test_own_error_handler_gets_the_denial(app: Flask, guard: Guard, sign: Sign, audit_file: Path) -> None:
    """A page instead of the problem document; the record is the same."""
    IamGuard(app, guard=guard)
    app.add_url_rule("/documents/<document_id>", view_func=put_document)
    app.add_url_rule("/shared/<document_id>", view_func=get_shared)
    app.register_error_handler(AccessDenied, lambda error: (f"<p>{error.code}</p>", 403))
    app.register_error_handler(NoSuchEntity, lambda error: ("<p>nothing</p>", 404))
    assert get(app, "/documents/7", sign).data == b"<p>AccessDenied</p>"
    missing = get(app, "/shared/missing", sign)
    assert missing.data == b"<p>nothing</p>"
    denied, absent = read_records(audit_file)
    assert denied["errorCode"] == "AccessDenied"
    assert (absent["errorCode"], absent["requestID"]) == ("NoSuchEntity", missing.headers["x-amzn-requestid"])


def test_errors_pass_through_after_request(app: Flask, guard: Guard) -> None:
    """So that they have CORS headers too."""
    IamGuard(app, guard=guard)
    app.add_url_rule("/documents/<document_id>", view_func=put_document)

    @app.after_request
    def allow(response: Response) -> Response:
        response.headers["access-control-allow-origin"] = "*"
        return response

    refused = app.test_client().get("/documents/7")
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, "*")
    assert len(refused.headers.getlist("x-amzn-requestid")) == 1


def test_streams_with_the_context_of_their_request(app: Flask, guard: Guard, sign: Sign) -> None:
    """The caller is known while the parts are generated."""
    IamGuard(app, guard=guard)

    @app.get("/documents/<document_id>")
    @docs.requires("GetDocument", resource=DOCUMENT)
    def streaming(document_id: str) -> Response:
        return Response(stream_with_context(f"{current_principal().name} {part} " for part in (1, 2)))

    assert get(app, "/documents/7", sign).data == b"rita 1 rita 2 "


def test_trailing_slashes_and_options_need_no_decision(app: Flask, guard: Guard, sign: Sign) -> None:
    """The redirect and the list of methods come from Flask."""
    IamGuard(app, guard=guard)
    app.add_url_rule("/documents/<document_id>/", view_func=put_document, methods=["GET", "PUT"])
    assert get(app, "/documents/7", sign).status_code == 308
    options = app.test_client().options("/documents/7/")
    assert (options.status_code, options.data) == (200, b"")


def test_debug_mode_has_the_same_errors(app: Flask, guard: Guard) -> None:
    """`debug` and `testing` pass exceptions to the debugger; ours are responses."""
    IamGuard(app, guard=guard)
    app.add_url_rule("/documents/<document_id>", view_func=put_document)
    app.debug = app.testing = True
    assert app.test_client().get("/documents/7").status_code == 401


def test_application_has_one_guard(app: Flask, guard: Guard) -> None:
    """An extension without an application waits for `init_app`, and may serve several."""
    extension = IamGuard()
    with pytest.raises(ConfigurationError, match="expected a guard"):
        extension.init_app(app)
    extension.init_app(app, guard=guard)
    with pytest.raises(ConfigurationError, match="got a guarded one"):
        extension.init_app(app, guard=guard)
    IamGuard(Flask("other"), guard=guard)
