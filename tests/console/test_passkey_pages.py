"""The pages for passkeys and security keys: their forms, sent as the script sends them."""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from iam_guard import GuardMiddleware
from iam_guard.console.languages import LANGUAGES, texts
from iam_guard.console.sign_in_app import sign_in_pages
from iam_guard.factory import guard_with_store
from iam_guard.store.schema import inline_policies, passkeys
from tests.authn.people.authenticator import PRESENT, VERIFIED, Key, encode
from tests.console.site import Site
from tests.tables import table


class PasskeySite(Site):
    """The site of the other tests, in a browser with the script."""

    def form(self, path: str, action: str, number: int = 0) -> dict[str, str]:
        """Return the hidden fields of a form of the script."""
        page = self.browser.get(path)
        forms = re.findall(rf'<form method="post" action="{action}" data-passkey.*?</form>', page.text, re.DOTALL)
        return {
            name: html.unescape(value) for name, value in re.findall(r'name="(\w+)" value="([^"]*)"', forms[number])
        }

    def post(self, action: str, fields: dict[str, str]) -> Any:
        headers = {"origin": str(self.browser.base_url).rstrip("/")}
        return self.browser.post(action, data=fields, headers=headers)

    def options(self, action: str, fields: dict[str, str]) -> Any:
        answer = self.post(action, fields)
        assert answer.status_code == 200, answer.text
        assert answer.headers["cache-control"] == "no-store"
        return answer.json()

    def add(self, key: Key, kind: str = "passkey") -> Any:
        """Add a key by the page of second factors."""
        action = "/signin/factors/passkey"
        fields = self.form("/signin/factors", action, 0 if kind == "passkey" else 1)
        assert fields["kind"] == kind
        fields["name"] = "Ada's <laptop>"
        return self.post(action, fields | {"credential": key.create(self.options(action, fields))})

    def use(self, key: Key, path: str = "/signin/", action: str = "/signin/passkey") -> Any:
        """Sign in with a passkey, or use a key as second factor."""
        fields = self.form(path, action)
        return self.post(action, fields | {"credential": key.get(self.options(action, fields))})


@pytest.fixture
def site(tmp_path: Path) -> Iterator[PasskeySite]:
    made = PasskeySite(tmp_path)
    yield made
    made.guard.close()


def test_passkey_is_added_and_signs_in(site: PasskeySite) -> None:
    """Without a name and a password, to where the person wanted to go."""
    site.sign_in()
    key = Key()
    page = site.add(key)
    assert page.status_code == 200
    assert len(re.findall(r"<li>([0-9A-Z-]{27})</li>", page.text)) == 10
    assert "Ada&#39;s &lt;laptop&gt;" in page.text
    assert site.browser.get("/documents/7").text.endswith("true")
    site.browser = site.new_browser()
    answer = site.use(key, "/signin/?next=/documents/7")
    assert (answer.status_code, answer.headers["location"]) == (303, "/documents/7")
    assert site.browser.get("/documents/7").text.endswith("user/ada true")
    site.guard.close()
    events = [(record["eventName"], record.get("additionalEventData", {})) for record in site.records()]
    assert [name for name, _ in events][-2:] == ["CheckMfa", "ConsoleLogin"]
    assert events[-2][1]["MfaType"] == "passkey"
    assert events[-1][1]["MFAUsed"] == "Yes"
    assert events[-1][1]["MFAIdentifier"] == events[-2][1]["MFAIdentifier"]


@pytest.mark.parametrize("kind", ["passkey", "key"])
def test_key_is_asked_for_after_the_password(site: PasskeySite, kind: str) -> None:
    site.sign_in()
    key = Key(flags=PRESENT | VERIFIED if kind == "passkey" else PRESENT)
    assert site.add(key, kind).status_code == 200
    site.browser = site.new_browser()
    assert site.sign_in().headers["location"] == "/signin/mfa"
    page = site.browser.get("/signin/mfa").text
    assert 'name="mfa_code"' not in page
    assert "/signin/recovery" in page
    assert site.browser.get("/documents/7").status_code in (401, 403)
    answer = site.use(key, "/signin/mfa", "/signin/mfa/passkey")
    assert answer.headers["location"] == "/signin/sessions"
    assert site.browser.get("/documents/7").text.endswith("true")


def test_person_without_key_is_asked_for_a_code(site: PasskeySite) -> None:
    """As before; there is no script."""
    site.sign_in()
    site.enrol()
    site.browser = site.new_browser()
    site.sign_in()
    page = site.browser.get("/signin/mfa")
    assert 'name="mfa_code"' in page.text
    assert "script" not in page.headers["content-security-policy"]
    assert "data-passkey" not in page.text


