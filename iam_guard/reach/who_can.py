"""Who can do something: every principal of a store, and whom the resource's own policy names.

A role stands for its sessions, without session policies. Who could become somebody else first, by assuming a role say,
is not followed. Must not live here: deciding (`evaluation`), the table (`cli`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from iam_guard.evaluation.registry import resource_policy_type
from iam_guard.matching.statement import CompiledStatement
from iam_guard.model.context import Given
from iam_guard.reach.answers import Access, AccessVerdict, answer_of
from iam_guard.reach.asking import Asker, asking
from iam_guard.reach.question import (
    OF_RESOURCE,
    SOME,
    AccessQuestion,
    check_question,
    owed_by_resource,
    question,
    with_open_policy,
)
from iam_guard.reach.strangers import Stranger, strangers
from iam_guard.reach.within import statements_within, with_exceptions
from iam_guard.settings import Settings
from iam_guard.store.population import Inhabitant
from iam_guard.store.protocol import SourceStore

_ORDER = list(AccessVerdict)


def who_can(
    store: SourceStore,
    action: str,
    resource: str = "*",
    *,
    context: Mapping[str, Given] | None = None,
    resource_account: str | None = None,
    settings: Settings | None = None,
    now: datetime | None = None,
) -> list[Access]:
    """Say of everybody whether they may do `action` on `resource`, an ARN, `*`, or the pattern of several ARNs.

    `context` are condition keys that are known; what a policy asks besides is named in the answer. `resource_account`
    owns the resource where neither its ARN nor the store says so. Those who may come first. Raises `InvalidInput`.
    """
    check_question(action, resource, resource_account)
    with asking(store, settings or Settings(), now) as asker:
        asked = question(asker, action, resource, context or {}, resource_account)
        within = statements_within(asker, action, asked.pattern)
        found = [_inhabitant(asker, each, asked, within) for each in asker.population.inhabitants.values()]
        found.extend(_strangers(asker, asked))
    return sorted(found, key=lambda each: _ORDER.index(each.verdict))


def _inhabitant(
    asker: Asker, inhabitant: Inhabitant, asked: AccessQuestion, within: Sequence[CompiledStatement]
) -> Access:
    wanted, owes = asked.wanted, None
    if wanted.account is None:
        wanted = replace(wanted, account=inhabitant.account)
    if owed_by_resource(asked, inhabitant):
        wanted, owes = with_open_policy(wanted), OF_RESOURCE
    bounds = asker.bounds(
        *(inhabitant.record, asked.action, wanted, asked.context), asked=asked.pattern, trust=inhabitant.trust
    )
    answer = answer_of(bounds, inhabitant, owes=owes, partly=SOME)
    careful = with_exceptions(answer, inhabitant.record.principal, within)
    return Access(inhabitant.arn, inhabitant.kind, careful)


def _strangers(asker: Asker, asked: AccessQuestion) -> Iterator[Access]:
    if asked.policy is not None:
        type = resource_policy_type(asked.action.lower(), asked.wanted.arn)
        for each in strangers(asked.policy, type, asker.population, asker.source.partition):
            yield _stranger(asker, each, asked)


def _stranger(asker: Asker, stranger: Stranger, asked: AccessQuestion) -> Access:
    record = replace(stranger.record, epoch=asker.epoch())
    trust = None if stranger.inhabitant is None else stranger.inhabitant.trust
    bounds = asker.bounds(
        *(record, asked.action, asked.wanted, asked.context), trust=trust, is_anybody=stranger.is_anybody
    )
    return Access(stranger.shown, stranger.kind, answer_of(bounds, stranger.inhabitant, owes=stranger.owes))
