"""The pages that people sign in with: each flow by forms alone, as without JavaScript."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from iam_guard.authn.people.passwords import failed_attempts as attempts
from iam_guard.authn.people.passwords.passwords import PasswordHasher
from iam_guard.authn.people.passwords.stored_passwords import delete_password
from iam_guard.authn.people.second_factors.factors import devices_of
from iam_guard.authn.people.sign_in import TypedName
from iam_guard.factory import guard_with_store
from iam_guard.model.request import Call
from iam_guard.settings import Settings
from iam_guard.store.schema import login_profiles, mfa_devices, password_policies
from tests.console.site import ACCOUNT, NEW_PASSWORD, PASSWORD, Site
from tests.passwords import set_password
from tests.tables import table

# --- a password --------------------------------------------------------------------------------------------------


def test_user_signs_in_and_is_the_caller(site: Site) -> None:
    assert site.browser.get("/documents/7").status_code in (401, 403)
    answer = site.sign_in()
    assert (answer.status_code, answer.headers["location"]) == (303, "/signin/sessions")
    assert site.browser.get("/documents/7").text == f"arn:aws:iam::{ACCOUNT}:user/ada false"
    page = site.browser.get("/signin/sessions")
    assert "Signed in as ada" in page.text
    assert "this session" in page.text


def test_account_is_named_by_its_id_too(site: Site) -> None:
    answer = site.send("/signin/", account=ACCOUNT, username="ada", password=PASSWORD)
    assert answer.status_code == 303


@table("typed", [f" {ACCOUNT} ", f"{ACCOUNT}\t", f"\N{NO-BREAK SPACE}{ACCOUNT}", " Acme "])
def test_account_is_found_with_spaces_around_its_name(tmp_path: Path, typed: str) -> None:
    """As browsers copy it. Refused sign-ins are recorded in the account, too, if its id was typed."""
    site = Site(tmp_path)
    assert site.send("/signin/", account=typed, username="ada", password="wrong").status_code == 400
    account = site.records()[-1]["recipientAccountId"]
    assert account == ACCOUNT
    assert site.send("/signin/", account=typed, username="ada", password=PASSWORD).status_code == 303
    site.guard.close()


def test_root_signs_in_by_e_mail(site: Site) -> None:
    answer = site.send("/signin/?type=root", email="Root@acme.example", password=PASSWORD)
    assert answer.status_code == 303
    assert site.browser.get("/documents/7").text == f"arn:aws:iam::{ACCOUNT}:root false"


def test_link_to_the_form_of_root_users_is_shown_where_it_is_wanted(tmp_path: Path) -> None:
    """Their form is there in any case."""
    for links in ("", "root"):
        (tmp_path / f"{links}.d").mkdir()
        site = Site(tmp_path / f"{links}.d", sign_in_links=links)
        page = site.browser.get("/signin/").text
        assert ("?type=root" in page, "<ul" in page) == (bool(links), bool(links))
        assert 'name="email"' in site.browser.get("/signin/?type=root").text
        site.guard.close()


def test_browser_goes_on_to_where_it_wanted(site: Site) -> None:
    navigation = {"sec-fetch-mode": "navigate", "accept": "text/html"}
    answer = site.browser.get("/documents/7?a=b", headers=navigation)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/signin?")
    page = site.browser.get(answer.headers["location"])
    assert page.status_code == 307  # to the root of the mounted pages
    assert site.sign_in(path=page.headers["location"]).headers["location"] == "/documents/7?a=b"


@table(
    "next",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "/\tevil",
        "/a\r\nb: c",
        "/\N{FULLWIDTH SOLIDUS}evil.example",
    ],
)
def test_browser_goes_nowhere_else(tmp_path: Path, next: str) -> None:
    """Not to another site (open redirect)."""
    site = Site(tmp_path)
    answer = site.sign_in(next=next)
    assert answer.headers["location"] == "/signin/sessions"
    site.guard.close()


REFUSED: dict[str, dict[str, str]] = {
    "wrong password": {"username": "ada", "password": "wrong"},
    "unknown user": {"username": "eve", "password": PASSWORD},
    "other case": {"username": "Ada", "password": PASSWORD},
    "unknown account": {"account": "umbrella", "username": "ada", "password": PASSWORD},
    "no login profile": {"username": "carl", "password": PASSWORD},
    "empty": {"account": "", "username": "", "password": ""},
}


def test_refusals_are_alike(site: Site) -> None:
    """The same page, but for what was typed; no session; a record without the name that was typed."""
    pages: set[str] = set()
    for fields in REFUSED.values():
        answer = site.send("/signin/", **{"account": "acme", **fields})
        assert answer.status_code == 400
        assert "iam-guard-dev=" not in answer.headers.get("set-cookie", "")
        pages.add(re.sub(r'value="[^"]*"', "", answer.text))
    assert len(pages) == 1
    site.guard.close()
    failures = site.records()
    assert [record["responseElements"] for record in failures] == [{"ConsoleLogin": "Failure"}] * len(REFUSED)
    assert '"eve"' not in json.dumps(failures)
    assert failures[1]["userIdentity"]["userName"] == "HIDDEN_DUE_TO_SECURITY_REASONS"


def test_guesses_are_limited(site: Site) -> None:
    """After five failures, the right password is refused for a while, and the page is the same."""
    wrong = [site.sign_in(password="wrong") for _ in range(5)]
    refused = site.sign_in()
    assert refused.status_code == 400
    assert "That did not work" in refused.text
    assert all("That did not work" in answer.text for answer in wrong)
    site.now += timedelta(seconds=31)
    assert site.sign_in().status_code == 303


def test_guesses_of_others_do_not_lock_a_known_browser(site: Site) -> None:
    """It is one in which that person has signed in; the cookie of another person, or a made-up one, is none."""
    known, other = site.new_browser(), site.new_browser()
    fields = {"account": "acme", "username": "ada"}
    site.send("/signin/", known, **fields, password=PASSWORD)
    site.send("/signin/", other, account="acme", username="bob", password=PASSWORD)
    for _ in range(6):
        site.send("/signin/", site.new_browser(), **fields, password="wrong")
    assert site.send("/signin/", other, **fields, password=PASSWORD).status_code == 400
    forged = site.new_browser()
    forged.cookies.set("iam-guard-dev-browser", "A" * 80, domain="localhost.local")
    assert site.send("/signin/", forged, **fields, password=PASSWORD).status_code == 400
    assert site.send("/signin/", known, **fields, password=PASSWORD).status_code == 303
    for _ in range(5):  # a known browser has a limit of its own
        site.send("/signin/", known, **fields, password="wrong")
    assert site.send("/signin/", known, **fields, password=PASSWORD).status_code == 400


def test_new_password_ends_the_limit(site: Site) -> None:
    """After 100 failures no wait helps, only another password, and it ends all sessions."""
    other = site.new_browser()
    site.send("/signin/", other, account="acme", username="ada", password=PASSWORD)
    for _ in range(attempts.MAX_FAILURES):
        site.sign_in(password="wrong")
        site.now += timedelta(hours=1)
    site.now += timedelta(days=30)
    assert site.sign_in().status_code == 400
    assert other.get("/documents/7").status_code in (401, 403)  # it has expired
    with site.store.write_transaction() as records:
        assert set_password(records, PasswordHasher(8, 1), site.person("ada"), NEW_PASSWORD, 0) is None
    assert site.sign_in(password=NEW_PASSWORD).status_code == 303


def test_deleted_password_ends_sessions(site: Site) -> None:
    """Without a password, a person has no sessions either."""
    site.sign_in()
    assert site.browser.get("/documents/7").status_code == 200
    with site.store.write_transaction() as records:
        delete_password(records, site.person("ada"))
    site.guard.refresh()
    assert site.browser.get("/documents/7").status_code in (401, 403)
    assert site.sign_in().status_code == 400


def test_weak_digest_is_renewed(site: Site) -> None:
    """When the cost was raised since."""
    stronger = guard_with_store(site.store, Settings(epoch_poll=3600, password_memory=16, password_passes=2))
    with site.store.read_transaction() as records:
        before = {row["owner"]: row["digest"] for row in records.all(login_profiles)}
    stronger.clock = lambda: site.now
    for _ in range(2):
        assert (
            stronger.people.sign_in.with_password(TypedName(account="acme", username="ada"), PASSWORD, Call("1"))
            is not None
        )
    with site.store.read_transaction() as records:
        after = {row["owner"]: row["digest"] for row in records.all(login_profiles)}
    changed = {owner for owner in before if before[owner] != after[owner]}
    assert changed == {site.person("ada").owner}
    assert "m=16,t=2" in after[site.person("ada").owner]


# --- a second factor ---------------------------------------------------------------------------------------------


def test_second_factor_is_added_and_asked_for(site: Site) -> None:
    site.sign_in()
    recovery = site.enrol()
    assert len(recovery) == 10
    assert site.browser.get("/documents/7").text.endswith("true")
    site.send("/signin/out")
    site.now += timedelta(minutes=2)
    answer = site.sign_in()
    assert answer.headers["location"] == "/signin/mfa"
    assert site.browser.get("/documents/7").status_code in (401, 403)  # the session has a task
    assert site.browser.get("/signin/sessions").status_code == 303
    assert "so it has saved nothing" in site.browser.get("/signin/mfa?reason=not-saved").text
    assert "so it has saved nothing" not in site.browser.get("/signin/mfa?reason=other").text
    assert site.send("/signin/mfa", mfa_code="000000").status_code == 400
    answer = site.send("/signin/mfa", mfa_code=site.code("ada"))
    assert answer.headers["location"] == "/signin/sessions"
    assert site.browser.get("/documents/7").text.endswith("true")
    site.guard.close()
    assert [record["requestID"] for record in site.records()][-1] == answer.headers["x-amzn-requestid"]
    events = [(record["eventName"], *record["responseElements"].values()) for record in site.records()]
    assert ("MfaEnrolled", "Success") in events
    assert events[-3:] == [("CheckMfa", "Failure"), ("CheckMfa", "Success"), ("ConsoleLogin", "Success")]


def test_code_is_used_once(site: Site) -> None:
    site.sign_in()
    site.enrol()
    site.now += timedelta(minutes=2)
    site.sign_in()
    code = site.code("ada")
    assert site.send("/signin/mfa", mfa_code=code).status_code == 303
    site.sign_in()
    assert site.send("/signin/mfa", mfa_code=code).status_code == 400


def test_recovery_code_replaces_the_device(site: Site) -> None:
    site.sign_in()
    recovery = site.enrol()
    for expected in (303, 400):
        site.browser = site.new_browser()
        site.sign_in()
        answer = site.send("/signin/recovery", recovery_code=recovery[0].lower())
        assert answer.status_code == expected
    assert site.browser.get("/documents/7").status_code in (401, 403)


def test_guesses_of_codes_end_the_sign_in(site: Site) -> None:
    """The next guess needs the password again; the wait stays."""
    site.sign_in()
    site.enrol()
    site.browser = site.new_browser()
    site.now += timedelta(minutes=2)
    site.sign_in()
    for _ in range(5):
        assert site.send("/signin/mfa", mfa_code="123456").status_code == 400
    assert site.send("/signin/mfa", mfa_code=site.code("ada")).status_code == 400
    assert site.browser.get("/signin/mfa").status_code == 303
    site.sign_in()
    assert site.send("/signin/mfa", mfa_code=site.code("ada")).status_code == 400
    site.now += timedelta(minutes=5)
    site.sign_in()
    assert site.send("/signin/mfa", mfa_code=site.code("ada")).status_code == 303


USES: dict[str, Callable[[Site, str], dict[str, str]]] = {
    "code": lambda site, _: {"path": "/signin/mfa", "mfa_code": site.code("ada")},
    "recovery code": lambda _, recovery: {"path": "/signin/recovery", "recovery_code": recovery},
}
WRONG_USES: dict[str, dict[str, str]] = {
    "code": {"path": "/signin/mfa", "mfa_code": "000000"},
    "recovery code": {"path": "/signin/recovery", "recovery_code": "wrong"},
}


@table("kind", list(USES))
def test_password_locks_no_factor_in_a_known_browser(tmp_path: Path, kind: str) -> None:
    """In any other one it does, also in one in which only the password was used."""
    folder = tmp_path / kind
    folder.mkdir()
    site = Site(folder)
    site.sign_in()
    recovery = site.enrol()
    site.now += timedelta(minutes=2)
    attacker = site.new_browser()
    site.sign_in(browser=attacker)
    for _ in range(6):
        assert site.send(browser=attacker, **WRONG_USES[kind]).status_code == 400
    for browser, expected in ((attacker, 400), (site.new_browser(), 400), (site.browser, 303)):
        site.sign_in(browser=browser)
        assert site.send(browser=browser, **USES[kind](site, recovery[0])).status_code == expected
    site.guard.close()


def test_password_alone_makes_no_browser_known(site: Site) -> None:
    """Not even if it was all that the person had then: else each of many browsers would have a limit of its own."""
    known = [site.new_browser() for _ in range(4)]
    for browser in known:
        site.sign_in(browser=browser)
    site.sign_in()
    site.enrol()
    site.now += timedelta(minutes=2)
    for browser in (*known, site.new_browser()):
        site.sign_in(browser=browser)
        site.send("/signin/mfa", browser, mfa_code="000000")
    site.sign_in(browser=known[0])
    assert site.send("/signin/mfa", known[0], mfa_code=site.code("ada")).status_code == 400
    site.sign_in()
    assert site.send("/signin/mfa", mfa_code=site.code("ada")).status_code == 303


def test_new_secret_ends_the_limit_of_known_browsers(site: Site) -> None:
    """A hundred wrong ones end there, too."""
    site.sign_in()
    for _ in range(attempts.MAX_FAILURES):
        site.sign_in(password="wrong")
        site.now += timedelta(hours=1)
    site.now += timedelta(days=30)
    assert site.sign_in().status_code == 400
    assert site.sign_in(browser=site.new_browser()).status_code == 303
    with site.store.write_transaction() as records:
        assert set_password(records, PasswordHasher(8, 1), site.person("ada"), NEW_PASSWORD, 0) is None
    assert site.sign_in(password=NEW_PASSWORD).status_code == 303


def test_devices_of_others_do_not_hinder_an_app(site: Site) -> None:
    """Devices at the path of a person's apps, from before it was reserved, and enabled by other users."""
    path = f"/signin/{site.person('ada').owner}/"
    with site.store.write_transaction() as records:
        for number in range(1, 12):
            name = f"APP-{number}" if number == 11 else f"app-{number}"
            serial, owner = f"arn:aws:iam::{ACCOUNT}:mfa{path}{name}", site.person("bob").user_id
            more = {"sealed": b"", "tags": {}, "created": 0, "enabled": 1, "for_root": False, "user_id": owner}
            row = {"serial": serial, "account": ACCOUNT, "path": path, "name": name}
            records.insert(mfa_devices, **row, folded=f"{path[1:]}app-{number}", **more)
    site.sign_in()
    assert site.enrol()
    with site.store.read_transaction() as records:
        [row] = devices_of(records, site.person("ada"))
    assert row["name"] == "app-12"


