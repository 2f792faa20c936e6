"""Verify SAML responses that are sent to the API, for the recipients of the settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from iam_guard.authn.saml.assertion import SamlAssertion, SamlIdentityProvider, SamlReceiver
from iam_guard.authn.saml.response import read_response
from iam_guard.authn.saml.xml_signature import load_signxml
from iam_guard.errors import AccessDenied, ConfigurationError
from iam_guard.settings import Settings

AWS_RECIPIENT: Final = "https://signin.aws.amazon.com/saml"
AWS_AUDIENCE: Final = "urn:amazon:webservices"
_OF_AWS: Final = re.compile(
    r"https://(?:[a-z]{2}(?:-[a-z]+)+-[0-9]+\.)?signin\.aws\.amazon\.com/saml(?:/acs/[A-Za-z0-9]+)?"
)
"""AWS's global recipient and those of its regions, with the id of a provider if its assertions are encrypted."""


class AssertionVerifier:
    """An assertion verifier for the settings, safe to share between threads.

    Raises `ConfigurationError` for an invalid setting, or a recipient without the extra `saml`.
    """

    def __init__(self, settings: Settings) -> None:
        self._receiver = SamlReceiver(_recipients(settings), settings.saml_clock_skew)
        if self._receiver.recipients:
            load_signxml()  # report a missing extra now, not with each assertion

    def check_recipients(self) -> None:
        """Raise `AccessDenied` if no recipient is configured."""
        if not self._receiver.recipients:
            raise AccessDenied("SAML assertions are not accepted here: the setting saml_recipients names no recipient")

    def read(self, text: str, provider: SamlIdentityProvider, now: datetime) -> SamlAssertion:
        """Return the verified assertion of a response.

        Raises `InvalidIdentityToken`, `IdpRejectedClaim`, `ExpiredIdentityToken`.
        """
        return read_response(text, provider, self._receiver, now)


def _recipients(settings: Settings) -> Mapping[str, frozenset[str]]:
    """Return the audiences that each recipient admits. Raises `ConfigurationError`."""
    for recipient in settings.saml_recipients:
        url = urlsplit(recipient)
        if url.scheme not in ("https", "http") or not url.hostname or any(map(str.isspace, recipient)):
            message = f"expected a URL such as `{AWS_RECIPIENT}`, got `{recipient[:200]}`"
            raise ConfigurationError(message, place="saml_recipients")
    return {
        recipient: frozenset({recipient, AWS_AUDIENCE} if _OF_AWS.fullmatch(recipient) else {recipient})
        for recipient in settings.saml_recipients
    }
