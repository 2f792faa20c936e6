"""DecodeAuthorizationMessage, and the encoded messages of denials (S-36, X-7)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from random import Random
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from iam_guard import GuardMiddleware, Resource, Service
from iam_guard.errors import StoreUnavailable
from iam_guard.model.decision import Decision
from iam_guard.model.principal import Principal
from iam_guard.store.sealed_messages import MAX_CHARACTERS, read_message, write_message
from iam_guard.store.sealing import Sealer, new_key
from iam_guard.web.refusal import encoded_message, problem_with_message
from tests.api.conftest import ACCOUNT, OTHER_ACCOUNT, OTHER_KEY, Client, Running, allow, refusal
from tests.api.sts.sts_parts import ADMIN_ARN, admin_sts, sts_of

ClientFor = Callable[..., Client]
SECRET_THING = f"arn:aws:docs:us-east-1:{ACCOUNT}:document/secret"
THEIRS = f"arn:aws:docs:us-east-1:{OTHER_ACCOUNT}:document/7"


def deny(action: str, resource: str = "*", **more: Any) -> dict[str, Any]:
    return {"Sid": "NoSecrets", "Effect": "Deny", "Action": action, "Resource": resource, **more}


def refuse(
    server: Running, user: str, resource: str | Resource, context: Any = None, action: str = "docs:Get"
) -> Decision:
    caller = Principal.from_arn(f"arn:aws:iam::{ACCOUNT}:user/{user}")
    decision = server.guard.decide(caller, action, resource, context)
    assert not decision.allowed
    return decision


def decoded(sts: Client, message: str | None) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(sts.decode_authorization_message(EncodedMessage=message)["DecodedMessage"])
    return found


def values(message: dict[str, Any]) -> dict[str, list[str]]:
    items = message["context"]["conditions"]["items"]
    return {item["key"]: [each["value"] for each in item["values"]["items"]] for item in items}


# --- content -----------------------------------------------------------------------------------------------------


def test_message_has_request_and_denying_statement(server: Running, client_for: ClientFor) -> None:
    """In the format of AWS's example."""
    condition = {"StringEquals": {"docs:Class": ["secret", "top secret"]}}
    client_for("jane", allow("docs:*"), deny("docs:Get", SECRET_THING, Condition=condition))
    message = encoded_message(server.guard, refuse(server, "jane", SECRET_THING, {"docs:Class": "secret"}))
    found = decoded(admin_sts(server), message)
    conditions = found["context"].pop("conditions")
    assert {"key": "docs:class", "values": {"items": [{"value": "secret"}]}} in conditions["items"]
    assert found["context"]["principal"].pop("id").startswith("AIDA")
    assert found == {
        "allowed": False,
        "explicitDeny": True,
        "matchedStatements": {
            "items": [
                {
                    "statementId": "NoSecrets",
                    "effect": "DENY",
                    "policy": "user/jane/Statements",
                    "principals": {"items": []},
                    "principalGroups": {"items": []},
                    "actions": {"items": [{"value": "docs:Get"}]},
                    "resources": {"items": [{"value": SECRET_THING}]},
                    "conditions": {
                        "items": [
                            {"key": "docs:Class", "values": {"items": [{"value": "secret"}, {"value": "top secret"}]}}
                        ]
                    },
                }
            ]
        },
        "failures": {"items": []},
        "context": {
            "principal": {"arn": f"arn:aws:iam::{ACCOUNT}:user/jane"},
            "action": "docs:Get",
            "resource": SECRET_THING,
        },
    }


def test_implicit_denial_has_no_statement(server: Running, client_for: ClientFor) -> None:
    client_for("jane", allow("docs:Put"))
    found = decoded(admin_sts(server), encoded_message(server.guard, refuse(server, "jane", SECRET_THING)))
    assert (found["explicitDeny"], found["matchedStatements"]) == (False, {"items": []})
    assert values(found)["aws:PrincipalArn"] == [f"arn:aws:iam::{ACCOUNT}:user/jane"]
    assert values(found)["aws:username"] == ["jane"]


