"""The federation endpoint: a link of temporary credentials, what it opens, and what is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from hashlib import sha512
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from iam_guard import GuardMiddleware
from iam_guard.api.service_errors import PackedPolicyTooLarge
from iam_guard.authn.people.credential_sign_in import MAX_TOKEN, PREFIX
from iam_guard.authn.people.sessions.federated_sessions import FederatedSignIn
from iam_guard.authn.tokens.session_cookie import DEVELOPMENT_COOKIE
from iam_guard.console.languages import texts
from iam_guard.console.sign_in_app import sign_in_pages
from iam_guard.store.schema import access_keys, federated_sessions, identities
from tests.authn.people.federated_parts import KEY, ROOT_KEY, FederatedWorld
from tests.authn.people.role_parts import ACME, CALL, HOUR, MINUTE, SUPPORT_ARN, UMBRELLA, policy, trust
from tests.console.test_role_pages import NAVIGATION, get_document
from tests.tables import table

ENDPOINT = "/signin/federation"
SESSION = f"arn:aws:sts::{UMBRELLA}:assumed-role/Support/ada@acme"
Json = dict[str, Any]


class Site:
    """An application with the pages, a broker, and a browser."""

    def __init__(self, folder: Path, **more: Any) -> None:
        role = {"max_session_duration": 43_200, **more.pop("role", {})}
        self.world = FederatedWorld(folder, role=role, **more)
        routes = [Route("/documents/{document_id}", get_document), Mount("/signin", sign_in_pages(self.world.guard))]
        self.app = GuardMiddleware(Starlette(routes=routes), guard=self.world.guard)
        self.broker, self.browser = self.new_client(), self.new_client()

    def new_client(self, url: str = "http://localhost") -> TestClient:
        return TestClient(self.app, base_url=url, follow_redirects=False)

    def asked(self, credentials: Json, **parameters: str) -> Any:
        """Request a sign-in token as AWS's documentation says."""
        session = json.dumps(
            {
                "sessionId": credentials["AccessKeyId"],
                "sessionKey": credentials["SecretAccessKey"],
                "sessionToken": credentials["SessionToken"],
            }
        )
        return self.broker.get(ENDPOINT, params={"Action": "getSigninToken", "Session": session, **parameters})

    def token(self, credentials: Json, **parameters: str) -> str:
        answer = self.asked(credentials, **parameters)
        assert answer.status_code == 200, answer.text
        assert list(answer.json()) == ["SigninToken"]
        return str(answer.json()["SigninToken"])

    def open_link(self, token: str, destination: str = "/documents/7") -> Any:
        """Open the link in the browser, and press the button."""
        link = {"Action": "login", "Issuer": "https://broker.example", "Destination": destination, "SigninToken": token}
        page = self.browser.get(f"{ENDPOINT}?{urlencode(link)}")
        return self.press(page)

    def press(self, page: Any) -> Any:
        action = re.search(r'<form method="post" action="([^"]+)"', page.text)
        if action is None:
            return page
        hidden = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page.text)
        fields = {name: unescape(value) for name, value in hidden}
        return self.browser.post(action[1], data=fields, headers={"origin": str(self.browser.base_url).rstrip("/")})

    def stored(self) -> list[Any]:
        with self.world.guard.store.read_transaction() as records:
            return records.all(federated_sessions)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.world.guard.close()


# --- a link -----------------------------------------------------------------------------------------------------------


def test_link_opens_a_session_and_goes_on(site: Site) -> None:
    """Of the role, whose policies decide."""
    answer = site.open_link(site.token(site.world.assumed()))
    assert (answer.status_code, answer.headers["location"]) == (303, "/documents/7")
    assert site.browser.get("/documents/7").text == SESSION
    page = site.browser.get("/signin/sessions").text
    assert f"Acting as the role Support @ {UMBRELLA}" in page
    assert "Signed in as ada@acme" in page
    assert not re.search(r"switchrole|/factors|/password|/exit", page)


def test_federated_user_opens_a_session(site: Site) -> None:
    site.open_link(site.token(site.world.federated()))
    assert f"Signed in as {'eve'}" in site.browser.get("/signin/sessions").text
    [row] = site.stored()
    assert (row["account"], row["role_id"], row["parent_key_id"]) == (ACME, None, KEY)


