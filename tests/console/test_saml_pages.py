"""Sign-on by SAML in a browser, by its requests alone: begun here, and at the identity provider."""

from __future__ import annotations

import re
from datetime import timedelta

from iam_guard.authn.people.sign_on.saml_sign_on import MFA_CONTEXTS
from iam_guard.authn.saml.xml_tree import parse_xml
from iam_guard.store.schema import federated_sessions, pending_sign_ins
from tests.authn.saml.identity_provider import PASSWORD as BY_PASSWORD
from tests.authn.saml.identity_provider import SHAPES, IdentityProvider, Shape
from tests.authn.saml.xml_signer import Encryption, key_pair
from tests.console.company import OTHER, Company, attributes, request_of, role_arn, session_arn
from tests.console.site import ACCOUNT, Site
from tests.tables import table

MFA = min(MFA_CONTEXTS)
METADATA = "{urn:oasis:names:tc:SAML:2.0:metadata}"


def document(company: Company) -> str:
    """Return what the application says to the browser: its principal, and whether it has used a second factor."""
    return str(company.site.browser.get("/documents/7").text)


def sign_in(company: Company, *roles: str, **changes: object) -> str:
    """Sign in from here with the only role of a response, and return where the browser goes on to."""
    browser = company.site.browser
    request = company.start(browser)
    answer = company.post(browser, company.response(*roles, in_response_to=request, **changes))
    assert answer.status_code == 303, company.refusals()
    return str(answer.headers["location"])


# --- from here ---------------------------------------------------------------------------------------------------


def test_request_names_the_site_and_the_provider(company: Company) -> None:
    """It is not signed, has no relay state, and its id can't be guessed."""
    answers = [company.site.browser.get(f"/signin/saml/start?provider={company.sign_on.id}") for _ in range(2)]
    location = answers[0].headers["location"]
    assert re.fullmatch(r"https://idp\.example\.com/saml/sso\?SAMLRequest=[A-Za-z0-9%]+", location)
    request, other = (request_of(answer.headers["location"]) for answer in answers)
    assert request.attributes["AssertionConsumerServiceURL"] == "http://localhost/signin/saml/acs"
    assert request.attributes["Destination"] == "https://idp.example.com/saml/sso"
    assert request.attributes["IssueInstant"] == "2026-03-01T12:00:00Z"
    assert [element.text for element in request.children] == ["http://localhost/signin/saml/metadata"]
    assert request.attributes["ID"] != other.attributes["ID"]
    assert re.fullmatch(rf"_{company.sign_on.id}\.[0-9a-f]{{40}}", request.attributes["ID"])


def test_link_of_another_site_begins_after_a_click(company: Company) -> None:
    """It could lead to an attacker's identity provider, which signs the browser in to the attacker's account."""
    browser, url = company.site.browser, f"/signin/saml/start?provider={company.sign_on.id}&next=/documents/7"
    for from_site, status in (("cross-site", 200), ("same-site", 200), ("same-origin", 303), ("none", 303)):
        answer = browser.get(url, headers={"sec-fetch-site": from_site})
        assert answer.status_code == status, from_site
        assert ("set-cookie" in answer.headers and "sign-on" in answer.headers["set-cookie"]) is (status == 303)
    page = browser.get(url, headers={"sec-fetch-site": "cross-site"}).text
    assert "idp.example.com" in page
    assert f"/signin/saml/start?provider={company.sign_on.id}&amp;next=%2Fdocuments%2F7" in page


def test_query_of_the_sso_url_is_kept(company: Company) -> None:
    """Some identity providers have one for each application."""
    written = company.idp.metadata().replace("saml/sso", "saml/sso?app=7&amp;x=%20")
    company.change_provider(document=written)
    answer = company.site.browser.get(f"/signin/saml/start?provider={company.sign_on.id}")
    assert answer.headers["location"].startswith("https://idp.example.com/saml/sso?app=7&x=%20&SAMLRequest=")


def test_answered_request_signs_in_at_once(company: Company) -> None:
    """The browser goes on to where the person wanted to go; what was used for it is gone."""
    browser = company.site.browser
    request = company.start(browser, next="/documents/7?a=b")
    answer = company.post(browser, company.response(in_response_to=request), "/elsewhere")
    assert (answer.status_code, answer.headers["location"]) == (303, "/documents/7?a=b"), company.refusals()
    assert document(company) == f"{session_arn()} None"
    assert set(browser.cookies) == {"iam-guard-dev"}
    with company.site.store.read_transaction() as records:
        assert records.all(pending_sign_ins) == []
    [event] = [record for record in company.site.records() if record["eventName"] == "ConsoleLogin"]
    assert event["userIdentity"]["arn"] == session_arn()
    assert event["responseElements"] == {"ConsoleLogin": "Success"}


@table("shape", SHAPES, ids=lambda shape: shape.name)
def test_response_in_the_shape_of_a_product_signs_in(company: Company, shape: Shape) -> None:
    company.site.browser.cookies.clear()
    assert sign_in(company, shape=shape, assertion_id=f"_{shape.name}") == "/signin/sessions"
    assert document(company).startswith(session_arn())
    page = company.site.browser.get("/signin/sessions")
    assert (page.status_code, "ada@example.com" in page.text) == (200, True)


def test_encrypted_response_signs_in(company: Company) -> None:
    """With the private key of the provider whose role it names, although others have none."""
    receiver = key_pair("rsa", "receiver")
    company.add_key(receiver.pem)
    assert sign_in(company, encryption=Encryption(key=receiver)) == "/signin/sessions"


