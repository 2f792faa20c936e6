"""The pages to switch to a role and back, by forms alone, and what other sites and guesses get from them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from iam_guard import GuardMiddleware, Service, current_principal
from iam_guard.authn.tokens.session_cookie import DEVELOPMENT_COOKIE, csrf_token, token_digest
from iam_guard.console.languages import texts
from iam_guard.console.sign_in_app import sign_in_pages
from iam_guard.store.schema import browser_sessions, identities
from tests.authn.people.role_parts import ACME, ADA, UMBRELLA, World
from tests.signed_in import issue_session
from tests.tables import table

SUPPORT = {"account": "umbrella", "role": "Support"}
SESSION = f"arn:aws:sts::{UMBRELLA}:assumed-role/Support/ada"
NAVIGATION = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document", "accept": "text/html"}
docs = Service("docs")


@docs.requires("GetDocument", resource="document/{document_id}")
async def get_document(request: Request) -> Response:
    return PlainTextResponse(current_principal().arn)


@docs.requires("ListDocuments", resource="document/{document_id}")
async def list_documents(request: Request) -> Response:
    return PlainTextResponse(current_principal().arn)


class Site:
    """An application with the pages, and a browser in which a person is signed in."""

    def __init__(self, folder: Path, name: str = "ada") -> None:
        self.world = World(folder)
        routes = [
            Route("/documents/{document_id}", get_document),
            Route("/lists/{document_id}", list_documents),
            Mount("/signin", sign_in_pages(self.world.guard)),
        ]
        self.app = GuardMiddleware(Starlette(routes=routes), guard=self.world.guard)
        self.browser = TestClient(self.app, base_url="http://localhost", follow_redirects=False)
        self.sign_in(name)

    def sign_in(self, name: str = "ada", **more: Any) -> None:
        token, _ = issue_session(self.world.guard, self.world.person(name), **more)
        self.cookie = token

    @property
    def cookie(self) -> str:
        return str(self.browser.cookies[DEVELOPMENT_COOKIE])

    @cookie.setter
    def cookie(self, token: str) -> None:
        self.browser.cookies.clear()
        self.browser.cookies.set(DEVELOPMENT_COOKIE, token, domain="localhost.local")

    def send(self, path: str = "/signin/switchrole", **fields: str) -> Any:
        """Fill in the form of a page, as a browser does: with its hidden fields."""
        page = self.browser.get(path)
        hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page.text))
        return self.browser.post(
            path.partition("?")[0], data={**hidden, **fields}, headers={"origin": "http://localhost"}
        )

    def caller(self) -> str:
        return str(self.browser.get("/documents/7").text)

    def stored(self) -> list[Any]:
        with self.world.guard.store.read_transaction() as records:
            return records.all(browser_sessions)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.world.guard.close()


# --- by forms ---------------------------------------------------------------------------------------------------------


def test_person_switches_and_comes_back(site: Site) -> None:
    """The caller of the application is the role's session, of another account, and its policies decide."""
    assert site.browser.get("/documents/7").status_code == 403
    former = site.cookie
    answer = site.send(**SUPPORT)
    assert (answer.status_code, answer.headers["location"]) == (303, "/signin/sessions")
    assert site.cookie != former
    assert site.caller() == SESSION
    assert site.browser.get("/lists/7").status_code == 403
    page = site.browser.get("/signin/sessions").text
    assert "Signed in as ada" in page
    assert f"Acting as the role Support @ {UMBRELLA}" in page
    assert csrf_token(site.cookie) in page
    answer = site.send("/signin/exit")
    assert (answer.status_code, answer.headers["location"]) == (303, "/signin/sessions")
    assert "Acting as" not in site.browser.get("/signin/sessions").text
    assert site.browser.get("/documents/7").status_code == 403
    assert len(site.stored()) == 1


def test_link_of_aws_fills_in_the_form(site: Site) -> None:
    """With the parameters of AWS; the same after signing in."""
    link = f"/signin/switchrole?account={UMBRELLA}&roleName=Support&displayName=Pr%C3%B6d+%3Cb%3E&next=%2Fdocuments%2F7"
    page = site.browser.get(link)
    for field, value in (("account", UMBRELLA), ("role", "Support"), ("display_name", "Pröd &lt;b&gt;")):
        assert re.search(rf'name="{field}"[^>]* value="{value}"', page.text), field
    site.browser.cookies.clear()
    answer = site.browser.get(link)
    assert answer.headers["location"].startswith("/signin/?next=%2Fsignin%2Fswitchrole%3Faccount%3D444455556666%26role")
    site.sign_in()
    assert site.send(link, display_name="Pröd <b>", **SUPPORT).headers["location"] == "/documents/7"
    assert f"Pröd &lt;b&gt; (Support @ {UMBRELLA})" in site.browser.get("/signin/sessions").text


def test_refused_form_keeps_what_was_typed(site: Site) -> None:
    answer = site.send(account="umbrella", role="Nothing", display_name="x")
    assert answer.status_code == 400
    assert texts("en")["switch_refused"].replace("'", "&#39;") in answer.text
    assert all(re.search(rf'value="{typed}"', answer.text) for typed in ("umbrella", "Nothing", "x"))


