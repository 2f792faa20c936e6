"""A link of the federation endpoint, as a broker makes it, for a role of the tests' site."""

from __future__ import annotations

import json
from datetime import timedelta
from urllib.parse import urlencode

from iam_guard.model.credential import Session
from iam_guard.model.request import Call
from iam_guard.store.people.browser_session_rows import role_principal
from iam_guard.store.schema import identities
from tests.console.site import Site


def federation_link(site: Site, destination: str = "/documents/7") -> str:
    """Return a link that signs in as a session of the role `auditor`."""
    with site.store.read_transaction() as records:
        role = records.one(identities, kind="role", name="auditor")
    assert role is not None
    principal = role_principal("aws", role, "ada@acme")
    session = Session("ASIAEXAMPLE", "s" * 40, principal, site.now, site.now + timedelta(hours=1))
    credentials = {
        "sessionId": session.access_key_id,
        "sessionKey": session.secret,
        "sessionToken": site.store.seal_session(session),
    }
    token = site.guard.people.credential_sign_in.sign_in_token(json.dumps(credentials), None, Call("1"))
    return f"/signin/federation?{urlencode({'Action': 'login', 'Destination': destination, 'SigninToken': token})}"
