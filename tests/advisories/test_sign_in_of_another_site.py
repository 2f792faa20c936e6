"""Advisory: another site must not act with the sign-in pages, show them in a frame, or choose a session.

Login CSRF: a form of another site signs its victim in as the attacker, who then reads what the victim stores. Session
fixation: the attacker plants a cookie, and waits until its victim signs in with it. Clickjacking: a click on the
attacker's page ends on a button of ours. The routes are found in the application, so a new page is tested, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from iam_guard.authn.people.person import PersonRef
from iam_guard.authn.tokens.session_cookie import csrf_token
from iam_guard.console.sign_in_app import sign_in_pages
from iam_guard.store.schema import (
    browser_sessions,
    federated_sessions,
    login_profiles,
    mfa_devices,
    password_resets,
    tool_sessions,
)
from tests.console.site import ACCOUNT, NEW_PASSWORD, PASSWORD, Site
from tests.signed_in import issue_session

OWN = "http://localhost"
FORM_COOKIE = "A" * 43
PLANTED = "B" * 43
HOSTILE: list[Mapping[str, str]] = [
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": ""},
    {"origin": f"{OWN}:3000"},
    {"origin": f"{OWN}.evil.example"},
    {"origin": "https://localhost"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "none"},
    {"sec-fetch-site": ""},
    {"sec-fetch-site": "same-origin", "origin": "https://evil.example"},
    {"sec-fetch-site": "cross-site", "origin": OWN},
]
FIELDS = {
    "/": {"account": "acme", "username": "bob", "password": PASSWORD},
    "/mfa": {"mfa_code": "123456"},
    "/recovery": {"recovery_code": "A" * 24},
    "/password": {"password": PASSWORD, "new_password": NEW_PASSWORD},
    "/sessions": {"session": "SESSION"},
    "/factors": {},
    "/reset": {"token": "TOKEN", "new_password": NEW_PASSWORD},
    "/forgot": {"email": "root@acme.example"},
    "/out": {},
    "/passkey": {"credential": ""},
    "/mfa/passkey": {"credential": "{}"},
    "/factors/passkey": {"credential": "{}", "kind": "passkey", "name": "a"},
    "/factors/remove": {"serial": "SERIAL"},
    "/switchrole": {"account": "acme", "role": "auditor"},
    "/exit": {},
    "/company": {"account": "acme"},
    "/saml/start": {"provider": "so-1"},
    "/continue": {"pending": "A" * 43, "role": "arn:aws:iam::111122223333:role/auditor"},
    "/federation": {"Action": "login", "SigninToken": "igsi_A"},
    "/v1/authorize": {"decision": "allow"},
    "/v1/sessions/confirmation": {},
}
FROM_OTHER_SITES = {"/saml/acs", "/oidc/logout"}
"""What identity providers send. The first starts no session by itself (`tests/console/test_saml_pages.py`), the second
is signed (`tests/console/test_oidc_logout.py`)."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.guard.close()


def paths(site: Site) -> set[str]:
    """Return the paths of the pages with forms."""
    routes: list[Any] = [route for route in sign_in_pages(site.guard).routes if "POST" in (route.methods or ())]  # type: ignore[attr-defined]
    return {route.path for route in routes}


def state(site: Site) -> list[Any]:
    """Return what the forms change."""
    with site.store.read_transaction() as records:
        tables = (browser_sessions, mfa_devices, password_resets, federated_sessions, tool_sessions)
        rows = [sorted(str({**row, "seen": None}) for row in records.all(table)) for table in tables]
        digests = sorted(row["digest"] for row in records.all(login_profiles))
    return [rows, digests]


