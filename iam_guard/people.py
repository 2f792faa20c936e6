"""People: what the methods of `guard.people` take and return."""

from __future__ import annotations

from iam_guard.imports import public_names

_MODULES = {
    "administration.personal_data": "Erasure",
    "authn.people.notifications": "Notification",
    "authn.people.own_credentials": "EnabledDevice RemovedFactor",
    "authn.people.person": "PersonRef",
    "authn.people.second_factors.factors": "NewDevice",
    "authn.people.second_factors.passkey_challenges": "RelyingParty",
    "authn.people.second_factors.passkey_steps": "NewPasskey",
    "authn.people.sessions.account_sessions": "SessionPage",
    "authn.people.sessions.role_switch": "TypedRole",
    "authn.people.sessions.session_steps": "SignedIn",
    "authn.people.sessions.tool_sessions": "ToolSession",
    "authn.people.sign_in": "TypedName",
    "authn.people.sign_on.sign_on_providers": "SignOnProvider",
    "model.credential": "BrowserSession",
}

__all__, __getattr__, __dir__ = public_names(__name__, _MODULES)