def test_person_switches_from_a_role(site: Site) -> None:
    """As itself; the role's own policies don't allow it."""
    site.send(**SUPPORT)
    assert site.send(account=ACME, role="team/Auditor").status_code == 303
    assert site.browser.get("/lists/7").text == f"arn:aws:sts::{ACME}:assumed-role/Auditor/ada"
    assert len(site.stored()) == 1


def test_sessions_of_the_person_are_listed_in_a_role(site: Site) -> None:
    """With the roles that they have; each can be ended, and signing out ends the one in the role."""
    site.send(**SUPPORT)
    in_role = site.cookie
    site.sign_in()
    page = site.browser.get("/signin/sessions").text
    assert page.count(f"Acting as the role Support @ {UMBRELLA}") == 1
    ids = re.findall(r'name="session" value="([^"]+)"', page)
    assert len(ids) == 2
    token = csrf_token(site.cookie)
    other = next(row["id"] for row in site.stored() if row["digest"] == token_digest(in_role))
    site.browser.post("/signin/sessions", data={"csrf_token": token, "session": other})
    assert [row["digest"] for row in site.stored()] == [token_digest(site.cookie)]
    site.send(**SUPPORT)
    answer = site.browser.post("/signin/out", data={"csrf_token": csrf_token(site.cookie)})
    assert answer.status_code == 200
    assert site.stored() == []


@table("path", ["/signin/factors", "/signin/password", "/signin/mfa", "/signin/recovery"])
def test_pages_of_the_person_are_refused_in_a_role(tmp_path: Path, path: str) -> None:
    """With a sentence that says why, and the way back, after which that page opens."""
    (folder := tmp_path / path.rpartition("/")[2]).mkdir()
    site = Site(folder)
    site.send(**SUPPORT)
    for answer in (site.browser.get(path), site.browser.post(path, data={"csrf_token": csrf_token(site.cookie)})):
        assert (answer.status_code, answer.headers["location"]) == (
            303,
            f"/signin/exit?next={path.replace('/', '%2F')}",
        )
    page = site.browser.get(answer.headers["location"])
    assert "belong to you, not to the role" in page.text
    back = site.send(answer.headers["location"])
    assert (back.status_code, back.headers["location"]) == (303, path)
    assert site.browser.get(path).status_code in (200, 400)  # its own page again, which a policy may refuse
    site.world.guard.close()


def test_pages_work_when_the_time_in_a_role_is_over(site: Site) -> None:
    """The browser is sent to the way back instead of asking for the password again."""
    site.send(**SUPPORT)
    for _ in range(3):
        site.world.now += timedelta(minutes=45)
        answer = site.browser.get("/documents/7", headers=NAVIGATION)
        site.world.guard.uses.flush()
    assert answer.status_code in (401, 403)
    for path in ("/signin/", "/signin/sessions", "/signin/password"):
        answer = site.browser.get(path)
        while answer.status_code == 303:
            answer = site.browser.get(answer.headers["location"])
        assert "Your time in this role is over" in answer.text, path
    assert site.send("/signin/exit").status_code == 303
    assert "Acting as" not in site.browser.get("/signin/sessions").text


def test_root_user_can_not_switch(tmp_path: Path) -> None:
    site = Site(tmp_path, "root")
    page = site.browser.get("/signin/switchrole")
    assert texts("en")["root_has_no_roles"].replace("'", "&#39;") in page.text
    assert "<form" not in page.text
    data = {"csrf_token": csrf_token(site.cookie), **SUPPORT}
    assert site.browser.post("/signin/switchrole", data=data).status_code == 400
    site.world.guard.close()


def test_nothing_is_left_without_a_role(site: Site) -> None:
    """The page to switch back goes on; its form changes nothing."""
    former = site.cookie
    answer = site.browser.get("/signin/exit?next=/documents/7")
    assert (answer.status_code, answer.headers["location"]) == (303, "/documents/7")
    site.browser.post("/signin/exit", data={"csrf_token": csrf_token(former)})
    assert site.cookie == former
    assert len(site.stored()) == 1
    site.browser.cookies.clear()
    assert site.browser.get("/signin/exit").headers["location"] == "/signin/"


# --- by others --------------------------------------------------------------------------------------------------------

FORGED: dict[str, tuple[str, dict[str, str], dict[str, str]]] = {
    "link": ("GET", {}, {}),
    "link with a token": ("GET", {"csrf_token": "own"}, {"sec-fetch-site": "same-origin"}),
    "no token": ("POST", {}, {"sec-fetch-site": "same-origin"}),
    "token of another session": ("POST", {"csrf_token": "other"}, {"sec-fetch-site": "same-origin"}),
    "another site": ("POST", {"csrf_token": "own"}, {"sec-fetch-site": "cross-site"}),
    "sibling of the domain": ("POST", {"csrf_token": "own"}, {"sec-fetch-site": "same-site"}),
    "another origin": ("POST", {"csrf_token": "own"}, {"origin": "http://evil.example"}),
}


