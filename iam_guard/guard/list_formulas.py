"""The formula of the rows that a caller may see: its policies, and those of the resources that have one in the store.

Resources with a policy in the store are few beside the rows of a table. Each is decided by itself, with its policy, and
joins the formula by its ARN; all other rows are decided without one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from iam_guard.errors import NotFilterable
from iam_guard.evaluation.partial.formula import Formula, OneOf, Text, all_of, any_of
from iam_guard.evaluation.partial.open_decision import StatementFormula
from iam_guard.evaluation.partial.open_request import OpenRequest
from iam_guard.evaluation.partial.text_matching import ACCOUNT, match
from iam_guard.filters.rendering import Columns
from iam_guard.filters.resource_type import ResourceMapping
from iam_guard.guard.loader import Loader
from iam_guard.guard.question import Question
from iam_guard.model.context import Given, Lazy
from iam_guard.model.principal import Principal
from iam_guard.model.request import Call, Resource
from iam_guard.settings import Settings
from iam_guard.store.cached_store import CachedStore
from iam_guard.store.records import Row
from iam_guard.store.schema import resources

MAX_RESOURCE_POLICIES: Final = 1_000
"""Maximum number of resources with a policy in the store, of a service; each is a part of the filter."""


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

    def compute(self, store: CachedStore, loader: Loader, stored: Sequence[Row]) -> None:
        """Compute the formula. Raises `NotFilterable`, and what loading raises.

        `stored` are the rows of `stored_resources`, at the state that the policies are loaded at.
        """
        resource_type, simplify = self.question.resource_type, self.columns.simplified
        with_policies = [row for row in stored if resource_type.can_be(row["arn"])]
        parts = [self._one(row, loader, store) for row in with_policies]
        owner = resource_type.account or self.question.principal.account
        if owner is not None and owner == self.question.principal.account:
            others = [simplify(self._named(row["arn"], wanted=False)) for row in with_policies]
            in_own = [] if resource_type.account else [simplify(OneOf(ACCOUNT.name, frozenset({owner}), wanted=True))]
            allowed = self._of_owner(Resource("*", account=owner), self._arn(owner), loader, store)
            parts.append(all_of((*in_own, *others, allowed)))
        readable = [] if self.question.is_superset else self.columns.readable_parameters()
        self.formula = all_of((*readable, any_of(parts)))

    def _one(self, row: Row, loader: Loader, store: CachedStore) -> Formula:
        """Return the formula of a resource with a policy: it is the row, and the row is allowed."""
        arn = row["arn"]
        named = self.columns.simplified(self._named(arn, wanted=True))
        owned = OneOf(ACCOUNT.name, frozenset({row["account"]}), wanted=True)
        in_account = True if self.question.resource_type.account else self.columns.simplified(owned)
        allowed = self._of_owner(Resource(arn, account=row["account"]), (arn,), loader, store)
        return all_of((in_account, named, allowed))

    def _named(self, arn: str, *, wanted: bool) -> Formula:
        return match(self._arn(self.question.resource_type.account), (arn,), wanted)

    def _arn(self, account: str | None) -> Text:
        settings = self.settings
        return self.question.resource_type.arn(account, region=settings.region, partition=settings.partition)

    def _of_owner(self, resource: Resource, arn: Text, loader: Loader, store: CachedStore) -> Formula:
        """Return the formula of resources of one account, with the policy of `resource` if it names one."""
        principal, action, resource_type, own_service, context, call, is_superset = self.question
        loaded = loader.load(Question(principal, action, resource, own_service, context, call), store)
        if not loaded.is_decidable or loaded.owner is None:
            return False
        request = loaded.request(loaded.context(self.now, self.settings.region))
        opened = OpenRequest(request, arn, open_keys=resource_type.open_keys, has_tags=resource_type.has_tags)
        decision = self.columns.decision(opened, context, is_superset=is_superset)
        formula = decision.formula(loaded.authorizer.policies, loaded.owner.id)
        self.statements += decision.statements
        self.refusals += decision.refusals
        self.keys_read.update(request.read)
        return formula


def stored_resources(store: CachedStore, service: str, partition: str) -> list[Row]:
    """Return the rows of a service's resources that have a policy in the store. Raises `NotFilterable`.

    More of them than a filter can have, and tags beside those of the model, are refused.
    """
    prefix = f"arn:{partition}:{service}:"
    with store.read_transaction() as records:
        rows = records.page(resources, order=("arn",), after=(prefix,), limit=MAX_RESOURCE_POLICIES + 1)
    found = [row for row in rows if row["arn"].startswith(prefix)]
    if len(found) > MAX_RESOURCE_POLICIES:
        raise NotFilterable(f"more than {MAX_RESOURCE_POLICIES} resources of `{service}` have a policy in the store")
    if any(row["tags"] for row in found):
        raise NotFilterable(f"resources of `{service}` have tags in the store, beside those of the model")
    return found