def test_page_shows_who_is_signed_in_and_signs_in_only_by_its_button(site: Site) -> None:
    token = site.token(site.world.assumed())
    page = site.browser.get(ENDPOINT, params={"Action": "login", "SigninToken": token})
    assert page.status_code == 200
    assert SESSION in page.text
    assert "Continue as ada@acme" in page.text
    assert DEVELOPMENT_COOKIE not in site.browser.cookies
    assert site.stored() == []
    fields = {"Action": "login", "SigninToken": token}
    for more in ({}, {"csrf_token": "0" * 64}):
        answer = site.browser.post(ENDPOINT, data=fields | more)
        assert answer.status_code == 400
        assert texts("en")["expired_form"] in answer.text
    assert site.stored() == []
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page.text))
    assert site.browser.post(ENDPOINT, data=hidden, headers={"origin": "https://evil.example"}).status_code == 400
    assert site.press(page).status_code == 303  # none of it has used the link


def test_link_counts_once(site: Site) -> None:
    token = site.token(site.world.assumed())
    assert site.open_link(token).status_code == 303
    site.browser.cookies.clear()
    answer = site.open_link(token)
    assert answer.status_code == 400
    assert texts("en")["link_refused"] in answer.text
    assert len(site.stored()) == 1


@table("passed, is_good", [(timedelta(seconds=899), True), (timedelta(seconds=900), False)])
def test_link_is_good_for_15_minutes(passed: timedelta, is_good: bool, tmp_path: Path) -> None:
    (folder := tmp_path / str(is_good)).mkdir()
    site = Site(folder)
    token = site.token(site.world.assumed())
    site.world.now += passed
    assert (site.open_link(token).status_code == 303) is is_good
    site.world.guard.close()


DESTINATIONS = [
    ("/documents/7?a=b", "/documents/7?a=b"),
    ("http://localhost/documents/7?a=b#c", "/documents/7?a=b"),
    ("http://LOCALHOST", "/"),
    ("https://localhost/documents/7", "/signin/sessions"),
    ("http://localhost:81/", "/signin/sessions"),
    ("https://app.example.com/documents/7", "/documents/7"),
    ("https://evil.example/", "/signin/sessions"),
    ("//evil.example/", "/signin/sessions"),
    ("/\\evil.example", "/signin/sessions"),
    ("http://localhost@evil.example/", "/signin/sessions"),
    ("http://localhost//evil.example", "/signin/sessions"),
    ("javascript:alert(1)", "/signin/sessions"),
    ("http://[", "/signin/sessions"),
    ("", "/signin/sessions"),
]


@table("destination, expected", DESTINATIONS)
def test_link_goes_on_to_this_site_only(destination: str, expected: str) -> None:
    site = _shared_site(site_url="https://app.example.com")
    answer = site.open_link(site.token(site.world.assumed()), destination)
    assert (answer.status_code, answer.headers["location"]) == (303, expected)


_SITES: dict[str, Site] = {}


def _shared_site(**settings: Any) -> Site:
    """Return one site for all rows of a table, in memory."""
    if "site" not in _SITES:
        _SITES["site"] = Site(None, settings=settings)  # type: ignore[arg-type]
    site = _SITES["site"]
    site.browser.cookies.clear()
    return site


@pytest.fixture(scope="module", autouse=True)
def _close_shared_site() -> Iterator[None]:
    yield
    for site in _SITES.values():
        site.world.guard.close()


# --- how long it lasts ------------------------------------------------------------------------------------------------


def test_session_ends_with_its_credentials(site: Site) -> None:
    token = site.token(site.world.assumed(DurationSeconds=7200))
    site.world.now += 10 * MINUTE
    site.open_link(token)
    [row] = site.stored()
    assert row["expires"] - row["created"] == 6600


def test_session_lasts_as_long_as_the_broker_asked_for(site: Site) -> None:
    """Longer than the credentials, from the sign-in on."""
    token = site.token(site.world.assumed(DurationSeconds=900), SessionDuration="43200")
    site.world.now += 10 * MINUTE
    site.open_link(token)
    [row] = site.stored()
    assert row["expires"] - row["created"] == 43_200
    site.world.now += 50 * MINUTE
    assert site.browser.get("/documents/7").text == SESSION


