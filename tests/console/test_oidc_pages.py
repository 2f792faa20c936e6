"""Sign-on by OIDC with a real provider: to a role session, with one role or several, with MFA, tags and logout."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.authn.people.oidc_provider import CLIENT, ISSUER, SECRET, Answer, OidcProvider, serving_provider
from tests.console.oidc_site import ACCOUNT, PROVIDER, READER, WRITER, OidcSite
from tests.tables import table

SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role"


@pytest.fixture
def provider() -> Iterator[OidcProvider]:
    with serving_provider(OidcProvider()) as made:
        yield made


@pytest.fixture
def site(tmp_path: Path, provider: OidcProvider) -> Iterator[OidcSite]:
    made = OidcSite(tmp_path, provider)
    yield made
    made.guard.close()


def test_person_signs_in_to_the_only_role_at_once(site: OidcSite, caplog: pytest.LogCaptureFixture) -> None:
    """The session is of `sub`; the trail has the sign-in and the decision, and no secret of the exchange."""
    caplog.set_level(logging.DEBUG)
    begun = site.start(next="/documents/9")
    assert begun.status_code == 303
    query = {name: value[0] for name, value in parse_qs(urlsplit(begun.headers["location"]).query).items()}
    assert query["redirect_uri"] == site.register(site.provider, site.entry)
    assert len({query["state"], query["nonce"], query["code_challenge"]}) == 3
    assert all(len(query[name]) == 43 for name in ("state", "nonce", "code_challenge"))  # 256 bits each
    site.provider.signed_in = "ann"
    back = site.at_provider(begun)
    answer = site.come_back(back)
    assert (answer.status_code, answer.headers["location"]) == (303, "/documents/9")
    assert site.caller() == f"{SESSION}/reader/ann-1 None"
    [record] = site.records()
    assert record["eventName"] == "ConsoleLogin"
    assert record["userIdentity"]["arn"] == f"{SESSION}/reader/ann-1"
    assert record["additionalEventData"]["OidcProviderArn"] == PROVIDER
    form = site.provider.last("token").params
    secrets = [SECRET, query["state"], query["nonce"], form["code"], form["code_verifier"]]
    logged = [record.getMessage() for record in caplog.records if not record.name.startswith("httpx")]  # the browser
    shown = (site.folder / "audit.jsonl").read_text() + "\n".join(logged)
    assert [secret for secret in secrets if secret in shown] == []
    assert '"eventName":"AssumeRoleWithWebIdentity"' in shown.replace(" ", "")


def test_several_roles_let_the_person_choose(site: OidcSite) -> None:
    """By a page with the roles; the session is of the chosen one."""
    site.provider.claims = {"groups": ["writers", "staff"]}
    page = site.sign_on()
    assert page.status_code == 200
    assert re.findall(r'value="(arn:[^"]*)"', page.text) == [READER, WRITER]
    assert "ann@corp.example" in page.text
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert token is not None
    fields = {"csrf_token": token[1], "role": WRITER}
    answer = site.browser.post(str(page.request.url), data=fields, headers={"origin": "http://localhost"})
    assert answer.status_code == 303
    assert site.caller().startswith(f"{SESSION}/writer/ann-1 ")


@table(
    "trusts, claims, shown",
    [
        (True, {"amr": ["pwd", "mfa"]}, "true"),
        (True, {"amr": ["pwd"]}, "None"),
        (True, {"amr": "mfa"}, "None"),
        (True, {}, "None"),
        (False, {"amr": ["mfa"]}, "None"),
    ],
)
def test_second_factor_counts_only_if_trusted(
    tmp_path_factory: pytest.TempPathFactory, trusts: bool, claims: dict[str, Any], shown: str
) -> None:
    """The provider must say so in `amr`, and the account must trust it."""
    with serving_provider(OidcProvider()) as provider:
        site = OidcSite(tmp_path_factory.mktemp("site"), provider, options={"trusts_mfa": trusts})
        provider.claims = claims
        assert site.sign_on().status_code == 303
        assert site.caller().split()[1] == shown
        site.guard.close()


def test_session_is_as_with_web_identity(site: OidcSite) -> None:
    """Session tags, the keys that the session keeps, and its end with the maximum of the role."""
    site.provider.claims = {"https://aws.amazon.com/tags": {"principal_tags": {"team": ["docs"]}}, "aud": [CLIENT]}
    assert site.sign_on().status_code == 303
    session = site.guard.people.browser_sessions.find(site.browser.cookies["iam-guard-dev"])
    assert session is not None
    name = ISSUER.removeprefix("https://")
    principal = session.principal
    assert dict(principal.tags) == {"team": "docs"}
    assert {key: principal.key(key.lower()) for key in (f"{name}:sub", f"{name}:aud", "aws:FederatedProvider")} == {
        f"{name}:sub": "ann-1",
        f"{name}:aud": CLIENT,
        "aws:FederatedProvider": PROVIDER,
    }
    assert session.expires == site.now + timedelta(hours=1)
    site.now += timedelta(minutes=59)
    site.caller()
    site.now += timedelta(minutes=1)
    assert site.browser.get("/documents/7", headers={"accept": "*/*"}).status_code in (303, 401, 403)


@table(
    "subject, name",
    [
        ("ann", "ann"),
        ("auth0|5f7c", "auth0-5f7c-"),
        ("a b", "a-b-"),
        ("x" * 255, "x" * 47 + "-"),
        ("ä", "--"),
    ],
)
def test_session_name_is_made_of_the_subject(tmp_path_factory: pytest.TempPathFactory, subject: str, name: str) -> None:
    """Unique and valid for each subject; the e-mail address, which may be another person's later, is not in it."""
    with serving_provider(OidcProvider()) as provider:
        site = OidcSite(tmp_path_factory.mktemp("site"), provider)
        provider.claims = {"sub": subject, "email": "admin@corp.example", "email_verified": True}
        assert site.sign_on().status_code == 303
        assert site.caller().startswith(f"{SESSION}/reader/{name}")
        assert "admin" not in site.caller()
        site.guard.close()


