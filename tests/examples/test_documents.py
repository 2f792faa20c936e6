"""Test the example service: every route, every request of the demo, and invalid input."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import quote

import botocore.auth
import pytest
from rich.console import Console
from starlette.testclient import TestClient

from iam_guard import open_guard
from iam_guard.analysis.replay import Replayer, compare_decisions
from iam_guard.audit.consumer.reader import read_records
from iam_guard.factory import guard_with_store
from iam_guard.settings import Settings
from iam_guard.store.opening import create_store, open_store
from iam_guard.store.seed import apply_seed, load_seed
from tests.conftest import Sign
from tests.serving import serving

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "documents"


@pytest.fixture(scope="module")
def parts() -> Iterator[dict[str, Any]]:
    """Yield the modules of the example, imported as from its folder."""
    of_the_demo = [f"{name}_of_the_demo" for name in ("requests", "credentials", "browser")]
    names = ("documents", "app", *of_the_demo, "demo")
    with mock.patch.object(sys, "path", [str(FOLDER), *sys.path]):
        yield {name: __import__(name) for name in names}
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture
def client(parts: dict[str, Any], audit_file: Path) -> Iterator[TestClient]:
    """Yield a client of the example with its own seed; `with` runs its start-up, which inspects the routes."""
    guard = open_guard(FOLDER / "iam.yaml", audit=str(audit_file), services=[parts["app"].docs])
    app = parts["app"].create(guard)
    with TestClient(app, client=("127.0.0.1", 50000)) as opened:
        yield opened
    guard.close()
    app.state.documents.close()


class Caller:
    """Sends signed requests of the demo's users."""

    def __init__(self, client: TestClient, parts: dict[str, Any], sign: Sign) -> None:
        self._client = client
        self._keys = parts["requests_of_the_demo"].ACCESS_KEYS
        self._sign = sign

    def send(self, who: str, method: str, path: str, body: bytes | object = b"") -> Any:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = self._sign(self._keys[who], method, path, body=content) if who in self._keys else {}
        return self._client.request(method, path, content=content, headers=headers)


@pytest.fixture
def caller(client: TestClient, parts: dict[str, Any], sign: Sign) -> Caller:
    return Caller(client, parts, sign)


def test_demo_requests_get_expected_answers(
    client: TestClient, parts: dict[str, Any], sign: Sign, audit_file: Path
) -> None:
    """Each request gets the expected status, for the expected reason, and is recorded."""
    demo = parts["requests_of_the_demo"]
    now = botocore.auth.get_current_datetime
    for step in demo.REQUESTS:
        if step.by not in ("signature", "api key"):
            continue  # credentials from STS and from a provider need servers: `make demo` tests them; browsers: below
        content = b"" if step.body is None else json.dumps(step.body).encode()
        headers = {}
        if step.by == "api key":
            headers = {"authorization": f"Bearer {demo.API_KEYS[step.who]}"}
        elif step.who in demo.ACCESS_KEYS:
            then = now() - timedelta(minutes=step.minutes_late)
            with mock.patch("botocore.auth.get_current_datetime", return_value=then):
                headers = sign(demo.ACCESS_KEYS[step.who], step.method, step.path, body=content)
        if step.altered_body is not None:
            content = json.dumps(step.altered_body).encode()
        answer = client.request(step.method, step.path, content=content, headers=headers)
        assert answer.status_code == step.expected, (step, answer.text)
        if step.public:
            continue
        *_, record = read_records(audit_file)
        assert record["requestID"] == answer.headers["x-amzn-requestid"]
        text = json.dumps(record, ensure_ascii=False)
        for words in step.because.replace("Deny by ", "").split(" of "):
            assert words in text or words.endswith(" allows it"), (step, record)
    replayed_as_recorded(audit_file)


def replayed_as_recorded(audit_file: Path) -> None:
    """Decide the recorded requests again: all outcomes equal the recorded ones, if the store has the policies."""
    store = open_store(str(FOLDER / "iam.yaml"), Settings())
    result = compare_decisions(read_records(audit_file), Replayer(store, Settings()))
    store.close()
    assert (result.flips, result.contradictions) == ([], [])
    assert result.recorded_policies == result.compared > 20
    assert list(result.incomparable) == ["the application passed the resource's policy, which no store contains"]


