"""Unsupported operations of STS, with the reasons for callers and the documentation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

NOT_SUPPORTED: Final[Mapping[str, str]] = {
    "AssumeRoleWithSAML": "SAML assertions are not validated here",
    "GetDelegatedAccessToken": (
        "its token is issued by AWS's own console, for a delegation request of a partner that Amazon has onboarded"
    ),
    "GetScopedCredentials": (
        "a session has one set of session policies here, and a further set would have to be intersected with it: "
        "pass the policies when the session is created"
    ),
}
"""Operation -> why it is not supported."""
