"""The formula of the rows that a caller may see: its policies, and those of the resources that have one in the store.

Of the policies of resources, only statements that name the caller matter, and many resources have the same ones. Each
such statement is a part of the formula once, together with the condition that the resource's policy has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from iam_guard.errors import NotFilterable
from iam_guard.evaluation.compiler import compile_policy
from iam_guard.evaluation.partial.formula import Attached, Formula, OneOf, Text, all_of, any_of
from iam_guard.evaluation.partial.open_decision import StatementFormula
from iam_guard.evaluation.partial.open_request import OpenRequest
from iam_guard.evaluation.partial.text_matching import ACCOUNT, match
from iam_guard.evaluation.policy_layer import Layer
from iam_guard.filters.rendering import Columns
from iam_guard.filters.resource_type import ResourceMapping
from iam_guard.guard.loader import Loader
from iam_guard.guard.question import LoadedQuestion, Question
from iam_guard.model.arn import Location
from iam_guard.model.context import Given, Lazy
from iam_guard.model.decision import PolicyRef, PolicyType
from iam_guard.model.principal import Principal
from iam_guard.model.request import Call, Resource
from iam_guard.settings import Settings
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.policies.resource_statements import SharedStatement, lookup_names, shared_statements


class ListQuestion(NamedTuple):
    """Which resources of a type may the principal do the action on? `own_service` as in `Question`."""

    principal: Principal
    action: str
    resource_type: ResourceMapping
    own_service: bool
    context: Mapping[str, Given | Lazy] | None = None
    call: Call | None = None
    is_superset: bool = False


@dataclass(slots=True)
class ListFormula:
    """Computes the formula of one question with one state of the store.

    `statements` and `refusals` are what it consists of, `keys_read` the known condition keys that it depends on.
    """

    question: ListQuestion
    columns: Columns
    settings: Settings
    now: datetime
    statements: list[StatementFormula] = field(default_factory=list)
    refusals: list[NotFilterable] = field(default_factory=list)
    keys_read: set[str] = field(default_factory=set)
    formula: Formula = False

    def compute(self, store: CachedStore, loader: Loader, *, has_policies: bool) -> None:
        """Compute the formula. Raises `NotFilterable`, and what loading raises.

        `has_policies`: resources of the service have policies in the store.
        """
        question, only = self.question, self.question.resource_type.account
        own = self._load(question.principal.account, loader, store)
        if not own.is_decidable:
            return
        shared = self._shared(own, store) if has_policies else ()
        owners = {question.principal.account} if own.owner is not None else set()
        owners |= {account for statement in shared if not statement.denies for account in statement.resources}
        parts = []
        for owner in sorted(filter(None, owners)):
            if only is None or owner == only:
                loaded = own if owner == question.principal.account else self._load(owner, loader, store)
                in_account = self.columns.simplified(_of_account(owner)) if only is None else True
                parts.append(all_of((in_account, self._of_owner(owner, loaded, shared))))
        readable = [] if question.is_superset else self.columns.readable_parameters()
        self.formula = all_of((*readable, any_of(parts)))

    def _load(self, owner: str | None, loader: Loader, store: CachedStore) -> LoadedQuestion:
        """Load what a decision about resources of an account without a policy needs."""
        principal, action, _, own_service, context, call, _ = self.question
        return loader.load(Question(principal, action, Resource("*", account=owner), own_service, context, call), store)

    def _shared(self, own: LoadedQuestion, store: CachedStore) -> Sequence[SharedStatement]:
        service, partition = self.question.resource_type.service, self.settings.partition
        names = lookup_names(own.caller.principal, own.caller.identity_id)
        joins = bool(self.settings.store_schema)
        with store.read_transaction() as records:
            return shared_statements(records, names, service, partition=partition, joins=joins)

    def _of_owner(self, owner: str, loaded: LoadedQuestion, shared: Sequence[SharedStatement]) -> Formula:
        """Return the formula of the resources of one account."""
        if not loaded.is_decidable or loaded.owner is None:
            return False
        resource_type, settings = self.question.resource_type, self.settings
        location = Location(settings.partition, settings.region)
        arn = resource_type.arn(owner, location)
        attached = {}
        has_account = ACCOUNT in resource_type.arn(None, location)
        for statement in shared:
            if owner in statement.resources or not has_account:
                policy = compile_policy(statement.text, PolicyRef(statement.arn, PolicyType.RESOURCE))
                attached[policy] = self._attached(statement, arn)
        policies = replace(loaded.authorizer.policies, resource=Layer(attached))
        request = loaded.request(loaded.context(self.now, settings.region))
        opened = OpenRequest(request, arn, open_keys=resource_type.open_keys, has_tags=resource_type.has_tags)
        decision = self.columns.decision(opened, self.question.context, is_superset=self.question.is_superset)
        decision.attached.update(attached)
        formula = decision.formula(policies, owner)
        self.statements += decision.statements
        self.refusals += decision.refusals
        self.keys_read.update(request.read)
        return formula

    def _attached(self, statement: SharedStatement, arn: Text) -> Formula:
        """Return whether the policy of a resource has a statement; a Deny: whether not."""
        wanted, schema = not statement.denies, self.settings.store_schema
        if schema:
            return self.columns.simplified(Attached(arn, statement.digests, schema, wanted))
        named = [match(arn, (text,), wanted) for arns in statement.resources.values() for text in arns]
        return self.columns.simplified(any_of(named) if wanted else all_of(named))


def _of_account(owner: str) -> Formula:
    return OneOf(ACCOUNT.name, frozenset({owner}), wanted=True)
