"""Who can do something: every principal of a store, and whom the resource's own policy names.

A role stands for its sessions, without session policies. Who could become somebody else first is looked for where that
is asked (`role_chains`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from iam_guard.analysis.access.access_answers import Access, AccessVerdict
from iam_guard.analysis.access.access_evaluator import asking
from iam_guard.analysis.access.access_list import inhabitant_answer, outside_principal_answers
from iam_guard.analysis.access.access_question import check_question, question
from iam_guard.analysis.access.resource_exceptions import statements_within
from iam_guard.analysis.access.role_chains import RoleChains
from iam_guard.model.context import Given
from iam_guard.settings import Settings
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
    through_roles: bool = False,
) -> list[Access]:
    """Say of everybody whether they may do `action` on `resource`, an ARN, `*`, or the pattern of several ARNs.

    `context` are condition keys that are known; what a policy asks besides is named in the answer. `resource_account`
    owns the resource where neither its ARN nor the store says so. `through_roles` also looks for those who could assume
    a role that may, or one that could assume that: `Access.steps`. Those who may come first. Raises `InvalidInput`.
    """
    check_question(action, resource, resource_account)
    with asking(store, settings or Settings(), now) as asker:
        asked = question(asker, action, resource, context or {}, resource_account)
        within = statements_within(asker, action, asked.pattern)
        found = [
            Access(inhabitant.arn, inhabitant.kind, inhabitant_answer(asker, inhabitant, asked, within))
            for inhabitant in asker.population.inhabitants.values()
        ]
        found.extend(Access(each.shown, each.kind, answer) for each, answer in outside_principal_answers(asker, asked))
        if through_roles:
            found = RoleChains(asker, context or {}).added_to(found, asked)
    return sorted(found, key=lambda each: _ORDER.index(each.verdict))