def test_factor_needs_permission(site: Site) -> None:
    site.sign_in("bob")
    answer = site.send("/signin/factors")
    assert answer.status_code == 400
    assert "Your policies do not allow this" in answer.text


# --- a new password ----------------------------------------------------------------------------------------------


def test_password_is_changed_and_other_sessions_end(site: Site) -> None:
    other = site.new_browser()
    site.send("/signin/", other, account="acme", username="ada", password=PASSWORD)
    assert other.get("/documents/7").status_code == 200
    site.sign_in()
    assert site.send("/signin/password", password=PASSWORD, new_password=NEW_PASSWORD).status_code == 303
    assert site.browser.get("/documents/7").status_code == 200
    assert other.get("/documents/7").status_code in (401, 403)
    site.browser = site.new_browser()
    assert site.sign_in().status_code == 400
    assert site.sign_in(password=NEW_PASSWORD).status_code == 303


def test_reset_password_must_be_changed_first(site: Site) -> None:
    """A user without permission to change its password may change this one."""
    with site.store.write_transaction() as records:
        records.update(login_profiles, {"reset_required": True}, owner=site.person("bob").owner)
    answer = site.sign_in("bob")
    assert answer.headers["location"] == "/signin/password"
    assert "Choose a new password" in site.browser.get("/signin/password").text
    assert site.browser.get("/signin/factors").status_code == 303
    weak = site.send("/signin/password", password=PASSWORD, new_password="password123")
    assert weak.status_code == 400
    assert "minimum length" in weak.text
    assert site.send("/signin/password", password="wrong", new_password=NEW_PASSWORD).status_code == 400
    answer = site.send("/signin/password", password=PASSWORD, new_password=NEW_PASSWORD)
    assert answer.headers["location"] == "/signin/sessions"


