"""A broker makes a link with botocore and urllib3, as AWS documents it, and a person opens it in a browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import boto3
import pytest
import urllib3

from iam_guard.api.protocol.app import aws_api
from iam_guard.console.sign_in_app import beside_api
from iam_guard.store.schema import access_keys, identities, inline_policies
from iam_guard.store.sql_store import access_key_context
from tests.console.browser.test_flows import document
from tests.console.browser.visitor import NewVisitor, Visitor
from tests.console.site import ACCOUNT, EVERYTHING, Site

KEY, SECRET = "AKIATESTADA000000001", "ada-secret-0123456789abcdefghijklmnopqrs"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/auditor"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/auditor/ada@acme"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Return the application with the API beside it, and an access key of Ada."""
    made = Site(tmp_path)
    guarded, own = made.app, beside_api(made.guard, aws_api(made.guard))
    made.guard.clock = lambda: datetime.now(UTC)  # botocore signs with the real time
    with made.store.write_transaction() as records:
        sealed = made.store.sealer.seal(SECRET.encode(), access_key_context(KEY))
        owner = {"account": ACCOUNT, "user_id": made.person("ada").user_id}
        records.insert(access_keys, id=KEY, sealed=sealed, status="Active", created=0, **owner)
        role, text = records.one(identities, kind="role", name="auditor"), json.dumps(EVERYTHING)
        assert role is not None
        values = {"name": "all", "folded": "all", "text": text, "digest": sha256(text.encode()).hexdigest()}
        records.insert(inline_policies, identity_id=role["id"], **values)
    made.guard.refresh()

    async def choose(scope: Any, receive: Any, send: Any) -> None:
        await (guarded if scope["path"].startswith(("/documents", "/favicon")) else own)(scope, receive, send)

    made.app = choose  # type: ignore[assignment]
    yield made
    made.guard.close()


def link(url: str, *, method: str = "GET", destination: str, **parameters: str) -> str:
    """Return a link that signs in as the role; `url` is the address of the API and the pages."""
    keys = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET}
    sts: Any = boto3.client("sts", "us-east-1", endpoint_url=url, **keys)
    found = sts.assume_role(RoleArn=ROLE, RoleSessionName="ada@acme")["Credentials"]
    session = {
        "sessionId": found["AccessKeyId"],
        "sessionKey": found["SecretAccessKey"],
        "sessionToken": found["SessionToken"],
    }
    fields = {"Action": "getSigninToken", "Session": json.dumps(session), **parameters}
    with urllib3.PoolManager() as pool:
        answer = (
            pool.request_encode_url(method, f"{url}/federation", fields=fields)
            if method == "GET"
            else (pool.request_encode_body(method, f"{url}/federation", fields=fields, encode_multipart=False))
        )
        assert answer.status == 200, answer.data
        token = json.loads(answer.data)["SigninToken"]
    login = {
        "Action": "login",
        "Issuer": "https://broker.example",
        "Destination": destination,
        "SigninToken": token,
    }
    return f"{url}/federation?{urlencode(login)}"


def test_link_opens_a_session_in_the_browser(visitor: Visitor) -> None:
    """And signs out with AWS's link, after which the application sends people to sign in."""
    visitor.open(link(visitor.url, destination=f"{visitor.url}/documents/7"))
    assert SESSION in visitor.page.locator("main").inner_text()
    visitor.press("continue_as", name="ada@acme")
    assert (visitor.path, visitor.page.locator("body").inner_text()) == ("/documents/7", f"{SESSION} None")
    visitor.open("/signin/sessions")
    assert visitor.text["in_role"].format(role=f"auditor @ {ACCOUNT}") in visitor.page.locator("main").inner_text()
    visitor.open("/federation?Action=logout")
    visitor.press("sign_out")
    assert visitor.status == visitor.text["signed_out"]
    document(visitor)
    visitor.expect("/signin", "as_user")


def test_link_of_a_long_session_is_opened_once(new_visitor: NewVisitor) -> None:
    """By POST and with a duration; the second browser is refused."""
    first, second = new_visitor(), new_visitor()
    url = link(first.url, method="POST", destination="https://elsewhere.example/", SessionDuration="7200")
    for visitor in (first, second):
        visitor.open(url)
    first.press("continue_as", name="ada@acme")
    first.expect("/signin/sessions", "sessions")
    second.press("continue_as", name="ada@acme")
    assert second.alert == second.text["link_refused"]


def test_link_replaces_the_session_of_a_person(visitor: Visitor) -> None:
    visitor.open("/signin/")
    visitor.sign_in()
    visitor.open(link(visitor.url, destination="/documents/7"))
    visitor.press("continue_as", name="ada@acme")
    assert SESSION in visitor.page.locator("body").inner_text()
