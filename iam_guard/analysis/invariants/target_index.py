"""Which resources with policies matter for a caller, found without looking at each one.

A resource's policy matters if an Allow of it names the caller, or if it can deny. A policy without Deny that only names
the caller's account, or does not name it at all, leaves access to the caller's own policies, like no policy.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from iam_guard.analysis.checks.text_sets import TextUnion
from iam_guard.analysis.invariants.access_parties import AccessTarget, AnalyzedCaller
from iam_guard.errors import PolicyError
from iam_guard.evaluation.matching.principal import PrincipalMatch
from iam_guard.evaluation.special_actions import mandatory


class TargetIndex:
    """Resources with policies, and roles with trust policies, by the principals that they name."""

    def __init__(self, targets: Sequence[AccessTarget]) -> None:
        self._targets = targets
        self._by_name: dict[str, dict[int, None]] = defaultdict(dict)
        self._unreadable: list[int] = []
        for place, target in enumerate(targets):
            try:
                entries = [
                    value
                    for compiled in target.statements
                    if not compiled.denies
                    for _, value in compiled.statement.principals or ()
                ]
            except PolicyError:
                self._unreadable.append(place)
                continue
            for value in entries:
                self._by_name[value][place] = None
        self._special: dict[str | None, tuple[list[AccessTarget], TextUnion]] = {}

    def naming(self, caller: AnalyzedCaller) -> list[AccessTarget]:
        """Return the targets that have an Allow that may name a caller, in their order."""
        places = {place for name in _names_of(caller) for place in self._by_name.get(name, ())}
        return [self._targets[place] for place in sorted(places.union(self._unreadable))]

    def special(self, account: str | None) -> tuple[list[AccessTarget], TextUnion]:
        """Return the resources of an account whose policies may deny, or must allow.

        The second value has the ARNs of these, and of all resources of other accounts.
        """
        if account not in self._special:
            resources = [target for target in self._targets if not target.is_trust]
            own = [target for target in resources if target.owner_id == account and not _is_plain(target)]
            others = [target for target in resources if target.owner_id != account]
            self._special[account] = own, arns_of([*own, *others])
        return self._special[account]


def arns_of(targets: Sequence[AccessTarget], more: TextUnion | None = None) -> TextUnion:
    """Return the ARNs of targets as a union, and those of another union of ARNs."""
    words = {target.arn for target in targets if target.arn is not None}.union(more.words if more is not None else ())
    return TextUnion((word,) for word in sorted(words))


def names(target: AccessTarget, caller: AnalyzedCaller, *, is_direct: bool = False) -> bool:
    """Return whether an Allow statement of a target's policy names a caller; `is_direct`: not only its account.

    True for a policy that cannot be parsed.
    """
    try:
        allowing = [statement for statement in target.statements if not statement.denies]
    except PolicyError:
        return True
    matches = (statement.principal_match(caller.principal) for statement in allowing)
    return any(match is not None and not (is_direct and match is PrincipalMatch.ACCOUNT) for match in matches)


def _is_plain(target: AccessTarget) -> bool:
    """Return whether a policy denies nothing, and access does not depend on it alone (rule E-42)."""
    if target.tags or mandatory("kms:decrypt", target.arn or "", declared=False) is not None:
        return False
    try:
        return not any(statement.denies for statement in target.statements)
    except PolicyError:
        return False


def _names_of(caller: AnalyzedCaller) -> Iterator[str]:
    """Yield all texts by which a policy may name a caller (rules G-42 to G-51)."""
    principal = caller.principal
    yield from ("*", principal.arn, principal.identity_arn)
    if principal.account is not None:
        yield principal.account
        yield f"arn:{principal.arn.split(':', 2)[1]}:iam::{principal.account}:root"
    if principal.userid is not None:
        yield from (principal.userid, principal.userid.partition(":")[0])
