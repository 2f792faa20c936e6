"""Which role the bearer of a token gets: rules of the settings, the first that fits.

    https://token.actions.githubusercontent.com sub=repo:acme/docs:* arn:aws:iam::111122223333:role/deploy
    https://id.example.com https://example.com/role

The first form: tokens of this issuer whose claim fits the pattern (`*` and `?` as in policies; of a list, one member)
get the role. The second: the claim itself holds the role's ARN. A rule only chooses; whether the role is given is for
its trust policy to say.
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
    """One rule; `role` is None where the claim holds the role's ARN."""

    issuer: str
    claim: str
    matches: Callable[[str], bool]
    role: str | None

    def role_for(self, claims: Mapping[str, Given]) -> str | None:
        """Return the role of these claims, None where the rule does not fit."""
        given = claims.get(self.claim)
        values = [given] if isinstance(given, str) else list(given) if isinstance(given, tuple) else []
        fitting = [str(value) for value in values if self.matches(str(value))]
        if not fitting or (self.role is None and len(fitting) != 1):
            return None  # of several roles, nobody says which
        return self.role or fitting[0]


def read_rules(texts: Iterable[str]) -> tuple[Rule, ...]:
    """Read the rules. Raises `ConfigurationError`."""
    return tuple(map(_rule, texts))


def choose_role(rules: Iterable[Rule], issuer: str, claims: Mapping[str, Given]) -> str | None:
    """Return the role of the first rule that fits."""
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
