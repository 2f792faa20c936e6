"""The decorators outside of HTTP: declarations, loaders, errors."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from iam_guard import (
    AccessDenied,
    Guard,
    Principal,
    Resource,
    Service,
    current_decision,
    current_principal,
    public,
    requires,
)
from iam_guard.errors import ConfigurationError
from iam_guard.model.own_services import PREFIXES
from iam_guard.model.request import Call
from iam_guard.web.call_context import CurrentCall, current_call, serving
from iam_guard.web.requirement import Concealed
from tests.tables import table

ADA = Principal.from_arn("arn:aws:iam::111122223333:user/ada")
RITA = Principal.from_arn("arn:aws:iam::111122223333:user/rita")


@pytest.fixture
def docs() -> Service:
    return Service("docs")


@pytest.fixture
def call(guard: Guard) -> Iterator[CurrentCall]:
    with serving(CurrentCall(guard, RITA, Call("request-1"))) as call:
        yield call


@table("name", [*sorted(PREFIXES), "aws", "iam-guard"])
def test_name_of_own_service_is_refused(name: str) -> None:
    """Its policies, its audit records and the signatures for it would mix with those of the application."""
    for declare in (Service, lambda name: requires(f"{name}:GetUser")):
        with pytest.raises(ConfigurationError, match=f"service of the application, got `{name}`, which iam_guard"):
            declare(name)
    assert Service(f"{name}-docs").name == f"{name}-docs"


def test_handler_keeps_its_name_and_signature(docs: Service) -> None:
    """Frameworks read signatures."""

    @docs.requires("GetDocument", resource="document/{document_id}")
    def get_document(document_id: str, *, verbose: bool = False) -> str:
        """Read a document."""
        return document_id

    assert get_document.__name__ == "get_document"
    assert str(inspect.signature(get_document)) == "(document_id: 'str', *, verbose: 'bool' = False) -> 'str'"


def test_resource_is_built_from_handler_arguments(docs: Service, call: CurrentCall) -> None:
    """The handler's arguments take precedence over the route's parameters."""

    @docs.requires("GetDocument", resource="document/{document_id}")
    def get_document(document_id: str) -> str:
        decision = current_decision()
        assert decision is not None
        return decision.request.resource

    call.scope["path_params"] = {"document_id": "from-the-route"}
    assert get_document("from-the-call").endswith(":document/from-the-call")


def test_asynchronous_loader_is_awaited(docs: Service, call: CurrentCall) -> None:
    """Loaders get the parameters that they declare."""

    async def load(document_id: str) -> Resource:
        return Resource(f"arn:aws:docs:us-east-1:111122223333:document/{document_id}", tags={"team": "blue"})

    async def keys(document_id: str, shape: str = "round") -> dict[str, str]:
        return {"docs:Shape": shape}

    @docs.requires("GetDocument", resource=load, context=keys)
    async def get_document(document_id: str) -> str:
        decision = current_decision()
        assert decision is not None
        assert decision.request.value("docs:shape") == "round"
        assert decision.request.value("aws:resourcetag/team") == "blue"
        return current_principal().name

    assert anyio.run(get_document, "7") == "rita"


def test_denial_is_raised_before_the_handler_runs(docs: Service, call: CurrentCall) -> None:
    ran = []

    @docs.requires("PutDocument", resource="document/{document_id}")
    def put_document(document_id: str) -> None:
        ran.append(document_id)

    with pytest.raises(AccessDenied):
        put_document("7")
    assert ran == []
    assert [decision.allowed for decision in call.decisions] == [False]


def test_loader_returning_none_means_no_such_resource(docs: Service, call: CurrentCall) -> None:
    @docs.requires("GetDocument", resource=lambda document_id: None)
    def get_document(document_id: str) -> None: ...

    with pytest.raises(Concealed):
        get_document("7")


def test_handler_outside_of_a_call_raises(docs: Service) -> None:
    """A missing middleware is a configuration error, not an Allow."""

    @docs.requires("GetDocument")
    def get_document() -> None: ...

    with pytest.raises(ConfigurationError, match="is the guard in front of the application"):
        get_document()
    with pytest.raises(ConfigurationError):
        current_principal()
    with pytest.raises(ConfigurationError):
        current_call()


class Endpoint:
    def get(self) -> None: ...


def generator() -> Iterator[int]:
    yield 1


async def loader() -> str:
    return "*"


@pytest.mark.parametrize("handler", [Endpoint, generator, "get"])
def test_decorating_no_handler_is_rejected(docs: Service, handler: Any) -> None:
    """On import."""
    with pytest.raises(ConfigurationError):
        docs.requires("GetDocument")(handler)


@pytest.mark.parametrize(
    "declaration",
    [
        {"action": "Get*"},
        {"action": ""},
        {"action": "docs:GetDocument"},
        {"action": "GetDocument", "resource": "document/*"},
        {"action": "GetDocument", "resource": 7},
        {"action": "GetDocument", "resource": None},
        {"action": "GetDocument", "context": 7},
        {"action": lambda: "a handler, for the parentheses were forgotten"},
    ],
)
def test_invalid_declaration_is_rejected(docs: Service, declaration: dict[str, Any]) -> None:
    """Actions have names, resources have no wildcards."""
    with pytest.raises(ConfigurationError):
        docs.requires(declaration.pop("action"), **declaration)


def test_async_loader_of_sync_handler_is_rejected(docs: Service) -> None:
    with pytest.raises(ConfigurationError, match="expected a synchronous loader"):
        docs.requires("GetDocument", resource=loader)(lambda: None)


@pytest.mark.parametrize("result", [7, object(), b"arn", "document/7", "", Resource("document/7", "111122223333")])
def test_invalid_result_of_a_loader_is_rejected(docs: Service, call: CurrentCall, result: Any) -> None:
    handler = docs.requires("GetDocument", resource=lambda: result)(lambda: None)
    with pytest.raises(ConfigurationError, match=r"expected (a loader to return|an ARN)"):
        handler()


@pytest.mark.parametrize("resource", ["document/7", "", Resource("document/7", "111122223333")])
def test_resource_in_a_handler_must_be_an_arn(docs: Service, call: CurrentCall, resource: str | Resource) -> None:
    """Only templates may be short: without an account the resource has no owner."""
    with pytest.raises(ConfigurationError, match="expected an ARN"):
        docs.decide("GetDocument", resource)
    with pytest.raises(ConfigurationError, match="expected an ARN"):
        anyio.run(docs.decide_async, "GetDocument", resource)
    assert call.decisions == []


def test_loader_with_unknown_parameter_is_rejected(docs: Service, call: CurrentCall) -> None:
    handler = docs.requires("GetDocument", resource=lambda folder_id: folder_id)(lambda: None)
    with pytest.raises(ConfigurationError, match=r"expected the parameter `folder_id` .*, got none for the loader"):
        handler()


def test_unknown_parameter_is_reported_with_known_ones(docs: Service, call: CurrentCall) -> None:
    """So that a misspelled name is obvious."""
    words = "expected the parameter `documentid` of the route or the handler, got `document_id`, `verbose`"
    for resource in ("document/{documentid}", lambda documentid: None):
        handler = docs.requires("GetDocument", resource=resource)(lambda document_id, verbose: None)
        with pytest.raises(ConfigurationError, match=words):
            handler("7", verbose=True)


def test_requires_takes_the_complete_action_name(call: CurrentCall) -> None:
    """`iam_guard.requires` takes the action with its prefix."""
    assert requires("docs:GetDocument")(lambda: "read")() == "read"
    for wrong in ("GetDocument", lambda: "a handler"):
        with pytest.raises(ConfigurationError, match=r"expected (an action|the name of an action)"):
            requires(wrong)  # type: ignore[arg-type]


@table("name", ["", "Docs", "do cs", "docs:", "*"])
def test_invalid_service_prefix_is_rejected(name: str) -> None:
    """G-60."""
    with pytest.raises(ConfigurationError):
        Service(name)


def test_catalogue_lists_the_declarations(docs: Service) -> None:
    """For the service authorization reference."""
    docs.requires("PutDocument", resource="document/{id}")
    docs.requires("GetDocument", resource="document/{id}")
    docs.requires("GetDocument", resource="folder/{id}")
    assert [(str(row), row.resources) for row in docs.catalogue] == [
        ("docs:GetDocument", ("document/{id}", "folder/{id}")),
        ("docs:PutDocument", ("document/{id}",)),
    ]
    with pytest.raises(ConfigurationError, match="letter case"):
        docs.requires("getdocument")


def test_public_returns_the_marked_object() -> None:

    def health() -> str:
        return "ok"

    assert public(health) is health


def test_denial_is_pickled_without_its_decision(guard: Guard) -> None:
    """A worker passes it to another process; policies stay where they are."""
    decision = guard.decide(RITA, "docs:PutDocument")
    for denial in (AccessDenied("denied", place="/here", decision=decision), Concealed(decision)):
        written = pickle.dumps(denial)
        copy = pickle.loads(written)  # noqa: S301  its own pickle
        assert (type(copy), str(copy), copy.place) == (type(denial), str(denial), denial.place)
        assert copy.decision is None
        assert b"docs:Get" not in written