@table("name", FORGED)
@table("path", ["/signin/switchrole", "/signin/exit"])
def test_only_our_own_form_switches(tmp_path: Path, path: str, name: str) -> None:
    """Neither to a role, nor back."""
    (folder := tmp_path / f"{path.rpartition('/')[2]} {name}").mkdir()
    site = Site(folder)
    if path == "/signin/exit":
        site.send(**SUPPORT)
    method, fields, headers = FORGED[name]
    tokens = {"own": csrf_token(site.cookie), "other": csrf_token("A" * 43)}
    fields = {**SUPPORT, "roleName": "Support", **{key: tokens[value] for key, value in fields.items()}}
    before = [dict(row) for row in site.stored()]
    where: dict[str, Any] = {"params": fields} if method == "GET" else {"data": fields}
    site.browser.request(method, path, headers=headers, **where)
    assert [dict(row) for row in site.stored()] == before
    site.world.guard.close()


def test_former_tokens_are_worth_nothing(site: Site) -> None:
    """Neither the person's after switching, nor the role's after switching back or to another role."""
    tokens = [site.cookie]
    for fields in ({"path": "/signin/switchrole", **SUPPORT}, {"path": "/signin/exit"}):
        site.send(**fields)
        tokens.append(site.cookie)
    current = tokens.pop()
    for token in tokens:
        site.cookie = token
        assert site.browser.get("/documents/7").status_code == 401
        site.cookie = token
        data = {"csrf_token": csrf_token(token), **SUPPORT}
        assert site.browser.post("/signin/switchrole", data=data).status_code != 200
    assert [row["digest"] for row in site.stored()] == [token_digest(current)]


def test_session_of_a_deleted_role_leads_nowhere(site: Site) -> None:
    site.send(**SUPPORT)
    token = site.cookie
    with site.world.guard.store.write_transaction() as records:
        records.delete(identities, account=UMBRELLA, kind="role", name="Support")
    for path, fields in (("/signin/exit", {}), ("/signin/switchrole", {"account": ACME, "role": "team/Auditor"})):
        site.cookie = token
        site.browser.post(path, data={"csrf_token": csrf_token(token), **fields})
        assert site.stored() == []
    assert site.browser.get("/documents/7").status_code == 401


@table("task", ["factor", "password"])
def test_unfinished_sign_in_can_not_switch(tmp_path: Path, task: str) -> None:
    (folder := tmp_path / task).mkdir()
    site = Site(folder)
    site.sign_in(task=task)
    token = site.cookie
    assert site.browser.get("/signin/switchrole").headers["location"] == "/signin/"
    data = {"csrf_token": csrf_token(token), **SUPPORT}
    assert site.browser.post("/signin/switchrole", data=data).headers["location"] == "/signin/"
    assert {row["role_id"] for row in site.stored()} == {None}
    site.world.guard.close()


GUESSES = {
    "a role that does not trust the person": {"account": "umbrella", "role": "Other"},
    "no role": {"account": "umbrella", "role": "Nothing"},
    "no account of that alias": {"account": "nothing", "role": "Support"},
    "no account of that id": {"account": "999999999999", "role": "Support"},
    "no role in the account of that id": {"account": UMBRELLA, "role": "Nothing"},
}


def test_guesses_reveal_neither_roles_nor_accounts(site: Site) -> None:
    """The same page, but for what was typed, after the same statements."""
    with site.world.guard.store.write_transaction() as records:
        row = records.one(identities, account=UMBRELLA, kind="role", name="Support")
        assert row is not None
        trust = str(row["trust_text"]).replace(ACME, "123412341234")
        other = {"id": "AROAOTHEROTHEROTHER12", "name": "Other", "folded": "other", "trust_text": trust}
        records.insert(identities, **{**row, **other})
    pages: set[str] = set()
    statements: dict[str, list[str]] = {}
    executed: list[str] = []
    for fields in GUESSES.values():  # the accounts are cached then
        site.send(**fields)
    engine = site.world.guard._store.behind.engine  # type: ignore[attr-defined]
    event.listen(engine, "before_cursor_execute", lambda *args: executed.append(args[2]))
    for name, fields in GUESSES.items():
        token = csrf_token(site.cookie)
        executed.clear()
        answer = site.browser.post("/signin/switchrole", data={"csrf_token": token, **fields})
        statements[name] = list(executed)
        assert answer.status_code == 400
        pages.add(re.sub(r'value="[^"]*"', "", answer.text))
    assert len(pages) == 1
    assert len(site.stored()) == 1
    for first, *others in (tuple(GUESSES)[:3], tuple(GUESSES)[3:]):
        assert {name: statements[name] for name in others if statements[name] != statements[first]} == {}


@table("language", ["en", "de"])
def test_pages_are_translated(site: Site, language: str) -> None:
    header = {"accept-language": language}
    text = texts(language)
    page = site.browser.get("/signin/switchrole", headers=header).text
    assert f"<h1>{text['switch_role']}</h1>" in page
    assert text["switch_hint"].format(name="ada").replace("'", "&#39;") in page
    assert ADA not in page
