"""What happens when a person signs in, for the audit trail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from iam_guard.model.principal import Principal

SignInEventName = Literal[
    "ConsoleLogin",
    "GetSigninToken",
    "CheckMfa",
    "PasswordUpdated",
    "PasswordRecoveryRequested",
    "ExitSession",
    "MfaEnrolled",
    "MfaRemoved",
    "SwitchRole",
    "ExitRole",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInEvent:
    """One step of a sign-in, or a change that a person made to its own credentials.

    `principal` is the person; None for an unknown name, which is never recorded: people type passwords into the wrong
    field. `account` is the account that was named. `facts` are members of `additionalEventData`, without secrets.
    """

    name: SignInEventName
    principal: Principal | None
    account: str | None = None
    succeeded: bool = True
    facts: Mapping[str, Any] = field(default_factory=dict)
