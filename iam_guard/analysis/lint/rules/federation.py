"""Rules about trust policies: who of an identity provider may assume the role (rules G-42, G-48, AA-22 to AA-25)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from iam_guard.analysis.lint.rules.key_relations import requires_value
from iam_guard.analysis.lint.subject import Subject
from iam_guard.evaluation.matching.pattern import compile_glob
from iam_guard.model.decision import PolicyType
from iam_guard.policy.checks.principals import BUILT_IN_PROVIDERS
from iam_guard.policy.document import ConditionTest, Effect, Statement
from iam_guard.policy.fault import Fault, ParsedCondition, conditions, place, principals
from iam_guard.policy.grammar import WILDCARD, quoted

_OIDC = re.compile(r"arn:[^:*?]+:iam::[0-9]{12}:oidc-provider/(?P<issuer>.+)", re.DOTALL)
_SESSION = re.compile(
    r"arn:(?P<partition>[^:]+):sts::(?P<account>[0-9]{12}):assumed-role/(?P<role>[^/]+)/.+", re.DOTALL
)
_ROLE = re.compile(r"arn:(?P<partition>[^:]+):iam::(?P<account>[0-9]{12}):role/(?:.*/)?(?P<role>[^/]+)", re.DOTALL)
_IDS = {"AROA": ("INVALID_ROLE_REFERENCE", "role"), "AIDA": ("INVALID_USER_REFERENCE", "user")}
_GITHUB = "token.actions.githubusercontent.com"
_GITHUB_CLAIMS = frozenset({"sub", "job_workflow_ref", "repository", "repository_id", "repository_owner_id"})
_SHARED_ISSUERS = (_GITHUB, "gitlab.com", "app.terraform.io", "agent.buildkite.com", "oidc.circleci.com")
"""Issuers whose tokens are for all of their customers: the subject alone tells these apart."""
_MIN_LITERAL = 6
"""Characters that a pattern of such a subject must begin with (AWS's limit for the same check)."""
_ROLES_ANYWHERE = "rolesanywhere.amazonaws.com"
_ANYWHERE_ACTIONS = ("sts:AssumeRole", "sts:SetSourceIdentity", "sts:TagSession")


def principal_by_id(subject: Subject) -> Iterator[Fault]:
    """Report a role or user that is named by its unique id, as IAM shows a deleted one (P-4)."""
    for entry in principals(subject.document):
        code, kind = _IDS.get(entry.value[:4], ("", ""))
        if code and entry.kind == "AWS" and ":" not in entry.value:
            message = f"{quoted(entry.value)} is the id of a {kind}: another {kind} of the same name does not match it"
            yield Fault(code, message, entry.path)


def redundant_session(subject: Subject) -> Iterator[Fault]:
    """Report a session next to its role, which includes all of its sessions."""
    for statement in _of_trust(subject):
        named = _named(statement, "AWS")
        roles = {_role(found) for value in named if (found := _ROLE.fullmatch(value))}
        for index, value in enumerate(named):
            session = _SESSION.fullmatch(value)
            if session and _role(session) in roles:
                message = f"the role of {quoted(value)} is a principal, too, and includes its sessions"
                path = place(statement, "Principal", "AWS", index)
                yield Fault("REDUNDANT_PRINCIPAL_IN_ROLE_TRUST_POLICY", message, path)


def _role(match: re.Match[str]) -> tuple[str, str, str]:
    return match["partition"], match["account"], match["role"]


def provider_without_condition(subject: Subject) -> Iterator[Fault]:
    """Report an OIDC provider whose tokens are all accepted, whatever their audience and subject."""
    for statement in _of_trust(subject):
        for index, value in enumerate(_named(statement, "Federated")):
            issuer = _issuer(value)
            if statement.effect is Effect.ALLOW and issuer and not _tests_of(statement, issuer):
                message = f"every token of {quoted(value)} is accepted: no condition tests one of its claims"
                path = place(statement, "Principal", "Federated", index)
                yield Fault("MISSING_CONDITION_KEY_FOR_OIDC_PRINCIPAL", message, path)


def _issuer(provider: str) -> str:
    """Return the host, and path, of an OIDC provider, as its condition keys begin; empty for another principal."""
    found = _OIDC.fullmatch(provider)
    return found["issuer"].lower() if found else provider if provider in BUILT_IN_PROVIDERS else ""


def github_without_repository(subject: Subject) -> Iterator[Fault]:
    """Report GitHub as provider without a condition on the repository."""
    for statement in _of_trust(subject):
        for index, value in enumerate(_named(statement, "Federated")):
            claims = {test.key.lower().rpartition(":")[2] for test in _tests_of(statement, _GITHUB)}
            if statement.effect is Effect.ALLOW and _issuer(value) == _GITHUB and claims.isdisjoint(_GITHUB_CLAIMS):
                message = "workflows of every repository of GitHub are accepted: no condition tests the repository"
                path = place(statement, "Principal", "Federated", index)
                yield Fault("MISSING_GITHUB_REPO_CONDITION_KEY", message, path)


def wide_subject(subject: Subject) -> Iterator[Fault]:
    """Report a pattern for the subject of a shared provider that fits other customers' tokens."""
    for tested, issuer in _subjects(subject):
        for value, path in tested.values():
            begin = re.split(r"[*?]|\$\{", value, maxsplit=1)[0]
            if begin == value:
                continue
            if len(begin) < _MIN_LITERAL:
                kind = "VARIABLE" if value[len(begin) :].startswith("${") else "WILDCARD"
                message = f"{quoted(value)} fits tokens of other customers of {quoted(issuer)}"
                yield Fault(f"{kind}_USAGE_TOO_PERMISSIVE", message, path)
            elif issuer == _GITHUB and WILDCARD.search(_repository(value)):
                message = f"{quoted(value)} fits several repositories"
                yield Fault("SPECIFIC_GITHUB_REPO_AND_BRANCH_RECOMMENDED", message, path)


def _repository(value: str) -> str:
    """Return the part of GitHub's subject up to the repository: `repo:owner/name` in `repo:owner/name:ref:...`."""
    return ":".join(value.split(":", 2)[:2])


def _subjects(subject: Subject) -> Iterator[tuple[ParsedCondition, str]]:
    if subject.document.type is PolicyType.TRUST:
        for tested in conditions(subject.document):
            issuer, _, claim = tested.test.key.lower().rpartition(":")
            is_pattern = tested.operator.base == "StringLike" and requires_value(tested)
            is_allow = tested.statement.effect is Effect.ALLOW
            if is_allow and is_pattern and claim == "sub" and issuer in _SHARED_ISSUERS:
                yield tested, issuer


def audience_with_qualifier(subject: Subject) -> Iterator[Fault]:
    """Report `ForAnyValue` on the audience of a token, which has a single value (K-34)."""
    for tested in conditions(subject.document):
        host, _, claim = tested.test.key.lower().rpartition(":")
        if claim == "aud" and "." in host and tested.operator.prefix == "ForAnyValue":
            message = f"{quoted(tested.test.key)} has a single value"
            yield Fault("FORANYVALUE_WITH_AUDIENCE_CLAIM_TYPE", message, tested.path[:-1], name=True)


def roles_anywhere(subject: Subject) -> Iterator[Fault]:
    """Report a trust of IAM Roles Anywhere without the three actions that it needs."""
    for statement in _of_trust(subject):
        services = _named(statement, "Service")
        if statement.effect is not Effect.ALLOW or _ROLES_ANYWHERE not in services or statement.actions is None:
            continue
        allowed = [compile_glob(action.lower()) for action in statement.actions]
        missing = [name for name in _ANYWHERE_ACTIONS if not any(allows(name.lower()) for allows in allowed)]
        if missing:
            message = f"`{_ROLES_ANYWHERE}` also needs {' and '.join(map(quoted, missing))}"
            yield Fault("MISSING_ACTION_FOR_ROLES_ANYWHERE_TRUST_POLICY", message, place(statement, "Action"))


def _of_trust(subject: Subject) -> Sequence[Statement]:
    return subject.document.statements if subject.document.type is PolicyType.TRUST else ()


def _named(statement: Statement, kind: str) -> list[str]:
    return [value for entry_kind, value in statement.principals or () if entry_kind == kind]


def _tests_of(statement: Statement, issuer: str) -> list[ConditionTest]:
    return [test for test in statement.conditions if test.key.lower().rpartition(":")[0] == issuer]
