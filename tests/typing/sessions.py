"""Checked by mypy, never run: no session without what was verified."""

from __future__ import annotations

from iam_guard import Guard
from iam_guard.authn.people.person import Person
from iam_guard.authn.people.second_factors.factors import FactorUse
from iam_guard.authn.people.sessions.federated_sessions import FederatedSignIn
from iam_guard.authn.people.sessions.session_steps import SessionSteps
from iam_guard.authn.people.verified_steps import Evidence, VerifiedStep
from iam_guard.model.credential import BrowserSession, Session
from iam_guard.model.request import Call


def issue(guard: Guard, person: Person, verified: VerifiedStep) -> None:
    sessions = guard.people.browser_sessions
    sessions.issue(verified, methods=("password",), mfa_at=None, address="", user_agent="")
    sessions.issue(methods=("password",), mfa_at=None, address="", user_agent="")  # E: call-arg
    sessions.issue(person, methods=("password",), mfa_at=None, address="", user_agent="")  # E: arg-type
    sessions.issue(None, methods=("password",), mfa_at=None, address="", user_agent="")  # E: arg-type


def verify(person: Person, evidence: Evidence) -> None:
    VerifiedStep(person, evidence, follows="bs-1")
    VerifiedStep(person)  # E: call-arg
    VerifiedStep(person, None)  # E: arg-type
    FactorUse(evidence, {})
    FactorUse(True, {})  # E: arg-type


def go_on(steps: SessionSteps, session: BrowserSession, person: Person, call: Call) -> None:
    steps.issue(person, call, methods=("password",))  # E: arg-type
    steps.go_on(session, call, "totp", None, "device")  # E: arg-type


def sign_on(guard: Guard, session: Session, call: Call) -> None:
    FederatedSignIn(session=session, method="oidc", provider=None, evidence=())
    FederatedSignIn(session=session, method="oidc", provider=None)  # E: call-arg
    guard.people.federated_sessions.sign_in(session, call)  # E: arg-type
