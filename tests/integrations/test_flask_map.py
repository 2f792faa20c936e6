"""Route maps in Flask: the contract with undecorated views, and features that only Flask has."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.integrations.contract import Adapter, Contract, Sent, needed

needed("flask", "waitress", "iam_guard_flask")

from flask import Blueprint, Flask, Response, abort, request  # noqa: E402
from flask.views import MethodView, View  # noqa: E402
from iam_guard_flask import IamGuard, inventory  # noqa: E402
from werkzeug.middleware.dispatcher import DispatcherMiddleware  # noqa: E402

from iam_guard import Guard, RouteMap, current_principal, public, read_route_map, requires  # noqa: E402
from iam_guard.audit.consumer.reader import read_records  # noqa: E402
from iam_guard.errors import ConfigurationError  # noqa: E402
from tests.conftest import ADA, RITA, Sign  # noqa: E402
from tests.integrations import test_flask as decorated  # noqa: E402
from tests.integrations.application import ARN, DOCUMENT, SECRET, answer, docs, ran, scenario_map  # noqa: E402
from tests.integrations.test_routes_command import routes as routes_of  # noqa: E402
from tests.wsgi_serving import by_waitress  # noqa: E402

# --- the contract ----------------------------------------------------------------------------------------------------


class Document(MethodView):
    def get(self, document_id: str) -> dict[str, str]:
        return answer(document_id)

    def put(self, document_id: str) -> dict[str, str]:
        return answer(document_id)


def health() -> str:
    return "ok"


def by_hand(document_id: str) -> dict[str, str]:
    docs.authorize("PutDocument", ARN + document_id)
    return answer(document_id)


def the_map() -> RouteMap:
    """Return the route map that replaces the decorators of `test_flask`."""
    names = ("documents", "raising", "streams", "background", "who", "who-sync", "class")
    return scenario_map(*names, document="<document_id>")


def build(guard: Guard | None) -> Flask:
    app = Flask(__name__, static_folder=None)
    app.add_url_rule("/health", view_func=health)
    app.add_url_rule("/by-hand/<document_id>", view_func=by_hand)
    app.add_url_rule("/forgotten", view_func=decorated.forgotten)
    app.add_url_rule("/class/<document_id>", view_func=Document.as_view("document"))
    for methods, path, view in (
        (["GET"], "/documents/<document_id>", decorated.get_document),
        (["PUT"], "/documents/<document_id>", decorated.put_document),
        (["DELETE"], "/documents/<document_id>", decorated.delete_document),
        (["GET"], "/files/<path:path>", decorated.get_file),
        (["GET"], "/shared/<document_id>", decorated.get_shared),
        (["GET"], "/raising/<document_id>", decorated.raising),
        (["POST"], "/uploads/<document_id>", decorated.upload),
        (["GET"], "/streams/<document_id>", decorated.stream),
        (["GET"], "/background/<document_id>", decorated.background),
        (["GET"], "/who/<document_id>", decorated.who),
        (["GET"], "/who-sync/<document_id>", decorated.who),
    ):
        app.add_url_rule(path, path + methods[0], inspect.unwrap(view), methods=methods)
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/mounted": decorated.mounted()})  # type: ignore[method-assign]
    if guard is not None:
        IamGuard(app, guard=guard, check_routes=False, routes=the_map())
    return app


class TestFlaskByMap(Contract):
    adapter = Adapter(
        build,
        decorated.call,
        by_waitress,
        lacks={"websocket": "WSGI has no WebSockets", "cors": "Flask has no CORS of its own"},
    )

    def test_missing_middleware_denies_every_caller(self) -> None:
        """Not with a map: the extension enforces it, and the views are undecorated."""
        with self.adapter.call(self.adapter.build(None)) as send:
            assert send(Sent("GET", "/health", {}, b"")).status == 200


# --- what only Flask has ---------------------------------------------------------------------------------------------

Ask = Callable[..., int]


@pytest.fixture
def app() -> Flask:
    ran.clear()
    return Flask(__name__, static_folder=None)


def seen(**parameters: Any) -> str:
    ran.append(str(parameters))
    return "seen"


def asker(app: Flask, sign: Sign) -> Ask:
    def ask(path: str, key: tuple[str, str] | None = None, method: str = "GET", host: str = "testserver") -> int:
        headers = {} if key is None else sign(key, method, path, headers={"host": host})
        with app.test_client().open(path, f"http://{host}", method=method, headers=headers) as answered:
            return answered.status_code

    return ask


def writing(*paths: str, method: str = "GET", resource: str = "*") -> RouteMap:
    routes = RouteMap()
    for path in paths:
        routes.requires(method, path, "docs:PutDocument", resource=resource)
    return routes


def test_row_decides_before_all_hooks(app: Flask, guard: Guard, sign: Sign) -> None:
    """Also before those of a blueprint and those registered before the guard."""
    blueprint = Blueprint("inner", __name__)
    app.before_request(lambda: ran.append("app"))
    blueprint.before_request(lambda: ran.append("blueprint"))
    blueprint.add_url_rule("/documents/<document_id>", view_func=seen)
    IamGuard(app, guard=guard, routes=writing("/in/documents/{document_id}"))
    app.register_blueprint(blueprint, url_prefix="/in")
    ask = asker(app, sign)
    assert (ask("/in/documents/7"), ask("/in/documents/7", RITA), ran) == (401, 403, [])
    assert ask("/in/documents/7", ADA) == 200
    assert ran == ["app", "blueprint", "{'document_id': '7'}"]


def test_decision_uses_the_parameters_of_the_view(app: Flask, guard: Guard, sign: Sign, audit_file: Path) -> None:
    """Converted values, with the defaults of the rule, and without those that a preprocessor removed."""
    app.add_url_rule("/numbers/<int(signed=True):document_id>", view_func=seen)
    app.add_url_rule("/first", "first", seen, defaults={"document_id": 1})
    app.add_url_rule("/<tenant>/own", "own", seen)

    @app.url_value_preprocessor
    def tenant(endpoint: str | None, values: dict[str, Any] | None) -> None:
        if values is not None and "tenant" in values:
            values["document_id"] = f"of-{values.pop('tenant')}"

    IamGuard(app, guard=guard, routes=writing("/numbers/{document_id}", "/first", "/{tenant}/own", resource=DOCUMENT))
    ask = asker(app, sign)
    assert [ask(path, ADA) for path in ("/numbers/-007", "/first", "/acme/own")] == [200, 200, 200]
    assert [each["resources"][0]["ARN"].rpartition("/")[2] for each in read_records(audit_file)] == [
        "-7",
        "1",
        "of-acme",
    ]
    assert ran == ["{'document_id': -7}", "{'document_id': 1}", "{'document_id': 'of-acme'}"]


def test_rules_with_the_same_path_are_kept_apart(app: Flask, guard: Guard, sign: Sign) -> None:
    """The matched rule is decided, whichever others match; one view may have two rules."""
    app.add_url_rule("/files/open", view_func=seen, endpoint="open")
    app.add_url_rule("/files/<name>", view_func=seen, endpoint="file")
    app.add_url_rule("/again/<name>", view_func=seen, endpoint="file")
    routes = writing("/files/{name}", method="ANY")
    routes.public("GET", "/files/open")
    routes.public("GET", "/again/{name}")
    IamGuard(app, guard=guard, routes=routes)
    ask = asker(app, sign)
    assert [ask(f"/files/{each}") for each in ("open", "%6Fpen", "Open", "open%2F")] == [200, 200, 401, 404]
    assert [ask(f"/files/{each}", RITA) for each in ("other", "open.")] == [403, 403]
    assert ask("/again/other") == 200
    assert [ask(path) for path in ("/files//open", "/files/open/")] == [308, 404]


def test_methods_have_rows(app: Flask, guard: Guard, sign: Sign) -> None:
    """`HEAD` uses the row of `GET`, and `ANY` is for the rest; Flask's answer to `OPTIONS` needs no decision."""
    app.add_url_rule("/many", view_func=seen, methods=["GET", "HEAD", "PUT", "DELETE"])
    app.add_url_rule("/own-options", "options", seen, methods=["OPTIONS"])
    routes = writing("/many", "/own-options", method="ANY")
    routes.public("GET", "/many")
    IamGuard(app, guard=guard, routes=routes)
    ask = asker(app, sign)
    statuses = [ask("/many", None, each) for each in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH")]
    assert statuses == [200, 200, 401, 401, 200, 405]
    assert (ask("/own-options", None, "OPTIONS"), ask("/own-options", RITA, "OPTIONS")) == (401, 403)


def test_method_is_that_of_the_matched_rule(app: Flask, guard: Guard) -> None:
    """Inner code may change it."""
    app.add_url_rule("/many", view_func=seen, methods=["POST", "DELETE"])
    inner = app.wsgi_app

    def overriding(environ: Any, start_response: Any) -> Any:
        environ["REQUEST_METHOD"] = environ.get("HTTP_X_HTTP_METHOD_OVERRIDE", environ["REQUEST_METHOD"])
        return inner(environ, start_response)

    app.wsgi_app = overriding  # type: ignore[method-assign]
    routes = writing("/many", method="DELETE")
    routes.public("POST", "/many")
    IamGuard(app, guard=guard, routes=routes)
    client = app.test_client()
    assert client.post("/many").status_code == 200
    assert client.post("/many", headers={"x-http-method-override": "DELETE"}).status_code == 401
    assert client.post("/many", headers={"x-http-method-override": "delete"}).status_code == 401
    assert len(ran) == 1


@pytest.mark.parametrize("changed", ["value", "all", "rule", "method"])
def test_view_changed_after_the_decision_does_not_run(app: Flask, guard: Guard, sign: Sign, changed: str) -> None:
    """A hook that replaces the document or the view."""
    app.add_url_rule("/documents/<document_id>", view_func=seen)
    app.add_url_rule("/documents/<document_id>", "put", seen, methods=["PUT"])

    @app.before_request
    def change() -> None:
        if changed == "value":
            assert request.view_args is not None
            request.view_args["document_id"] = "secret"
        elif changed == "all":
            request.view_args = {"document_id": "secret"}
        elif changed == "rule":
            request.url_rule = next(iter_rule for iter_rule in app.url_map.iter_rules() if iter_rule.endpoint == "put")
        else:
            request.method = "PUT"

    routes = writing("/documents/{document_id}", resource=DOCUMENT)
    routes.public("PUT", "/documents/{document_id}")
    IamGuard(app, guard=guard, routes=routes)
    assert (asker(app, sign)("/documents/7", ADA), ran) == (500, [])


def test_removed_parameter_was_decided(app: Flask, guard: Guard, sign: Sign) -> None:
    """Added ones do not matter: the view gets its document from the path."""
    app.add_url_rule("/<tenant>/documents", view_func=seen)

    @app.before_request
    def loaded() -> None:
        assert request.view_args is not None
        request.view_args["document"] = request.view_args.pop("tenant")

    IamGuard(app, guard=guard, routes=writing("/{tenant}/documents", resource="tenant/{tenant}"))
    ask = asker(app, sign)
    assert (ask("/acme/documents", RITA), ask("/acme/documents", ADA), ran) == (403, 200, ["{'document': 'acme'}"])


def test_decorator_and_row_both_decide(app: Flask, guard: Guard, sign: Sign) -> None:
    """Also if one of them or `public_endpoints` declares the view public."""

    @app.get("/a")
    @requires("docs:PutDocument")
    def decorated_view() -> str:
        return "a"

    @app.get("/b")
    @public
    def open_view() -> str:
        return "b"

    app.add_url_rule("/c", view_func=seen, endpoint="named")
    routes = writing("/b", "/c")
    routes.public("GET", "/a")
    IamGuard(app, guard=guard, routes=routes, public_endpoints=["named"])
    ask = asker(app, sign)
    for path in ("/a", "/b", "/c"):
        assert [ask(path, each) for each in (None, RITA, ADA)] == [401, 403, 200]


def test_response_replacing_a_decorated_view_is_undecided(app: Flask, guard: Guard) -> None:
    """A row that declares a route public does not replace the decorator of its view."""
    app.add_url_rule("/a", view_func=requires("docs:PutDocument")(lambda: "a"), endpoint="a")
    app.before_request(lambda: SECRET)
    routes = RouteMap()
    routes.public("GET", "/a")
    IamGuard(app, guard=guard, routes=routes)
    assert app.test_client().get("/a").status_code == 500


def test_classes_have_rows(app: Flask, guard: Guard, sign: Sign) -> None:
    """For each method, and for a class that answers all of them."""

    class Plain(View):
        methods: ClassVar = ["GET", "PUT"]

        def dispatch_request(self) -> str:
            return "plain"

    app.add_url_rule("/class/<document_id>", view_func=Document.as_view("document"))
    app.add_url_rule("/plain", view_func=Plain.as_view("plain"))
    routes = writing("/class/{document_id}", "/plain", method="PUT")
    routes.requires("GET", "/class/{document_id}", "docs:GetDocument", resource=DOCUMENT)
    routes.public("GET", "/plain")
    IamGuard(app, guard=guard, routes=routes)
    ask = asker(app, sign)
    assert [ask("/class/7", RITA, each) for each in ("GET", "HEAD", "PUT")] == [200, 200, 403]
    assert [ask("/plain", None, each) for each in ("GET", "PUT")] == [200, 401]


def test_hosts_and_subdomains_have_rows(guard: Guard, sign: Sign) -> None:
    app = Flask(__name__, static_folder=None, host_matching=True)
    app.add_url_rule("/x", "api", seen, host="api.example.com")
    app.add_url_rule("/x", "tenant", seen, host="<tenant>.example.com")
    routes = RouteMap()
    routes.public("GET", "/x", host="api.example.com")
    routes.requires("GET", "/x", "docs:PutDocument", host="{tenant}.example.com")
    IamGuard(app, guard=guard, routes=routes)
    ask = asker(app, sign)
    assert ask("/x", host="api.example.com") == 200
    assert [ask("/x", each, host="acme.example.com") for each in (None, RITA, ADA)] == [401, 403, 200]

    app = Flask(__name__, static_folder=None, subdomain_matching=True)
    app.config["SERVER_NAME"] = "example.com"
    app.add_url_rule("/x", "api", seen, subdomain="api")
    app.add_url_rule("/x", "main", seen)
    one = writing("/x")
    with pytest.raises(ConfigurationError, match="is a route of several hosts"):
        IamGuard(app, guard=guard, routes=one).check(app)
    one.public("GET", "/x", host="api")
    ask = asker(app, sign)
    assert (ask("/x", host="api.example.com"), ask("/x", host="example.com")) == (200, 401)


def test_static_files_have_a_row(guard: Guard, sign: Sign, tmp_path: Path) -> None:
    (tmp_path / "style.css").write_text("body {}")
    app = Flask(__name__, static_url_path="/static", static_folder=str(tmp_path))
    IamGuard(app, guard=guard, routes=writing("/static/{filename}", resource="file/{filename}"))
    ask = asker(app, sign)
    assert [ask("/static/style.css", each) for each in (None, RITA, ADA)] == [401, 403, 200]


@pytest.mark.parametrize("check_routes", [True, False])
def test_row_without_route_is_rejected(app: Flask, guard: Guard, sign: Sign, check_routes: bool) -> None:
    """By `check`, and with each request if it is not called."""
    app.add_url_rule("/there/<document_id>", view_func=seen)
    extension = IamGuard(app, guard=guard, check_routes=check_routes, routes=writing("/there/{document_id}", "/gone"))
    for _ in range(2):
        assert asker(app, sign)("/there/7", ADA) == 500
    assert ran == []
    with pytest.raises(ConfigurationError, match="no such route: GET /gone"):
        extension.check(app)


def test_row_for_two_views_is_rejected(app: Flask, guard: Guard) -> None:
    """Also if both are public; one view with two endpoints is accepted."""
    app.add_url_rule("/x/<int:name>", "one", seen)
    app.add_url_rule("/x/<path:name>", "same", seen)
    extension = IamGuard(app, guard=guard, routes=writing("/x/{name}"), public_endpoints=["one", "same", "other"])
    extension.check(app)
    app.add_url_rule("/x/<float:name>", "other", lambda name: seen(name=name))
    with pytest.raises(ConfigurationError, match=r"is for several routes \(.*/x/<float:name>"):
        extension.check(app)


def test_method_without_row_is_reported(app: Flask, guard: Guard, sign: Sign) -> None:
    app.add_url_rule("/half", view_func=lambda: SECRET, methods=["GET", "PUT"], endpoint="half")
    extension = IamGuard(app, guard=guard, routes=writing("/half"))
    with pytest.raises(ConfigurationError, match=r"neither guarded nor public: PUT /half"):
        extension.check(app)
    assert asker(app, sign)("/half", ADA, "PUT") == 500


def test_failing_row_denies(app: Flask, guard: Guard, sign: Sign) -> None:
    """A loader that raises or is asynchronous, a missing parameter; also with an error handler."""

    def broken(document_id: str) -> str:
        raise LookupError(SECRET)

    async def waits(document_id: str) -> str:
        return ARN + document_id

    app.add_url_rule("/broken/<document_id>", view_func=seen, endpoint="broken")
    app.add_url_rule("/opened/<document_id>", view_func=public(lambda document_id: seen()), endpoint="opened")
    app.add_url_rule("/missing/<document_id>", view_func=seen, endpoint="missing")
    app.register_error_handler(LookupError, lambda error: SECRET)
    routes = writing("/missing/{document_id}", resource="document/{number}")
    for path in ("/broken/{document_id}", "/opened/{document_id}"):
        routes.requires("GET", path, "docs:GetDocument", resource=broken)
    IamGuard(app, guard=guard, routes=routes)
    ask = asker(app, sign)
    assert ([ask(f"/{each}/7", ADA) for each in ("broken", "opened", "missing")], ran) == ([500, 500, 500], [])
    routes = RouteMap()
    routes.requires("GET", "/broken/{document_id}", "docs:GetDocument", resource=waits)
    with pytest.raises(ConfigurationError, match="expected a synchronous loader"):
        IamGuard(Flask("other"), guard=guard, routes=routes)


def test_errors_before_a_mapped_view_are_sent(app: Flask, guard: Guard, sign: Sign) -> None:
    app.add_url_rule("/a", view_func=lambda: abort(409), endpoint="a")
    app.add_url_rule("/b", view_func=seen, endpoint="b")
    app.before_request(lambda: Response("busy", 503) if request.path == "/b" else None)
    routes = writing("/b")
    routes.public("GET", "/a")
    IamGuard(app, guard=guard, routes=routes)
    ask = asker(app, sign)
    assert (ask("/a"), ask("/b", ADA), ask("/b", RITA)) == (409, 503, 403)


def test_nested_request_is_decided_separately(app: Flask, guard: Guard, sign: Sign) -> None:
    """A view may call another view as a function; a new request is authenticated again."""
    app.add_url_rule("/inner", view_func=lambda: current_principal().name, endpoint="inner")
    app.add_url_rule("/outer", view_func=lambda: str(app.test_client().get("/inner").status_code), endpoint="outer")
    routes = writing("/inner")
    routes.requires("GET", "/outer", "docs:GetDocument")
    IamGuard(app, guard=guard, routes=routes)
    answered = app.test_client().get("/outer", base_url="http://testserver", headers=sign(RITA, "GET", "/outer"))
    assert (answered.status_code, answered.data) == (200, b"401")


def test_unsigned_body_is_accepted_by_its_row(app: Flask, guard: Guard, sign: Sign) -> None:
    app.add_url_rule("/uploads/<document_id>", view_func=seen, endpoint="upload", methods=["PUT"])
    app.add_url_rule("/whole/<document_id>", view_func=seen, endpoint="whole", methods=["PUT"])
    routes = writing("/whole/{document_id}", method="PUT")
    routes.requires("PUT", "/uploads/{document_id}", "docs:PutDocument", resource=DOCUMENT, unsigned_payload=True)
    IamGuard(app, guard=guard, routes=routes)
    for path, status in (("/uploads/7", 200), ("/whole/7", 401)):
        headers = sign(ADA, "PUT", path, headers={"x-amz-content-sha256": "UNSIGNED-PAYLOAD"})
        answered = app.test_client().put(path, base_url="http://testserver", headers=headers, data=b"anything")
        assert answered.status_code == status


# --- reports ---------------------------------------------------------------------------------------------------------

PROGRAM = """
from flask import Flask
from iam_guard import RouteMap, open_guard
from iam_guard_flask import IamGuard

routes, app = RouteMap(), Flask(__name__, static_folder=None)
routes.requires("GET", "/documents/{document_id}", "docs:GetDocument", resource="document/{document_id}")

@app.get("/documents/<int:document_id>")
def document(document_id): return "seen"

IamGuard(app, guard=open_guard("iam.yaml", services=routes.services), routes=routes)
"""


def test_inventory_includes_the_map(app: Flask, guard: Guard, tmp_path: Path) -> None:
    (tmp_path / "routes.yaml").write_text(
        'version: 1\nroutes: [{path: "/d/{document_id}", methods: [GET], action: "docs:GetDocument"}]'
    )
    app.add_url_rule("/d/<int:document_id>", view_func=seen)
    IamGuard(app, guard=guard, routes=read_route_map(tmp_path / "routes.yaml"))
    (row,) = inventory(app)
    assert (row.path, row.methods, row.guards) == (
        "/d/<int:document_id>",
        ("GET", "HEAD"),
        ("docs:GetDocument on *, by the map",),
    )


@pytest.mark.slow
def test_routes_command_uses_the_map_or_another(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text('{version: 1, routes: [{path: "/documents/<document_id>", public: true}]}')
    for more, output in (
        ([], "GET,HEAD  /documents/<int:document_id>  docs:GetDocument on document/{document_id}, by the map\n"),
        (["--map", "other.yaml"], "GET,HEAD  /documents/<int:document_id>  public, by the map\n"),
    ):
        listed = routes_of(tmp_path, PROGRAM, *more)
        assert (listed.returncode, listed.stdout) == (0, output + "1 endpoints, 0 unguarded\n"), listed.stderr