def test_duration_is_only_for_roles_that_were_not_chained(tmp_path: Path) -> None:
    """Nor for federated users, nor if a temporary credential of a user has assumed the role."""
    site = Site(tmp_path, role={"inline": {"Assumes": policy("Allow", "sts:*")}})
    world = site.world
    with world.guard.store.write_transaction() as records:
        role = records.one(identities, kind="role", name="Support")
        assert role is not None
        text = json.dumps(trust(f"arn:aws:iam::{UMBRELLA}:root"))
        chained = {**role, "id": "AROACHAINED0000000001", "name": "Chained", "folded": "chained", "trust_text": text}
        records.insert(identities, **{**chained, "trust_bindings": {}})
    arn = SUPPORT_ARN.replace("Support", "Chained")
    user = world.opened(world.issued(world.caller(), "GetSessionToken"))
    for credentials in (
        world.chained(world.opened(world.assumed()), arn),
        world.chained(user, SUPPORT_ARN),
        world.federated(),
    ):
        assert site.asked(credentials, SessionDuration="900").status_code == 403
        assert site.open_link(site.token(credentials)).status_code == 303
        site.browser.cookies.clear()
    world.guard.close()


STATED = [  # condition keys of the session, and whether its browser session may have a duration of its own
    ({"aws:FederatedProvider": f"arn:aws:iam::{UMBRELLA}:saml-provider/Company"}, True),
    ({"aws:SignInSessionArn": f"arn:aws:signin:us-east-1:{UMBRELLA}:session/1"}, False),
    (
        {
            "aws:FederatedProvider": f"arn:aws:iam::{UMBRELLA}:saml-provider/Company",
            "aws:SignInSessionArn": f"arn:aws:signin:us-east-1:{UMBRELLA}:session/1",
        },
        False,
    ),
    ({}, False),
]


@table("keys, is_possible", STATED)
def test_duration_is_possible_for_a_role_of_an_identity_provider(keys: dict[str, str], is_possible: bool) -> None:
    """Not with credentials of a tool, whose session can be revoked."""
    site = _shared_site()
    store, credentials = site.world.guard.store, site.world.assumed()
    session = site.world.opened(credentials)
    principal = replace(session.principal, session={**session.principal.session, **keys})
    token = store.seal_session(replace(session, principal=principal, parent_key_id=None))
    answer = site.asked({**credentials, "SessionToken": token}, SessionDuration="900")
    assert (answer.status_code == 200) is is_possible


@table("duration", ["899", "43201", "", "1e3", "-900", "900.0", "٩٠٠", "9" * 7, " 900"])
def test_duration_is_from_15_minutes_to_12_hours(duration: str) -> None:
    site = _shared_site()
    answer = site.asked(site.world.assumed(), SessionDuration=duration)
    assert (answer.status_code, answer.json()["parameter"]) == (400, "SessionDuration")


# --- who gets a token -------------------------------------------------------------------------------------------------


def test_only_roles_and_federated_users_get_a_token(site: Site) -> None:
    world = site.world
    for key in (KEY, ROOT_KEY):
        answer = site.asked(world.issued(world.caller(key), "GetSessionToken"))
        assert (answer.status_code, answer.json()["error"]) == (403, "AccessDenied")
    assert site.asked(world.federated(ROOT_KEY)).status_code == 200


def _wrong(world: FederatedWorld) -> dict[str, Json]:
    """Return credentials that are wrong in one way each."""
    mine, other = world.assumed(), world.federated()
    token = mine["SessionToken"]
    return {
        "another secret": {**mine, "SecretAccessKey": other["SecretAccessKey"]},
        "another key": {**mine, "AccessKeyId": other["AccessKeyId"]},
        "another token": {**mine, "SessionToken": other["SessionToken"]},
        "changed token": {**mine, "SessionToken": token[:-2] + ("AA" if token[-2:] != "AA" else "BB")},
        "no session token": {**mine, "SessionToken": "igst_x"},
        "sign-in token": {**mine, "SessionToken": "igsi_" + token[5:]},
        "placeholder": {"AccessKeyId": "0" * 40, "SecretAccessKey": "0" * 40, "SessionToken": "igst_x"},
        "odd characters": {"AccessKeyId": "\ud800", "SecretAccessKey": "\0", "SessionToken": "igst_\ud800é"},
    }