@pytest.fixture
def address(parts: dict[str, Any], tmp_path: Path) -> Iterator[str]:
    """Yield the address of the example with its seed in a database, where `ed` has a password."""
    settings = Settings(audit=str(tmp_path / "audit.jsonl"), sign_in_url="/signin", password_memory=8)
    store = create_store(f"sqlite:///{tmp_path}/iam.db", settings)
    apply_seed(store, load_seed(FOLDER / "iam.yaml"))
    with closing(guard_with_store(store, settings, services=[parts["app"].docs])) as guard:
        app = parts["app"].create(guard)
        with closing(app.state.documents), serving(app) as opened:
            requests = parts["requests_of_the_demo"]
            parts["credentials_of_the_demo"].give_password(opened, requests.ACCESS_KEYS["ada"], "ed", requests.PASSWORD)
            yield opened


@pytest.mark.parametrize("name", ["forms over HTTP", pytest.param("Chromium", marks=pytest.mark.slow)])
def test_person_signs_in_with_a_browser(
    parts: dict[str, Any], address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Each request of a person's browser gets the expected answer, for the expected reason, and is recorded."""
    demo, requests, browsers = (parts[module] for module in ("demo", "requests_of_the_demo", "browser_of_the_demo"))
    if name != "Chromium":
        monkeypatch.setattr(browsers, "_chromium", lambda *_: None)
    steps = [
        step for step in requests.REQUESTS if step.who == requests.PERSON or (step.who, step.method) == ("ada", "POST")
    ]
    with browsers.opened(address) as browser:
        if browser.name != name:
            pytest.skip("Chromium and Playwright are not installed")
        answers = [(step, demo.send(address, step, None, browser)) for step in steps]
    console = Console(file=io.StringIO(), width=160)
    assert demo.report(console, answers, demo.records_of(tmp_path)) == 0, console.file.getvalue()
    assert [step.by for step, _ in answers].count("form") == 2


def test_every_route_once_in_a_document_lifecycle(caller: Caller) -> None:
    plan = "/documents/plan"
    assert caller.send("anonymous", "GET", "/health").json() == {"status": "ok"}
    made = caller.send("ada", "POST", plan, {"text": "a", "tags": {"team": "blue"}})
    assert (made.status_code, made.json()["account"]) == (201, "111122223333")
    assert caller.send("ada", "POST", plan, {"text": "b"}).status_code == 409
    assert caller.send("ed", "PUT", plan, {"text": "c"}).status_code == 204
    assert caller.send("ada", "PUT", plan + "/tags", {"tags": {"team": "red"}}).status_code == 204
    shown = {"id": "plan", "account": "111122223333", "text": "c", "tags": {"team": "red"}}
    assert caller.send("rita", "GET", plan).json() == shown
    assert caller.send("rita", "GET", "/documents").json() == [{"id": "plan", "tags": {"team": "red"}}]
    assert caller.send("ada", "POST", "/exports").json() == [shown]
    assert caller.send("ed", "PUT", plan, {"text": "d"}).status_code == 403
    assert caller.send("gus", "GET", plan).status_code == 403
    assert caller.send("gus", "GET", "/documents").json() == []
    assert caller.send("ada", "DELETE", plan).status_code == 204
    assert caller.send("ada", "GET", plan).status_code == 404


@pytest.mark.parametrize(("address", "status"), [("198.51.100.7", 200), ("2001:db8::7", 200), ("203.0.113.7", 403)])
def test_export_is_limited_to_the_office_network(parts: dict[str, Any], sign: Sign, address: str, status: int) -> None:
    """`aws:SourceIp`; a forwarding header of the caller changes nothing."""
    app = parts["app"].create()
    rita = parts["requests_of_the_demo"].ACCESS_KEYS["rita"]
    headers = {**sign(rita, "POST", "/exports"), "x-forwarded-for": "198.51.100.7"}
    with TestClient(app, client=(address, 50000)) as client:
        assert client.post("/exports", headers=headers).status_code == status


BODIES = [
    pytest.param(b"", id="empty"),
    pytest.param(b"text", id="no JSON"),
    pytest.param(b"\xff\xfe", id="no UTF-8"),
    pytest.param(b"[]", id="a list"),
    pytest.param(b"null", id="null"),
    pytest.param(b'"text"', id="a text"),
    pytest.param(b"7", id="a number"),
    pytest.param(b'{"tags": []}', id="tags: a list"),
    pytest.param(b'{"tags": null}', id="tags: null"),
    pytest.param(b'{"tags": "team"}', id="tags: a text"),
    pytest.param(b'{"tags": {"team": 1}}', id="tags: a number"),
    pytest.param(b'{"tags": {"team": null}}', id="tags: null inside"),
    pytest.param(b'{"tags": {"team": ["blue"]}}', id="tags: a list inside"),
    pytest.param(b'{"tags": {"team": "blue", "Team": "red"}}', id="tags that differ by letter case"),
    pytest.param(b"[" * 100_000, id="deep"),
    pytest.param(b'{"text": ' + b"9" * 5000 + b"}", id="many digits"),
    pytest.param(b'{"text": "\\ud800"}', id="half a character"),
    pytest.param(b'{"tags": {"team": "\\ud800"}}', id="half a character in a tag"),
    pytest.param(b'{"text": 7}', id="text: a number"),
    pytest.param(b'{"text": null}', id="text: null"),
]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [pytest.param("POST", "/documents/new", *body.values, id=f"new {body.id}") for body in BODIES]
    + [
        pytest.param("PUT", "/documents/plan/tags", *body.values, id=f"tags {body.id}")
        for body in BODIES
        if not str(body.id).startswith("text")
    ],
)
def test_invalid_body_gets_400(caller: Caller, method: str, path: str, body: bytes) -> None:
    """Never 500, and nothing is changed."""
    before = {"id": "plan", "account": "111122223333", "text": "a", "tags": {"team": "blue"}}
    caller.send("ada", "POST", "/documents/plan", {"text": "a", "tags": {"team": "blue"}})
    answer = caller.send("ada", method, path, body)
    assert answer.status_code == 400, answer.text
    assert caller.send("ada", "GET", "/documents/plan").json() == before
    assert caller.send("ada", "GET", "/documents/new").status_code == 404


