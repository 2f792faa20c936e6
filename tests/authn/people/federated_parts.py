"""Sessions of roles and federated users, behind a guard with a test clock, for tests of federated browser sessions."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from iam_guard.api.call import ApiServer
from iam_guard.api.operation import OperationRequest, Permission, run
from iam_guard.api.sts.operations import STS
from iam_guard.authn.people.sessions.federated_sessions import FederatedSignIn
from iam_guard.model.credential import BrowserSession, Session
from iam_guard.model.principal import Credential, Issued, Principal
from iam_guard.store.schema import access_keys, identities
from tests.authn.people.role_parts import ACME, ASSUMES, CALL, HOUR, SUPPORT_ARN, UMBRELLA, World, policy

KEY, KEY_SECRET = "AKIATESTADA000000001", "ada-secret-0123456789abcdefghijklmnopqrs"
ROOT_KEY, ROOT_SECRET = "AKIATESTROOT00000001", "root-secret-0123456789abcdefghijklmnopqr"
OIDC = f"arn:aws:iam::{UMBRELLA}:oidc-provider/login.example"
SAML = f"arn:aws:iam::{UMBRELLA}:saml-provider/Company"
FEDERATES = policy("Allow", "sts:*")


def users(**more: Any) -> dict[str, Any]:
    """Return what Ada has: an access key, and the permission to request sessions of roles and federated users."""
    key = {"id": KEY, "secret": KEY_SECRET}
    inline = {"Assumes": ASSUMES, "Federates": FEDERATES, "Docs": policy("Allow", "docs:Get*")}
    return {"inline": inline, "access_keys": [key], **more}


class FederatedWorld(World):
    """A world in which a role session, and a federated user of Ada or of the root user, can sign in."""

    def __init__(self, folder: Path | None = None, *, idle: timedelta = HOUR, **more: Any) -> None:
        more = {"user": users(), **more}
        super().__init__(folder, idle=idle, **more)
        with self.guard.store.write_transaction() as records:
            sealed = self.guard.store.sealer.seal(ROOT_SECRET.encode(), b"access-key:" + ROOT_KEY.encode())
            values = {"id": ROOT_KEY, "account": ACME, "user_id": None, "sealed": sealed, "status": "Active"}
            records.insert(access_keys, created=0, **values)

    def caller(self, key: str = KEY) -> Principal:
        """Return the owner of an access key, authenticated with it."""
        found = self.guard.store.access_key(key)
        assert found is not None
        return replace(found.principal, credential=Credential("sigv4", key, "us-east-1", "sts"))

    def issued(self, caller: Principal, operation: str, **parameters: Any) -> dict[str, Any]:
        """Return the credentials that an operation of STS gives a caller."""

        def authorize(permission: Permission) -> object:
            return self.guard.authorize(caller, permission.action, permission.resource, permission.context, call=CALL)

        now = int(self.now.timestamp())
        output = run(
            OperationRequest(ApiServer(self.guard.store), STS, operation, parameters, caller, now), authorize
        ).output
        credentials: dict[str, Any] = output["Credentials"]
        return credentials

    def opened(self, credentials: dict[str, Any]) -> Session:
        session = self.guard.store.open_session(credentials["SessionToken"])
        assert session is not None
        return session

    def assumed(self, **parameters: Any) -> dict[str, Any]:
        """Return credentials of the role Support, with Ada's access key."""
        asked = {"RoleArn": SUPPORT_ARN, "RoleSessionName": "ada@acme", **parameters}
        return self.issued(self.caller(), "AssumeRole", **asked)

    def federated(self, key: str = KEY, **parameters: Any) -> dict[str, Any]:
        """Return credentials of a federated user, with an access key."""
        return self.issued(self.caller(key), "GetFederationToken", **{"Name": "eve", **parameters})

    def chained(self, session: Session, role: str) -> dict[str, Any]:
        """Return credentials of a role, with those of a session."""
        terms = Issued(session.issued, session.expires)
        credential = Credential("sts", session.access_key_id, "us-east-1", "sts", issued=terms)
        used = replace(session.principal, credential=credential)
        return self.issued(used, "AssumeRole", RoleArn=role, RoleSessionName="chained")

    def enter(self, session: Session, **terms: Any) -> BrowserSession:
        """Return a new browser session of a session."""
        asked = {"method": "credentials", "provider": None, "evidence": (), **terms}
        return self.guard.people.federated_sessions.sign_in(FederatedSignIn(session=session, **asked), CALL).session

    def in_role(self, **terms: Any) -> BrowserSession:
        return self.enter(self.opened(self.assumed()), **terms)

    def as_federated_user(self, key: str = KEY, **terms: Any) -> BrowserSession:
        return self.enter(self.opened(self.federated(key)), **terms)

    def role_id(self, name: str = "Support") -> str:
        with self.guard.store.read_transaction() as records:
            row = records.one(identities, kind="role", name=name)
        assert row is not None
        return str(row["id"])