def test_expired_password_must_be_changed(site: Site) -> None:
    policy = {"MinimumPasswordLength": 8, "MaxPasswordAge": 30, "AllowUsersToChangePassword": True}
    kinds = ("Symbols", "Numbers", "UppercaseCharacters", "LowercaseCharacters")
    policy |= {f"Require{kind}": False for kind in kinds}
    with site.store.write_transaction() as records:
        records.insert(password_policies, account=ACCOUNT, policy=policy)
    site.now += timedelta(days=31)
    assert site.sign_in("bob").headers["location"] == "/signin/password"
    with site.store.write_transaction() as records:
        records.update(password_policies, {"policy": policy | {"HardExpiry": True}}, account=ACCOUNT)
    site.browser = site.new_browser()
    assert site.sign_in("bob").status_code == 400


def test_password_change_needs_permission(site: Site) -> None:
    site.sign_in("bob")
    assert "Your policies do not allow this" in site.browser.get("/signin/password").text


# --- sessions ----------------------------------------------------------------------------------------------------


def test_each_step_has_a_new_token(site: Site) -> None:
    """A token from before a sign-in is never the session's (session fixation)."""
    site.browser.cookies.set("iam-guard-dev", "A" * 43, domain="localhost.local")
    tokens = set()
    for _ in range(3):
        site.sign_in()
        tokens.add(site.browser.cookies.get("iam-guard-dev"))
    assert len(tokens) == 3
    assert "A" * 43 not in tokens