def test_sign_out_offers_to_sign_out_of_the_company(site: OidcSite) -> None:
    """By a link that needs no request to the provider; the session here is over first."""
    site.sign_on()
    site.provider.hanging = ("openid-configuration",)
    page = site.browser.get("/signin/sessions")
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert token is not None
    signed_out = site.browser.post("/signin/out", data={"csrf_token": token[1]}, headers={"origin": "http://localhost"})
    assert signed_out.status_code == 200
    link = re.search(r'<a href="([^"]+)" rel="noreferrer">', signed_out.text)
    assert link is not None
    parts = urlsplit(link[1].replace("&amp;", "&"))
    query = parse_qs(parts.query)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{site.provider.address}/logout"
    assert query["client_id"] == [CLIENT]
    assert query["post_logout_redirect_uri"] == ["http://localhost/signin/"]
    assert query["id_token_hint"][0].count(".") == 2
    assert "form-action 'self'" in signed_out.headers["content-security-policy"]
    assert "assumed-role" not in site.caller()


def test_password_session_has_no_company_to_sign_out_of(site: OidcSite) -> None:
    site.sign_in()
    answer = site.send("/signin/out")
    assert "noreferrer" not in answer.text


def test_link_of_another_site_begins_nothing(site: OidcSite) -> None:
    """Neither to the start nor to the page of companies: it could lead to the provider of an attacker."""
    for site_of_link, status in (("cross-site", 200), ("same-site", 200), ("same-origin", 303), ("none", 303)):
        headers = {"sec-fetch-site": site_of_link}
        begun = site.browser.get("/signin/oidc/start", params={"provider": site.entry.id}, headers=headers)
        assert begun.status_code == status, site_of_link
        assert ("iam-guard-dev-sign-on" in begun.headers.get("set-cookie", "")) is (status == 303)
        page = site.browser.get("/signin/company", params={"account": "acme"}, headers=headers)
        assert ("refresh" in page.headers) is (status == 303), site_of_link
    assert (
        "id.example.com"
        in site.browser.get(
            "/signin/oidc/start", params={"provider": site.entry.id}, headers={"sec-fetch-site": "cross-site"}
        ).text
    )