def test_refusals_are_alike(site: PasskeySite) -> None:
    """An unknown key, a wrong one and one of a person without password: the same page, and no session."""
    site.sign_in()
    key = Key()
    site.add(key)
    site.browser = site.new_browser()
    wrong = [Key(), Key(id=key.id, user_handle=key.user_handle), Key(id=key.id, user_handle=b"x", private=key.private)]
    pages = set()
    for other in wrong:
        answer = site.use(other)
        assert answer.status_code == 400
        assert "That did not work." in answer.text
        pages.add(re.sub(r'value="[0-9a-f]{64}"', "", answer.text))
    assert len(pages) == 1
    assert "iam-guard-dev" not in site.browser.cookies


def test_challenge_is_of_the_browser(site: PasskeySite) -> None:
    """Another browser can't use the answer, though it has a form of its own."""
    site.sign_in()
    key = Key()
    site.add(key)
    site.browser = site.new_browser()
    text = key.get(site.options("/signin/passkey", site.form("/signin/", "/signin/passkey")))
    site.browser = site.new_browser()
    fields = site.form("/signin/", "/signin/passkey")
    assert site.post("/signin/passkey", fields | {"credential": text}).status_code == 400
    assert "iam-guard-dev" not in site.browser.cookies


@table("action", ["/signin/passkey", "/signin/mfa/passkey", "/signin/factors/passkey", "/signin/factors/remove"])
def test_form_of_another_site_is_refused(tmp_path: Path, action: str) -> None:
    """And one without its token: also for options."""
    site = PasskeySite(tmp_path)
    site.sign_in()
    token = re.search(r'name="csrf_token" value="([^"]+)"', site.browser.get("/signin/sessions").text)
    assert token
    for fields, headers in (
        ({"kind": "passkey"}, {}),
        ({"kind": "passkey", "csrf_token": token[1]}, {"origin": "https://evil.example"}),
        ({"kind": "passkey", "csrf_token": token[1]}, {"sec-fetch-site": "cross-site"}),
    ):
        answer = site.browser.post(action, data=fields, headers=headers)
        assert answer.headers["content-type"].startswith("text/html")
        assert answer.status_code in (303, 400)
    site.guard.close()


def test_enrolment_and_removal_need_permission(site: PasskeySite) -> None:
    """On the person itself, as at AWS."""
    site.sign_in("bob")
    action = "/signin/factors/passkey"
    answer = site.post(action, site.form("/signin/factors", action))
    assert (answer.status_code, "Your policies do not allow this" in answer.text) == (400, True)
    fields = site.form("/signin/factors", action)
    answer = site.post("/signin/factors/remove", {"csrf_token": fields["csrf_token"], "serial": "any"})
    assert (answer.status_code, "Your policies do not allow this" in answer.text) == (400, True)


@table(("steps", "is_added"), [(["Create"], False), (["Activate"], False), (["Create", "Activate"], True)])
def test_policies_know_that_a_key_is_registered(tmp_path: Path, steps: list[str], is_added: bool) -> None:
    """By `iam:RegisterSecurityKey`, as at AWS: when it is made, and when it is added."""
    site = PasskeySite(tmp_path)
    condition = {"StringEquals": {"iam:RegisterSecurityKey": steps}}
    statement = {"Effect": "Allow", "Action": "iam:EnableMFADevice", "Resource": "*", "Condition": condition}
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    with site.store.write_transaction() as records:
        names = {"identity_id": site.person("bob").user_id, "name": "keys", "folded": "keys"}
        records.insert(inline_policies, **names, text=text, digest=hashlib.sha256(text.encode()).hexdigest())
    site.guard.refresh()
    site.sign_in("bob")
    action, key = "/signin/factors/passkey", Key()
    fields = site.form("/signin/factors", action)
    answer = site.post(action, fields)
    if answer.status_code == 200:
        answer = site.post(action, fields | {"credential": key.create(answer.json())})
    assert (answer.status_code == 200) is is_added
    site.guard.close()


def test_key_is_removed(site: PasskeySite) -> None:
    """By a form that needs no script; the browser learns that it can forget it."""
    site.sign_in()
    key = Key()
    page = site.add(key)
    removal = re.search(r'action="/signin/factors/remove">(.*?)</form>', page.text, re.DOTALL)
    assert removal
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', removal[1]))
    answer = site.post("/signin/factors/remove", fields)
    assert answer.status_code == 200
    assert f'data-removed="{encode(key.id)}" data-rp="localhost"' in answer.text
    assert "You have no second factor." in answer.text
    with site.store.read_transaction() as records:
        assert records.all(passkeys) == []
    assert site.browser.get("/documents/7").status_code == 200
    site.browser = site.new_browser()
    assert site.use(key).status_code == 400


