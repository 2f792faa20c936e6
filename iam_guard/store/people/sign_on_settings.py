"""What a sign-on provider may be configured with: checked for commands, seeds and code alike."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from iam_guard.errors import InvalidInput
from iam_guard.store.schema import sealing_context, sign_on_providers

ID_PREFIX: Final = "so-"
MAX_PROVIDERS: Final = 20
"""Sign-on providers of an account."""
MAX_NAME: Final = 64
MAX_CLIENT_ID: Final = 255
MAX_SECRET: Final = 1024
MAX_SCOPES: Final = 20
MAX_SCOPE: Final = 255
MAX_RULES: Final = 100
MAX_RULE: Final = 2560
"""Characters of a rule."""

ROLE_RULE: Final = re.compile(
    r"(?:(?P<claim>[^=\s]+)=(?P<pattern>\S|\S.*\S) +)?"
    r"(?P<role>arn:[a-z-]+:iam::(?P<account>[0-9]{12}):role/[\x21-\x7e]+)"
    r"|(?P<arns>(?!arn:)[^=\s]+)"
)
"""A rule for the roles of OIDC claims: `CLAIM=PATTERN ROLE_ARN`, `ROLE_ARN`, or `CLAIM`, whose values are ARNs.

A pattern may contain spaces, as names of groups do.
"""
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")


def checked_label(name: str) -> str:
    """Return the name of a sign-on provider, which people read. Raises `InvalidInput`."""
    if not 0 < len(name) <= MAX_NAME or not name.isprintable() or name != name.strip():
        raise InvalidInput(f"expected a name of 1 to {MAX_NAME} printable characters", place="name")
    return name


def checked_client_id(client_id: str | None, registered: Sequence[str]) -> str:
    """Return the client id of an OIDC provider, which has it among its audiences. Raises `InvalidInput`."""
    if not client_id or len(client_id) > MAX_CLIENT_ID or client_id not in registered:
        message = "expected a client id that the identity provider has in IAM"
        raise InvalidInput(message + (f", got `{client_id[:MAX_CLIENT_ID]}`" if client_id else ""), place="client_id")
    return client_id


def checked_secret(secret: str | None) -> str | None:
    """Return a client secret; None for a public client. Raises `InvalidInput`, which does not quote it."""
    if secret is not None and (not 0 < len(secret) <= MAX_SECRET or not secret.isprintable()):
        raise InvalidInput(f"expected a secret of 1 to {MAX_SECRET} printable characters", place="client_secret")
    return secret


def checked_scopes(scopes: Sequence[str]) -> list[str]:
    """Return OAuth scopes. Raises `InvalidInput`."""
    if len(scopes) > MAX_SCOPES or not all(len(scope) <= MAX_SCOPE and _SCOPE.fullmatch(scope) for scope in scopes):
        raise InvalidInput(f"expected at most {MAX_SCOPES} scopes without spaces", place="scopes")
    if "openid" not in scopes:
        raise InvalidInput("expected the scope `openid` among the scopes", place="scopes")
    return list(dict.fromkeys(scopes))


def checked_rules(rules: Sequence[str], account: str) -> list[str]:
    """Return rules for roles of an account. Raises `InvalidInput`."""
    if not 0 < len(rules) <= MAX_RULES:
        raise InvalidInput(f"expected 1 to {MAX_RULES} rules for the roles of an OIDC provider", place="roles")
    for rule in rules:
        found = ROLE_RULE.fullmatch(rule) if len(rule) <= MAX_RULE and rule.isprintable() else None
        if found is None:
            form = "`CLAIM=PATTERN ROLE_ARN`, `ROLE_ARN` or `CLAIM`"
            raise InvalidInput(f"expected a rule such as {form}, got `{rule[:200]}`", place="roles")
        if found["account"] not in (None, account):
            raise InvalidInput(f"expected a role of the account {account}, got `{found['role'][:200]}`", place="roles")
    return list(dict.fromkeys(rules))


def sign_on_secret_context(id: str) -> bytes:
    """Return the sealing context of the client secret of the sign-on provider with this id."""
    return sealing_context(sign_on_providers.c.sealed_secret, id)