def test_person_chooses_one_of_several_roles(company: Company) -> None:
    """Of two accounts with the same identity provider, also when the sign-on began with the other one."""
    browser = company.site.browser
    request = company.start(browser, next="/documents/7", sign_on=company.other_sign_on)
    roles = (role_arn(), role_arn("writer"), role_arn(account=OTHER))
    page = company.post(browser, company.response(*roles, in_response_to=request))
    assert (page.status_code, company.caller(browser)) == (200, "401")
    assert re.findall(r'name="role" value="([^"]+)"', page.text) == list(roles)
    assert [f"Account {account}" in page.text for account in (ACCOUNT, OTHER)] == [True, True]
    assert "You did not start it here" not in page.text
    assert company.press(browser, page).status_code == 400
    answer = company.press(browser, page, roles[2])
    assert answer.headers["location"] == "/documents/7"
    assert document(company).startswith(session_arn(account=OTHER))


# --- from the identity provider ----------------------------------------------------------------------------------


def test_unasked_response_takes_the_button(company: Company) -> None:
    """Even for one role; the relay state is where to go on to."""
    browser = company.site.browser
    page = company.post(browser, company.response(), "/documents/7?a=b")
    assert page.status_code == 200, company.refusals()
    assert "Continue as ada@example.com" in page.text
    assert "You did not start it here" in page.text
    assert "Your present session in this browser will be replaced" not in page.text
    assert company.caller(browser) == "401"
    assert company.press(browser, page).headers["location"] == "/documents/7?a=b"
    assert company.caller(browser) == session_arn()


def test_unasked_response_is_not_an_answer_to_a_request(company: Company) -> None:
    """The button is needed also while this browser waits for an answer."""
    browser = company.site.browser
    company.start(browser)
    assert "You did not start it here" in company.post(browser, company.response()).text


def test_session_of_before_is_replaced_after_a_warning(company: Company) -> None:
    """And not with a token that anyone has known before."""
    browser = company.site.browser
    company.site.sign_in()
    before = browser.cookies["iam-guard-dev"]
    page = company.post(browser, company.response())
    assert "Your present session in this browser will be replaced" in page.text
    company.press(browser, page)
    assert browser.cookies["iam-guard-dev"] != before
    assert company.caller(browser) == session_arn()


# --- the session -------------------------------------------------------------------------------------------------


@table(
    ("trusted", "context", "shown"),
    [(True, MFA, "true"), (True, BY_PASSWORD, "None"), (False, MFA, "None")],
)
def test_second_factor_counts_if_the_provider_is_trusted(
    company: Company, trusted: bool, context: str, shown: str
) -> None:
    people = company.site.guard.people
    for provider in people.sign_on_providers.list(ACCOUNT):
        people.sign_on_providers.remove(ACCOUNT, provider.name)
    company.sign_on = company.use(trusts_mfa=trusted)
    sign_in(company, authn_context=context, assertion_id=f"_{trusted}{shown}")
    assert document(company) == f"{session_arn()} {shown}"


@table(
    ("minutes", "more"),
    [
        (60, {}),
        (60, {"attributes": attributes(SessionDuration="7200")}),
        (15, {"attributes": attributes(SessionDuration="900")}),
        (10, {"session_not_on_or_after": "2026-03-01T12:10:00Z"}),
    ],
)
def test_session_ends_with_the_first_limit(company: Company, minutes: int, more: dict[str, object]) -> None:
    """Of the role (here an hour), the attribute, and the session at the identity provider."""
    sign_in(company, assertion_id=f"_a{minutes}{len(more)}", **more)
    with company.site.store.read_transaction() as records:
        [row] = records.page(federated_sessions, order=("expires", "digest"), after=None, limit=1)
    assert row["expires"] == company.site.now.timestamp() + 60 * minutes
    with company.site.store.write_transaction() as records:
        records.delete(federated_sessions)


def test_session_has_tags_and_ends_with_the_role(company: Company) -> None:
    values = attributes(SourceIdentity="ada") | {
        "https://aws.amazon.com/SAML/Attributes/PrincipalTag:Team": ("blue",),
    }
    sign_in(company, attributes=values)
    digest_of = company.site.guard.people.browser_sessions
    found = digest_of.find(str(company.site.browser.cookies["iam-guard-dev"]))
    assert found is not None
    assert found.principal.tags["Team"] == "blue"
    assert found.principal.session["aws:SourceIdentity"] == "ada"
    company.site.now += timedelta(minutes=61)
    assert company.caller(company.site.browser) == "401"


# --- the metadata of this site -----------------------------------------------------------------------------------


def test_metadata_has_what_identity_providers_need(company: Company) -> None:
    """Also at another address than that of the site."""
    answer = company.site.new_browser("http://10.0.0.7").get("/signin/saml/metadata")
    assert answer.headers["content-type"].startswith("application/samlmetadata+xml")
    root = parse_xml(answer.content).root
    assert root.attributes["entityID"] == "http://localhost/signin/saml/metadata"
    descriptor = root.only(f"{METADATA}SPSSODescriptor")
    assert descriptor.attributes["WantAssertionsSigned"] == "true"
    service = descriptor.only(f"{METADATA}AssertionConsumerService")
    assert service.attributes["Location"] == "http://localhost/signin/saml/acs"
    assert service.attributes["Binding"] == "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"


def test_site_without_an_address_has_no_saml(site: Site) -> None:
    for path in ("metadata", "start"):
        assert site.browser.get(f"/signin/saml/{path}").status_code == 404
    text = IdentityProvider().response()
    assert site.browser.post("/signin/saml/acs", data={"SAMLResponse": text}).status_code == 404