def test_removal_needs_a_second_factor(site: PasskeySite) -> None:
    """A session from before the first one is asked for it first."""
    site.sign_in()
    before = site.browser
    site.browser = site.new_browser()
    site.sign_in()
    key = Key()
    site.add(key)
    site.browser = before
    page = site.browser.get("/signin/factors").text
    assert '/signin/mfa?next=/signin/factors">Use your second factor first.' in page
    [serial] = re.findall(r'name="serial" value="([^"]*)"', page)
    token = site.form("/signin/factors", "/signin/factors/passkey")["csrf_token"]
    answer = site.post("/signin/factors/remove", {"csrf_token": token, "serial": serial})
    assert (answer.status_code, "Use your second factor first." in answer.text) == (400, True)
    answer = site.use(key, "/signin/mfa?next=/signin/factors", "/signin/mfa/passkey")
    assert answer.headers["location"] == "/signin/factors"
    token = site.form("/signin/factors", "/signin/factors/passkey")["csrf_token"]
    assert site.post("/signin/factors/remove", {"csrf_token": token, "serial": serial}).status_code == 200


@pytest.mark.parametrize("path", ["/signin/", "/signin/?type=root", "/signin/factors"])
def test_only_pages_with_passkeys_have_a_script(site: PasskeySite, path: str) -> None:
    """One of our own, and nothing inline; without it the forms are hidden."""
    site.sign_in()
    page = site.browser.get(path)
    policy = dict(part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";"))
    assert (policy["script-src"], policy["connect-src"], policy["default-src"]) == ("'self'", "'self'", "'none'")
    assert re.findall(r"<script[^>]*>", page.text) == ['<script src="/signin/passkeys.js" defer>']
    forms = re.findall(r"<form[^>]*data-passkey[^>]*>", page.text)
    assert forms
    assert all(form.endswith(" hidden>") for form in forms)
    script = site.browser.get("/signin/passkeys.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert "script" not in site.browser.get("/signin/sessions").headers["content-security-policy"]


def test_page_at_another_address_has_no_passkeys(site: PasskeySite) -> None:
    """Whatever the header `Host` is: neither a form nor options."""
    other = site.new_browser("https://app.example")
    page = other.get("/signin/")
    assert (page.status_code, "passkey" in page.text) == (200, False)
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert token
    answer = other.post("/signin/passkey", data={"csrf_token": token[1]}, headers={"origin": "https://app.example"})
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("text/html")


def test_configured_site_has_passkeys(site: PasskeySite) -> None:
    """Over TLS, for its host; not at localhost."""
    settings = replace(site.guard.settings, site_url="https://app.example.com", audit="")
    guard = guard_with_store(site.store, settings)
    try:
        site.app = GuardMiddleware(Starlette(routes=[Mount("/signin", sign_in_pages(guard))]), guard=guard)
        site.browser = site.new_browser("https://app.example.com")
        site.sign_in()
        key, action = Key(rp_id="app.example.com"), "/signin/factors/passkey"
        fields = site.form("/signin/factors", action)
        options = site.options(action, fields)
        assert options["rp"]["id"] == "app.example.com"
        answer = key.create(options, origin="https://app.example.com")
        assert site.post(action, fields | {"credential": answer}).status_code == 200
        site.browser = site.new_browser("https://app.example.com")
        fields = site.form("/signin/", "/signin/passkey")
        answer = key.get(site.options("/signin/passkey", fields), origin="https://app.example.com")
        assert site.post("/signin/passkey", fields | {"credential": answer}).status_code == 303
        assert "data-passkey" not in site.new_browser("http://localhost").get("/signin/").text
    finally:
        guard.close()


@pytest.mark.parametrize("language", LANGUAGES)
def test_messages_of_the_script_are_translated(site: PasskeySite, language: str) -> None:
    page = site.browser.get("/signin/", headers={"accept-language": language}).text
    for key in ("passkey_cancelled", "passkey_known", "passkey_failed"):
        assert html.escape(texts(language)[key]) in page


def test_answer_of_the_root_user_signs_it_in(site: PasskeySite) -> None:
    """Its passkey works on either page."""
    site.send("/signin/?type=root", email="root@acme.example", password="correct horse battery")
    key = Key()
    site.add(key)
    site.browser = site.new_browser()
    assert site.use(key, "/signin/?type=root").status_code == 303
    assert site.browser.get("/documents/7").text.endswith(":root true")


def test_known_browser_is_remembered(site: PasskeySite) -> None:
    """So guesses from elsewhere don't lock its person out of it."""
    site.sign_in()
    key = Key()
    site.add(key)
    site.browser = site.new_browser()
    site.use(key)
    assert site.browser.cookies.get("iam-guard-dev-browser")