def test_wrong_credentials_get_one_answer(site: Site) -> None:
    answers = {name: site.asked(credentials) for name, credentials in _wrong(site.world).items()}
    assert {(answer.status_code, answer.text) for answer in answers.values()} == {
        (
            403,
            '{"error":"InvalidClientTokenId","message":"The security token included in the request is invalid.",'
            '"parameter":"Session"}',
        )
    }


def test_credentials_that_are_over_get_no_token(site: Site) -> None:
    world = site.world
    credentials = {"role": world.assumed(), "user": world.federated(), "later": world.federated(DurationSeconds=7200)}
    with world.guard.store.write_transaction() as records:
        records.update(access_keys, {"status": "Inactive"}, id=KEY)
        records.delete(identities, kind="role", name="Support")
    for found in credentials.values():
        assert site.asked(found).json()["error"] == "InvalidClientTokenId"
    world.now += HOUR
    assert site.asked(credentials["role"]).json()["error"] == "ExpiredToken"


def test_session_of_a_token_depends_on_the_present_state(site: Site) -> None:
    """Role and key are looked for again when the link is opened."""
    tokens = [site.token(site.world.assumed()), site.token(site.world.federated())]
    with site.world.guard.store.write_transaction() as records:
        records.update(access_keys, {"status": "Inactive"}, id=KEY)
        records.delete(identities, kind="role", name="Support")
    for token in tokens:
        assert site.open_link(token).status_code == 400
    assert site.stored() == []


def _bad_queries() -> dict[str, str]:
    action = "Action=getSigninToken&Session="
    good = '{"sessionId":"a","sessionKey":"b","sessionToken":"c"}'
    return {
        "nothing": "",
        "no action": f"Session={good}",
        "unknown action": "Action=GetSigninToken",
        "no session": "Action=getSigninToken",
        "two sessions": f"{action}{good}&Session={good}",
        "two actions": f"Action=login&{action}{good}",
        "empty": action,
        "no JSON": f"{action}x",
        "list": f"{action}[]",
        "text": f'{action}"x"',
        "deep": action + "[" * 5000,
        "numbers": f'{action}{{"sessionId":1,"sessionKey":"b","sessionToken":"c"}}',
        "nulls": f'{action}{{"sessionId":null,"sessionKey":"b","sessionToken":"c"}}',
        "empty key": f'{action}{{"sessionId":"","sessionKey":"b","sessionToken":"c"}}',
        "missing": f'{action}{{"sessionId":"a","sessionKey":"b"}}',
        "long key": f'{action}{{"sessionId":"{"a" * 300}","sessionKey":"b","sessionToken":"c"}}',
        "long token": f'{action}{{"sessionId":"a","sessionKey":"b","sessionToken":"{"c" * 8193}"}}',
        "long": action + "x" * 13_000,
        "very long": action + "x" * 50_000,
        "not UTF-8": f"{action}%ff%fe",
        "big number": action + "1" * 5000,
    }


@table("name", _bad_queries())
def test_bad_request_gets_400_in_json(name: str) -> None:
    """In a query and in a form; nothing of it is quoted."""
    site, query = _shared_site(), _bad_queries()[name]
    for answer in (
        site.broker.get(f"{ENDPOINT}?{query}"),
        site.broker.post(ENDPOINT, content=query, headers={"content-type": "application/x-www-form-urlencoded"}),
    ):
        assert answer.status_code == 400, name
        assert set(answer.json()) == {"error", "message", "parameter"}
        assert len(answer.text) < 300
        assert answer.headers["cache-control"] == "no-store"


def test_token_can_be_asked_for_by_post(site: Site) -> None:
    """So that no log of a proxy has the secret."""
    credentials = site.world.assumed()
    names = {"sessionId": "AccessKeyId", "sessionKey": "SecretAccessKey", "sessionToken": "SessionToken"}
    session = json.dumps({name: credentials[member] for name, member in names.items()})
    answer = site.broker.post(ENDPOINT, data={"Action": "getSigninToken", "Session": session})
    assert answer.json()["SigninToken"].startswith(PREFIX)
    for content, kind in ((session, "application/json"), ("", "multipart/form-data")):
        assert site.broker.post(ENDPOINT, content=content, headers={"content-type": kind}).status_code == 400
    assert site.broker.put(ENDPOINT).status_code == 405