def test_sessions_are_listed_and_ended(site: Site) -> None:
    other = site.new_browser()
    site.send("/signin/", other, account="acme", username="ada", password=PASSWORD)
    site.sign_in()
    page = site.browser.get("/signin/sessions")
    ids = re.findall(r'name="session" value="([^"]+)"', page.text)
    assert len(ids) == 2
    current = site.guard.people.browser_sessions.find(str(site.browser.cookies["iam-guard-dev"]))
    assert current is not None
    [foreign] = [id for id in ids if id != current.id]
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert token
    assert site.browser.post("/signin/sessions", data={"csrf_token": token[1], "session": foreign}).status_code == 303
    assert other.get("/documents/7").status_code in (401, 403)
    assert site.browser.get("/documents/7").status_code == 200


def test_sign_out_ends_the_session(site: Site) -> None:
    site.sign_in()
    token = site.browser.cookies.get("iam-guard-dev")
    assert "You are signed out" in site.send("/signin/out", csrf_token=csrf(site)).text
    assert site.browser.cookies.get("iam-guard-dev") is None
    site.browser.cookies.set("iam-guard-dev", str(token), domain="localhost.local")
    assert site.browser.get("/documents/7").status_code in (401, 403)


def csrf(site: Site) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', site.browser.get("/signin/sessions").text)
    assert found
    return found[1]


