"""Rules that choose roles by the claims of a token: of the setting `oidc_roles`, and of an account's sign-on providers.

    groups=platform* arn:aws:iam::111122223333:role/deploy
    https://example.com/role
    arn:aws:iam::111122223333:role/reader

The first form: tokens whose claim matches the pattern (`*` and `?` as in policies; of a list, any member) get the role.
The second: the claim itself is the role's ARN, or a list of ARNs. The third, of sign-on providers only: all tokens get
the role. A rule of the setting begins with the issuer, and the first match is used; a person who signs in chooses among
all matches. A rule only chooses; the role's trust policy decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from iam_guard.authn.federation.role_session import read_role_arn
from iam_guard.errors import ConfigurationError, ValidationError
from iam_guard.evaluation.matching.pattern import compile_glob
from iam_guard.model.context import Given
from iam_guard.store.people.sign_on_settings import ROLE_RULE

_PLACE = "oidc_roles"


class RoleRule(NamedTuple):
    """A rule; `claim` is None if it matches all tokens, `role` is None if the claim is the role's ARN."""

    claim: str | None
    matches: Callable[[str], bool]
    role: str | None

    def roles(self, claims: Mapping[str, Given]) -> list[str]:
        """Return the roles for these claims; several only if the claim is a list of ARNs."""
        if self.claim is None:
            return [self.role] if self.role else []
        claim = claims.get(self.claim)
        values = [claim] if isinstance(claim, str) else list(claim) if isinstance(claim, tuple) else []
        matching = [str(value) for value in values if self.matches(str(value))]
        return [self.role] if self.role and matching else matching


class IssuerRule(NamedTuple):
    """A rule for tokens of one issuer."""

    issuer: str
    rule: RoleRule


def read_rules(texts: Iterable[str]) -> tuple[IssuerRule, ...]:
    """Parse the rules of the setting. Raises `ConfigurationError`."""
    return tuple(map(_issuer_rule, texts))


def choose_role(rules: Iterable[IssuerRule], issuer: str, claims: Mapping[str, Given]) -> str | None:
    """Return the role of the first matching rule.

    A claim with several ARNs matches no rule, since the choice would be arbitrary.
    """
    found = (rule.roles(claims) for of, rule in rules if of == issuer)
    return next((roles[0] for roles in found if len(roles) == 1), None)


def sign_on_rule(text: str) -> RoleRule:
    """Return a rule of a sign-on provider, which was checked when it was stored."""
    found = ROLE_RULE.fullmatch(text)
    if found is None:
        return RoleRule(None, _all, None)
    if found["role"] is None:
        return RoleRule(found["arns"], _all, None)
    if found["claim"] is None:
        return RoleRule(None, _all, found["role"])
    return RoleRule(found["claim"], compile_glob(found["pattern"]), found["role"])


def _issuer_rule(text: str) -> IssuerRule:
    match text.split():
        case [issuer, claim] if issuer.startswith("https://") and "=" not in claim:
            return IssuerRule(issuer, RoleRule(claim, _all, None))
        case [issuer, test, role] if issuer.startswith("https://") and "=" in test:
            claim, _, pattern = test.partition("=")
            if claim and pattern and _is_role(role):
                return IssuerRule(issuer, RoleRule(claim, compile_glob(pattern), role))
    form = "`ISSUER CLAIM=PATTERN ROLE_ARN` or `ISSUER CLAIM`"
    raise ConfigurationError(f"expected a rule such as {form}, got `{text[:200]}`", place=_PLACE)


def _all(value: str) -> bool:
    return True


def _is_role(text: str) -> bool:
    try:
        read_role_arn(text)
    except ValidationError:
        return False
    return True
