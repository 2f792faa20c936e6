"""Documents at the page that receives SAML responses: those of known products, and hostile ones."""

from __future__ import annotations

from pathlib import Path

from iam_guard.authn.saml.assertion import SamlReceiver
from iam_guard.model.saml_metadata import read_metadata
from iam_guard.store.identifiers import entity_digest
from tests.authn.saml.hostile_claims import CLAIMS
from tests.authn.saml.hostile_encryption import ENCRYPTED
from tests.authn.saml.hostile_signatures import SIGNATURES
from tests.authn.saml.hostile_xml import XML
from tests.authn.saml.identity_provider import NOW, RECIPIENT, SHAPES, IdentityProvider
from tests.authn.saml.valid_responses import provider_of
from tests.console.company import Company, request_of, session_arn
from tests.tables import table

FOLDER = Path(__file__).parent
PRODUCTS = {
    "entra": (FOLDER / "metadata/entra.xml", "https://login.microsoftonline.com/"),
    "keycloak": (
        FOLDER.parent / "authn/keycloak/descriptor.xml",
        "https://sso.acme.example/realms/staff/protocol/saml",
    ),
    "okta": (FOLDER / "metadata/okta.xml", "https://acme.okta.com/app/acme_documents_1/"),
}
"""Product -> the file with its metadata, and the start of where people log in."""


@table("product", PRODUCTS)
def test_person_of_a_product_signs_in(company: Company, product: str) -> None:
    """With its metadata, by its own URL, and a response in its shape."""
    path, url = PRODUCTS[product]
    document = path.read_text(encoding="utf-8").replace("@@certificate@@", company.idp.key.certificate_text)
    company.idp.entity_id = read_metadata(document).entity_id
    company.change_provider(document=document, entity_digest=entity_digest(company.idp.entity_id))
    browser = company.site.new_browser()
    answer = browser.get(f"/signin/saml/start?provider={company.sign_on.id}")
    assert answer.headers["location"].startswith(url), company.refusals()
    request = request_of(answer.headers["location"]).attributes["ID"]
    [shape] = [shape for shape in SHAPES if shape.name == product]
    terms = {"shape": shape, "in_response_to": request, "assertion_id": f"_{product}"}
    answer = company.post(browser, company.response(**terms))
    assert answer.status_code == 303, company.refusals()
    assert company.caller(browser) == session_arn()


def test_hostile_document_gets_no_session(company: Company) -> None:
    """Each one of the tables; the reason is in the trail, and no answer is a fault of the server."""
    company.site.now = NOW
    company.site.guard.people.saml_sign_on.site.receiver = SamlReceiver({RECIPIENT: frozenset({RECIPIENT})})
    hostile = [one for one in SIGNATURES + XML + CLAIMS + ENCRYPTED if one.provider == provider_of()]
    assert len(hostile) > 100
    for number, document in enumerate(hostile, 1):
        page = company.post(company.site.new_browser(), document.sent)
        assert (page.status_code, "pending" in str(page.url)) == (400, False), document.name
        assert len(company.refusals()) == number, document.name
        assert company.refusals()[-1], document.name
    valid = company.post(company.site.new_browser(), IdentityProvider().response())
    assert valid.status_code == 200, company.refusals()[-1]