@pytest.mark.parametrize("body", [body for body in BODIES if "tags" not in str(body.id)])
def test_invalid_text_gets_400(caller: Caller, body: bytes) -> None:
    caller.send("ada", "POST", "/documents/plan", {"text": "a"})
    assert caller.send("ada", "PUT", "/documents/plan", body).status_code == 400
    assert caller.send("ada", "GET", "/documents/plan").json()["text"] == "a"


def share(**changes: Any) -> bytes:
    statement = {"Effect": "Allow", "Principal": "*", "Action": "docs:GetDocument", "Resource": "*", **changes}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}).encode()


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        (b"", "expected a value"),
        (b"\xff", ""),
        (b"[]", "expected an object"),
        (b"[" * 100_000, ""),
        (share(Effect="allow"), "Effect"),
        (share(Principal=None), ""),
        (share(Action="GetDocument"), "GetDocument"),
        (share(Resource="document/7"), "document/7"),
        (share(Condition={"StringEqual": {"aws:username": "ada"}}), "StringEqual"),
        (share(Extra=1), "Extra"),
        (share().replace(b'"Effect"', b'"Effect": "Deny", "Effect"'), "Effect"),
        (json.dumps({"Statement": []}).encode(), ""),
    ],
)
def test_invalid_policy_gets_400_with_the_reason(caller: Caller, policy: bytes, reason: str) -> None:
    """It is not stored: the document does not change."""
    caller.send("ada", "POST", "/documents/plan", {"text": "a"})
    answer = caller.send("ada", "PUT", "/documents/plan/policy", policy)
    assert answer.status_code == 400, answer.text
    assert answer.json()["code"] == "MalformedPolicyDocument"
    assert reason in answer.json()["detail"]
    assert caller.send("gus", "GET", "/documents/plan").status_code == 403
    assert caller.send("ada", "GET", "/documents/plan").status_code == 200


@pytest.mark.parametrize("id", ["a b", "é", "a:b", "*", "a?b", "a#b", "'", '"', "{document_id}", "-"])
def test_special_characters_in_an_id_are_literal(caller: Caller, id: str) -> None:
    """M-21: every character of a path is literal in the resource's name."""
    path = f"/documents/{quote(id, safe='')}"
    made = caller.send("ada", "POST", path, {"text": "a"})
    assert (made.status_code, made.json()["id"]) == (201, id)
    assert caller.send("ada", "GET", path).json() == made.json()
    assert caller.send("gus", "GET", path).status_code == 403


def test_ambiguous_id_gets_400(caller: Caller) -> None:
    """A control character or a backslash in a name is ambiguous."""
    for id in ("\0", "a\nb", "a\\b"):
        for name in ("ada", "gus"):
            assert caller.send(name, "POST", f"/documents/{quote(id, safe='')}", {"text": "a"}).status_code == 400


@pytest.mark.slow
def test_demo_fits_the_columns() -> None:
    """Also without a terminal, where `COLUMNS` says how wide the reader's window is."""
    command = [sys.executable, str(FOLDER / "demo.py")]
    demo = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "80"})
    assert max(map(len, demo.stdout.splitlines())) == 80
    assert "│ POST /documents/plan" in demo.stdout
    assert "signin:ConsoleLogin" in demo.stdout