def test_form_of_another_site_changes_nothing(site: Site) -> None:
    """Of any page: with the right token from elsewhere, and with another token from here. No session is new."""
    assert paths(site) - FROM_OTHER_SITES == FIELDS.keys()
    site.sign_in()
    session = str(site.browser.cookies["iam-guard-dev"])
    found = site.guard.people.browser_sessions.find(session)
    assert found is not None
    reset = site.guard.people.own_credentials.make_reset(PersonRef(ACCOUNT, "bob"), "arn:aws:iam::111122223333:root")
    before = state(site)
    real = {"SESSION": found.id, "TOKEN": reset}
    for signed_in in (True, False):
        cookies = {"iam-guard-dev": session} if signed_in else {"iam-guard-dev-form": FORM_COOKIE}
        token = csrf_token(session if signed_in else FORM_COOKIE)
        for path, fields in FIELDS.items():
            form = {name: real.get(value, value) for name, value in fields.items()}
            tries = [(headers, token) for headers in HOSTILE]
            tries += [({"origin": OWN}, other) for other in ("", "0" * 64, csrf_token(PLANTED), token[:-1])]
            for headers, sent in tries:
                browser = TestClient(site.app, base_url=OWN, cookies=cookies, follow_redirects=False)
                answer = browser.post(f"/signin{path}", data={**form, "csrf_token": sent}, headers=headers)
                assert answer.status_code in (303, 400, 404), (path, headers)
                assert answer.status_code != 303 or answer.headers["location"].startswith("/signin/"), path
                assert "iam-guard-dev=" not in answer.headers.get("set-cookie", ""), (path, headers)
    assert state(site) == before


def test_cookie_of_another_site_starts_no_session(site: Site) -> None:
    """A planted form cookie, whose token the attacker knows, helps only from a page of ours."""
    planted = {"iam-guard-dev-form": FORM_COOKIE, "iam-guard-dev": PLANTED}
    fields = {"csrf_token": csrf_token(FORM_COOKIE), **FIELDS["/"]}
    for headers in HOSTILE:
        browser = TestClient(site.app, base_url=OWN, cookies=planted, follow_redirects=False)
        assert browser.post("/signin/", data=fields, headers=headers).status_code == 400
    assert site.guard.people.browser_sessions.of(site.person("bob")) == []


def test_every_step_ends_the_token_before(site: Site) -> None:
    """So a token that was known before a step is worth nothing after it; no planted one is ever adopted."""
    seen = [PLANTED]
    site.browser.cookies.set("iam-guard-dev", PLANTED, domain="localhost.local")

    def step(answer: Any) -> None:
        assert answer.status_code in (200, 303), answer.text
        token = str(site.browser.cookies["iam-guard-dev"])
        assert token not in seen
        for former in seen:
            assert site.guard.people.browser_sessions.find(former) is None
        assert site.guard.people.browser_sessions.find(token) is not None
        seen.append(token)

    step(site.sign_in())
    site.enrol()
    step(site.browser.get("/signin/sessions"))
    site.now += timedelta(minutes=2)
    step(site.send("/signin/mfa", mfa_code=site.code("ada")))
    step(site.send("/signin/password", password=PASSWORD, new_password=NEW_PASSWORD))
    site.send("/signin/out")
    assert all(site.guard.people.browser_sessions.find(former) is None for former in seen)


def test_no_page_can_be_shown_in_a_frame(site: Site) -> None:
    """With any session or none, as a page, as a refusal, and as a redirect."""
    tokens = [issue_session(site.guard, site.person("ada"), task=task)[0] for task in (None, "factor", "password")]
    shown = 0
    for cookies in ({}, {"iam-guard-dev": PLANTED}, *({"iam-guard-dev": token} for token in tokens)):
        for base in (OWN, "http://app.example"):
            browser = TestClient(site.app, base_url=base, cookies=cookies, follow_redirects=False)
            for path in FIELDS:
                for method in ("GET", "HEAD", "POST", "PUT"):
                    answer = browser.request(method, f"/signin{path}")
                    policy = answer.headers["content-security-policy"]
                    assert re.search(r"(?:^|; )frame-ancestors 'none'(?:;|$)", policy), (method, path)
                    assert re.findall(r"script-src ([^;]*)", policy) in ([], ["'self'"])
                    assert answer.headers["x-frame-options"] == "DENY"
                    assert answer.headers["cache-control"] == "no-store"
                    shown += answer.status_code == 200
    assert shown > len(FIELDS)
