"""The page that people of a company begin with: it finds their identity provider, and reveals nothing else."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from iam_guard.console import company_pages
from tests.authn.people.sign_on_world import ACME, CLIENT, GLOBEX, OIDC, READER, SAML, add_identity_providers
from tests.console.site import Site
from tests.tables import table

NEXT = "next=%2Fdocuments%2F7%3Fa%3Db"
VARYING = ("content-length", "x-amzn-requestid")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, site_url="http://localhost")
    add_identity_providers(made.store)
    yield made
    made.guard.close()


def add(site: Site, name: str, arn: str = SAML, **terms: Any) -> str:
    return site.guard.people.sign_on_providers.add(ACME, name, arn, **terms).id


def links(page: Any) -> dict[str, str]:
    """Return the URLs of the sign-on providers on a page by name."""
    found = re.search(r'<ul class="choices">(.*?)</ul>', page.text, re.DOTALL)
    return {} if found is None else {name: url for url, name in re.findall(r'<a href="(.*?)">(.*?)</a>', found[1])}


def test_one_provider_goes_on_at_once(site: Site) -> None:
    """By id, alias, and with the space that was typed, to where the person wanted to go."""
    id = add(site, "Acme SAML")
    for named in (ACME, "acme", "%20ACME%20"):
        page = site.browser.get(f"/signin/company?account={named}&{NEXT}")
        assert page.status_code == 200
        assert page.headers["refresh"] == f"0; url=/signin/saml/start?provider={id}&{NEXT}"
        assert links(page) == {"Acme SAML": f"/signin/saml/start?provider={id}&amp;{NEXT}"}
    page = site.browser.get("/signin/company?account=acme&next=//evil.example")
    assert page.headers["refresh"] == f"0; url=/signin/saml/start?provider={id}"


def test_link_of_another_site_takes_a_click(site: Site) -> None:
    """Else it would sign a browser in to an account of an attacker, whose identity provider asks for nothing."""
    id = add(site, "Acme")
    for headers, goes_on in (
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),  # a bookmark
    ):
        page = site.browser.get("/signin/company?account=acme", headers=headers)
        assert ("refresh" in page.headers) == goes_on, headers
        assert links(page) == {"Acme": f"/signin/saml/start?provider={id}"}


def test_several_providers_are_a_choice(site: Site) -> None:
    """Their names are text, whatever their administrator wrote."""
    saml = add(site, "b <script>")
    oidc = add(site, "a & b", OIDC, client_id=CLIENT, roles=[READER])
    page = site.browser.get("/signin/company?account=acme")
    assert "refresh" not in page.headers
    assert links(page) == {
        "a &amp; b": f"/signin/oidc/start?provider={oidc}",
        "b &lt;script&gt;": f"/signin/saml/start?provider={saml}",
    }


@table("unknown", ["globey", "555566667777", "acne", "no%20name", "%00", "-", "x" * 300, "%F0%9F%92%A9", "%ff"])
def test_unknown_account_looks_like_one_without_company(site: Site, unknown: str) -> None:
    """The same bytes but for what was typed, after the same statements."""
    known = GLOBEX if unknown.isdigit() else "globex"
    executed: list[str] = []
    event.listen(site.store.engine, "before_cursor_execute", lambda *args: executed.append(args[2]))
    answers = []
    site.browser.get("/signin/company")  # for the cookie of forms
    for named in (known, unknown):
        executed.clear()
        page = site.browser.get(f"/signin/company?account={named}&{NEXT}")
        body = re.sub(r'(<input id="account".*? value=").*?(")', r"\1\2", page.text)
        headers = [item for item in page.headers.multi_items() if item[0] not in VARYING]
        answers.append((page.status_code, headers, body, list(executed)))
    assert answers[0] == answers[1]
    assert answers[0][0] == 400
    assert "There is no company sign-in for this account." in answers[0][2]


def test_remembered_account_fills_in_the_form(site: Site) -> None:
    """The form is empty otherwise; it keeps where to go on to."""
    page = site.browser.get(f"/signin/company?{NEXT}")
    assert re.search(r'<input id="account"[^>]* value=""', page.text)
    assert '<input type="hidden" name="next" value="/documents/7?a=b">' in page.text
    value = base64.urlsafe_b64encode(b"user:acme:ada").decode().rstrip("=")
    site.browser.cookies.set("iam-guard-dev-account", value, domain="localhost.local")
    assert re.search(r'<input id="account"[^>]* value="acme"', site.browser.get("/signin/company").text)
    assert re.search(r'<input id="account"[^>]* value="no"', site.browser.get("/signin/company?account=no").text)


def test_sign_in_page_links_to_the_companys(site: Site) -> None:
    assert (
        f'<a href="/signin/company?{NEXT}">Sign in with your company</a>' in site.browser.get(f"/signin/?{NEXT}").text
    )
    assert "/company" not in site.browser.get("/signin/?type=root").text


def test_other_site_has_no_company_page(site: Site, tmp_path: Path) -> None:
    """Identity providers would send the browser back elsewhere."""
    add(site, "Acme")
    for url in ("https://localhost", "http://127.0.0.1", "http://localhost:8000", "https://evil.example"):
        browser = site.new_browser(url)
        assert browser.get("/signin/company?account=acme").status_code == 404
        assert "/company" not in browser.get("/signin/").text
    unencrypted = site.new_browser("http://evil.example").get("/signin/company?account=acme")
    assert (unencrypted.status_code, links(unencrypted), "refresh" in unencrypted.headers) == (400, {}, False)
    (tmp_path / "other").mkdir()
    other = Site(tmp_path / "other")  # without `site_url`
    assert other.browser.get("/signin/company").status_code == 404
    other.guard.close()


def test_page_needs_the_extra(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(company_pages, "has_sign_on_libraries", lambda: False)
    assert site.browser.get("/signin/company").status_code == 404
    assert "/company" not in site.browser.get("/signin/").text


def test_page_accepts_no_form(site: Site) -> None:
    """Its form is sent with GET."""
    add(site, "Acme")
    page = site.browser.post("/signin/company?account=acme", data={"account": "acme"})
    assert page.status_code == 400