def test_message_excludes_other_accounts_details(server: Running, client_for: ClientFor) -> None:
    """X-7: neither their policies and statements, nor the resource's tags and the application's keys."""
    client_for("jane", allow("docs:*"))
    policy = {"Version": "2012-10-17", "Statement": [{**deny("docs:*"), "Principal": "*"}]}
    theirs = Resource(THEIRS, account=OTHER_ACCOUNT, tags={"class": "secret"}, policy=policy)
    found = decoded(
        admin_sts(server), encoded_message(server.guard, refuse(server, "jane", theirs, {"docs:Class": "x"}))
    )
    assert (found["explicitDeny"], found["matchedStatements"]) == (False, {"items": []})
    assert not [key for key in values(found) if key.lower().startswith(("docs:", "aws:resource"))]
    own = Resource(SECRET_THING, account=ACCOUNT, tags={"class": "secret"}, policy=policy)
    found = decoded(admin_sts(server), encoded_message(server.guard, refuse(server, "jane", own)))
    assert found["explicitDeny"]
    assert values(found)["aws:ResourceTag/class"] == ["secret"]


def test_no_message_without_denial_or_account(server: Running) -> None:
    admin = Principal.from_arn(ADMIN_ARN)
    assert encoded_message(server.guard, server.guard.decide(admin, "docs:Get", SECRET_THING)) is None
    for caller in (Principal.anonymous(), Principal.service("events.amazonaws.com")):
        assert encoded_message(server.guard, server.guard.decide(caller, "docs:Get", SECRET_THING)) is None


def test_failed_decision_has_a_message(server: Running) -> None:
    gone = Principal.from_arn(f"arn:aws:iam::{ACCOUNT}:user/gone")
    found = decoded(
        admin_sts(server), encoded_message(server.guard, server.guard.decide(gone, "docs:Get", SECRET_THING))
    )
    assert found["context"]["principal"]["arn"] == gone.arn
    assert not found["allowed"]


def test_message_never_exceeds_the_decodable_length(server: Running, client_for: ClientFor) -> None:
    """Condition values are cut first, then statements; a too long request has no message."""
    client_for("jane", deny("docs:*", Condition={"StringLike": {"docs:noise": "*"}}))
    noise = base64.b64encode(Random(1).randbytes(30000)).decode()
    for length, kept in ((100, True), (40000, False)):
        context = {"docs:noise": noise[:length]}
        message = encoded_message(server.guard, refuse(server, "jane", SECRET_THING, context))
        assert message is not None
        assert len(message) <= MAX_CHARACTERS
        found = decoded(admin_sts(server), message)
        assert ("docs:noise" in values(found)) is kept
        assert found["explicitDeny"]
        assert found["matchedStatements"]["items"]
    long = SECRET_THING + noise
    assert encoded_message(server.guard, refuse(server, "jane", long)) is None


def test_message_does_not_compute_unused_values(server: Running, client_for: ClientFor) -> None:
    """An application's function may be slow or fail."""
    client_for("jane")
    context = {"docs:Broken": lambda: 1 / 0, "docs:Owner": "ada"}
    found = values(
        decoded(admin_sts(server), encoded_message(server.guard, refuse(server, "jane", SECRET_THING, context)))
    )
    assert found["docs:owner"] == ["ada"]
    assert "docs:broken" not in found


# --- permissions -------------------------------------------------------------------------------------------------


@pytest.fixture
def message(server: Running, client_for: ClientFor) -> str:
    client_for("jane")
    encoded = encoded_message(server.guard, refuse(server, "jane", SECRET_THING))
    assert encoded is not None
    return encoded


def test_decoding_needs_permission(server: Running, message: str, client_for: ClientFor) -> None:
    with refusal("AccessDenied", "to perform: sts:DecodeAuthorizationMessage because", 403):
        sts_of(server, client_for("nobody")).decode_authorization_message(EncodedMessage=message)
    support = sts_of(server, client_for("support", allow("sts:DecodeAuthorizationMessage")))
    assert decoded(support, message)["context"]["action"] == "docs:Get"