# --- forms of other sites ----------------------------------------------------------------------------------------


@table(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
    ],
)
def test_form_of_another_site_is_refused(tmp_path: Path, headers: dict[str, str]) -> None:
    """Also the form for signing in (login CSRF), though its token is right."""
    site = Site(tmp_path)
    page = site.browser.get("/signin/")
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert token
    fields = {"csrf_token": token[1], "account": "acme", "username": "ada", "password": PASSWORD}
    answer = site.browser.post("/signin/", data=fields, headers=headers)
    assert (answer.status_code, "This page had expired" in answer.text) == (400, True)
    assert "iam-guard-dev" not in site.browser.cookies
    site.guard.close()


def test_form_without_its_token_is_refused(site: Site) -> None:
    fields = {"account": "acme", "username": "ada", "password": PASSWORD}
    site.browser.get("/signin/")
    assert site.browser.post("/signin/", data=fields).status_code == 400
    other = site.new_browser()
    page = other.get("/signin/")
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert token
    assert site.browser.post("/signin/", data={**fields, "csrf_token": token[1]}).status_code == 400
    assert "iam-guard-dev" not in site.browser.cookies


@table(
    "body",
    [b"csrf_token=a&csrf_token=b", b"\xff", b"a=" + b"b" * 20_000, b"&".join(b"f%d=" % n for n in range(50)), b"%ff=1"],
    ids=["twice", "no text", "long", "many", "no unicode"],
)
def test_hostile_form_is_refused(tmp_path: Path, body: bytes) -> None:
    site = Site(tmp_path)
    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert site.browser.post("/signin/", content=body, headers=headers).status_code == 400
    assert (
        site.browser.post("/signin/", content=body, headers={"content-type": "multipart/form-data"}).status_code == 400
    )
    site.guard.close()


