"""Hostile responses: each must be refused, with its own code and a reason that names what is wrong with it.

The tables are in `hostile_signatures`, `hostile_xml`, `hostile_claims` and `hostile_encryption`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest

from iam_guard.authn.saml.assertion import SamlIdentityProvider
from iam_guard.authn.saml.response import read_response
from iam_guard.errors import CredentialError, InvalidIdentityToken
from tests.authn.saml.identity_provider import NOW, IdentityProvider, encoded
from tests.authn.saml.valid_responses import RECEIVER, provider_of

PROVIDER = provider_of()


def refusal(document: str | bytes, provider: SamlIdentityProvider = PROVIDER) -> str:
    """Return why a document is refused as invalid."""
    with pytest.raises(InvalidIdentityToken) as refused:
        read_response(encoded(document), provider, RECEIVER, NOW)
    return str(refused.value)


@dataclass(frozen=True, kw_only=True)
class Hostile:
    """A document, or the text of one, and why it must be refused."""

    name: str
    reason: str
    error: type[CredentialError] = InvalidIdentityToken
    document: Callable[[], str | bytes] | None = None
    text: Callable[[], str] | None = None
    """What the client sends, if that is not the base64 text of a document."""
    provider: SamlIdentityProvider = field(default_factory=provider_of)

    @property
    def sent(self) -> str:
        if self.text:
            return self.text()
        assert self.document
        return encoded(self.document())


def message(name: str, reason: str, error: type[CredentialError] = InvalidIdentityToken, **changes: object) -> Hostile:
    """Return a document that the provider itself writes and signs."""
    return Hostile(name=name, reason=reason, error=error, document=lambda: IdentityProvider().document(**changes))


def edited(name: str, reason: str, edit: Callable[[str], str], **changes: object) -> Hostile:
    """Return a document that was changed as a text after it was signed."""
    return Hostile(name=name, reason=reason, document=lambda: edit(IdentityProvider().document(**changes)))


def signed_by(name: str, reason: str, settings: Mapping[str, object]) -> Hostile:
    """Return a document whose assertion is signed in another way."""
    return message(name, reason, assertion_signing=settings)