@table("host", ["evil.example", "localhost.evil.example", "127.0.0.1"])
def test_redirect_uri_is_that_of_the_setting(tmp_path_factory: pytest.TempPathFactory, host: str) -> None:
    """Whatever the client names as the host."""
    with serving_provider(OidcProvider()) as provider:
        site = OidcSite(tmp_path_factory.mktemp("site"), provider, site_url="https://app.example.com")
        browser = site.new_browser("https://app.example.com")
        begun = browser.get(
            "/signin/oidc/start", params={"provider": site.entry.id}, headers={"x-forwarded-host": host}
        )
        query = parse_qs(urlsplit(begun.headers["location"]).query)
        assert query["redirect_uri"] == [f"https://app.example.com/signin/oidc/callback/{site.entry.id}"]
        cookie = begun.headers["set-cookie"]
        assert cookie.startswith("__Host-iam-guard-sign-on=")
        assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= {part.strip() for part in cookie.split(";")}
        site.guard.close()


@table("next", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_sign_in_goes_on_to_this_site_only(tmp_path_factory: pytest.TempPathFactory, next: str) -> None:
    """No open redirect by `next`."""
    with serving_provider(OidcProvider()) as provider:
        site = OidcSite(tmp_path_factory.mktemp("site"), provider)
        assert site.sign_on(next=next).headers["location"] == "/signin/sessions"
        site.guard.close()


def test_pages_are_missing_without_the_site(tmp_path: Path, provider: OidcProvider) -> None:
    """Providers could not know the address."""
    site = OidcSite(tmp_path, provider, site_url="")
    for path in ("start", "callback"):
        assert site.browser.get(f"/signin/oidc/{path}").status_code == 404
    site.guard.close()


def test_choice_of_a_role_needs_no_provider(site: OidcSite) -> None:
    """What it sent was verified and sealed: it may be down by then, and have other keys."""
    site.provider.claims = {"groups": ["writers"]}
    page = site.sign_on()
    site.provider.rotate()
    site.provider.bodies = {name: Answer(500, b"") for name in ("openid-configuration", "jwks", "token")}
    site.guard.authenticators.tokens.clear()
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert token is not None
    fields = {"csrf_token": token[1], "role": WRITER}
    answer = site.browser.post(str(page.request.url), data=fields, headers={"origin": "http://localhost"})
    assert answer.status_code == 303
    assert site.caller().startswith(f"{SESSION}/writer/ann-1 ")


def test_answers_at_once_become_one_session(site: OidcSite) -> None:
    """The same code in several requests at once, and several codes of one attempt."""
    site.provider.signed_in = "ann"
    begun = site.start()
    cookies = dict(site.browser.cookies)
    urls = [site.at_provider(begun) for _ in range(4)]

    def open_at_once(urls: list[str]) -> list[Any]:
        browsers = [site.new_browser() for _ in urls]
        for browser in browsers:
            browser.cookies.update(cookies)
        with ThreadPoolExecutor(len(urls)) as threads:
            return list(threads.map(lambda pair: pair[0].get(pair[1]), zip(browsers, urls, strict=True)))

    assert sorted(answer.status_code for answer in open_at_once([site.at_provider(begun)] * 4)) == [303, 400, 400, 400]
    pending = [answer.headers["location"] for answer in open_at_once(urls)]
    answers = open_at_once([f"http://localhost{path}" for path in pending])
    assert sorted(answer.status_code for answer in answers) == [303, 400, 400, 400]
    assert site.reasons()[-3:] == ["The sign-in has been used before."] * 3
