"""Policies written in Python: `policy(allow("docs:Get*").on("document/*"), …)` (rules A, D).

A statement starts with `allow` or `deny` and is extended with `.on`, `.to`, `.when` and `.sid`; `policy` makes a
document of statements. Every step returns a new value, and raises as soon as no policy type could accept the
statement; `policy` raises as `parse` does. No grammar rules here: a step renders the statement and runs the parser's
own table (`document_refusals`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network
from typing import Any, TypeAlias

from iam_guard.errors import ContextError, PolicyError
from iam_guard.model.arn import Arn
from iam_guard.model.context import Scalar, scalar_text
from iam_guard.model.decision import PolicyType
from iam_guard.policy.checks import conditions, elements, forms
from iam_guard.policy.document import LATEST, LEGACY, ConditionTest, Document, Effect, PrincipalEntry, Statement
from iam_guard.policy.document_refusals import Scope, refuse
from iam_guard.policy.fault import Reading, Rule, place
from iam_guard.policy.grammar import ConditionOperator, OperatorName, PolicyVersion, SetPrefix, quoted
from iam_guard.policy.json_tree import SYNTAX, pointer
from iam_guard.policy.parser import read
from iam_guard.policy.renderer import render, to_json

Strings: TypeAlias = str | Sequence[str]
ConditionValue: TypeAlias = Scalar | IPv4Network | IPv6Network
ConditionValues: TypeAlias = ConditionValue | Sequence[ConditionValue]
"""One value, or a list of alternatives."""

_RELATIVE = re.compile(r"[A-Za-z0-9_-]+/.*", re.DOTALL)  # starts with a resource type
_SPECIAL = re.compile(r"[*?$]")

_STATEMENT_RULES: tuple[Rule, ...] = (
    elements.empty_action,
    elements.empty_resource,
    elements.empty_principal,
    forms.condition_keys_form,
    conditions.dates,
    conditions.numbers,
    conditions.addresses,
    conditions.arns,
)
"""The rules of a write, and the form of keys, on an unfinished statement (rules G-27, G-67, N-10)."""


# --- a statement -------------------------------------------------------------------------------------------------


def allow(*actions: str) -> PolicyStatement:
    """Start a statement that allows actions (`docs:Get*`)."""
    return _checked(Statement(0, Effect.ALLOW, actions=actions))


def deny(*actions: str) -> PolicyStatement:
    """Start a statement that denies actions."""
    return _checked(Statement(0, Effect.DENY, actions=actions))


def allow_all_but(*actions: str) -> PolicyStatement:
    """Start a statement that allows every action of every service except these: `NotAction`."""
    return _checked(Statement(0, Effect.ALLOW, not_actions=actions))


def deny_all_but(*actions: str) -> PolicyStatement:
    """Start a statement that denies every action of every service except these: `NotAction`."""
    return _checked(Statement(0, Effect.DENY, not_actions=actions))


@dataclass(frozen=True, slots=True)
class PolicyStatement:
    """A statement, finished or not. Every method returns a new one, or raises `PolicyError` if it is invalid."""

    content: Statement

    def on(self, *resources: str, partition: str = "aws", region: str = "*", account: str = "*") -> PolicyStatement:
        """Add resources: ARNs, `*`, or `type/name` (`document/*`) of the one service that the actions belong to.

        The other arguments complete `type/name` to an ARN. A statement without one literal service accepts ARNs only.
        """
        return self._added("resources", self._completed(resources, partition, region, account))

    def on_all_but(
        self, *resources: str, partition: str = "aws", region: str = "*", account: str = "*"
    ) -> PolicyStatement:
        """Exclude resources from the statement: `NotResource`. The arguments are those of `on`."""
        return self._added("not_resources", self._completed(resources, partition, region, account))

    def to(
        self, *aws: str, service: Strings = (), federated: Strings = (), canonical_user: Strings = ()
    ) -> PolicyStatement:
        """Add principals: ARNs, account ids or unique ids; `*` is every caller, also an anonymous one (rule G-45)."""
        return self._added("principals", _entries(aws, service, federated, canonical_user))

    def to_all_but(
        self, *aws: str, service: Strings = (), federated: Strings = (), canonical_user: Strings = ()
    ) -> PolicyStatement:
        """Exclude principals from the statement: `NotPrincipal`, with `deny` only (rule G-34)."""
        return self._added("not_principals", _entries(aws, service, federated, canonical_user))

    def when(
        self,
        operator: ConditionOperator,
        tests: Mapping[str, ConditionValues],
        *,
        if_exists: bool = False,
        set_operator: SetPrefix | None = None,
    ) -> PolicyStatement:
        """Add a condition: `when("StringEquals", {"aws:ResourceTag/team": ["red", "blue"]})`.

        Values of one key are alternatives; all keys, and all calls, must match (rule C-1). `if_exists` also matches
        an absent key (C-30); `set_operator` is for keys with many values (C-35). A value is written as its operator
        reads it: `True` as `true`, a datetime as `2026-01-31T00:00:00Z`, bytes as base64.
        """
        name = str(OperatorName(operator, set_operator, if_exists))
        if not (isinstance(tests, Mapping) and tests):
            raise self._refusal(f"expected condition keys under {quoted(name)}", name, finding="EMPTY_OBJECT_CONDITION")
        added = tuple(ConditionTest(name, key, self._value_texts(values, name, key)) for key, values in tests.items())
        for test in added:
            if any((condition.operator, condition.key) == (name, test.key) for condition in self.content.conditions):
                message = f"duplicate key {quoted(test.key)} under {quoted(name)}"
                raise self._refusal(message, name, test.key, finding=SYNTAX)  # G-10
        return self._with(conditions=self.content.conditions + added)

    def sid(self, sid: str) -> PolicyStatement:
        """Set the statement's id: letters and digits, or any text in a resource-based policy (rule G-24)."""
        return self._with(sid=sid)

    def _added(self, field: str, values: Iterable[Any]) -> PolicyStatement:
        return self._with(**{field: (*(getattr(self.content, field) or ()), *values)})

    def _with(self, **changes: Any) -> PolicyStatement:
        return _checked(replace(self.content, **changes))

    def _completed(self, resources: tuple[str, ...], partition: str, region: str, account: str) -> Iterator[str]:
        services = {action.partition(":")[0].lower() for action in self.content.actions or ()}
        service = services.pop() if len(services) == 1 else "*"
        for resource in resources:
            is_relative = service != "*" and isinstance(resource, str) and _RELATIVE.fullmatch(resource)
            yield str(Arn(partition, service, region, account, resource)) if is_relative else resource

    def _value_texts(self, values: ConditionValues, operator: str, key: str) -> tuple[str, ...]:
        networks = (IPv4Network, IPv6Network)
        try:
            return tuple(
                str(value) if isinstance(value, networks) else scalar_text(value, key) for value in _listed(values)
            )
        except ContextError as error:
            raise self._refusal(error.message, operator, key, finding="DATA_TYPE_MISMATCH") from None

    def _refusal(self, message: str, *steps: str, finding: str) -> PolicyError:
        return PolicyError(message, place=pointer(place(self.content, "Condition", *steps)), finding=finding)