def test_endpoint_needs_https(site: Site) -> None:
    """Or an address of this machine, for development."""
    site.broker = site.new_client("http://app.example")
    credentials = site.world.assumed()
    assert site.asked(credentials).status_code == 400
    site.broker = site.new_client("https://app.example")
    assert site.asked(credentials).status_code == 200


@table("token", ["", "x", PREFIX, f"{PREFIX}AAAA", f"{PREFIX}é", PREFIX + "A" * MAX_TOKEN, f"{PREFIX}\ud800"])
def test_text_that_is_no_token_signs_no_one_in(token: str) -> None:
    site = _shared_site()
    text = token.encode("utf-8", "replace").decode()
    answer = site.open_link(text)
    assert answer.status_code == 400
    assert texts("en")["link_refused"] in answer.text
    assert site.world.guard.people.credential_sign_in.caller_of(token) is None


def test_token_of_another_store_or_kind_is_refused(site: Site, tmp_path: Path) -> None:
    (folder := tmp_path / "other").mkdir()
    other = Site(folder)
    token = other.token(other.world.assumed())
    session_token = site.world.assumed()["SessionToken"]
    assert site.open_link(token).status_code == 503  # its key may be new, and known to another process
    own = site.token(site.world.assumed())
    for text in (PREFIX + session_token.removeprefix("igst_"), own[:-4] + "AAAA"):
        assert site.open_link(text).status_code == 400
    assert site.world.guard.store.open_session("igst_" + own.removeprefix(PREFIX)) is None
    other.world.guard.close()


def test_largest_session_fits_into_a_link(site: Site) -> None:
    """With as many tags as credentials can have: their packed size is limited."""
    values = ["".join(sha512(f"{number} {part}".encode()).hexdigest() for part in range(2)) for number in range(45)]
    tags = [{"Key": f"k{number}", "Value": text} for number, text in enumerate(values)]
    with pytest.raises(PackedPolicyTooLarge):
        site.world.federated(Tags=tags)
    token = site.token(site.world.federated(Tags=tags[:26]))
    assert 5000 < len(token) < 8000
    assert site.open_link(token).status_code == 303


# --- sign out, and pages for people -----------------------------------------------------------------------------------


def test_logout_is_a_page_with_a_button(site: Site) -> None:
    site.open_link(site.token(site.world.assumed()))
    page = site.browser.get(f"{ENDPOINT}?Action=logout")
    assert page.status_code == 200
    assert len(site.stored()) == 1
    answer = site.press(page)
    assert texts("en")["signed_out"] in answer.text
    assert site.stored() == []
    assert texts("en")["signed_out"] in site.browser.get(f"{ENDPOINT}?Action=logout").text


def test_own_session_is_listed_and_ended(site: Site) -> None:
    site.open_link(site.token(site.world.assumed()))
    page = site.browser.get("/signin/sessions")
    [row] = site.stored()
    assert re.findall(r'name="session" value="([^"]+)"', page.text) == [row["id"]]
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert token is not None
    fields = {"csrf_token": token[1], "session": row["id"]}
    assert site.browser.post("/signin/sessions", data=fields).status_code == 303
    assert site.stored() == []
    assert site.browser.get("/documents/7").status_code == 401


@table("path", ["/mfa", "/recovery", "/password", "/factors", "/factors/passkey", "/factors/remove", "/exit"])
def test_page_for_people_says_that_it_is_not_for_this_session(path: str) -> None:
    """And does not lead back to where the session came from, or to the sign-in page."""
    site = _shared_site()
    site.open_link(site.token(site.world.assumed()))
    answer = site.browser.get(f"/signin{path}?next=/documents/7")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/signin/sessions?reason=not_a_person"
    page = site.browser.get(answer.headers["location"])
    assert (page.status_code, texts("en")["not_a_person"] in page.text) == (200, True)


def test_switch_of_roles_is_refused_with_a_reason(site: Site) -> None:
    site.open_link(site.token(site.world.assumed()))
    for answer in (site.browser.get("/signin/switchrole"), site.browser.get("/signin/switchrole?account=acme")):
        assert texts("en")["federated_has_no_roles"].replace("'", "&#39;") in answer.text


