"""This site as a SAML service provider: its metadata, its requests to identity providers, and what it receives.

Requests go by redirect, and are not signed: nothing in them is secret or decides anything. They have no relay state,
since the browser keeps where to go on to in a cookie. The metadata has no certificate for encryption: private keys
belong to the SAML providers of accounts (`AddPrivateKey`), whose administrators upload the certificate.
"""

from __future__ import annotations

import base64
import secrets
import zlib
from datetime import UTC, datetime
from typing import Final, NamedTuple
from urllib.parse import urlencode, urlsplit
from xml.sax.saxutils import escape, quoteattr

from iam_guard.authn.saml.assertion import SamlReceiver
from iam_guard.errors import AccessDenied, InvalidInput
from iam_guard.model.saml_metadata import read_metadata
from iam_guard.settings import Settings
from iam_guard.store.protocol import RecordStore
from iam_guard.store.schema import saml_providers, sign_on_providers

METADATA_PATH: Final = "/signin/saml/metadata"
ACS_PATH: Final = "/signin/saml/acs"
_ASSERTION: Final = "urn:oasis:names:tc:SAML:2.0:assertion"
_PROTOCOL: Final = "urn:oasis:names:tc:SAML:2.0:protocol"
_POST: Final = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
_REDIRECT: Final = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_REQUESTED: Final = ("Role", "RoleSessionName")
"""Attributes of AWS that each assertion needs."""
_RAW: Final = -15
"""Deflate without zlib's header, as the redirect binding says."""


class SamlRequest(NamedTuple):
    """A request to an identity provider: its id, and the URL that the browser goes to."""

    id: str
    url: str


class SamlSite:
    """The service provider of a site; nothing of it works without the setting `site_url`."""

    def __init__(self, settings: Settings) -> None:
        self.site_url = settings.site_url
        self.entity_id = settings.site_url + METADATA_PATH
        self.acs_url = settings.site_url + ACS_PATH
        self.receiver = SamlReceiver(
            {self.acs_url: frozenset({self.acs_url, self.entity_id})}, settings.saml_clock_skew
        )

    def metadata(self) -> str:
        """Return the metadata, which administrators of identity providers upload there."""
        attributes = "".join(
            f'<RequestedAttribute isRequired="true" Name="https://aws.amazon.com/SAML/Attributes/{name}" '
            f'FriendlyName="{name}"/>'
            for name in _REQUESTED
        )
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f'<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID={quoteattr(self.entity_id)}>'
            f'<SPSSODescriptor AuthnRequestsSigned="false" WantAssertionsSigned="true" '
            f'protocolSupportEnumeration="{_PROTOCOL}">'
            f'<AssertionConsumerService index="0" isDefault="true" Binding="{_POST}" '
            f"Location={quoteattr(self.acs_url)}/>"
            f'<AttributeConsumingService index="0" isDefault="true"><ServiceName xml:lang="en">'
            f"{escape(self.site_url)}</ServiceName>{attributes}</AttributeConsumingService>"
            "</SPSSODescriptor></EntityDescriptor>\n"
        )

    def request(self, store: RecordStore, sign_on_id: str, now: datetime) -> SamlRequest:
        """Return a new request to the identity provider of a sign-on provider. Raises `AccessDenied`."""
        destination = _sign_on_url(store, sign_on_id, now)
        url = urlsplit(destination)
        is_local = self.site_url.startswith("http://") and url.scheme == "http" and url.hostname in _LOOPBACK
        if not (url.scheme == "https" and url.hostname) and not is_local:
            raise AccessDenied("expected an SSO URL with https in the metadata of the provider, or http at loopback")
        id = f"_{sign_on_id}.{secrets.token_hex(20)}"
        text = (
            f'<samlp:AuthnRequest xmlns:samlp="{_PROTOCOL}" ID="{id}" Version="2.0" '
            f'IssueInstant="{now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" Destination={quoteattr(destination)} '
            f'AssertionConsumerServiceURL={quoteattr(self.acs_url)} ProtocolBinding="{_POST}">'
            f'<saml:Issuer xmlns:saml="{_ASSERTION}">{escape(self.entity_id)}</saml:Issuer></samlp:AuthnRequest>'
        )
        query = urlencode({"SAMLRequest": base64.b64encode(zlib.compress(text.encode(), wbits=_RAW)).decode("ascii")})
        query = f"{url.query}&{query}" if url.query else query
        return SamlRequest(id, url._replace(query=query, fragment="").geturl())


def provider_of_request(id: str) -> str:
    """Return the id of the sign-on provider that a request was made for, from the id of the request."""
    return id.removeprefix("_").rpartition(".")[0]


def _sign_on_url(store: RecordStore, sign_on_id: str, now: datetime) -> str:
    """Return where the identity provider of a sign-on provider expects requests by redirect. Raises `AccessDenied`."""
    with store.read_transaction() as records:
        sign_on = records.one(sign_on_providers, id=sign_on_id)
        owner = None if sign_on is None else sign_on["saml_provider_id"]
        row = None if owner is None else records.one(saml_providers, id=owner)
    if row is None:
        raise AccessDenied("expected the id of a sign-on provider for SAML")
    try:
        url = read_metadata(row["document"]).sign_on_urls.get(_REDIRECT, "")
    except InvalidInput as error:
        raise AccessDenied(error.message) from None
    if (row["valid_until"] or 0) <= now.timestamp():
        raise AccessDenied("The metadata of the provider has expired.")
    if not url:
        raise AccessDenied("expected an SSO URL for HTTP-Redirect in the metadata of the provider")
    return url
