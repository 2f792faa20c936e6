"""The rules of the setting `oidc_roles`, which choose the role of an OIDC token; the first match is used.

    https://token.actions.githubusercontent.com sub=repo:acme/docs:* arn:aws:iam::111122223333:role/deploy
    https://id.example.com https://example.com/role

The first form: tokens of this issuer whose claim matches the pattern (`*` and `?` as in policies; of a list, any
member) get the role. The second: the claim itself is the role's ARN. A rule only chooses; the role's trust policy
decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from iam_guard.authn.federation.role_session import read_role_arn
from iam_guard.errors import ConfigurationError, ValidationError
from iam_guard.evaluation.matching.pattern import compile_glob
from iam_guard.model.context import Given

_PLACE = "oidc_roles"


class Rule(NamedTuple):
    """A rule; `role` is None if the claim is the role's ARN."""

    issuer: str
    claim: str
    matches: Callable[[str], bool]
    role: str | None

    def role_for(self, claims: Mapping[str, Given]) -> str | None:
        """Return the role for these claims, None if the rule does not match."""
        claim = claims.get(self.claim)
        values = [claim] if isinstance(claim, str) else list(claim) if isinstance(claim, tuple) else []
        matching = [str(value) for value in values if self.matches(str(value))]
        if not matching or (self.role is None and len(matching) != 1):
            return None  # with several roles the choice would be arbitrary
        return self.role or matching[0]


def read_rules(texts: Iterable[str]) -> tuple[Rule, ...]:
    """Parse the rules. Raises `ConfigurationError`."""
    return tuple(map(_rule, texts))


def choose_role(rules: Iterable[Rule], issuer: str, claims: Mapping[str, Given]) -> str | None:
    """Return the role of the first matching rule."""
    return next((role for rule in rules if rule.issuer == issuer and (role := rule.role_for(claims))), None)


def _rule(text: str) -> Rule:
    match text.split():
        case [issuer, claim] if issuer.startswith("https://") and "=" not in claim:
            return Rule(issuer, claim, lambda value: True, None)
        case [issuer, test, role] if issuer.startswith("https://") and "=" in test:
            claim, _, pattern = test.partition("=")
            if claim and pattern and _is_role(role):
                return Rule(issuer, claim, compile_glob(pattern), role)
    form = "`ISSUER CLAIM=PATTERN ROLE_ARN` or `ISSUER CLAIM`"
    raise ConfigurationError(f"expected a rule such as {form}, got `{text[:200]}`", place=_PLACE)


def _is_role(text: str) -> bool:
    try:
        read_role_arn(text)
    except ValidationError:
        return False
    return True
