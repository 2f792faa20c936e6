"""What the audit trail shows about a principal: activity, least-privilege policy, unused access, last-used times.

`actor` parses the principal, `observations` reads one record, `aggregation` sums up. `resource_patterns` and
`policy_generation` make a policy of it, `unused_access` compares it with the granted access, `last_used_feed` writes
last-used times to the store. Nothing here decides a request.
"""

from iam_guard.analysis.activity.aggregation import Activity, aggregate_activity
from iam_guard.analysis.activity.last_used_feed import feed_uses
from iam_guard.analysis.activity.policy_generation import Generalization, GeneratedPolicy, generate_policy
from iam_guard.analysis.activity.resource_patterns import ArnTemplates
from iam_guard.analysis.activity.unused_access import UnusedAccess, unused_access

__all__ = [
    "Activity",
    "ArnTemplates",
    "Generalization",
    "GeneratedPolicy",
    "UnusedAccess",
    "aggregate_activity",
    "feed_uses",
    "generate_policy",
    "unused_access",
]
