"""The resources that analyzers analyse: those with a policy, or those that inclusions select (AA-8, AA-11)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from iam_guard.analysis.findings.resource_types import resource_type_of
from iam_guard.evaluation.matching.pattern import match_pattern
from iam_guard.evaluation.matching.pattern_coverage import arn_pattern
from iam_guard.model.arn import account_of
from iam_guard.store.database.records import PRESENT, Records, row_arn
from iam_guard.store.schema import identities, resources


def selected_resources(
    records: Records, configuration: Mapping[str, Any], accounts: Collection[str], partition: str
) -> dict[str, str]:
    """Return the selected resources of these accounts, each with its owner.

    Each inclusion selects what matches all its members, without any nothing is selected. An ARN may have wildcards; one
    without is selected even if the store has no record of the resource.
    """
    inclusions = configuration.get("analysisRule", {}).get("inclusions", ())
    if not inclusions:
        return {}
    candidates = dict(_stored(records, accounts, partition))
    for inclusion in inclusions:
        for arn in inclusion.get("resourceArns", ()):
            owner = account_of(arn)
            if owner in accounts and owner is not None and not {"*", "?"}.intersection(arn):
                candidates.setdefault(arn, owner)
    return {
        arn: owner for arn, owner in candidates.items() if any(_selects(member, arn, owner) for member in inclusions)
    }


def shared_resource_owners(records: Records, accounts: Collection[str], partition: str) -> dict[str, str]:
    """Return the resources and roles of these accounts that have a policy, each with its owner."""
    return dict(_stored(records, accounts, partition, text=PRESENT))


def _stored(records: Records, accounts: Collection[str], partition: str, **where: Any) -> Iterator[tuple[str, str]]:
    for row in records.all(resources, columns=("arn", "account"), account=sorted(accounts), **where):
        yield row["arn"], row["account"]
    columns = ("account", "kind", "path", "name")
    for row in records.all(identities, columns=columns, account=sorted(accounts), kind="role"):
        yield row_arn(partition, row), row["account"]


def _selects(inclusion: Mapping[str, Any], arn: str, owner: str) -> bool:
    arns = inclusion.get("resourceArns")
    return (
        bool(inclusion)
        and owner in inclusion.get("accountIds", (owner,))
        and ("resourceTypes" not in inclusion or resource_type_of(arn) in inclusion["resourceTypes"])
        and (arns is None or any(match_pattern(arn_pattern(entry), arn) for entry in arns))
    )