def test_route_that_needs_a_second_factor_does_not_ask_for_one(tmp_path: Path) -> None:
    """403 instead of a page for people, from which the browser would come back; with the factor of a provider, 200."""
    reads = policy("Allow", "docs:Get*", Condition={"Bool": {"aws:MultiFactorAuthPresent": "true"}})
    site = Site(tmp_path, role={"inline": {"Reads": reads}}, settings={"sign_in_url": "/signin"})
    site.open_link(site.token(site.world.assumed()))
    assert site.browser.get("/documents/7", headers=NAVIGATION).status_code == 403
    session = replace(site.world.opened(site.world.assumed()), mfa_at=site.world.now)
    provider = f"arn:aws:iam::{UMBRELLA}:saml-provider/Company"
    terms = FederatedSignIn(session=session, method="saml", provider=provider, evidence=())
    token = site.world.guard.people.federated_sessions.sign_in(terms, CALL).token
    site.browser.cookies.clear()
    site.browser.cookies.set(DEVELOPMENT_COOKIE, token, domain="localhost.local")
    assert site.browser.get("/documents/7", headers=NAVIGATION).text == SESSION
    site.world.guard.close()


def test_sign_out_leads_to_that_of_the_provider(site: Site) -> None:
    """A link, if the sign-in has left one: forms must not lead elsewhere."""
    sessions, session = site.world.guard.people.federated_sessions, site.world.opened(site.world.assumed())
    url = "https://login.example/logout?id_token_hint=a.b.c"
    for hint, expected in ((url, [url]), ("javascript:alert(1)", []), ("a.b.c", []), (None, [])):
        provider = f"arn:aws:iam::{UMBRELLA}:oidc-provider/login.example"
        terms = FederatedSignIn(session=session, method="oidc", provider=provider, evidence=(), logout_hint=hint)
        site.browser.cookies.clear()
        site.browser.cookies.set(DEVELOPMENT_COOKIE, sessions.sign_in(terms, CALL).token, domain="localhost.local")
        answer = site.press(site.browser.get(f"{ENDPOINT}?Action=logout"))
        assert texts("en")["signed_out"] in answer.text
        assert re.findall(r'<a href="([^"/][^"]*)"', answer.text) == expected
    assert site.stored() == []


# --- the trail --------------------------------------------------------------------------------------------------------


def test_trail_has_tokens_sign_ins_and_refusals(site: Site) -> None:
    """As CloudTrail has them, and no secret."""
    world = site.world
    credentials = world.assumed()
    token = site.token(credentials)
    site.open_link(token)
    site.browser.cookies.clear()
    site.open_link(token)
    site.asked({**credentials, "SecretAccessKey": "wrong"})
    site.asked(world.issued(world.caller(), "GetSessionToken"))
    everything = world.trail()
    trail = [record for record in everything if record["eventSource"] == "signin.amazonaws.com"]
    results = [record["responseElements"] for record in trail]
    assert results == [
        {"GetSigninToken": "Success"},
        {"ConsoleLogin": "Success"},
        {"ConsoleLogin": "Failure"},
        {"GetSigninToken": "Failure"},
        {"GetSigninToken": "Failure"},
    ]
    issued, login, again, wrong, refused = trail
    assert (issued["eventType"], issued["userIdentity"]["arn"]) == ("AwsConsoleSignIn", SESSION)
    assert issued["userIdentity"]["accessKeyId"] == credentials["AccessKeyId"]
    assert login["userIdentity"]["arn"] == SESSION
    assert again["additionalEventData"]["Reason"] == "The sign-in has been used before."
    assert (again["recipientAccountId"], refused["recipientAccountId"]) == (UMBRELLA, ACME)
    assert "recipientAccountId" not in wrong or wrong["recipientAccountId"] is None
    assert again["userIdentity"]["userName"] == "HIDDEN_DUE_TO_SECURITY_REASONS"
    text = json.dumps(everything)
    secrets = (credentials["SecretAccessKey"], credentials["SessionToken"], token, token[5:], "wrong")
    assert not [secret for secret in secrets if secret in text]


def test_errors_and_logs_have_no_secret(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    credentials = site.world.assumed()
    answer = site.asked({**credentials, "AccessKeyId": "ASIAOTHER"})
    for secret in (credentials["SecretAccessKey"], credentials["SessionToken"]):
        assert secret not in answer.text
        assert secret not in caplog.text
