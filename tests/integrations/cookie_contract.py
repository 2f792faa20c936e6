"""The part of the adapters' contract about browser sessions: what a signed-in user of the application gets."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from iam_guard import Guard
from iam_guard.audit.consumer.reader import read_records
from iam_guard.authn.people.person import find_person
from iam_guard.authn.people.sessions.browser_sessions import BrowserSession
from iam_guard.authn.tokens.session_cookie import DEVELOPMENT_COOKIE, clear_cookie, csrf_token
from iam_guard.factory import guard_with_store
from iam_guard.settings import Settings
from iam_guard.store.opening import create_store
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.web.browser.sign_in_redirect import STEP_UP
from tests.integrations.application import ACME, ARN, RITAS_API_KEY, docs, ran, resources, seed
from tests.integrations.scenarios import user
from tests.signed_in import give_password, issue_session

CLEARED = clear_cookie(DEVELOPMENT_COOKIE)
RECENT = 6 * 3600
"""Seconds in which a second factor is recent enough."""
PAGE = {"sec-fetch-mode": "navigate", "accept": "text/html"}


class _Row(NamedTuple):
    """A request with the cookie of `ada` or another value, and what it gets."""

    method: str
    path: str
    headers: Mapping[str, str]
    status: int
    caller: str | None = None
    cookie: str | None = "ada"
    clears: bool = False
    location: str | None = None
    is_challenged: bool = False


def _rows(origin: str, csrf: str) -> list[_Row]:
    own, ada, bad = {"origin": origin}, user("ada"), "A" * 43
    after = "/signin?next=%2Fdocuments%2F7%3Fa%3Db"
    return [
        _Row("GET", "/documents/7", {}, 200, ada),
        _Row("GET", "/shared/plan", {}, 200, ada),
        _Row("GET", "/class/7", {}, 200, ada),
        _Row("GET", "/by-hand/7", {}, 200, ada),
        _Row("GET", "/streams/7", {}, 200),
        _Row("GET", "/documents/7", {"authorization": f"Bearer {RITAS_API_KEY}"}, 200, user("rita")),
        _Row("GET", "/documents/7", {"sec-fetch-site": "cross-site"}, 403),
        _Row("GET", "/documents/7", {"sec-fetch-site": "cross-site", **PAGE}, 200, ada),
        _Row("PUT", "/documents/7", own, 200, ada),
        _Row("PUT", "/documents/7", {"x-csrf-token": csrf}, 200, ada),
        _Row("PUT", "/documents/7", {"sec-fetch-site": "same-origin"}, 200, ada),
        _Row("PUT", "/documents/7", {}, 403),
        _Row("PUT", "/documents/7", {"origin": "http://127.0.0.1:1"}, 403),
        _Row("PUT", "/class/7", {"origin": "null"}, 403),
        _Row("DELETE", "/documents/7", {}, 403),
        _Row("DELETE", "/documents/7", own, 204),
        _Row("GET", "/health", {}, 200, cookie=bad, clears=True),
        _Row("GET", "/documents/7", {}, 401, cookie=bad, clears=True),
        _Row("GET", "/shared/open", {}, 401, cookie=bad, clears=True),
        _Row("PUT", "/documents/7", own, 401, cookie=bad, clears=True),
        _Row("GET", "/documents/7?a=b", PAGE, 303, None, bad, True, f"{after}&reason=expired"),
        _Row("GET", "/documents/7", PAGE, 303, None, None, False, "/signin?next=%2Fdocuments%2F7"),
        _Row("GET", "/by-hand/7", PAGE, 303, None, None, False, "/signin?next=%2Fby-hand%2F7"),
        _Row("GET", "/documents/7", {}, 401, cookie=None),
        _Row("GET", "/documents/7", {"authorization": "Bearer igk_RITA_x", **PAGE}, 401),
        _Row("GET", "/health", PAGE, 200, cookie=None),
    ]


def _step_up_rows(origin: str) -> list[_Row]:
    """Return the rows of `mona`, whose policy requires a recent second factor: she had none, one long ago, or now."""
    own, mona = {"origin": origin}, user("mona")
    redirected = [
        _Row("GET", "/documents/7?a=b", PAGE, 303, None, cookie, False, "/signin/mfa?next=%2Fdocuments%2F7%3Fa%3Db")
        for cookie in ("mona", "mona long ago")
    ]
    return [
        *redirected,
        _Row("GET", "/by-hand/7", PAGE, 303, None, "mona", False, "/signin/mfa?next=%2Fby-hand%2F7"),
        _Row("GET", "/documents/7", {}, 403, cookie="mona", is_challenged=True),
        _Row("PUT", "/documents/7", {**own, **PAGE}, 403, cookie="mona", is_challenged=True),
        _Row("DELETE", "/documents/7", own, 404, cookie="mona"),
        _Row("GET", "/documents/never", PAGE, 403, cookie="mona"),
        _Row("GET", "/documents/7", PAGE, 200, mona, "mona now"),
        _Row("GET", "/documents/never", PAGE, 403, cookie="mona now"),
        _Row("GET", "/documents/7", {"authorization": f"Bearer {RITAS_API_KEY}", **PAGE}, 200, cookie="mona"),
    ]


def _seed() -> str:
    document = json.loads(seed())
    recent = {"NumericLessThan": {"aws:MultiFactorAuthAge": str(RECENT)}}
    statements = [
        {"Effect": "Allow", "Action": "docs:*", "Resource": "*", "Condition": recent},
        {"Effect": "Deny", "Action": "docs:*", "Resource": f"{ARN}never"},
    ]
    mona = {"name": "mona", "inline": {"P": {"Version": "2012-10-17", "Statement": statements}}}
    document["accounts"][0]["users"].append(mona)
    return json.dumps(document)


def check_session_cookie(
    build: Callable[[Guard | None], Any],
    serve: Callable[[Any], AbstractContextManager[str]],
    folder: Path,
    lacks_websocket: bool,
) -> None:
    """Send all rows to the application on a guard with a database, and check the audit records."""
    store = create_store(f"sqlite:///{folder}/iam.db", Settings())
    apply_seed(store, load_seed_text(_seed()))
    settings = Settings(audit=f"{folder}/audit.jsonl", sign_in_url="/signin")
    with closing(guard_with_store(store, settings, services=[docs], resources=resources)) as guard:
        now = guard.clock()
        instants = {"ada": None, "mona": None, "mona long ago": now - timedelta(seconds=RECENT), "mona now": now}
        issued = {name: _issue(guard, name.partition(" ")[0], instant) for name, instant in instants.items()}
        token = issued["ada"][0]
        with serve(build(guard)) as address:
            for row in [*_rows(address, csrf_token(token)), *_step_up_rows(address)]:
                _check(row, address, "" if row.cookie is None else issued.get(row.cookie, (row.cookie,))[0])
            if not lacks_websocket:
                _check_handshakes(address, token)
    written = list(read_records(folder / "audit.jsonl", on_broken=lambda _: None))
    assert {record["iamGuard"].get("credentialKind") for record in written} >= {"session"}
    ids = {record["userIdentity"].get("credentialId") for record in written if record["userIdentity"].get("arn")}
    assert ids == {"RITA", *(session.id for _, session in issued.values())}
    of_browser = {
        record["userIdentity"]["credentialId"] for record in written if "sessionCredentialFromConsole" in record
    }
    assert of_browser == ids - {"RITA"}
    assert token not in (folder / "audit.jsonl").read_text()


def _issue(guard: Guard, name: str, mfa_at: datetime | None) -> tuple[str, BrowserSession]:
    with guard.store.read_transaction() as records:
        person = find_person(records, "aws", account=ACME, name=name)
    assert person is not None
    give_password(guard, person)
    return issue_session(guard, person, mfa_at=mfa_at, address="127.0.0.1", user_agent="test")


def _check(row: _Row, address: str, token: str) -> None:
    headers = {"cookie": f"{DEVELOPMENT_COOKIE}={token}", **row.headers} if token else dict(row.headers)
    url = urlsplit(address)
    ran.clear()
    with closing(http.client.HTTPConnection(url.hostname or "", url.port, timeout=60)) as connection:
        connection.request(row.method, row.path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
    received = [(name.lower(), value) for name, value in answer.getheaders()]
    assert answer.status == row.status, (row, body)
    assert row.caller is None or json.loads(body)["caller"] == row.caller, row
    assert [value for name, value in received if name == "set-cookie"] == [CLEARED] * row.clears, row
    assert answer.headers.get("location") == row.location, row
    challenges = [value for name, value in received if name == "www-authenticate" and "insufficient_user" in value]
    assert challenges == [STEP_UP] * row.is_challenged, row
    varies = any(name == "vary" and "cookie" in value.lower() for name, value in received)
    is_asked = "authorization" not in row.headers and (row.cookie is not None or row.location is not None)
    assert not is_asked or varies, row
    if row.status >= 300:
        assert ran == [], row


def _check_handshakes(address: str, token: str) -> None:
    cookie = {"cookie": f"{DEVELOPMENT_COOKIE}={token}"}
    url = address.replace("http", "ws", 1) + "/watch/7"
    with connect(url, additional_headers={**cookie, "origin": address}, open_timeout=60) as socket:
        assert [*socket] == [user("ada")]
    for headers in (cookie, {**cookie, "origin": "http://evil.example"}):
        with pytest.raises(InvalidStatus) as refused, connect(url, additional_headers=headers, open_timeout=60):
            pass
        assert refused.value.response.status_code == 403