def test_other_account_cannot_decode(server: Running, message: str) -> None:
    """Not even the owner of the resource."""
    with refusal("InvalidAuthorizationMessageException", "Message is not valid", 400):
        server.client(OTHER_KEY, "sts").decode_authorization_message(EncodedMessage=message)


@pytest.mark.parametrize("text", ["x", "xyz", "é", "A" * 100, "a b", "=" * 8])
def test_invalid_message_is_rejected(server: Running, text: str) -> None:
    with refusal("InvalidAuthorizationMessageException", "Message is not valid", 400):
        admin_sts(server).decode_authorization_message(EncodedMessage=text)


def test_other_sealed_values_are_no_messages(server: Running) -> None:
    """Neither session tokens nor stored secrets."""
    sts = admin_sts(server)
    token = sts.get_session_token()["Credentials"]["SessionToken"]
    for text in (token, token.removeprefix("igst_")):
        with refusal("InvalidAuthorizationMessageException"):
            sts.decode_authorization_message(EncodedMessage=text)


SEALER = Sealer([new_key()])
CONTENT: Mapping[str, Any] = {"matchedStatements": {"items": []}, "context": {"conditions": {"items": []}}}
SEALED = write_message(CONTENT, ACCOUNT, SEALER) or ""


@given(st.integers(0), st.integers(0, 6))
def test_altered_message_is_rejected(place: int, bit: int) -> None:
    """In any bit."""
    sealed = bytearray(base64.urlsafe_b64decode(SEALED + "=" * (-len(SEALED) % 4)))
    sealed[place % len(sealed)] ^= 1 << bit
    text = base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()
    with suppress(StoreUnavailable):  # as if it was sealed with an unknown key
        assert read_message(text, ACCOUNT, SEALER) is None


@given(st.text(max_size=60))
def test_arbitrary_text_is_rejected(text: str) -> None:
    assert read_message(text, ACCOUNT, SEALER) is None


def test_message_is_bound_to_key_and_account() -> None:
    assert read_message(SEALED, ACCOUNT, SEALER) is not None
    assert read_message(SEALED, OTHER_ACCOUNT, SEALER) is None
    with pytest.raises(StoreUnavailable):
        read_message(SEALED, ACCOUNT, Sealer([new_key()]))


# --- a guarded application ---------------------------------------------------------------------------------------

docs = Service("docs")


@docs.requires("Get", resource="document/{id}")
async def get_document(request: Request) -> Response:
    return PlainTextResponse("here")


def test_application_sends_messages_on_request(server: Running, client_for: ClientFor) -> None:
    """By another error format; by default, errors are unchanged."""
    client_for("jane", deny("docs:*"))
    key = (f"AKIA{'JANE':0>16}", "secret-of-jane")
    routes = [Route("/documents/{id}", get_document)]

    def answer(**more: Any) -> dict[str, Any]:
        app = Starlette(routes=routes, middleware=[Middleware(GuardMiddleware, guard=server.guard, **more)])
        with TestClient(app, base_url="http://docs.example.com") as client:
            found: dict[str, Any] = client.get("/documents/7", headers=signature(key)).json()
        assert (found["status"], found["code"]) == (403, "AccessDenied")
        return found

    assert "encodedMessage" not in answer()
    with_message = answer(refusal=problem_with_message(server.guard))
    found = decoded(admin_sts(server), with_message["encodedMessage"])
    assert found["context"]["resource"].endswith(":document/7")
    assert found["matchedStatements"]["items"][0]["statementId"] == "NoSecrets"
    app = Starlette(
        routes=routes,
        middleware=[Middleware(GuardMiddleware, guard=server.guard, refusal=problem_with_message(server.guard))],
    )
    with TestClient(app) as client:
        unauthenticated = client.get("/documents/7")
    assert unauthenticated.status_code == 401
    assert "encodedMessage" not in unauthenticated.json()


def signature(key: tuple[str, str]) -> dict[str, str]:
    request = AWSRequest("GET", "http://docs.example.com/documents/7", data=b"")
    SigV4Auth(Credentials(*key), "docs", "us-east-1").add_auth(request)
    return {name: str(value) for name, value in request.headers.items()}
