"""Verify the response of a SAML identity provider, and read its assertion.

The order: parse, read the status, verify the signature of the response and go on with the bytes that it signs, decrypt
the assertion, verify its signature and go on with the bytes that it signs, check its contents. A signature is required
around or in the assertion; where both are signed, both must be valid.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from iam_guard.authn.saml.assertion import (
    SAML,
    SamlAssertion,
    SamlIdentityProvider,
    SamlReceiver,
    read_assertion,
    read_header,
    read_issuer,
)
from iam_guard.authn.saml.validity import Validity, read_instant
from iam_guard.authn.saml.xml_encryption import decrypted, is_authenticated_cipher, undecryptable
from iam_guard.authn.saml.xml_signature import DS, SIGNATURE, load_signxml, signed_part
from iam_guard.authn.saml.xml_tree import XmlDocument, XmlElement, decode_base64, local_name, parse_xml, shorten
from iam_guard.errors import IdpRejectedClaim, InvalidIdentityToken

MAX_RESPONSE_LENGTH: Final = 100_000
"""Characters of a response in base64, as at AWS."""

_PROTOCOL: Final = "{urn:oasis:names:tc:SAML:2.0:protocol}"
_RESPONSE: Final = f"{_PROTOCOL}Response"
_ASSERTION: Final = f"{SAML}Assertion"
_ENCRYPTED: Final = f"{SAML}EncryptedAssertion"
_SUCCESS: Final = "urn:oasis:names:tc:SAML:2.0:status:Success"
_RESPONSE_PARTS: Final = frozenset({f"{SAML}Issuer", SIGNATURE, f"{_PROTOCOL}Status", _ASSERTION, _ENCRYPTED})


def read_response(
    response: str | XmlDocument, provider: SamlIdentityProvider, receiver: SamlReceiver, now: datetime
) -> SamlAssertion:
    """Verify a response, in base64 or as `parse_response` returned it, and return its assertion.

    Raises `InvalidIdentityToken`, `ExpiredIdentityToken`, `IdpRejectedClaim`; `ConfigurationError` without the extra.
    """
    received = parse_response(response) if isinstance(response, str) else response
    is_signed = bool(received.root.named(SIGNATURE))
    verified = signed_part(received, received.root, provider.certificates) if is_signed else received
    _check_status(verified.root)
    _check_shape(received.root)
    validity = Validity(now, receiver.skew)
    _check_response(verified.root, provider, receiver, validity)
    element = _verified_assertion(received, verified, provider)
    assertion = read_assertion(element, provider.entity_id, receiver, validity)
    _check_request(assertion, verified.root.attributes.get("InResponseTo"))
    return assertion


# --- what a response says without being verified -----------------------------------------------------------------


def claimed_issuer(response: str | XmlDocument) -> str:
    """Return the issuer that a response names. Raises `InvalidIdentityToken`."""
    root = (parse_response(response) if isinstance(response, str) else response).root
    for element in (root, *root.named(_ASSERTION)):
        issuer = element.optional(f"{SAML}Issuer")
        if issuer is not None:
            return read_issuer(issuer)
    raise InvalidIdentityToken("expected an Issuer in Response or Assertion, got none")


def claimed_request(response: XmlDocument) -> str:
    """Return the id of the request that a response answers; empty without one."""
    confirmations = (element for element in response.root.walk() if element.name == f"{SAML}SubjectConfirmationData")
    ids = (element.attributes.get("InResponseTo", "") for element in (response.root, *confirmations))
    return next(filter(None, ids), "")


def claimed_values(response: XmlDocument, attribute: str) -> list[str]:
    """Return the values of an attribute of the assertion; none if it is encrypted."""
    named = (element for element in response.root.walk() if element.name == f"{SAML}Attribute")
    return [
        value.text for element in named if element.attributes.get("Name") == attribute for value in element.children
    ]


def is_encrypted(response: XmlDocument) -> bool:
    """Return whether the assertion is encrypted."""
    return bool(response.root.named(_ENCRYPTED))


# --- the steps ---------------------------------------------------------------------------------------------------


def parse_response(text: str) -> XmlDocument:
    """Parse a response in base64. Raises `InvalidIdentityToken`; `ConfigurationError` without the extra."""
    load_signxml()
    if len(text) > MAX_RESPONSE_LENGTH:
        raise InvalidIdentityToken(f"expected at most {MAX_RESPONSE_LENGTH} characters of base64")
    content = decode_base64(text)
    if content is None:
        raise InvalidIdentityToken("expected a SAML response in base64")
    document = parse_xml(content)
    if document.root.name != _RESPONSE:
        raise InvalidIdentityToken(f"expected a Response of SAML 2.0, got `{local_name(document.root.name)}`")
    return document


def _check_status(response: XmlElement) -> None:
    code = response.only(f"{_PROTOCOL}Status").only(f"{_PROTOCOL}StatusCode")
    values = [element.attributes.get("Value", "") for element in code.walk()]
    if values != [_SUCCESS]:
        shown = " ".join(value.rpartition(":")[2] for value in values)
        raise IdpRejectedClaim(f"the identity provider responded with the status `{shorten(shown)}`")


def _check_shape(response: XmlElement) -> None:
    """Check that there is one assertion, and that each signature is a child of the response or of the assertion."""
    for child in response.children:
        if child.name not in _RESPONSE_PARTS:
            raise InvalidIdentityToken(f"{local_name(child.name)} is not accepted in Response")
    names = [element.name for element in response.walk()]
    number = names.count(_ASSERTION) + names.count(_ENCRYPTED)
    if number != 1:
        raise InvalidIdentityToken(f"expected one assertion, in the Response, got {number}")
    _check_signatures(names, [response, *response.named(_ASSERTION)])


def _check_signatures(names: list[str], signed: list[XmlElement]) -> None:
    if names.count(SIGNATURE) != sum(element.optional(SIGNATURE) is not None for element in signed):
        raise InvalidIdentityToken("a signature elsewhere than in the Response or the Assertion is not accepted")
    if f"{DS}Object" in names:
        raise InvalidIdentityToken("an Object of XML signatures is not accepted")


def _check_response(
    response: XmlElement, provider: SamlIdentityProvider, receiver: SamlReceiver, validity: Validity
) -> None:
    """Check what the response says besides its assertion. It may be unsigned, so nothing of it is trusted."""
    read_header(response)
    validity.check_issued(read_instant(response, "IssueInstant"))
    issuer = response.optional(f"{SAML}Issuer")
    if issuer is not None:
        read_issuer(issuer, provider.entity_id)
    destination = response.attributes.get("Destination")
    if destination is not None and destination not in receiver.recipients:
        raise InvalidIdentityToken(f"the Destination is not accepted here: `{shorten(destination)}`")


def _verified_assertion(received: XmlDocument, response: XmlDocument, provider: SamlIdentityProvider) -> XmlElement:
    """Return the assertion from the bytes of the innermost signature around or in it."""
    is_signed = response is not received
    encrypted = response.root.optional(_ENCRYPTED)
    if encrypted is None:
        if provider.requires_encryption:
            raise InvalidIdentityToken("expected an encrypted assertion")
        assertion = received.root.only(_ASSERTION)
        if assertion.named(SIGNATURE):
            return signed_part(received, assertion, provider.certificates).root
        if is_signed:
            return response.root.only(_ASSERTION)
        raise InvalidIdentityToken("expected a signature in the Response or the Assertion")
    reveals_reason = is_signed or is_authenticated_cipher(encrypted)
    try:
        return _decrypted_assertion(encrypted, provider, is_signed=is_signed)
    except InvalidIdentityToken:
        if reveals_reason:
            raise
        raise undecryptable() from None  # otherwise the answers would decrypt AES-CBC for an attacker


def _decrypted_assertion(encrypted: XmlElement, provider: SamlIdentityProvider, *, is_signed: bool) -> XmlElement:
    document = parse_xml(decrypted(encrypted, provider.private_keys))
    root, names = document.root, [element.name for element in document.root.walk()]
    if root.name != _ASSERTION or names.count(_ASSERTION) != 1 or _ENCRYPTED in names:
        raise InvalidIdentityToken("expected one Assertion in EncryptedAssertion")
    _check_signatures(names, [root])
    if root.named(SIGNATURE):
        return signed_part(document, root, provider.certificates).root
    if is_signed:
        return root
    raise InvalidIdentityToken("expected a signature in the Response or the Assertion")


def _check_request(assertion: SamlAssertion, of_response: str | None) -> None:
    """Check that the response names no other request than the assertion, whose name alone is signed for sure."""
    if of_response is not None and of_response != assertion.in_response_to:
        raise InvalidIdentityToken("InResponseTo differs between Response and SubjectConfirmationData")