def test_pages_have_headers_of_their_own(site: Site) -> None:
    """No script, no frame, no cache; what a person typed is text. `test_passkey_pages` has those with a script."""
    browser = site.new_browser("https://app.example")
    for path in ("/signin/", "/signin/?type=root"):
        page = browser.get(path)
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        assert "script" not in page.headers["content-security-policy"]
        assert page.headers["cache-control"] == "no-store"
    answer = site.sign_in('"><script>alert(1)</script>')
    assert "<script>" not in answer.text


def test_page_has_the_language_of_the_browser(site: Site) -> None:
    page = site.browser.get("/signin/", headers={"accept-language": "fr;q=0.9, de-CH;q=0.8, en;q=0.1"})
    assert '<html lang="de">' in page.text
    assert "Passwort" in page.text


def test_plain_http_elsewhere_has_no_sign_in(site: Site) -> None:
    page = site.new_browser("http://app.example").get("/signin/")
    assert (page.status_code, "<form" in page.text) == (400, False)
    secure = site.new_browser("https://app.example")
    answer = site.send("/signin/", secure, account="acme", username="ada", password=PASSWORD)
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-iam-guard=")
    assert all(part in cookie for part in ("Path=/", "HttpOnly", "Secure", "SameSite=Lax"))


def test_reason_of_a_suspended_account_is_shown_after_the_password(tmp_path: Path) -> None:
    """In the language of the browser; with a wrong password, the page is the usual one."""
    site = Site(tmp_path)
    before = site.sign_in(password="wrong password here")
    site.guard.accounts.suspend(ACCOUNT)
    wrong = site.sign_in(password="wrong password here")
    assert (wrong.status_code, "suspended" in wrong.text) == (before.status_code, False)
    for language, text in (("en", "This account is suspended or closed."), ("de", "Dieses Konto ist gesperrt")):
        site.browser.headers["accept-language"] = language
        answer = site.sign_in()
        assert (answer.status_code, text in answer.text) == (401, True)
        assert "__Host-" not in answer.headers.get("set-cookie", "")
    site.guard.accounts.resume(ACCOUNT)
    assert site.sign_in().status_code == 303
    site.guard.close()
