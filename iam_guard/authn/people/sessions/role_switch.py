"""Switch to a role, and back, as in AWS's console.

The person is always the one who assumes the role, also if its session has switched to another role: roles are not
chained. Who may switch is decided as for AssumeRole, with the person's credential: its policies and the role's trust
policy, on `sts:AssumeRole`, with the user's name as `sts:RoleSessionName` and without an external id. Root users can't
(S-12).

A refusal does not say why, so that it reveals neither roles nor accounts. The trail has the decision.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from iam_guard.authn.federation.role_session import FederatedIdentity, Role, TrustQuestion, admit, find_role
from iam_guard.authn.people.sessions.browser_sessions import BrowserSession
from iam_guard.authn.people.sessions.session_steps import SessionSteps, SignedIn
from iam_guard.errors import AccessDenied, InvalidInput
from iam_guard.model.arn import is_account_id
from iam_guard.model.decision import Decision
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.model.request import Call
from iam_guard.model.sign_in_event import SignInEvent
from iam_guard.store.database.records import Records
from iam_guard.store.identifiers import iam_arn
from iam_guard.store.schema import accounts

ASSUME_ROLE: Final = "sts:AssumeRole"
NO_ACCOUNT: Final = "000000000000"
"""Stands for the account of an unknown alias, so that its roles are looked for and decided like all others."""
_ROLE = re.compile(r"/?(?P<path>(?:[\x21-\x7e]+/)?)(?P<name>[\w+=,.@-]+)", re.ASCII)
MAX_ROLE: Final = 64
"""Characters of a role's path and name together (G-78)."""

Decide: TypeAlias = Callable[[Call | None, Principal, TrustQuestion], Decision]
"""Decides and records a question about a role."""


@dataclass(frozen=True, slots=True)
class TypedRole:
    """What a person typed to name a role: its account, by id or alias, and its name, perhaps with its path."""

    account: str
    role: str
    label: str = ""
    """What the person calls it."""


class RoleSwitch:
    """Switches to roles in one store. Safe to share between threads; raises as `SignIn` does."""

    def __init__(self, steps: SessionSteps, decide: Decide) -> None:
        self._steps = steps
        self._store = steps.store
        self._decide = decide

    def switch(self, session: BrowserSession, typed: TypedRole, call: Call, *, to: str = "") -> SignedIn | None:
        """Return the session that replaces this one, in a role; None if it is refused, for whatever reason.

        `to` is the path that the browser goes on to, for the trail.
        """
        facts = {"SwitchFrom": session.person.arn, "RedirectTo": to}
        try:
            role = self._admitted(session, typed, call)
            signed_in = SignedIn(*self._steps.sessions.switch(session, role, typed.label))
        except (AccessDenied, InvalidInput) as error:
            facts["Reason"] = error.message
            self._steps.record(_event("SwitchRole", session.person, facts, succeeded=False), call)
            return None
        self._steps.record(_event("SwitchRole", signed_in.session.principal, facts), call)
        return signed_in

    def leave(self, session: BrowserSession, call: Call, *, to: str = "") -> SignedIn | None:
        """Return the session of the person that replaces one in a role; None without a role, or if it has ended."""
        if session.role is None:
            return None
        try:
            signed_in = SignedIn(*self._steps.sessions.switch(session, None))
        except AccessDenied:
            return None
        self._steps.record(_event("ExitRole", session.principal, {"RedirectTo": to}), call)
        return signed_in

    def _admitted(self, session: BrowserSession, typed: TypedRole, call: Call) -> Role:
        """Return the role that a person may switch to. Raises `AccessDenied`, `InvalidInput`."""
        person = session.person
        if person.type is PrincipalType.ROOT:
            raise AccessDenied("Roles may not be assumed by root accounts.")
        if session.task not in (None, "role"):
            raise AccessDenied("The sign-in is not complete.")
        identity = FederatedIdentity(principal=person, action=ASSUME_ROLE, session_name=person.name)
        with self._store.read_transaction() as records:
            arn = _arn_of(records, self._store.partition, typed)
            role = find_role(records, self._store.partition, arn)
        return admit(identity, arn, role, lambda principal, question: self._decide(call, principal, question))


def _arn_of(records: Records, partition: str, typed: TypedRole) -> str:
    """Return the ARN of a typed role, whether or not it exists. Raises `AccessDenied` for what can't be a role's."""
    found = _ROLE.fullmatch(typed.role.strip())
    if found is None or len(found["path"] + found["name"]) > MAX_ROLE:
        raise AccessDenied("The name is not that of a role.")
    account = typed.account.strip().lower()
    if not is_account_id(account):
        row = records.one(accounts, alias=account)
        account = NO_ACCOUNT if row is None else row["id"]
    return iam_arn(partition, account, "role", f"/{found['path']}", found["name"])


def _event(
    name: Literal["SwitchRole", "ExitRole"], principal: Principal, facts: Mapping[str, str], *, succeeded: bool = True
) -> SignInEvent:
    return SignInEvent(name=name, principal=principal, succeeded=succeeded, facts=facts)
