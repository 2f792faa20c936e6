"""Operations of STS that are not supported, each with the reason, which its caller and the documentation are told.

Must not live here: how the reason is told (`services/operation`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

NOT_SUPPORTED: Final[Mapping[str, str]] = {
    "AssumeRoleWithSAML": "assertions of SAML providers are not checked here",
    "AssumeRoot": "sessions of the root users of member accounts are not issued here",
    "DecodeAuthorizationMessage": "refusals are told in full, and none carries an encoded message",
    "GetDelegatedAccessToken": "its token is handed out for a delegation request of a partner of Amazon",
    "GetScopedCredentials": "sessions are not scoped down any further",
    "GetWebIdentityToken": "identity tokens for services outside are not issued here",
}
"""Operation -> why it is not supported."""