def literal(text: str) -> str:
    """Escape wildcards and variables in a text, for a resource or a condition value (rule V-14).

    For parts that come from input: `on("document/" + literal(name))`. Requires the version `2012-10-17`.
    """
    return _SPECIAL.sub(r"${\g<0>}", text)


def _entries(aws: Strings, service: Strings, federated: Strings, canonical_user: Strings) -> Iterator[PrincipalEntry]:
    kinds = {"AWS": aws, "Service": service, "Federated": federated, "CanonicalUser": canonical_user}
    for kind, values in kinds.items():
        for value in _listed(values):
            yield kind, value


def _listed(values: object) -> Sequence[Any]:
    return values if isinstance(values, (list, tuple)) else [values]


def _checked(content: Statement) -> PolicyStatement:
    """Raise `PolicyError` if no policy type accepts the statement as far as it is built.

    The most permissive type is checked: with resources and no principal an identity-based policy (it has short ARNs,
    G-64), otherwise a resource-based one.
    """
    has_principal = content.principals is not None or content.not_principals is not None
    has_resource = content.resources is not None or content.not_resources is not None
    reading = _read([content], PolicyType.IDENTITY if has_resource and not has_principal else PolicyType.RESOURCE)
    _refuse_faults(_STATEMENT_RULES, reading)
    return PolicyStatement(reading.document.statements[0])


# --- a document --------------------------------------------------------------------------------------------------


def policy(
    *statements: PolicyStatement,
    type: PolicyType = PolicyType.IDENTITY,
    version: PolicyVersion | None = LATEST,
    id: str | None = None,
) -> PolicyDocument:
    """Create a document of statements; raise `PolicyError` where `parse` does for the policy type."""
    reading = _read([statement.content for statement in statements], type, version, id)
    _refuse_faults([elements.no_statement], reading)  # G-8
    return PolicyDocument(reading.document)


@dataclass(frozen=True, slots=True, eq=False)
class PolicyDocument(Mapping[str, Any]):
    """A policy document that is also a mapping: that of its decoded JSON. It can be passed wherever a dict can.

    `PolicyDocument(parse(text, type))` wraps a parsed policy; its `statements` can be used in a new one. Documents,
    and dicts, are equal if their JSON is.
    """

    document: Document

    @property
    def statements(self) -> tuple[PolicyStatement, ...]:
        """The statements, to be used in another document."""
        return tuple(PolicyStatement(statement) for statement in self.document.statements)

    def to_dict(self) -> dict[str, Any]:
        """Return the decoded JSON as a new dict."""
        return render(self.document)

    def to_json(self, indent: int | None = None) -> str:
        """Return the document as JSON, on one line without `indent`."""
        return to_json(self.document, indent)

    def __getitem__(self, element: str) -> Any:
        return self.to_dict()[element]

    def __iter__(self) -> Iterator[str]:
        return iter(self.to_dict())

    def __len__(self) -> int:
        return len(self.to_dict())


def _read(
    statements: Sequence[Statement], type: PolicyType, version: PolicyVersion | None = LATEST, id: str | None = None
) -> Reading:
    draft = Document(type, version or LEGACY, tuple(statements), digest="", text="", written_version=version, id=id)
    reading = read(render(draft), type)
    refuse(reading, Scope.ALWAYS)
    return reading


def _refuse_faults(rules: Sequence[Rule], reading: Reading) -> None:
    for rule in rules:
        for fault in rule(reading):
            raise reading.refusal(fault)
