"""Which callers an invariant is about: principals as written in a file.

| written | selects |
|---|---|
| `*` | every principal, also outside of the store |
| `outside` | every principal outside of the store |
| `anonymous` | requests without credentials |
| `111122223333` | all principals of an account |
| `user/ada`, `role/ci-*`, `group/legal`, `root` | users, roles, members of a group, root users: in any account |
| an ARN of one of these | those with this ARN |
| `backup.amazonaws.com` | a service |
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from iam_guard.analysis.checks.callers import session_of_role
from iam_guard.analysis.invariants.access_parties import AnalyzedCaller
from iam_guard.analysis.invariants.store_access import StoreAccess
from iam_guard.errors import InvalidInput
from iam_guard.evaluation.matching.pattern import ARN_FIELDS, compile_texts, is_literal, read_wildcards
from iam_guard.model.arn import account_of, is_account_id
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.policy.grammar import shown

_ENTITY = re.compile(r"(?:user|role|group)/.+|root")
_SERVICE = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
_WORDS = ("*", "outside", "anonymous")


@dataclass(frozen=True)
class PrincipalPattern:
    """One entry of the table above. Raises `InvalidInput` for a text that is none."""

    text: str

    def __post_init__(self) -> None:
        text = self.text
        if text in _WORDS or is_account_id(text) or _SERVICE.fullmatch(text) or _ENTITY.fullmatch(text):
            return
        fields = text.split(":", ARN_FIELDS - 1)
        is_arn = len(fields) == ARN_FIELDS and fields[0] == "arn" and fields[2] == "iam"
        if not is_arn or not _ENTITY.fullmatch(fields[5]):
            expected = "a principal such as `role/admin`, an account id, an ARN, `outside`, `anonymous` or `*`"
            raise InvalidInput(f"expected {expected}, got `{shown(text, 200)}`")

    @property
    def is_root(self) -> bool:
        """Whether it selects root users by name."""
        return self.text == "root" or self.text.endswith(":root")

    def selects(self, caller: AnalyzedCaller, groups: Mapping[str, frozenset[str]]) -> bool:
        """Return whether it selects a caller; `groups` has the ARNs of the groups of users, by their ARN."""
        text, principal = self.text, caller.principal
        if text in _WORDS:
            kind = principal.type
            return text == "*" or (caller.is_outside if text == "outside" else kind is PrincipalType.ANONYMOUS)
        if is_account_id(text):
            return (caller.typical.account if caller.is_outside else principal.account) == text
        if _SERVICE.fullmatch(text):
            return principal.type is PrincipalType.SERVICE and principal.arn == text
        if caller.is_outside and caller.is_any_name:
            return False
        name = principal.identity_arn if caller.is_outside else caller.name
        return any(self._matches(arn) for arn in (name, *groups.get(name, ())))

    def _matches(self, arn: str) -> bool:
        fields = arn.split(":", ARN_FIELDS - 1)
        written = self._fields
        if len(fields) != ARN_FIELDS or fields[2] != "iam":
            return False
        return all(compile_texts([entry], read_wildcards)(field) for entry, field in zip(written, fields, strict=True))

    @cached_property
    def _fields(self) -> list[str]:
        is_relative = not self.text.startswith("arn:")
        return ["arn", "*", "iam", "*", "*", self.text] if is_relative else self.text.split(":", ARN_FIELDS - 1)

    def outsider(self, accounts: Mapping[str, object]) -> Principal | None:
        """Return the principal that it names, if it is one that is not in the accounts of the store."""
        text = self.text
        if _SERVICE.fullmatch(text) and text not in _WORDS:
            return Principal.service(text)
        account = account_of(text) if text.startswith("arn:") and is_literal(text) else None
        if account is None or account in accounts:
            return None
        if text.split(":", ARN_FIELDS - 1)[5].startswith("role/"):
            return Principal.from_arn(session_of_role(text, "example"), role_arn=text)
        return Principal.from_arn(text)


@dataclass(frozen=True)
class Selection:
    """The callers that an invariant is about: those of `patterns`, or with `is_others` all other ones."""

    store: StoreAccess
    patterns: Sequence[PrincipalPattern]
    is_others: bool

    def has(self, caller: AnalyzedCaller) -> bool:
        """Return whether the invariant is about a caller."""
        is_listed = any(pattern.selects(caller, self.store.groups) for pattern in self.patterns)
        return is_listed is not self.is_others

    @property
    def accounts(self) -> list[str]:
        """The accounts that are listed."""
        return [pattern.text for pattern in self.patterns if is_account_id(pattern.text)]

    @property
    def principals(self) -> list[Principal]:
        """The principals outside of the store that are listed by name."""
        found = [pattern.outsider(self.store.accounts) for pattern in self.patterns]
        return [principal for principal in found if principal is not None]

    def unmatched(self) -> list[str]:
        """Return the entries that select no caller of the store and none outside of it."""
        return [
            pattern.text
            for pattern in self.patterns
            if pattern.text not in _WORDS
            and not is_account_id(pattern.text)
            and pattern.outsider(self.store.accounts) is None
            and not any(pattern.selects(caller, self.store.groups) for caller in self.store.callers)
        ]
